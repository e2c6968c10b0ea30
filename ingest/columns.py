"""Many records of one kind, from their wire bytes to columns at once. Pure.

A record whose every field is short, plain and in its place (MessagePack's fixarray, str8, unsigned integers, float64,
booleans, empty maps) is taken apart by numpy, all of a batch together, field by field. `columns_of` says None where
one is another: then `ingest.wire.parse` decides what it is. So what is refused there is never accepted here.
"""

from __future__ import annotations

import types
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Final, TypeAlias, get_origin, get_type_hints

import numpy as np
from numpy.typing import NDArray

from ingest.records import MAX_TIME_NS
from ingest.wire import VERSION

_STEP_MAX: Final = 2 + 255
"""Of a text, the longest field: who runs over a record's end goes on, so zeros for all fields lie behind the last."""
_FIXARRAY, _FIXTEXT, _TEXT8, _FLOAT, _FALSE, _NOTHING = 0x90, 0xA0, 0xD9, 0xCB, 0xC2, 0x80
_WIDTHS: Final = np.full(256, -1, np.int64)
"""How many bytes of digits follow the byte that begins an unsigned integer, -1 where none begins."""
_WIDTHS[:0x80] = 0
_WIDTHS[0xCC:0xD0] = (1, 2, 4, 8)


@dataclass(frozen=True, slots=True)
class Texts:
    """Texts as Arrow has them: text `i` is `data[offsets[i] : offsets[i + 1]]`, in UTF-8."""

    offsets: NDArray[np.int32]
    data: bytes

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @property
    def only(self) -> str | None:
        """The text that all are; None where they differ."""
        size = int(self.offsets[1])
        same = bool((np.diff(self.offsets) == size).all()) and self.data == self.data[:size] * len(self)
        return self.data[:size].decode() if same else None

    def list(self) -> list[str]:
        """One by one."""
        ends = self.offsets.tolist()
        return [self.data[begin:end].decode() for begin, end in pairwise(ends)]


Column: TypeAlias = Texts | NDArray[Any]


class _OtherError(Exception):
    """A record is none of those that are taken apart here."""


def columns_of(values: Sequence[bytes], kind: type) -> dict[str, Column] | None:
    """The fields of records by name: `Texts`, int64, float64 or bool of shape `(records,)`, nothing for a mapping.

    None where one of the records is not of `kind`, has something in a mapping, or is for `parse` to look at.
    """
    fields = _fields_of(kind)
    begin = (VERSION, _FIXARRAY + 1 + len(fields), kind.__struct_config__.tag)  # type: ignore[attr-defined]
    data = b"".join(values) + bytes(_STEP_MAX * (len(begin) + len(fields) + 1))
    sizes = np.fromiter(map(len, values), np.int64, len(values))
    if not len(sizes) or sizes.min() <= len(begin) + len(fields):
        return None
    ends = np.cumsum(sizes)
    cursor = _Cursor(data, ends - sizes, ends)
    try:
        for byte in begin:
            cursor.expect(byte)
        found = {name: read(cursor) for name, read in fields.items()}
        cursor.finish()
    except _OtherError:
        return None
    return {name: column for name, column in found.items() if column is not None}


