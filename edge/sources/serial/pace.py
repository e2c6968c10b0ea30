"""When a port may be left alone for a moment: lines come so steadily that one read will do for several. Pure.

What came in a rest is read late, all at once; the read behind it is made as a line comes, and both go on together. So
the newest line's arrival is known as ever, and of those before it, that they came at an even pace. A port whose lines
come in bursts, or one by one, is never left alone: each of its reads is made as it comes.
"""

from __future__ import annotations

from typing import Final

from ingest.times import NS

REST_MS: Final = 45.0
FIRST_MS: Final = 3.0
"""The first rest; how much comes in it says how long the next one can be."""
FULL_BYTES: Final = 2048
"""So much may come in a rest: half of what a kernel's terminal holds before it stops a sensor."""
QUICK_NS: Final = 30_000_000
"""Lines that follow one another within this time …"""
STEADY_NS: Final = NS // 2
"""… for so long come steadily."""
LOOK_NS: Final = 20 * NS
"""After so long it is looked anew whether they do: of what comes in a rest nobody knows."""
SLIP_NS: Final = NS
"""One longer pause within this time, up to `OWED_NS`, is a machine's that was busy."""
OWED_NS: Final = 5 * QUICK_NS
"""So long what was read late waits for the next line."""
DOUBT_NS: Final = (2 * NS, 64 * NS)
"""Where none came, nobody rests for so long; twice as long each time that this soon happens again, up to the second."""


class Pace:
    """How lines come, of a port that may be left alone if `rests`."""

    def __init__(self, *, rests: bool) -> None:
        self.is_owed = False
        """What was read late waits for a read that is made as a line comes, for `OWED_NS`."""
        self.line_ns = -(1 << 62)
        """When the newest read with a line's end was made as it came."""
        self._rests = rests
        self._rest_ms = self._rested_ms = 0.0
        self._next_ms = FIRST_MS
        self._steady_ns = 0
        """Since when lines come steadily."""
        self._trusted_ns = -(1 << 62)
        """From when on that is not doubted."""
        self._slip_ns = -(1 << 62)
        """When a line came late last."""
        self._late_ns = 0
        """When something was read late last."""
        self._doubt_ns = DOUBT_NS[0]

    def take_rest_ms(self) -> float:
        """How long nobody needs to look at the port now; 0: not at all."""
        rest_ms, self._rest_ms = self._rest_ms, 0.0
        if rest_ms:
            self._rested_ms, self._next_ms = rest_ms, min(2 * rest_ms, REST_MS)
        return rest_ms

    def came(self, at_ns: int, size: int, *, has_line: bool, is_late: bool) -> None:
        """`size` bytes were read; `is_late` where that was behind a rest."""
        if is_late:
            self._next_ms = min(self._next_ms, self._rested_ms * FULL_BYTES / size)
            self._late_ns, self.is_owed = at_ns, True
        elif has_line:
            if at_ns - self._steady_ns > LOOK_NS or not self._is_quick(at_ns):
                self._steady_ns, self._next_ms = at_ns, FIRST_MS
            self.line_ns, self.is_owed = at_ns, False
            if self._rests and at_ns >= max(self._steady_ns + STEADY_NS, self._trusted_ns):
                self._rest_ms = self._next_ms
        elif self.is_owed and at_ns - self._late_ns > OWED_NS:  # bytes come, and no line
            self.broken(at_ns)

    def _is_quick(self, at_ns: int) -> bool:
        """Whether a line comes soon enough behind the one before, or is the only one in a while that does not."""
        lap_ns = at_ns - self.line_ns
        if lap_ns <= QUICK_NS + self._next_ms * 1e6:
            return True
        is_alone, self._slip_ns = at_ns - self._slip_ns > SLIP_NS, at_ns
        return is_alone and lap_ns <= OWED_NS

    def broken(self, at_ns: int) -> None:
        """No line came where one was waited for, or what came had waited elsewhere: it is doubted that lines come
        steadily."""
        is_soon = at_ns < self._trusted_ns + 2 * self._doubt_ns
        self._doubt_ns = min(2 * self._doubt_ns, DOUBT_NS[1]) if is_soon else DOUBT_NS[0]
        self._trusted_ns, self._next_ms = at_ns + self._doubt_ns, FIRST_MS
        self._rest_ms, self.is_owed = 0.0, False
