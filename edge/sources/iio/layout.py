"""The bytes of a buffer of the kernel's to raw values and times. Pure.

A scan has its elements in the order of their index, each aligned to its own size, the whole to its largest one; what an
element is, its `_type` says: `le:s12/16X3>>4` (Documentation/ABI/testing/sysfs-bus-iio of the kernel).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from edge.protocol import Times, Values

TIMESTAMP: Final = "timestamp"
"""The element that has a scan's time."""
_TYPE: Final = re.compile(r"([bl]e):([suf])(\d+)/(\d+)(?:X(\d+))?>>(\d+)")
_INDEXED: Final = re.compile(r"(.+)\[(\d+)\]")
_STORED: Final = (8, 16, 32, 64)


class FormatError(ValueError):
    """What the kernel says of its scans is nothing that is known. The text says what."""


class Column(NamedTuple):
    """A value of a scan: an element's name, and which of its values."""

    element: str
    part: int = 0

    @classmethod
    def of(cls, text: str) -> Column:
        """`accel_x`, or `rot_quaternion[2]`."""
        match = _INDEXED.fullmatch(text)
        return cls(text) if match is None else cls(match[1], int(match[2]))


@dataclass(frozen=True, slots=True)
class Element:
    """How an element's values lie in a scan."""

    stored: np.dtype[Any]
    """Of one value, as it lies there."""
    kind: str
    """`s`, `u`: an integer of `bits` bits, `shift` bits up; `f`: a float."""
    bits: int
    shift: int
    repeat: int = 1

    @classmethod
    def parse(cls, text: str) -> Element:
        """Raises `FormatError`."""
        match = _TYPE.fullmatch(text.strip())
        if match is None:
            raise FormatError(f'type "{text.strip()}" is not known')
        order, kind, *numbers = match.groups(default="1")
        bits, stored, repeat, shift = map(int, numbers)
        is_whole = kind != "f" or (bits == stored and shift == 0 and stored > 8)
        if stored not in _STORED or not 0 < bits <= stored - shift or not repeat or not is_whole:
            raise FormatError(f'type "{text.strip()}": {bits} bits, {shift} up, do not lie in {stored}')
        letter = "f" if kind == "f" else "u"
        return cls(np.dtype(f"{'>' if order == 'be' else '<'}{letter}{stored // 8}"), kind, bits, shift, repeat)

    @property
    def size(self) -> int:
        """In bytes, of all its values."""
        return self.stored.itemsize * self.repeat

    def raw(self, stored: NDArray[Any]) -> NDArray[Any]:
        """Values of what lies there."""
        native = stored.astype(stored.dtype.newbyteorder("="))
        if self.kind == "f":
            return native
        width = native.dtype.itemsize * 8
        left = native << (width - self.bits - self.shift)  # its sign, or highest bit, comes to the top
        kept = left.view(f"i{native.dtype.itemsize}") if self.kind == "s" else left
        return kept >> (width - self.bits)


class Layout:
    """Scans of these elements, `(index, name, element)`."""

    def __init__(self, elements: Iterable[tuple[int, str, Element]]) -> None:
        places: dict[str, int] = {}
        self._elements: dict[str, Element] = {}
        end, largest = 0, 1
        for _, name, element in sorted(elements, key=lambda item: item[0]):
            places[name] = -(-end // element.size) * element.size
            self._elements[name] = element
            end, largest = places[name] + element.size, max(largest, element.size)
        self.size: Final = -(-end // largest) * largest
        """Of a scan, in bytes."""
        formats = [(element.stored, (element.repeat,)) for element in self._elements.values()]
        self._type = np.dtype(
            {"names": list(places), "formats": formats, "offsets": list(places.values()), "itemsize": self.size}
        )

    @property
    def repeats(self) -> Mapping[str, int]:
        """How many values each element has."""
        return {name: element.repeat for name, element in self._elements.items()}

    def times(self, data: bytes) -> Times:
        """`(scans,)`: what the driver stamped, by its clock."""
        element = self._elements[TIMESTAMP]
        stamps: Times = element.raw(self._scans(data)[TIMESTAMP][:, 0]).astype(np.int64)
        return stamps

    def values(self, data: bytes, columns: Sequence[Column]) -> Values:
        """`(scans, columns)` raw values."""
        scans = self._scans(data)
        found = np.empty((len(scans), len(columns)))
        for number, (name, part) in enumerate(columns):
            found[:, number] = self._elements[name].raw(scans[name][:, part])
        return found

    def _scans(self, data: bytes) -> NDArray[np.void]:
        return np.frombuffer(data, self._type, len(data) // self.size)
