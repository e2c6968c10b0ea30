"""The thread that looks at a part's FIFO, at a steady pace, and hands on what waits there."""

from __future__ import annotations

from collections import deque
from typing import Final, cast

import numpy as np

from edge.decoders.scans.decoder import rows_of
from edge.protocol import Interruption
from edge.sources.backoff import Backoff
from edge.sources.clock import now
from edge.sources.i2c.bus import Found, Running
from edge.sources.serial.handover import Piece
from edge.sources.serial.reader import OVERRUN, Opened, Reader
from ingest.times import NS

OFTEN: Final = 3
OFTEN_NS: Final = 30 * NS
"""So many overruns within this time are told."""


class I2cReader(Reader):
    """Reads a `Running`."""

    def _read(self, opened: Opened, backoff: Backoff) -> None:
        """Until the part is lost (`OSError`), or `stop`: then what waits is read first."""
        part, seen_ns = cast(Running, opened), now()[0]
        overruns = deque[int](maxlen=OFTEN)
        while True:
            is_last = self._stopped.is_set()
            found = part.look()
            if found.has_overrun:
                overruns.append(found.monotonic_ns)
                self._put(missed(found, seen_ns, part.span_ns))
            if len(found.values):
                backoff.reset()
                rows = rows_of(np.zeros(len(found.values), dtype=np.int64), found.values)
                self._held.append(Piece(rows, found.monotonic_ns, found.wall_ns))
                self._put()
            seen_ns = found.monotonic_ns
            self._handover.seen_empty(seen_ns)
            self._state.trouble = _trouble(overruns, seen_ns)
            if is_last:
                return
            self._sleep.poll(part.wait_s * 1000)


def missed(found: Found, seen_ns: int, span_ns: float) -> Interruption:
    """What an overrun lost: of what came since the look before (`seen_ns`) all but the newest, which were kept."""
    kept_ns = int(len(found.values) * span_ns)
    at_ns = max(seen_ns + 1, found.monotonic_ns - kept_ns)
    return Interruption(OVERRUN, at_ns, found.wall_ns - (found.monotonic_ns - at_ns), seen_ns, goes_on=True)


def _trouble(overruns: deque[int], at_ns: int) -> str:
    if len(overruns) < OFTEN or at_ns - overruns[0] > OFTEN_NS:
        return ""
    return (
        "its FIFO runs over again and again: lower its rate, or raise the bus's "
        "(dtparam=i2c_arm_baudrate=400000 in config.txt of a Raspberry Pi)"
    )
