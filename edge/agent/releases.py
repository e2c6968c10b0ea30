"""What became of upgrades, told once: `install.sh` adds a line to a file for each, and the agent says it in `status`.

The file is another user's, grows for ever, and is only read; up to where it was told stands in the spool's folder.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Final

import msgspec

from ingest.errors import SensorloomError
from ingest.files import as_log_errors, put
from ingest.records import Change

VARIABLE: Final = "SENSORLOOM_RELEASES"
"""The environment's name for the file's path."""
TOLD: Final = "releases.told"
_MOST_BYTES: Final = 1_000_000
"""So much is read at once; a line has a few hundred bytes."""
_TEXT: Final = 500


class Line(msgspec.Struct, frozen=True):
    """An upgrade's outcome (see `ingest.records.Change`)."""

    old: str
    new: str
    outcome: str
    reason: str
    time_ns: int


class Releases:
    """The file's lines that were not told yet."""

    def __init__(self, path: Path | None, folder: Path) -> None:
        self._path = path
        self._told = folder / TOLD

    @classmethod
    def of(cls, environ: Mapping[str, str], folder: Path) -> Releases:
        """Of the file that the environment names, if it does."""
        named = environ.get(VARIABLE)
        return cls(Path(named) if named else None, folder)

    def news(self) -> tuple[list[Line], int]:
        """What was not told, and up to where that is; a file that cannot be read has none."""
        if self._path is None:
            return [], 0
        begin = self._position()
        with suppress(OSError), self._path.open("rb") as file:
            begin = begin if begin <= file.seek(0, os.SEEK_END) else 0  # installed anew
            file.seek(begin)
            whole = file.read(_MOST_BYTES).rpartition(b"\n")
            return list(_lines(whole[0].splitlines())), begin + len(whole[0]) + len(whole[1])
        return [], begin

    def told(self, position: int) -> None:
        """All up to there is durable elsewhere. A disk that does not take the note has it told again."""
        with suppress(SensorloomError), as_log_errors(self._told):
            put(self._told, str(position).encode())

    def _position(self) -> int:
        with suppress(OSError, ValueError):
            return max(0, int(self._told.read_text()))
        return 0


NO_RELEASES: Final = Releases(None, Path())


def _lines(written: Iterable[bytes]) -> Iterator[Line]:
    for line in written:
        with suppress(msgspec.DecodeError):  # torn by a power cut
            yield msgspec.json.decode(line, type=Line)


def changes(lines: Iterable[Line], devices: Iterable[str], agent: str, boot: bytes) -> list[Change]:
    """As records, one for each device. Pure."""
    names = list(devices)
    return [
        Change(device, agent, boot, line.time_ns, "release", line.old, line.new, line.outcome, line.reason[:_TEXT])
        for line in lines
        for device in names
    ]
