"""Which second a receiver's pulse begins, by what it says on its line and when that comes. Pure.

A fix names an instant, and comes behind it: the receiver has computed it first, and its line is slow. Most say a whole
second 50 to 900 ms behind its pulse. So of the seconds that a pulse may begin it is the one by which fixes come less
than a second late; where that is near to none or to a whole one, nobody knows, and nothing is numbered.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from typing import Final, NamedTuple

from edge.protocol import Fault, Frame, Read
from edge.recording.device import ERA_CERTAIN_NS, GPS_ERA_NS

S: Final = 1_000_000_000
AGREED: Final = 4
"""So many fixes in a row must give a pulse one number: reads that were made late do not agree with one another."""
FRESH_NS: Final = 10 * S
LATE_NS: Final = (10_000_000, 950_000_000)
"""How long behind its instant a fix comes, least and most."""
_READS: Final = 64


class _Fix(NamedTuple):
    """An instant that the receiver said."""

    at_ns: int
    """CLOCK_BOOTTIME when its first bytes had come."""
    true_ns: int
    """UTC."""


class Fixes:
    """Fixes of one receiver in, numbers of its pulses out."""

    def __init__(self) -> None:
        self.trouble = ""
        """Why the pulse that was asked for last has no number, for people."""
        self._fed = 0
        self._reads: deque[tuple[int, int]] = deque(maxlen=_READS)
        """The offset behind each of the newest reads, and when it was made."""
        self._newest: deque[_Fix] = deque(maxlen=AGREED)

    def hear(self, fed: int, reads: Iterable[Read], monotonic_ns: int, waited_ns: int = 0) -> None:
        """`fed` more bytes came at this time of CLOCK_BOOTTIME, by these reads; the rest as in `Arrival`."""
        if waited_ns:
            self._newest.clear()
        self._reads += ((self._fed + read.end, read.monotonic_ns) for read in reads)
        self._fed += fed
        self._reads.append((self._fed, monotonic_ns))

    def take(self, found: Iterable[Frame | Fault]) -> None:
        """What a decoder made of all that was heard; offsets are the stream's."""
        for one in found:
            if isinstance(one, Frame) and one.times_ns is not None:
                at_ns = next((made_ns for end, made_ns in self._reads if end >= one.offset), None)
                if at_ns is not None:
                    self._newest.append(_Fix(at_ns, int(one.times_ns[-1])))

    def reset(self) -> None:
        """Offsets begin anew, and it may be another receiver."""
        self._fed = 0
        self._reads.clear()
        self._newest.clear()

    def number(self, pulse_ns: int, about_ns: int | None = None) -> int | None:
        """The second, ns UTC, that a pulse at this time of CLOCK_BOOTTIME begins; None where that is not sure.

        A receiver whose week number has run over is put right by `about_ns`, which is UTC as somebody else knows it.
        """
        fresh = [fix for fix in self._newest if abs(pulse_ns - fix.at_ns) < FRESH_NS]
        if len(fresh) < AGREED:
            self.trouble = "its receiver says no times; does it have a fix?"
            return None
        seconds, lates = zip(*(_second(fix, pulse_ns) for fix in fresh), strict=True)
        if min(seconds) < max(seconds) or min(lates) < LATE_NS[0] or max(lates) > LATE_NS[1]:
            late = f"{min(lates) // 1_000_000} to {max(lates) // 1_000_000} ms"
            self.trouble = f"fixes come {late} behind a pulse, too near to a whole second to say which it begins"
            return None
        self.trouble = ""
        return seconds[0] if about_ns is None else _in_its_era(seconds[0], about_ns)


def _in_its_era(said_ns: int, about_ns: int) -> int:
    """As `edge.recording.device` does with the same receiver's samples."""
    eras = (about_ns - said_ns + GPS_ERA_NS // 2) // GPS_ERA_NS
    is_so = eras > 0 and abs(about_ns - said_ns - eras * GPS_ERA_NS) < ERA_CERTAIN_NS
    return said_ns + eras * GPS_ERA_NS if is_so else said_ns


def _second(fix: _Fix, pulse_ns: int) -> tuple[int, int]:
    """The second that a pulse begins if the fix was less than a second late, and how late it was then."""
    said_ns = fix.true_ns - (fix.at_ns - pulse_ns)  # when the pulse was, if it had not been late at all
    second = -(-said_ns // S) * S
    return second, second - said_ns
