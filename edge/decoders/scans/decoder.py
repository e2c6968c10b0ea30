"""Rows of a source that knows what a sample is: each a time, what is missing before it, a value per channel.

The time is the kernel's, of sources that read its own records, or the device's; others leave it 0, and their rows came
when they came.

It belongs to such a source, and no table names it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, ClassVar, Final, Self

import numpy as np
from numpy.typing import NDArray

from edge.protocol import RAW_BYTES, Fault, Frame, Key, SourceConfig, Times, Values

MISSED: Final = "missed"
"""The kernel counted more than it handed on."""
Rows = NDArray[np.void]


def row_type(channels: int) -> np.dtype[Any]:
    """A row: `time_ns` (of the table's clock: CLOCK_BOOTTIME, or UTC), how many samples were `missed` before it, and
    `values`; NaN where one is not known. A row without any value only says what is missing."""
    return np.dtype([("time_ns", "<i8"), ("missed", "<u4"), ("values", "<f8", (channels,))])


def rows_of(times_ns: Times, values: Values, missed: NDArray[np.uint32] | None = None) -> bytes:
    """Rows of `(samples,)` times and `(samples, channels)` values."""
    rows = np.zeros(len(times_ns), row_type(values.shape[1]))
    rows["time_ns"], rows["values"] = times_ns, values
    if missed is not None:
        rows["missed"] = missed
    return rows.tobytes()


class ScansDecoder:
    """Decodes rows of so many channels; without `is_timed` their times say nothing."""

    keys: ClassVar[Mapping[str, Key]] = {}

    def __init__(self, channels: int, *, is_timed: bool = True) -> None:
        self._type = row_type(channels)
        self._is_timed = is_timed
        self._held = b""
        self._offset = 0
        """Bytes of whole rows since the start or `reset`."""

    @classmethod
    def from_config(cls, config: SourceConfig) -> Self:
        """Never raises."""
        return cls(len(config.channels), is_timed=config.clock in ("kernel", "device"))

    def feed(self, data: bytes) -> Iterable[Frame | Fault]:
        """See `edge.protocol.Decoder`."""
        data = self._held + data
        whole = len(data) // self._type.itemsize * self._type.itemsize
        self._held = data[whole:]
        return list(self._decode(np.frombuffer(data[:whole], self._type)))

    def message(self, data: bytes) -> Iterable[Frame | Fault]:
        """See `edge.protocol.Decoder`."""
        found = [*self.feed(data), *self._torn()]
        self._offset += not data.endswith(b"\n")
        return found

    def reset(self) -> Iterable[Frame | Fault]:
        """See `edge.protocol.Decoder`."""
        found = self._torn()
        self._offset = 0
        return found

    def _torn(self) -> list[Frame | Fault]:
        held, self._held = self._held, b""
        begin, self._offset = self._offset, self._offset + len(held)
        return [Fault("torn", begin, -1, held[:RAW_BYTES])] if held else []

    def _decode(self, rows: Rows) -> Iterator[Frame | Fault]:
        size, start = self._type.itemsize, self._offset
        self._offset += size * len(rows)
        missed, is_empty = rows["missed"], np.isnan(rows["values"]).all(axis=1)
        begin = 0
        for at in np.flatnonzero((missed != 0) | is_empty).tolist():
            if begin < at:
                yield self._frame(rows[begin:at], start + size * at)
            offset, raw = start + size * at, rows[at].tobytes()[:RAW_BYTES]
            time_ns = int(rows["time_ns"][at]) if self._is_timed else None
            if missed[at]:
                yield Fault(MISSED, offset, int(missed[at]), raw, time_ns)
            elif is_empty[at]:
                yield Fault("missing", offset, 1, raw, time_ns)
            begin = at + bool(is_empty[at])
        if begin < len(rows):
            yield self._frame(rows[begin:], start + size * len(rows))

    def _frame(self, rows: Rows, end: int) -> Frame:
        times_ns = rows["time_ns"].astype(np.int64) if self._is_timed else None
        return Frame(rows["values"].astype(np.float64), times_ns, end)
