"""A packed record's fields: where each lies, what type it has, and what its bits say. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from edge.decoders.checksums import Bytes2D
from edge.decoders.framing.shape import Endian
from ingest.errors import UsageError
from ingest.settings import suggest

_TYPES: Final[Mapping[str, int]] = {
    **{f"{sign}{8 * size}": size for sign in "ui" for size in (1, 2, 3, 4, 8)},
    "f16": 2,
    "f32": 4,
    "f64": 8,
}
"""Sizes in bytes."""
_KEYS: Final = ("name", "type", "at", "bits", "scale", "offset", "is")
_BITS: Final = re.compile(r"(\d{1,2})(?:-(\d{1,2}))?")
RECORD_MAX: Final = 4096


@dataclass(frozen=True, slots=True)
class Field:
    """A number in a record."""

    type: str
    at: int
    """Its first byte."""
    name: str = ""
    low: int = 0
    """Its lowest bit, 0 being the least significant one."""
    bits: int = 0
    """How many; 0: all."""
    scale: float = 1.0
    offset: float = 0.0
    constant: int | None = None
    """What it always is: a record in which it is something else is another kind of record."""

    @property
    def size(self) -> int:
        """Bytes that it lies in."""
        return _TYPES[self.type]

    @property
    def width(self) -> int:
        """Bits that it has."""
        return self.bits or 8 * self.size

    def raw(self, rows: Bytes2D, endian: Endian) -> NDArray[Any]:
        """Its numbers as they are, `(records,)`; integers as int64, but uint64 of type u64."""
        if self._is_plain:
            found = self._view(rows, endian)
            return found if self.type[0] == "f" or self.type == "u64" else found.astype(np.int64)
        found = self._view(rows, endian).astype(np.int64)
        if self.bits:
            found = found >> self.low & (1 << self.bits) - 1
        half = 1 << (self.width - 1)
        return (found ^ half) - half if self.type[0] == "i" else found

    @property
    def _is_plain(self) -> bool:
        """Whether its bytes are a number as numpy has them."""
        return not self.bits and self.size != 3

    def _view(self, rows: Bytes2D, endian: Endian) -> NDArray[Any]:
        """Its bytes as numbers, `(records,)`; unsigned ones, where they must be taken apart yet. Where numpy has such
        numbers nothing is copied: of few bytes a row, that would cost more than all else."""
        part = rows[:, self.at : self.at + self.size]
        if self.size == 3:
            part = np.pad(part, ((0, 0), (0, 1) if endian == "little" else (1, 0)))
        kind = self.type[0] if self._is_plain else "u"
        return part.view(f"{'<' if endian == 'little' else '>'}{kind}{part.shape[1]}")[:, 0]

    def values(self, rows: Bytes2D, endian: Endian) -> NDArray[np.float64]:
        """Its numbers with scale and offset, `(records,)`."""
        with np.errstate(invalid="ignore"):  # a NaN may be one that signals
            found = (self._view if self._is_plain else self.raw)(rows, endian).astype(np.float64)
        if self.scale != 1.0:
            found *= self.scale
        if self.offset:
            found += self.offset
        return found


def read_fields(tables: Sequence[Any], where: str) -> tuple[list[Field], int]:
    """The fields that TOML's tables describe, and the record's length. Raises `UsageError`."""
    found: list[Field] = []
    end = largest = 0
    for number, table in enumerate(tables, 1):
        field = _field(table, end, f"{where}: fields: number {number}")
        found.append(field)
        end = field.at + field.size
        largest = max(largest, end)
    names = [field.name for field in found if field.name]
    for name in names:
        if names.count(name) > 1:
            raise UsageError(f'{where}: fields: "{name}" is there twice')
    if not 1 <= largest <= RECORD_MAX:
        raise UsageError(f"{where}: fields: a record of {largest} bytes is not in 1..{RECORD_MAX}")
    return found, largest


def _field(table: Any, at: int, where: str) -> Field:
    if not isinstance(table, dict):
        raise UsageError(f'{where}: found {table!r}, expected a table, as in {{ name = "x", type = "i16" }}')
    for key in table:
        if key not in _KEYS:
            raise UsageError(f'{where}: unknown key "{key}"{suggest(key, _KEYS)}')
    kind = str(table.get("type"))
    if kind not in _TYPES:
        raise UsageError(f"{where}: type: found {kind!r}, expected one of {', '.join(_TYPES)}")
    low, bits = _bits(table.get("bits"), kind, where)
    return Field(
        kind,
        _at(table, at, where),
        _text(table, where),
        low,
        bits,
        _number(table, "scale", 1.0, where),
        _number(table, "offset", 0.0, where),
        _whole(table, "is", where),
    )


def _text(table: Mapping[str, Any], where: str) -> str:
    name = table.get("name", "")
    if not isinstance(name, str):
        raise UsageError(f"{where}: name: found {name!r}, expected text")
    return name


def _whole(table: Mapping[str, Any], key: str, where: str) -> int | None:
    value = table.get(key)
    if value is not None and (isinstance(value, bool) or not isinstance(value, int)):
        raise UsageError(f"{where}: {key}: found {value!r}, expected a whole number")
    return value


def _at(table: Mapping[str, Any], default: int, where: str) -> int:
    at = _whole(table, "at", where)
    if at is not None and not 0 <= at < RECORD_MAX:
        raise UsageError(f"{where}: at: {at} is not in 0..{RECORD_MAX - 1}")
    return default if at is None else at


def _number(table: Mapping[str, Any], key: str, default: float, where: str) -> float:
    value = table.get(key, default)
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) < 1e300:
        raise UsageError(f"{where}: {key}: found {value!r}, expected a number")
    if key == "scale" and not value:
        raise UsageError(f"{where}: scale: 0 makes all values the same")
    return float(value)


def _bits(value: Any, kind: str, where: str) -> tuple[int, int]:
    """The lowest bit and their number; 0 and 0 where a field is all of its bytes."""
    if value is None:
        return 0, 0
    match = _BITS.fullmatch(str(value)) if isinstance(value, str | int) and not isinstance(value, bool) else None
    if match is None or kind[0] == "f":
        raise UsageError(
            f'{where}: bits: found {value!r}, expected bits of an integer, as in "4-15" or 7; 0 is the least'
        )
    low, high = int(match[1]), int(match[2] or match[1])
    if not low <= high < min(8 * _TYPES[kind], 63):
        raise UsageError(f"{where}: bits: {value} are not bits of {kind}, from the least significant one, 0, on")
    return low, high - low + 1
