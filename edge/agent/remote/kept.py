"""`remote` in the spool's folder: the last configuration that proved good, and what was made of the newest one.

An agent begins with what is here: it needs no network for that, and what was never proved is not here.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import msgspec

from edge.config import AgentConfig, load_config
from edge.remote import read_overlay
from ingest.errors import UsageError
from ingest.files import as_log_errors, put

NAME: Final = "remote"
TRIES: Final = 3
"""An agent that ends so often while a configuration is on trial tries it no more."""


class Asked(msgspec.Struct, frozen=True):
    """A configuration as it was put, one of several of the same text."""

    revision: str
    time_ns: int
    author: str


class Kept(msgspec.Struct, frozen=True):
    """What is known of configurations from afar."""

    revision: str = ""
    """Of the last good one; empty: the local file alone."""
    text: str = ""
    decided: Asked | None = None
    """The newest that was taken, refused or rolled back …"""
    outcome: str = ""
    reason: str = ""
    tried: Asked | None = None
    """The newest that was on trial …"""
    tries: int = 0
    """… and how often."""


def load(folder: Path) -> tuple[Kept, str]:
    """What was kept, and what people should know of it: of a damaged file nothing is believed."""
    path = folder / NAME
    try:
        return msgspec.json.decode(path.read_bytes(), type=Kept), ""
    except FileNotFoundError:
        return Kept(), ""
    except (OSError, msgspec.MsgspecError) as error:
        return Kept(), f"{path}: cannot be read ({error}): the local file alone holds until the log says what is wanted"


def save(folder: Path, kept: Kept) -> None:
    """Durable when this returns. It may wait for the disk, and raises what a commit raises."""
    path = folder / NAME
    with as_log_errors(path):
        put(path, msgspec.json.encode(kept))


def last_good(path: str | Path, environ: Mapping[str, str] = os.environ) -> tuple[AgentConfig, str]:
    """The local file with the last good configuration laid over it; and what people should know: a local file that
    was changed meanwhile may not allow that any more, and then holds alone.

    Raises:
        UsageError: the local file is wrong.
    """
    local = load_config(path, environ)
    if not local.remote.is_configured:
        return local, ""
    kept, told = load(local.spool_dir)
    if not kept.text:
        return local, told
    try:
        return load_config(path, environ, read_overlay(kept.text)), told
    except UsageError as error:
        return local, f"{error}; the local file alone holds"
