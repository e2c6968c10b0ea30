"""Whether what comes without a rate was kept somewhere: a silence, and then more than the pace before it. Pure.

Who publishes through a broker, or sends over a radio, may keep what it says while it cannot be heard, and then sends it
all at once. Nobody but the pace tells: a stream that came steadily, was silent, and then comes faster than ever.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from edge.recording.stamps import Ahead

SILENT_NS: Final = 2_000_000_000
"""Who was silent for less has kept nothing that matters …"""
SILENT_PACES: Final = 4
"""… nor who was for less than so many usual times between samples."""
KNOWN: Final = 16
"""Over so many arrivals a pace is known …"""
UNEVEN: Final = 8
"""… if none took so many times longer than the others: who comes in bursts anyway has no pace."""
FASTER: Final = 0.5
"""Samples that come in less than this share of their usual time come faster than they are taken."""
USUAL: Final = 1.5
"""At no more than so many times the usual pace for `QUIET_NS`, nothing kept comes any more …"""
SLOW: Final = 0.5
"""… unless it comes below this share of it: what was kept stands still for a while, too …"""
SLOW_LOOKS: Final = 10
"""… or the stream has become slower, where it stays so for so many looks."""
QUIET_NS: Final = 1_000_000_000
LOOKED_AT: Final = 8
"""So many arrivals tell whether they come faster."""


class CatchUp:
    """The pace of one stream. Times are those of arrivals, ns."""

    def __init__(self) -> None:
        self._last: int | None = None
        self._laps: deque[tuple[int, int]] = deque(maxlen=KNOWN)
        """Of usual arrivals: how long after the one before, and how many samples."""
        self._silence: _Silence | None = None
        """The last one, while what ends it goes on."""

    def arrived(self, count: int, at_ns: int, ahead: Sequence[Ahead] = ()) -> int:
        """How long samples that arrive now may have been kept, ns; 0 where nothing says that they were.

        `ahead` are the arrivals behind them that are known already, `LOOKED_AT` at most.
        """
        last, self._last = self._last, at_ns
        if last is None:
            return 0
        if self._silence is None:
            pace = self._pace() if at_ns - last >= SILENT_NS else 0.0
            if at_ns - last <= SILENT_PACES * pace or not pace:
                self._laps.append((at_ns - last, count))
                return 0
            self._silence = _Silence(last, at_ns, pace, count)
        silence = self._silence
        silence.hear(count, at_ns, ahead)
        if silence.is_over(at_ns):
            self._silence = None
        return at_ns - silence.begin_ns if silence.kept else 0

    def _pace(self) -> float:
        """The usual time of a sample, ns; 0 where there is none."""
        if len(self._laps) < KNOWN:
            return 0.0
        laps = [lap for lap, _ in self._laps]
        return 0.0 if max(laps) > UNEVEN * sum(laps) / KNOWN else sum(laps) / sum(count for _, count in self._laps)


@dataclass(slots=True)
class _Silence:
    """One silence, and what came since its end."""

    begin_ns: int
    end_ns: int
    pace: float
    """Before it, ns a sample."""
    first: int
    """Samples that came at its end: of these nobody knows how long they took."""
    kept: bool = False
    """What ends it came faster than it was taken."""
    _samples: int = 0
    _since: tuple[int, int] = (0, 0)
    """When the pace was looked at last, and how many samples had come by then."""
    _slow: int = 0
    """Looks in a row at which it was slow."""

    def hear(self, count: int, at_ns: int, ahead: Sequence[Ahead]) -> None:
        """Samples come, and others behind them."""
        self._samples += count
        if self.kept or at_ns - self.end_ns > QUIET_NS:
            return
        behind, latest_ns = self._samples - self.first, at_ns
        for more, later_ns in ahead:
            behind, latest_ns = behind + more, later_ns
        self.kept = latest_ns - self.end_ns < FASTER * self.pace * behind

    def is_over(self, at_ns: int) -> bool:
        """Whether samples come at their pace again, or more of them than the silence had room for."""
        if self._samples * self.pace > 1.25 * (at_ns - self.begin_ns) + SILENT_NS:
            return True
        from_ns, before = self._since if self._since[0] else (self.end_ns, 0)
        if at_ns - from_ns < max(QUIET_NS, 2 * self.pace):
            return False
        self._since = at_ns, self._samples
        came_ns = (self._samples - before) * self.pace
        self._slow = self._slow + 1 if came_ns < SLOW * (at_ns - from_ns) else 0
        return came_ns <= USUAL * (at_ns - from_ns) + 2 * self.pace and self._slow in (0, SLOW_LOOKS)
