"""What the kernel has stamped, read by a thread: samples with their instants, rows for the decoder `scans`.

Their times are the kernel's, so it does not matter when this thread is called: what it reads late was not taken late.
What does not fit into the kernel's own buffer the kernel counts, and that count goes on with the samples.
"""

from __future__ import annotations

import select
import time
from typing import Final, Protocol, cast

from edge.sources.backoff import Backoff
from edge.sources.clock import boottime_ns, now
from edge.sources.serial.handover import Handover, Piece
from edge.sources.serial.lines import RawBytes
from edge.sources.serial.reader import LOOK_S, Endpoint, Opened, Reader
from edge.sources.serial.threaded import ThreadedSource
from ingest.times import NS

SETTLED_NS: Final = 50_000_000
"""So long after an instant, the kernel has handed on what it stamped before."""
SLEPT_NS: Final = NS
"""CLOCK_BOOTTIME has gone on by so much more than CLOCK_MONOTONIC: the machine was suspended."""


class Device(Opened, Protocol):
    """What was opened: its file number gives records of the kernel."""

    @property
    def wait_s(self) -> float:
        """Something is due so often, also when nothing comes."""
        ...

    @property
    def rest_s(self) -> float:
        """So long it may be left alone after a read: what comes then is read at once."""
        ...

    def read(self) -> bytes:
        """Records that wait, up to about `READ_BYTES`; none where there are none. Raises `OSError`."""
        ...

    def begin(self, at_ns: int) -> bytes:
        """Rows of how things stand as it was opened, at this time (CLOCK_BOOTTIME)."""
        ...

    def take(self, data: bytes, ahead_ns: int) -> bytes:
        """Rows of records; CLOCK_BOOTTIME is `ahead_ns` ahead of CLOCK_MONOTONIC."""
        ...

    def quiet(self, at_ns: int) -> bytes:
        """Rows that are due now that all up to `at_ns` was taken."""
        ...


class SuspendedError(OSError):
    """The machine was suspended, and nobody knows when within it what lies in the kernel's buffer was stamped."""


class KernelReader(Reader):
    """Reads a `Device`."""

    def _read(self, opened: Opened, backoff: Backoff) -> None:
        """Until the device vanishes (`OSError`), or `stop`: then what is there is read first."""
        device = cast(Device, opened)
        poll, ahead_ns = select.poll(), _ahead_ns()
        poll.register(opened.fileno(), select.POLLIN)
        poll.register(self._wake_end, select.POLLIN)
        backoff.reset()
        self._hand_on(device.begin(now()[0]))
        while True:
            is_last, at_ns = self._stopped.is_set(), boottime_ns()
            if not any(file == opened.fileno() for file, _ in poll.poll(0)):
                self._hand_on(device.quiet(at_ns - SETTLED_NS))
                self._handover.seen_empty(at_ns)
                if is_last:
                    return
                poll.poll(min(LOOK_S, device.wait_s) * 1000)
                continue
            data, before_ns, ahead_ns = device.read(), ahead_ns, _ahead_ns()
            if ahead_ns - before_ns > SLEPT_NS:
                raise SuspendedError
            self._hand_on(device.take(data, ahead_ns))
            if device.rest_s:
                self._sleep.poll(device.rest_s * 1000)

    def _hand_on(self, rows: bytes) -> None:
        if rows:
            self._held.append(Piece(rows, *now()))
            self._put()


def _ahead_ns() -> int:
    """How far CLOCK_BOOTTIME is ahead of CLOCK_MONOTONIC: as long as the machine was suspended since its boot."""
    before_ns = time.monotonic_ns()
    return max(0, boottime_ns() - before_ns)


class KernelSource(ThreadedSource):
    """An endpoint that opens a `Device`, as a source."""

    def __init__(self, endpoint: Endpoint) -> None:
        super().__init__(endpoint, RawBytes(), may_rest=False)

    def _new_reader(self, handover: Handover) -> Reader:
        return KernelReader(self._endpoint, self._lines, handover, self._state, may_rest=False)

    @property
    def heard_ns(self) -> int | None:
        """See `edge.protocol.Source`: what was stamped right before a look may come behind it."""
        heard_ns = super().heard_ns
        return None if heard_ns is None else max(0, heard_ns - SETTLED_NS)
