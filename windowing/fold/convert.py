"""From a chunk's packed bytes to physical values, as a stream description says."""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction
from typing import Final, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ingest.records import StreamDescription
from ingest.times import NS
from windowing.fold.resample import Values
from windowing.spec import StreamPlan

Fault: TypeAlias = Literal["unknown_channel", "wrong_unit"]

_EXACT_IN_FLOAT32: Final = frozenset({"int8", "uint8", "int16", "uint16", "float32"})
_LONG_BYTES: Final = 4096
"""Pieces this long are copied one by one; it takes as long as to join them, which copies them once more."""


class Converter:
    """Reads one stream's values under one schema: `raw * scale + offset` in float64.

    A channel with scale 1 and offset 0 is not touched by arithmetic; where no wanted channel needs any, and float32
    holds every raw value, the result is float32.
    """

    __slots__ = (
        *("_alike", "_columns", "_dtype", "_moves", "_offset", "_scale"),
        *("fault", "held", "kind", "period_ns", "sample_bytes"),
    )

    def __init__(self, description: StreamDescription, plan: StreamPlan) -> None:
        channels = description.channels
        self._dtype: np.dtype[np.generic] = np.dtype(description.dtype).newbyteorder("<")
        self.sample_bytes = self._dtype.itemsize * len(channels)
        """Bytes that one sample takes in a chunk."""
        rate = Fraction(description.rate_num, description.rate_den) if description.rate_num > 0 else Fraction(0)
        self.period_ns = math.ceil(NS / rate) if rate else 0
        """The nominal period; 0 where there is none."""
        self._scale = np.array([channel.scale for channel in channels], dtype=np.float64)
        self._offset = np.array([channel.offset for channel in channels], dtype=np.float64)
        by_name = {channel.name: index for index, channel in enumerate(channels)}
        self.fault = fault_of(description, plan)
        """Why the stream cannot be windowed under this description; None where it can."""
        wanted = [by_name[name] for name in plan.channels] if self.fault is None else []
        self.held = frozenset(at for at, c in enumerate(wanted) if channels[c].states)
        """Which of the wanted channels have named states."""
        moved = [at for at, c in enumerate(wanted) if channels[c].scale != 1.0 or channels[c].offset != 0.0]
        self._columns = None if wanted == list(range(len(channels))) else np.array(wanted, dtype=np.intp)
        # numpy's own float64: by a float of Python, float32 would stay float32
        self._moves = [(at, self._scale[wanted[at]], self._offset[wanted[at]]) for at in moved]
        self._alike = len(moved) == len(wanted) and len({(s.hex(), o.hex()) for _, s, o in self._moves}) == 1
        """All wanted channels have one scale and offset."""
        exact = not moved and description.dtype in _EXACT_IN_FLOAT32
        self.kind: type[np.float32] | type[np.float64] = np.float32 if exact else np.float64
        """The type that holds the wanted channels' physical values exactly."""

    def read(self, pieces: Sequence[bytes], out: Values) -> None:
        """The wanted channels of pieces of packed samples into `out`, `(samples, wanted channels)`, contiguous, of type
        `kind` or wider."""
        if self._columns is None and not self._moves and out.dtype == self._dtype:
            _lay(pieces, memoryview(out).cast("B"))  # type: ignore[arg-type]  # numpy's arrays are buffers
            return
        raw = self._raw(b"".join(pieces) if len(pieces) > 1 else pieces[0])
        if self._columns is not None:
            raw = raw[:, self._columns]
        with np.errstate(all="ignore"):  # a device may send signalling NaNs
            if self._alike:  # rows of a few channels are short: numpy is ten times as quick without them
                _, scale, offset = self._moves[0]
                np.multiply(raw, scale, out=out)
                out += offset
                return
            out[...] = raw
            for at, scale, offset in self._moves:
                np.multiply(raw[:, at], scale, out=out[:, at])
                out[:, at] += offset

    def physical(self, data: bytes) -> NDArray[np.float64]:
        """All channels of packed samples, `(samples, channels) float64`."""
        with np.errstate(all="ignore"):
            return self._raw(data).astype(np.float64) * self._scale + self._offset

    def _raw(self, data: bytes) -> NDArray[np.generic]:
        return np.frombuffer(data, dtype=self._dtype).reshape(-1, len(self._scale))


def _lay(pieces: Sequence[bytes], room: memoryview) -> None:
    """The pieces side by side."""
    if len(room) < _LONG_BYTES * len(pieces):
        room[:] = b"".join(pieces)
        return
    at = 0
    for piece in pieces:
        room[at : at + len(piece)] = piece
        at += len(piece)


def fault_of(description: StreamDescription, plan: StreamPlan) -> Fault | None:
    """Why a stream so described cannot be windowed; None where it can."""
    units = {channel.name: channel.unit for channel in description.channels}
    if any(name not in units for name in plan.channels):
        return "unknown_channel"
    if any(wanted not in (None, units[name]) for name, wanted in zip(plan.channels, plan.units, strict=True)):
        return "wrong_unit"
    return None
