"""InfluxDB's annotated CSV as points, as `influx query --raw` and the data explorer write it. Pure.

Each block of tables has its own annotations (`#datatype`, `#group`, `#default`) and header; the InfluxDB 2
documentation, "Annotated CSV". A row is one value (`_field`, `_value`), or, pivoted, one of each column that is no key
of a group.
"""

from __future__ import annotations

import csv
import io
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

from ingest.errors import UsageError
from ingest.importers.points import Point, Tags, Value
from ingest.units import parse_iso

ANNOTATIONS: Final = ("#datatype", "#group", "#default")
_VALUES: Final = ("double", "long", "unsignedLong", "boolean", "string")
_TIME, _VALUE, _FIELD, _MEASUREMENT = "_time", "_value", "_field", "_measurement"
_NOT_OURS: Final = ("", "result", "table", "_start", "_stop", _TIME, _VALUE, _FIELD, _MEASUREMENT)
_BARE: Final = re.compile(r"^,result,table,", re.MULTILINE)


def is_annotated(text: str) -> bool:
    """Whether a text begins as annotated CSV does."""
    start = text.lstrip("\ufeff\r\n ")[:4096]
    return start.startswith(ANNOTATIONS) or _BARE.match(start) is not None


@dataclass(slots=True)
class _Block:
    """What is known of the rows that come."""

    annotations: dict[str, list[str]] = field(default_factory=dict)
    names: list[str] = field(default_factory=list)

    def cells(self, row: Sequence[str]) -> dict[str, str]:
        """A row by the names of its columns; an empty cell has the column's default."""
        default = self.annotations.get("#default", [])
        known = dict(zip(self.names, row, strict=False))
        for name, value in zip(self.names, default, strict=False):
            if name and not known.get(name):
                known[name] = value
        return known

    def kinds(self) -> dict[str, str]:
        """The types of the columns by name."""
        return dict(zip(self.names, self.annotations["#datatype"], strict=False))

    def groups(self) -> dict[str, bool]:
        """Which columns are keys of a group: tags, among others."""
        told = self.annotations.get("#group", [])
        return {name: word == "true" for name, word in zip(self.names, told, strict=False)}


def read_annotated(path: str, text: str, counts: Counter[str]) -> Iterator[Point]:
    """The points of a text; `counts` is told of lines.

    Raises:
        UsageError: a block without types, a row without a time or measurement, a cell that is none of its type.
    """
    rows = csv.reader(io.StringIO(text.lstrip("\ufeff"), newline=""), strict=True)
    block, in_rows = _Block(), False
    try:
        for row in rows:
            if not any(row):
                block, in_rows = _Block(), False
            elif row[0] in ANNOTATIONS:
                if in_rows:
                    block, in_rows = _Block(), False
                block.annotations[row[0]] = ["", *row[1:]]
            elif row[0].startswith("#"):
                continue
            elif not in_rows:
                block.names, in_rows = row, True
                _check_header(path, rows.line_num, block)
            else:
                yield _point(path, rows.line_num, block, row)
    except csv.Error as error:
        raise UsageError(f"{path}: line {rows.line_num}: {error}") from None
    counts["lines"] = rows.line_num


def _check_header(path: str, line: int, block: _Block) -> None:
    names = block.names
    if "error" in names and _TIME not in names:
        raise UsageError(f"{path}: line {line}: is the answer to a query that failed; see the lines behind it")
    if "#datatype" not in block.annotations:
        raise UsageError(
            f"{path}: line {line}: has no types (#datatype) before it; export with annotations (influx query --raw), "
            "or read it as plain CSV: sensorloom import readings"
        )
    for name in (_TIME, _MEASUREMENT):
        if name not in names:
            raise UsageError(f'{path}: line {line}: has no column "{name}"; keep it in the query')


def _point(path: str, line: int, block: _Block, row: Sequence[str]) -> Point:
    cells, kinds, groups = block.cells(row), block.kinds(), block.groups()
    where = f"{path}: line {line}"
    if not cells.get(_TIME) or not cells.get(_MEASUREMENT):
        raise UsageError(f"{where}: has no time, or no measurement; is the last line cut off?")
    try:
        t_ns = parse_iso(cells[_TIME])
    except UsageError as error:
        raise UsageError(f"{where}: {error}") from None
    own = [name for name in block.names if name not in _NOT_OURS]
    if _FIELD in cells:
        if _VALUE not in cells:
            raise UsageError(f'{where}: has no column "{_VALUE}"')
        names = {_VALUE: cells[_FIELD]}
        keys = own
    else:
        names = {name: name for name in own if not groups.get(name, False) and kinds.get(name) in _VALUES}
        keys = [name for name in own if name not in names]
    tags: Tags = tuple(sorted((name, cells[name]) for name in keys if kinds.get(name) == "string" and cells.get(name)))
    fields = [(named, _value(where, cells[name], kinds[name])) for name, named in names.items() if cells.get(name)]
    return Point(line, cells[_MEASUREMENT], tags, t_ns, fields)


def _value(where: str, text: str, kind: str) -> Value:
    try:
        match kind:
            case "double":
                return float(text)
            case "long" | "unsignedLong":
                return int(text)
            case "boolean" if text in ("true", "false"):
                return text == "true"
            case "boolean":
                raise ValueError
            case _:
                return text
    except ValueError:
        raise UsageError(f'{where}: "{text}" is no {kind}') from None
