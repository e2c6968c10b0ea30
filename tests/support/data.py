"""Where the real recordings lie: beside the project, or where SENSORLOOM_DATA says."""

from __future__ import annotations

import os
from pathlib import Path


def data_dir() -> Path:
    """The folder of recordings; a missing one is a failure, never a skip."""
    path = Path(os.environ.get("SENSORLOOM_DATA", Path(__file__).parents[2] / ".." / "shared" / "data")).resolve()
    if not path.is_dir():
        raise FileNotFoundError(f"{path}: the recordings are missing; set SENSORLOOM_DATA to their folder")
    return path