class _Cursor:
    """A place in each of many records, which never goes back: of one that runs over its record's end `finish` finds it
    out."""

    def __init__(self, data: bytes, at: NDArray[np.int64], ends: NDArray[np.int64]) -> None:
        self._data, self._at, self._ends = data, at, ends
        self._bytes = np.frombuffer(data, np.uint8)

    def expect(self, byte: int) -> None:
        """Step over one byte, which must be this."""
        _check(self._bytes[self._at] == byte)
        self._step(1)

    def finish(self) -> None:
        """Every record must end here."""
        _check(self._at == self._ends)

    def texts(self) -> Texts:
        """Step over a text each."""
        first = self._first()
        short, long = first & 0xE0 == _FIXTEXT, first == _TEXT8
        _check(short | long)
        offsets = np.zeros(len(self._at) + 1, np.int32)
        if len(first) == 1 and short[0]:
            size = int(first[0]) & 0x1F
            self._step(1)
            begins = self._at
            self._step(size)
            offsets[1:] = np.arange(1, len(offsets)) * size
            cut = self._window(f"V{size}")[begins].tobytes() if size else b""
        else:
            sizes = np.where(short, first & 0x1F, self._bytes[self._at + 1]).astype(np.int64)
            self._step(np.where(short, 1, 2))
            begins = self._at
            self._step(sizes)
            np.cumsum(sizes, out=offsets[1:])
            cut = self._bytes[np.repeat(begins - offsets[:-1], sizes) + np.arange(offsets[-1])].tobytes()
        return _checked(Texts(offsets, cut))

    def integers(self) -> NDArray[np.int64]:
        """Step over an integer each, which is no `Time` where it is too large."""
        first = self._first()
        widths = _WIDTHS[first]
        _check(widths >= 0)
        value = first.astype(np.uint64)
        if widths.any():
            digits = self._window(">u8")[self._at + 1].astype(np.uint64)
            if widths.min() < 8:
                # A shift by 64 is undefined: who has no digits is its first byte.
                shifted = digits >> (64 - 8 * np.maximum(widths, 1)).astype(np.uint64)
                digits = np.where(widths > 0, shifted, value)
            value = digits
            _check(value <= MAX_TIME_NS)
        self._step(1 + widths)
        return np.broadcast_to(value.astype(np.int64), len(self._at))

    def floats(self) -> NDArray[np.float64]:
        """Step over a float64 each."""
        self.expect(_FLOAT)
        value = self._window(">f8")[self._at].astype(np.float64)
        self._step(8)
        return value

    def flags(self) -> NDArray[np.bool_]:
        """Step over a boolean each."""
        first = self._bytes[self._at]
        _check(first & 0xFE == _FALSE)
        self._step(1)
        return first > _FALSE

    def nothings(self) -> None:
        """Step over an empty mapping each."""
        self.expect(_NOTHING)

    def _first(self) -> NDArray[np.uint8]:
        """The byte that each stands at; one for all where it is the same, as most often it is."""
        first = self._bytes[self._at]
        return first[:1] if (first == first[0]).all() else first

    def _window(self, dtype: str) -> NDArray[Any]:
        """What begins at each byte, read as `dtype`: a view of all."""
        item = np.dtype(dtype)
        return np.ndarray((len(self._data) - item.itemsize + 1,), item, self._data, strides=(1,))

    def _step(self, by: NDArray[np.int64] | int) -> None:
        self._at = self._at + by


def _check(holds: NDArray[np.bool_]) -> None:
    if not holds.all():
        raise _OtherError


def _checked(texts: Texts) -> Texts:
    """The texts, if each is UTF-8: all together are, and none begins within a character."""
    if not texts.data.isascii():
        try:
            texts.data.decode()
        except UnicodeDecodeError:
            raise _OtherError from None
        data = np.frombuffer(texts.data + b" ", np.uint8)
        _check(data[texts.offsets] & 0xC0 != 0x80)
    return texts


_READERS: Final[Mapping[type, Callable[[_Cursor], Column | None]]] = {
    str: _Cursor.texts,
    int: _Cursor.integers,
    float: _Cursor.floats,
    bool: _Cursor.flags,
    dict: _Cursor.nothings,
}


def _fields_of(kind: type) -> Mapping[str, Callable[[_Cursor], Column | None]]:
    """How each field of a record is read. Raises `KeyError` where a field is of a kind that is not known here."""
    if kind not in _known:
        hints = get_type_hints(kind)
        _known[kind] = types.MappingProxyType(
            {name: _READERS[get_origin(hints[name]) or hints[name]] for name in kind.__struct_fields__}  # type: ignore[attr-defined]
        )
    return _known[kind]


_known: dict[type, Mapping[str, Callable[[_Cursor], Column | None]]] = {}
