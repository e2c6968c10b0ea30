"""TOML files as tables."""

from __future__ import annotations

import codecs
import tomllib
from pathlib import Path
from typing import Any

from ingest.errors import UsageError


def read_toml(path: str | Path) -> dict[str, Any]:
    """The tables of a TOML file, which may begin with a byte order mark. Raises `UsageError` where it is missing or no
    TOML."""
    try:
        with Path(path).open("rb") as file:
            text = file.read()
        return tomllib.loads(text.removeprefix(codecs.BOM_UTF8).decode())
    except FileNotFoundError:
        raise UsageError(f"{path}: no such file") from None
    except UnicodeDecodeError as error:
        line, byte = error.object.count(b"\n", 0, error.start) + 1, error.object[error.start]
        raise UsageError(
            f"{path}: not TOML: line {line} has the byte 0x{byte:02X}, which is no UTF-8; save the file as UTF-8"
        ) from None
    except ValueError as error:  # no TOML, or a number of more digits than Python reads
        raise UsageError(f"{path}: not TOML: {error}") from None
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}") from None
