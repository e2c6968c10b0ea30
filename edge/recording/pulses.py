"""What a pulse per second says of CLOCK_BOOTTIME: how much it lacks to UTC, how that grows, and how sure that is. Pure.

A pulse says where a second begins, not which one it is (RFC 2783). Its number comes from who knows it: gpsd, the
receiver's own fixes, the pulses before it, or a system's clock whose error has a bound well below half a second. Where
nobody knows, nothing is corrected.
What is known is a line of pieces that continue one another: no time that was given is given again, or runs back.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import Any, Final, Literal, NamedTuple, TypeAlias

import msgspec
import numpy as np

from edge.protocol import Times
from edge.recording.device import GPS_ERA_NS, NEVER_SET_NS
from edge.recording.fixes import Fixes

S: Final = 1_000_000_000
STEP_NS: Final = 1_000_000
"""What is further off is not led to where it belongs: times step, and a recording ends."""
LOST_NS: Final = 3 * S
"""So long after the last one a pulse is lost."""
NUMBER_NS: Final = 400_000_000
"""Who is surely nearer to UTC than this knows which second a pulse begins."""
WINDOW: Final = 16
"""So many of the newest pulses make the line …"""
AGREED: Final = 4
"""… and so many, in a row and on one line, begin it."""
BOUND_LEAST_NS: Final = 50_000_000
"""What a bound is taken to be at least: systemd-timesyncd says 0 whenever it has set the clock. A pulse's other edge is
usually further off."""
TOLERANCE_NS: Final = 200_000
"""An interrupt that is further off than this was late."""
PPM_MAX: Final = 1000
"""No quartz, and no program that steers a clock steadily, is further off."""
SETTLE_S: Final = 2.0
"""The line is led to where the pulses have it within this time."""
HELD_PPM: Final = 20
"""How far the line may run away, without pulses, from what they have said: the temperature changes, and who steers the
clock goes on."""
HELD_MOST_NS: Final = 50_000_000
"""What the line may be off by then is more than what a system's clock is usually: it is given up."""
STEPPED_NS: Final = 1_000_000
"""The distance between the system's clocks changes by more only where one of them is set."""
_ERA_NS: Final = GPS_ERA_NS // 2
"""A receiver that is further behind has lost count of the weeks."""
_LAST_NS: Final = 4_102_444_800 * S
"""2100: who says a later year says something else."""
_PIECES: Final = 128
_FRESH_NS: Final = 2 * S
_ROUNDING_NS: Final = 1000

State: TypeAlias = Literal["waiting", "ambiguous", "contradicted", "unsteady", "locked", "held"]


class Pulse(NamedTuple):
    """A pulse, as the kernel has stamped it."""

    clock_ns: int
    """CLOCK_REALTIME at its edge."""
    sequence: int | None = None
    """The kernel counts them."""
    true_ns: int | None = None
    """UTC, where somebody knows it."""


class Look(NamedTuple):
    """The system's clocks, when a pulse was looked for."""

    at_ns: int
    """CLOCK_BOOTTIME."""
    lacks_ns: int
    """What that lacks to CLOCK_REALTIME."""
    error_ns: int = 0
    """How exactly they were read."""
    bound_ns: int | None = None
    """CLOCK_REALTIME is surely so near to UTC; None: nobody knows."""


class _Point(NamedTuple):
    """A pulse: CLOCK_BOOTTIME, and what that lacks to UTC there."""

    at_ns: int
    lacks_ns: int


class Piece(NamedTuple):
    """A part of a line, from an instant (CLOCK_BOOTTIME) on."""

    begin_ns: int
    lacks_ns: int
    ppb: int
    """By how much more it lacks with time."""

    def lacks(self, at_ns: int) -> int:
        """What CLOCK_BOOTTIME lacks to UTC."""
        return self.lacks_ns + (at_ns - self.begin_ns) * self.ppb // S


