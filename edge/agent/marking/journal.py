"""`marking` in the spool's folder: what is open and what was made, as an agent that is killed leaves it to the next."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import msgspec

from edge.agent.marking.book import State
from ingest.files import as_log_errors, put

NAME: Final = "marking"


def load(folder: Path) -> tuple[State, str]:
    """What was kept, and what people should know of it: a file that is damaged is told, and nothing was open."""
    path = folder / NAME
    try:
        return msgspec.msgpack.decode(path.read_bytes(), type=State), ""
    except FileNotFoundError:
        return State(), ""
    except (OSError, msgspec.MsgspecError) as error:
        return State(), f"{path}: cannot be read ({error}): what was held or begun before is not known any more"


def form(state: State) -> bytes:
    """As it is kept."""
    return msgspec.msgpack.encode(state)


class Journal:
    """Writes it where it has changed since `state` was read."""

    def __init__(self, folder: Path, state: State) -> None:
        self._path = folder / NAME
        self._written = form(state)

    def save(self, data: bytes) -> None:
        """A state's `form`, durable when this returns. It may wait for the disk, and raises what a commit raises."""
        if data == self._written:
            return
        with as_log_errors(self._path):
            put(self._path, data)
        self._written = data
