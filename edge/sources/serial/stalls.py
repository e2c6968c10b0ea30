"""Which bytes waited in the kernel while nobody read: the process was stopped, swapped out or suspended. Pure."""

from __future__ import annotations

from typing import Final

from ingest.times import NS

STALL_NS: Final = 2 * NS
"""Two looks at the clock that are further apart than this: the process stood still between them."""
FULL_NS: Final = NS // 5
"""So far apart they tell of it, too, where the port's buffer was full by then."""
FULL_BYTES: Final = 4095
"""What a full line discipline gives at once (Linux, n_tty.c)."""
SETTLED_NS: Final = 50_000_000
"""So long after it, the kernel has handed on what it had."""
KERNEL_BYTES: Final = 131_072
"""More than a kernel keeps of a port (64 kB, and what a driver has)."""


class Stalls:
    """Looks at the clock (CLOCK_BOOTTIME, which goes on while a machine is suspended), the first one at `at_ns`; the
    next ones are at most half of `FULL_NS` apart while the process runs.

    `loses`: what comes to a full buffer is lost, as on a serial port; a pipe or a connection holds its sender back.
    """

    def __init__(self, at_ns: int, *, loses: bool) -> None:
        self.since_ns: int | None = None
        """From when on what is read now may have waited; None: it is taken as it comes."""
        self._loses = loses
        self._was_full = False
        self._lost_since_ns: int | None = None
        self._looked_ns = at_ns
        self._settled_ns = 0
        self._bytes = 0
        self._is_empty = False

    def look(self, at_ns: int, size: int) -> int | None:
        """`size` bytes were read, and the clock says this now: since when they may have waited."""
        if self.since_ns is not None and self._is_empty and at_ns >= self._settled_ns:
            self._end()
        is_full = self._loses and size >= FULL_BYTES
        if at_ns - self._looked_ns > (FULL_NS if is_full else STALL_NS):
            self.since_ns = self._looked_ns if self.since_ns is None else self.since_ns
            self._was_full |= is_full
            self._settled_ns, self._bytes = at_ns + SETTLED_NS, 0
        self._looked_ns = at_ns
        self._bytes += size
        return self.since_ns

    def seen(self, *, is_empty: bool) -> None:
        """Whether anything was left to read after a look that said that bytes waited."""
        self._is_empty = is_empty
        if self._bytes > KERNEL_BYTES:
            self._end()

    def take_lost_ns(self) -> int | None:
        """Before what was looked at last, bytes are missing that came since this time; None: none are known to be."""
        lost_since_ns, self._lost_since_ns = self._lost_since_ns, None
        return lost_since_ns

    def _end(self) -> None:
        """Nothing that waited is left; what a full buffer kept ends here."""
        self._lost_since_ns = self.since_ns if self._was_full else None
        self.since_ns, self._was_full = None, False
