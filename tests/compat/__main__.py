"""`python -m tests.compat`: keep what this version writes."""

from __future__ import annotations

import tempfile
from pathlib import Path

import sensorloom
from tests.compat.making import FOLDER, make, pack

with tempfile.TemporaryDirectory(prefix="sensorloom-compat-") as name:
    make(Path(name))
    archive = FOLDER / f"{sensorloom.__version__}.tar.xz"
    pack(Path(name), archive)
print(f"{archive.name}: {archive.stat().st_size:,} bytes")
