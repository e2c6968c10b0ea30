"""InfluxDB's line protocol as points, as `influx_inspect export` and `influxd inspect export-lp` write it. Pure.

A line is `measurement,tag=value field=1.5,other=2i 1700000000000000000`; the InfluxDB 1.x documentation, "Line protocol
reference". Lines of an export that make a database, and comments, are no points.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from typing import Final

from ingest.errors import UsageError
from ingest.importers.points import Point, Tags, Value
from ingest.records import MAX_TIME_NS

SCALES: Final = {"ns": 1, "us": 1_000, "ms": 1_000_000, "s": 1_000_000_000}
_HEAD: Final = re.compile(r"((?:\\.|[^\\ ])+) +")
_FIELD: Final = re.compile(r'((?:\\.|[^\\=, ])+)=("(?:\\.|[^"\\])*"|[^," ]+)(,|(?= )|$)')
_PART: Final = re.compile(r"(?:\\.|[^\\,])+")
_TAG: Final = re.compile(r"((?:\\.|[^\\=])+)=(.+)", re.DOTALL)
_ESCAPED: Final = re.compile(r"\\([,= ])")
_TRUE: Final = frozenset(("t", "T", "true", "True", "TRUE"))
_FALSE: Final = frozenset(("f", "F", "false", "False", "FALSE"))
_STATEMENTS: Final = ("CREATE DATABASE ", "DROP DATABASE ", "CREATE RETENTION POLICY ")
_SHOWN: Final = 60


def read_lines(path: str, text: str, time_unit: str, counts: Counter[str]) -> Iterator[Point]:
    """The points of a text; `time_unit` is the unit of its times. `counts` is told of lines that are none.

    Raises:
        UsageError: a line that is none of the protocol, or has no time.
    """
    scale = SCALES[time_unit]
    heads: dict[str, tuple[str, Tags]] = {}
    for number, line in enumerate(text.split("\n"), 1):
        line = line.rstrip("\r")
        counts["lines"] += 1
        if not line.strip():
            counts["blank_lines"] += 1
        elif line.startswith(("#", *_STATEMENTS)):
            counts["comment_lines"] += 1
        else:
            yield _point(path, number, line.strip(" "), scale, heads)
    if not text or text.endswith("\n"):  # what is behind the last line feed is no line
        counts["lines"] -= 1
        counts["blank_lines"] -= 1


def _point(path: str, number: int, line: str, scale: int, heads: dict[str, tuple[str, Tags]]) -> Point:
    head = _HEAD.match(line)
    if head is None:
        raise _wrong(path, number, line, "has no fields")
    named = heads.get(head[1])
    if named is None:
        named = heads[head[1]] = _named(path, number, head[1])
    at, fields = head.end(), list[tuple[str, Value]]()
    while True:
        found = _FIELD.match(line, at)
        if found is None:
            raise _wrong(path, number, line[at:], "is no field")
        fields.append((_plain(found[1]), _value(path, number, found[2])))
        at = found.end()
        if found[3] != ",":
            break
    return Point(number, *named, _time(path, number, line[at:].strip(" "), scale), fields)


def _named(path: str, number: int, head: str) -> tuple[str, Tags]:
    measurement, *rest = _PART.findall(head)
    tags = []
    for part in rest:
        found = _TAG.fullmatch(part)
        if found is None:
            raise _wrong(path, number, part, "is no tag")
        tags.append((_plain(found[1]), _plain(found[2])))
    return _plain(measurement), tuple(sorted(tags))


def _plain(name: str) -> str:
    return _ESCAPED.sub(r"\1", name) if "\\" in name else name


def _value(path: str, number: int, text: str) -> Value:
    if text.startswith('"'):
        return text[1:-1].replace('\\"', '"').replace("\\\\", "\\")
    try:
        return int(text[:-1]) if text[-1] in "iu" else float(text)
    except ValueError:
        if text in _TRUE or text in _FALSE:
            return text in _TRUE
        raise _wrong(path, number, text, "is no value") from None


def _time(path: str, number: int, text: str, scale: int) -> int:
    if not text:
        raise UsageError(f"{path}: line {number}: has no time: InfluxDB would put the time at which it was written")
    try:
        t_ns = int(text) * scale
    except ValueError:
        raise _wrong(path, number, text, "is no time") from None
    if abs(t_ns) > MAX_TIME_NS:
        raise UsageError(f"{path}: line {number}: the time {text} is out of range; see --time-unit")
    return t_ns


def _wrong(path: str, number: int, text: str, what: str) -> UsageError:
    shown = text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"
    return UsageError(f"{path}: line {number}: {shown!r} {what}; is this line protocol?")
