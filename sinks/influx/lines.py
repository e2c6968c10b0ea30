"""Points as lines: InfluxDB's line protocol (InfluxDB 1.x documentation, "Line protocol reference"). Pure.

A line holds no raw line feed, so that a batch can be taken apart at its line feeds.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from ingest.engine.operator import Draft

FOLDER: Final = "points"
"""Where a draft of points lies, were it a file: the store sends it to the database instead."""
TIME: Final = "time"
"""A field of this name is thrown away by InfluxDB without a word."""
TEXT_CHARACTERS: Final = 1000
"""So much of a text is written; a field holds 64 KiB at most."""
_NAME: Final = str.maketrans({",": "\\,", " ": "\\ ", "=": "\\=", "\n": "\\n", "\r": "\\r"})
_LOOSE: Final = re.compile(r"\\(?=[,= \n\r]|\Z)")
_MEASUREMENT: Final = str.maketrans({",": "\\,", " ": "\\ ", "\n": "\\n", "\r": "\\r"})
_TEXT: Final = str.maketrans({'"': '\\"', "\\": "\\\\", "\n": "\\\\n", "\r": "\\\\r"})


def head(measurement: str, tags: Mapping[str, str]) -> str:
    """What stands before a line's fields. Tags without a value are left out: the protocol has none."""
    name = measurement.translate(_MEASUREMENT)
    if name.startswith("#"):
        name = f"\\{name}"  # or the line would be a comment
    named = sorted((_name(key), _name(value)) for key, value in tags.items() if value)
    return ",".join((_closed(name), *(f"{key}={value}" for key, value in named)))


def field_names(names: Sequence[str]) -> list[str]:
    """Channels' names as keys of fields, escaped: none is empty, "time" or there twice."""
    found: list[str] = []
    for number, name in enumerate(names):
        key = _field(f"{name}_" if name == TIME else name or f"channel{number}")
        found.append(key if key not in found else f"{key}:{number}")
    return found


def text(value: str) -> str:
    """A text as a field's value."""
    return f'"{value[:TEXT_CHARACTERS].translate(_TEXT)}"'


def line(start: str, fields: Iterable[tuple[str, str]], t_ns: int) -> str:
    """A line of fields whose keys and values are escaped."""
    return f"{start} {','.join(f'{key}={value}' for key, value in fields)} {t_ns}"


def number_fields(values: Mapping[str, float], taken: Iterable[str]) -> list[tuple[str, str]]:
    """Numbers by name as fields; those that are not finite have no place in the protocol. `taken` names are others'."""
    others = {*taken, TIME, ""}
    return [
        (_field(f"{name}_" if name in others else name), repr(float(value)))
        for name, value in values.items()
        if math.isfinite(value)
    ]


def _name(name: str) -> str:
    return _closed(name.translate(_NAME))


def _field(name: str) -> str:
    """A field's key: InfluxDB refuses the whole point where a backslash stands before what is escaped, or last."""
    return _name(_LOOSE.sub("_", name))


def _closed(name: str) -> str:
    """A backslash at a name's end would escape what comes behind it."""
    return f"{name}\\ " if name.endswith("\\") else name


class Batches:
    """Lines on their way into drafts of about so many points each."""

    def __init__(self, stem: str, points: int) -> None:
        self._stem = stem
        self._points = points
        self._done: list[tuple[list[str], int]] = []
        self._open: list[str] = []
        self._count = 0
        self.bytes = 0
        """About how many bytes the drafts will have."""

    def add(self, lines: Sequence[str]) -> None:
        """Take lines over, in their order."""
        for at in range(0, len(lines), self._points):
            piece = lines[at : at + self._points]
            joined = "\n".join(piece)
            self.bytes += len(joined) + 1
            self._open.append(joined)
            self._count += len(piece)
            if self._count >= self._points:
                self._close()

    def _close(self) -> None:
        self._done.append((self._open, self._count))
        self._open, self._count = [], 0

    def take(self, tag: str) -> list[Draft]:
        """The drafts; there is nothing here afterwards."""
        if self._open:
            self._close()
        done, self._done, self.bytes = self._done, [], 0
        return [Draft.of(FOLDER, self._stem, ".lp", ["\n".join(lines).encode()], count, tag) for lines, count in done]
