"""What is written to a part, what its registers say, and what the bytes of its samples mean. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from edge.protocol import Values
from edge.sources.i2c.part import Bits, Count, Group, Part, Write

Bytes2D = NDArray[np.uint8]
POLLS_A_FIFO: Final = 4
"""It is looked at so often while it fills."""
WAITS_S: Final = (0.001, 0.05)
"""Between two looks."""


class Read(NamedTuple):
    """A read of consecutive registers, or of a FIFO's one."""

    register: int
    size: int


@dataclass(frozen=True, slots=True)
class Layout:
    """Where the values of channels lie in a sample's bytes."""

    size: int
    """Of a sample."""
    places: tuple[tuple[int, Group], ...]
    """Each wanted channel's first byte, and what it is one of."""
    is_big: bool

    def decode(self, data: bytes) -> Values:
        """The counts of whole samples, `(samples, channels)`."""
        rows = np.frombuffer(data, dtype=np.uint8).reshape(-1, self.size)
        found = np.empty((len(rows), len(self.places)))
        for column, (at, group) in enumerate(self.places):
            found[:, column] = self._one(rows[:, at : at + group.value_bytes], group)
        return found

    def _one(self, columns: Bytes2D, group: Group) -> NDArray[np.int64]:
        raw = np.zeros(len(columns), dtype=np.int64)
        for column in columns.T if self.is_big else columns.T[::-1]:
            raw = raw << 8 | column
        raw = raw >> group.shift & ((1 << group.bits) - 1)
        sign = 1 << (group.bits - 1)
        return (raw ^ sign) - sign if group.signed else raw


def layout(part: Part, groups: Sequence[Group], channels: Sequence[str]) -> Layout:
    """Of samples that have these groups, in their order."""
    places, at = dict[str, tuple[int, Group]](), 0
    for group in groups:
        for channel in group.channels:
            places[channel] = at, group
            at += group.value_bytes
    return Layout(at, tuple(places[channel] for channel in channels), part.endian == "big")


def planned(writes: Sequence[Write], bits: Bits) -> tuple[Write, ...]:
    """What is written, in order: the last write of each register with the bits that are to be set in it."""
    last = {write.register: number for number, write in enumerate(writes)}
    values = [write.value for write in writes]
    for register, more in bits:
        values[last[register]] |= more
    return tuple(
        Write(write.register, value, write.wait_ms, write.clears) for write, value in zip(writes, values, strict=True)
    )


def kept(writes: Sequence[Write]) -> dict[int, int]:
    """What registers hold when all is written, but for those that the part clears by itself."""
    found = dict[int, int]()
    for write in writes:
        if write.clears:
            found.pop(write.register, None)
        else:
            found[write.register] = write.value
    return found


def samples_of(count: Count, data: bytes, *, is_big: bool) -> int:
    """The number in a count's bytes: from the mask's lowest bit on."""
    said = int.from_bytes(data, "big" if is_big else "little") & count.mask
    return said // (count.mask & -count.mask)


def reads(register: int, size: int, samples: int, burst: int) -> list[Read]:
    """How so many samples of `size` bytes are read, `burst` of them at once at most."""
    whole, rest = divmod(samples, burst)
    return [Read(register, burst * size)] * whole + ([Read(register, rest * size)] if rest else [])


def wait_s(samples: int, rate_hz: float) -> float:
    """Between two looks at a FIFO of so many samples, so that it does not fill meanwhile."""
    least, most = WAITS_S
    return min(most, max(least, samples / rate_hz / POLLS_A_FIFO))
