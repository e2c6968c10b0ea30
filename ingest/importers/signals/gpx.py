"""GPX 1.0 and 1.1 (topografix.com/GPX/1/1): the points of tracks as one signal; named waypoints with a time are marks.

XML is read event by event, so that what a file that is cut off still has is read; one that declares a type or an entity
of its own is refused: a few hundred bytes of those can mean gigabytes.
"""

from __future__ import annotations

import math
from collections import Counter
from datetime import UTC
from typing import Final
from xml.parsers import expat

import numpy as np

from ingest.errors import UsageError
from ingest.importers.signals.contents import LOST_BYTES, Asked, Contents, FileMark, Signal, file_label
from ingest.importers.source import Source
from ingest.units import parse_iso

_NAMES: Final = {
    "lat": ("lat", "deg"), "lon": ("lon", "deg"), "ele": ("alt", "m"), "speed": ("speed", "m/s"),
    "course": ("course", "deg"), "sat": ("satellites", "1"), "hdop": ("hdop", "1"), "vdop": ("vdop", "1"),
    "pdop": ("pdop", "1"), "hr": ("heart_rate", "{beats/min}"), "cad": ("cadence", "rpm"),
    "atemp": ("temperature", "degC"), "wtemp": ("water_temperature", "degC"), "depth": ("depth", "m"),
    "power": ("power", "W"), "bearing": ("bearing", "deg"),
}  # fmt: skip
"""What a point may have, by the name of its element without a namespace: channel and unit."""
_POINTS: Final = ("trkpt", "wpt")


def is_gpx(data: bytes) -> bool:
    """Whether it is XML whose first element is called gpx."""
    head = data[:4096].replace(b"\0", b"")  # UTF-16 has those between its letters
    return head.lstrip(b"\xef\xbb\xbf\xff\xfe \r\n\t").startswith(b"<") and b"<gpx" in head


class _Reader:
    """Takes the events of a parser."""

    def __init__(self) -> None:
        self.rows: list[tuple[int, dict[str, float]]] = []
        self.marks: list[FileMark] = []
        self.counts: Counter[str] = Counter()
        self._point: dict[str, str] | None = None
        self._kind = ""
        self._text: list[str] = []

    def start(self, name: str, attributes: dict[str, str]) -> None:
        kind = name.rpartition(":")[2]
        self._text = []
        if kind in _POINTS:
            self._kind, self._point = kind, dict(attributes)

    def text(self, data: str) -> None:
        self._text.append(data)

    def end(self, name: str) -> None:
        kind = name.rpartition(":")[2]
        text, self._text = "".join(self._text).strip(), []
        if self._point is None:
            return
        if kind != self._kind:
            if text:
                self._point.setdefault(kind, text)
            return
        point, self._point = self._point, None
        try:
            t_ns = parse_iso(point["time"], UTC)
        except (KeyError, UsageError):
            self.counts["points without a time"] += 1
            return
        if self._kind == "trkpt":
            self._take(t_ns, point)
        elif label := file_label(point.get("name", "")):
            self.marks.append(FileMark(t_ns, t_ns, label))

    def _take(self, t_ns: int, point: dict[str, str]) -> None:
        row = {name: number for name in _NAMES if (number := _number(point.get(name))) is not None}
        if not (-90 <= row.get("lat", 100) <= 90 and -180 <= row.get("lon", 200) <= 180):
            self.counts["points without a place"] += 1
            return
        self.rows.append((t_ns, row))


def _number(text: str | None) -> float | None:
    try:
        number = float(text or "")
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def read_gpx(source: Source, asked: Asked) -> Contents:
    """The points of all tracks in the file's order; a file that is cut off has what came before.

    Raises:
        UsageError: nothing of it has a time, or it declares types or entities.
    """
    path, reader = source.path, _Reader()
    parser = expat.ParserCreate()

    def refuse(*_: object) -> None:
        raise UsageError(f"{path}: declares types or entities of its own, as no GPX file needs; it was not read")

    parser.StartElementHandler, parser.EndElementHandler = reader.start, reader.end
    parser.CharacterDataHandler = reader.text
    parser.StartDoctypeDeclHandler = parser.EntityDeclHandler = refuse
    notes: list[str] = []
    lost: Counter[str] = reader.counts
    try:
        parser.Parse(source.data, True)
    except expat.ExpatError as error:
        gone = len(source.data) - max(parser.ErrorByteIndex, 0)
        lost[LOST_BYTES] += gone
        notes.append(
            f"line {error.lineno}: {expat.ErrorString(error.code)}: the {gone} bytes from there on were not read, "
            "with the point in which it lies"
        )
    if not reader.rows:
        told = "; ".join([f"{count} {name}" for name, count in lost.items() if name != LOST_BYTES] + notes)
        raise UsageError(f"{path}: a GPX file without a track point that has a time" + (f"; {told}" if told else ""))
    notes += [f"{count} {name} were left out" for name, count in lost.items() if name != LOST_BYTES]
    names = [name for name in _NAMES if any(name in row for _, row in reader.rows)]
    values = np.array([[row.get(name, math.nan) for name in names] for _, row in reader.rows])
    signal = Signal(
        "gps", tuple(_NAMES[name][0] for name in names), values, np.array([t_ns for t_ns, _ in reader.rows]),
        units=tuple(_NAMES[name][1] for name in names),
    )  # fmt: skip
    return Contents("GPX", (signal,), "utc", tuple(reader.marks), lost=dict(lost), notes=tuple(notes))
