"""TOML files as tables."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

from ingest.errors import UsageError


def read_toml(path: str | Path) -> dict[str, Any]:
    """The tables of a TOML file. Raises `UsageError` where it is missing or is no TOML."""
    try:
        with Path(path).open("rb") as file:
            return tomllib.load(file)
    except FileNotFoundError:
        raise UsageError(f"{path}: no such file") from None
    except ValueError as error:  # no TOML, no UTF-8, or a number of more digits than Python reads
        raise UsageError(f"{path}: not TOML: {error}") from None
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}") from None