@dataclass(frozen=True, slots=True)
class Line:
    """What CLOCK_BOOTTIME lacks to UTC, at any time."""

    pieces: tuple[Piece, ...]
    """Rising; at least one."""
    error_ns: int
    """It is surely so near, at its newest end."""

    def lacks_ns(self, at_ns: int) -> int:
        """At an instant of CLOCK_BOOTTIME."""
        number = bisect_right(self.pieces, at_ns, key=attrgetter("begin_ns"))
        return self.pieces[max(0, number - 1)].lacks(at_ns)

    def utc(self, at_ns: Times) -> Times:
        """Instants of CLOCK_BOOTTIME, `(samples,)` int64, in UTC."""
        begins, lacks, ppbs = np.array(self.pieces, dtype=np.int64).T
        own = np.maximum(np.searchsorted(begins, at_ns, side="right") - 1, 0)
        utc: Times = at_ns + lacks[own] + (at_ns - begins[own]) * ppbs[own] // S
        return utc


class _Fit(NamedTuple):
    """The straight line through some pulses."""

    at_ns: int
    lacks_ns: float
    """Less what `base_ns` is."""
    base_ns: int
    slope: float
    slope_error: float
    """How far that may be off."""
    spread_ns: int
    """The most by which one of the pulses lies beside it."""

    @property
    def is_steady(self) -> bool:
        """It can be a clock's."""
        return self.spread_ns <= TOLERANCE_NS and abs(self.slope) <= PPM_MAX / 1e6

    def lacks(self, at_ns: int) -> int:
        """What CLOCK_BOOTTIME lacks to UTC."""
        return self.base_ns + round(self.lacks_ns + self.slope * (at_ns - self.at_ns))


