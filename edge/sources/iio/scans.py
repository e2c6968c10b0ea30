"""The kernel's scans to rows: values in their units, times on CLOCK_BOOTTIME, and what a full buffer has cost. Pure."""

from __future__ import annotations

import numpy as np

from edge.decoders.scans.decoder import rows_of
from edge.protocol import Times
from edge.sources.iio.layout import Layout
from edge.sources.iio.reading import Reading

_REST_NS = 50_000_000


class Scans:
    """A buffer of `capacity` scans. The kernel drops what comes while it is full, and does not say so: what is missing
    behind a full one is as many periods as its times leave out."""

    def __init__(self, layout: Layout, reading: Reading, capacity: int) -> None:
        self._layout = layout
        self._reading = reading
        self._capacity = capacity
        self._breaks: list[int] = []
        """So many scans lie before each place where some may be missing."""
        self._recent: Times = np.zeros(0, dtype=np.int64)
        """The newest times, as many as a buffer has; nothing is missing between them."""
        self.span_ns = (0, 0)
        """The first and the last time of what was taken last."""

    @property
    def rest_s(self) -> float:
        """So long a buffer that was emptied may be left alone: many scans at once cost no more than one."""
        period_ns = self._period_ns
        is_worth_it = 0 < 5 * period_ns < _REST_NS < period_ns * self._capacity / 10
        return _REST_NS / 1e9 if is_worth_it else 0.0

    def waited(self, scans: int) -> None:
        """So many waited, right before the next read."""
        if scans >= self._capacity and (not self._breaks or self._breaks[-1] < scans):
            self._breaks.append(scans)

    def take(self, data: bytes, ahead_ns: int) -> bytes:
        """Rows of whole scans, whose clock CLOCK_BOOTTIME is `ahead_ns` ahead of."""
        times = self._layout.times(data) + ahead_ns
        if not len(times):
            return b""
        self.waited(len(times))
        missed = np.zeros(len(times), dtype=np.uint32)
        begin = 0
        for end in [at for at in self._breaks if at < len(times)]:
            self._note(times[begin:end])
            missed[end] = self._missing_before(int(times[end]))
            self._recent, begin = self._recent[:0], end
        self._note(times[begin:])
        self._breaks = [at - len(times) for at in self._breaks if at >= len(times)]
        self.span_ns = int(times.min()), int(times.max())
        return rows_of(times, self._reading.values(self._layout.values(data, self._reading.columns)), missed)

    def _missing_before(self, time_ns: int) -> int:
        """How many there were between the newest scan and one of that time."""
        period_ns = self._period_ns
        return max(0, round((time_ns - int(self._recent[-1])) / period_ns) - 1) if period_ns > 0 else 0

    def _note(self, times: Times) -> None:
        self._recent = np.concatenate([self._recent, times])[-self._capacity :]

    @property
    def _period_ns(self) -> float:
        """On average: a busy machine's scans have no even pace. 0 where it is not known."""
        recent = self._recent
        return float(recent[-1] - recent[0]) / (len(recent) - 1) if len(recent) > 1 else 0.0