class PulseClock:
    """Pulses in, a line out. `take` each pulse once, and `go_on` about twice a second. `fixes`: of who makes them."""

    def __init__(self, fixes: Fixes | None = None) -> None:
        self._fixes = fixes
        self.state: State = "waiting"
        self.line: Line | None = None
        self.pulses = 0
        self.missed = 0
        """Pulses that the kernel did not see."""
        self.extra = 0
        """What it saw between them."""
        self.ahead_ns: int | None = None
        """How far the system's clock was ahead of UTC at the newest pulse; of an ambiguous one, up to whole seconds."""
        self._apart_ns = S
        """Between the two newest."""
        self._unheard_ns = 0
        """Since the newest one that fits."""
        self._points: deque[_Point] = deque(maxlen=WINDOW)
        self._fit: _Fit | None = None
        """Of the points, once they are enough."""
        self._odd: deque[_Point] = deque(maxlen=AGREED)
        """Those that do not fit the ones before, in a row."""
        self._last: tuple[int, int | None] | None = None
        """CLOCK_BOOTTIME and number of the newest."""
        self._looked: Look | None = None

    def take(self, pulse: Pulse, look: Look) -> None:
        """A pulse that was not there at the look before."""
        before, self._looked = self._looked, look
        at_ns = pulse.clock_ns - look.lacks_ns
        if not look.at_ns - _FRESH_NS <= at_ns <= look.at_ns + STEPPED_NS:  # of an earlier day, or the clock was set
            return
        self._count(pulse, at_ns)
        if before is not None and abs(look.lacks_ns - before.lacks_ns) > STEPPED_NS:
            return  # set before the pulse, or behind it: nobody knows
        true_ns = self._number(pulse, at_ns, look)
        if true_ns is None:
            self.ahead_ns = pulse.clock_ns - _second(pulse.clock_ns)
            self._give_up("ambiguous")
            return
        self.ahead_ns = pulse.clock_ns - true_ns
        if self._is_contradicted(true_ns, look):
            self._give_up("contradicted")
        else:
            self._add(_Point(at_ns, true_ns - at_ns), look)

    def go_on(self, look: Look) -> None:
        """Lead the line to where the pulses have it; without any, say so, and what it may be off."""
        heard_ns = self._points[-1].at_ns if self._points else None if self._last is None else self._last[0]
        self._unheard_ns = 0 if heard_ns is None else look.at_ns - heard_ns
        if heard_ns is None or self._unheard_ns > LOST_NS:
            self._lose()
        if self.line is not None:
            self._lead(look)
            if self.state == "held" and self.line.error_ns > HELD_MOST_NS:
                self._give_up("waiting")

    def forget(self) -> None:
        """What the pulses have said holds no more."""
        self._give_up("waiting")

    def _lose(self) -> None:
        if self.line is not None:
            self.state = "held"
        else:
            self._give_up("waiting")

    @property
    def words(self) -> str:
        """How it is, for people; with what to do, where nothing is corrected."""
        ahead_ns, exact = self.ahead_ns or 0, "" if self.line is None else f"within {span_words(self.line.error_ns)}"
        clock = f"the system's clock is {span_words(ahead_ns)} {'behind' if ahead_ns < 0 else 'ahead'}"
        match self.state:
            case "locked":
                return f"times are {exact} of it; {clock}"
            case "held":
                return f"no pulse that fits for {self._unheard_ns / S:.0f} s: times go on as it had them, {exact}"
            case "ambiguous":
                why = "nothing says which" if self._fixes is None else self._fixes.trouble
                return (
                    f"{clock}, or that and whole seconds, and {why}: times are left as the system has them; let chrony "
                    "set the clock, gpsd number the pulses, or read the receiver's fixes beside them"
                )
            case "contradicted":
                return (
                    f"{clock}, which its own error bound rules out: times are left as the system has them; is it the "
                    "pulse's other edge, a receiver that has lost count of the weeks, or a wrong time server?"
                )
            case "unsteady":
                return f"pulses come {self._apart_ns / S:.6f} s apart: no pulse a second; times are left as they are"
            case _:
                return "no pulse; does the receiver have a fix, and is its PPS line connected?"

    def _count(self, pulse: Pulse, at_ns: int) -> None:
        self.pulses += 1
        if self._last is not None:
            self._apart_ns = at_ns - self._last[0]
            seconds, before = round(self._apart_ns / S), self._last[1]
            seen = 1 if pulse.sequence is None or before is None else pulse.sequence - before
            if seen > 0:  # else the kernel counts anew
                self.missed += max(0, seconds - seen)
                self.extra += max(0, seen - seconds)
        self._last = at_ns, pulse.sequence

    def _number(self, pulse: Pulse, at_ns: int, look: Look) -> int | None:
        """The second that a pulse begins."""
        if pulse.true_ns is not None:
            return pulse.true_ns
        said_ns = (
            None
            if self._fixes is None
            else self._fixes.number(at_ns, None if look.bound_ns is None else pulse.clock_ns)
        )
        if said_ns is not None:
            return said_ns
        if self.line is not None:  # which is given up before it may be off by so much
            return _second(at_ns + self.line.lacks_ns(at_ns))
        if look.bound_ns is not None and look.bound_ns < NUMBER_NS:
            return _second(pulse.clock_ns)
        return None

    def _is_contradicted(self, true_ns: int, look: Look) -> bool:
        """Who sets the system's clock rules out what the pulse says: one of both is wrong, and nobody knows which."""
        ahead_ns = self.ahead_ns or 0
        if not NEVER_SET_NS < true_ns < _LAST_NS or ahead_ns > _ERA_NS:
            return True
        if look.bound_ns is None:
            return False
        most_ns = max(look.bound_ns, BOUND_LEAST_NS) + STEP_NS
        return abs(ahead_ns) > (most_ns if self.line is None else max(most_ns, NUMBER_NS))

    def _add(self, point: _Point, look: Look) -> None:
        if self._fit is None:
            self._points.append(point)
            self._begin()
        elif self._fits(self._fit, point):
            self._points.append(point)
            self._odd.clear()
            self._fit = _fitted(self._points)
        else:  # late; or it is the line that is no more, where several in a row say so
            self._odd.append(point)
            found = _fitted(self._odd) if len(self._odd) == AGREED else None
            if found is not None and found.is_steady:
                self._points.clear()
                self._points.extend(self._odd)
                self._odd.clear()
                self._fit = found
        if self._fit is not None:
            self.state = "held" if self._odd and self.state == "held" else "locked"
            self._lead(look)

    def _begin(self) -> None:
        """A line, where enough pulses lie on one; those that were late do not count."""
        if len(self._points) < AGREED:
            return
        found = _fitted(self._points)
        near = [one for one in self._points if abs(found.lacks(one.at_ns) - one.lacks_ns) <= TOLERANCE_NS]
        if len(near) >= max(AGREED, 2 * len(self._points) // 3) and (found := _fitted(near)).is_steady:
            self._points.clear()
            self._points.extend(near)
            self._fit = found
        else:
            self.state = "unsteady"

    def _fits(self, fit: _Fit, point: _Point) -> bool:
        """Whether a pulse is where the ones before have it. Behind a loss it takes several to say where the line is."""
        apart_ns = point.at_ns - self._points[-1].at_ns
        may_ns = TOLERANCE_NS + round(apart_ns * (fit.slope_error + HELD_PPM / 1e6))
        return S // 2 < apart_ns <= LOST_NS and abs(fit.lacks(point.at_ns) - point.lacks_ns) <= may_ns

    def _lead(self, look: Look) -> None:
        """A new piece of the line, from now on."""
        fit = self._fit
        assert fit is not None
        wanted_ns, ppb = fit.lacks(look.at_ns), round(fit.slope * S)
        ahead_ns = look.at_ns - self._points[-1].at_ns
        odd_ns = max((abs(fit.lacks(one.at_ns) - one.lacks_ns) for one in self._odd), default=0)
        few = 1 + 6 / (len(self._points) - 2)  # some that were late alike lie on a line that is steeper than they show
        drift_ns = round(ahead_ns * few * fit.slope_error + max(0, ahead_ns - S) * HELD_PPM / 1e6)
        error_ns = max(fit.spread_ns, odd_ns) + drift_ns + look.error_ns + _ROUNDING_NS
        own_ns = wanted_ns if self.line is None else self.line.lacks_ns(look.at_ns)
        off_ns = wanted_ns - own_ns
        if self.line is None or abs(off_ns) > STEP_NS:
            self.line = Line((Piece(look.at_ns, wanted_ns, ppb),), error_ns)
            return
        pieces = self.line.pieces
        if look.at_ns > pieces[-1].begin_ns:
            pieces = (*pieces[1 - _PIECES :], Piece(look.at_ns, own_ns, ppb + round(off_ns / SETTLE_S)))
        self.line = Line(pieces, error_ns + abs(off_ns))

    def _give_up(self, state: State) -> None:
        self.state, self.line, self._fit = state, None, None
        self._points.clear()
        self._odd.clear()


def parse_assert(text: str) -> Pulse | None:
    """What a file `assert` says (`seconds.nanoseconds#sequence`, Documentation/driver-api/pps.rst); None where there
    was no pulse yet. Raises `ValueError`."""
    if not text.strip():
        return None
    stamp, _, sequence = text.strip().partition("#")
    seconds, _, fraction = stamp.partition(".")
    if not sequence or len(fraction) != 9:
        raise ValueError(f"{text!r} is no pulse's time")
    found = Pulse(int(seconds) * S + int(fraction), int(sequence))
    return found if found.sequence else None


_REPORT: Final = msgspec.json.Decoder(dict[str, Any])


def parse_report(line: bytes) -> Pulse | None:
    """What gpsd reports of a pulse (gpsd_json(5), class PPS); None where it reports something else."""
    try:
        said = _REPORT.decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
    numbers = [said.get(key) for key in ("clock_sec", "clock_nsec", "real_sec", "real_nsec")]
    clock_s, clock_ns, real_s, real_ns = (one if type(one) is int else None for one in numbers)
    if said.get("class") != "PPS" or clock_s is None or clock_ns is None or real_s is None or real_ns is None:
        return None
    return Pulse(clock_s * S + clock_ns, None, real_s * S + real_ns)


def span_words(ns: int) -> str:
    """How long, to three digits: `213 ms`, `8.1 us`."""
    size, unit = next(((f, u) for f, u in ((S, "s"), (1_000_000, "ms"), (1000, "us")) if abs(ns) >= f), (1, "ns"))
    return f"{abs(ns) / size:.3g} {unit}"


def _fitted(points: Sequence[_Point]) -> _Fit:
    """The median of all slopes, and of what is left (Theil 1950, Sen 1968): a late interrupt is an error of its own."""
    at_ns, base_ns = points[-1]
    x = np.array([point.at_ns - at_ns for point in points], dtype=np.float64)
    y = np.array([point.lacks_ns - base_ns for point in points], dtype=np.float64)
    first, second = np.triu_indices(len(points), 1)
    slope = float(np.median((y[second] - y[first]) / (x[second] - x[first])))
    rests = y - slope * x
    rest = float(np.median(rests))
    spread = float(np.abs(rests - rest).max())
    return _Fit(at_ns, rest, base_ns, slope, 2 * spread / float(x[-1] - x[0]), round(spread))


def _second(at_ns: int) -> int:
    return (at_ns + S // 2) // S * S
