"""Sets of sequence numbers as half-open intervals: what has been seen, and where the holes are.

A stream's sequence numbers count from 0 and nearly always arrive in order, so the set is nearly always one interval:
`next` is the number that would extend the last one, and a caller on a hot path may compare with it.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable


class IntervalSet:
    """A set of integers ≥ 0 that remembers runs, not members; memory grows with the number of holes alone."""

    __slots__ = ("_start", "_starts", "_stops", "next")

    def __init__(self, pairs: Iterable[tuple[int, int]] = ()) -> None:
        self._starts: list[int] = []
        self._stops: list[int] = []
        self._start = 0
        self.next = 0
        """One past the largest member (0 while there is none); `next += 1` adds exactly the number `next`."""
        for start, stop in pairs:
            self._append(start, stop)

    def add(self, number: int) -> bool:
        """Add `number`; False where it is a member already. Raises `ValueError` below 0."""
        if number == self.next:
            self.next += 1
            return True
        if number < 0:
            raise ValueError(f"interval set: found {number}, expected a number from 0 on")
        if number > self.next:
            self._append(number, number + 1)
            return True
        return number < self._start and self._fill(number)

    def _append(self, start: int, stop: int) -> None:
        if start > self.next:
            self._starts.append(self._start)
            self._stops.append(self.next)
            self._start = start
        self.next = stop

    def _fill(self, number: int) -> bool:
        """Add a number below the last interval: join it to its neighbours where they touch."""
        starts, stops = self._starts, self._stops
        at = bisect_right(starts, number) - 1
        if at >= 0 and number < stops[at]:
            return False
        if at >= 0 and number == stops[at]:
            stops[at] += 1
        else:
            at += 1
            starts.insert(at, number)
            stops.insert(at, number + 1)
        if at + 1 < len(starts):
            if stops[at] == starts[at + 1]:
                stops[at] = stops.pop(at + 1)
                starts.pop(at + 1)
        elif stops[at] == self._start:
            self._start = starts.pop(at)
            stops.pop(at)
        return True

    def bound(self, most: int) -> None:
        """Fill the oldest holes, so that no more than `most` are left: what was missing there counts as a member."""
        excess = len(self._starts) - most
        if excess > 0:
            # The first interval reaches as far as those that its holes kept apart from it.
            del self._starts[1 : excess + 1]
            del self._stops[:excess]

    def __contains__(self, number: int) -> bool:
        if number >= self._start:
            return number < self.next
        at = bisect_right(self._starts, number) - 1
        return at >= 0 and number < self._stops[at]

    def __len__(self) -> int:
        return self.next - self._start + sum(self._stops) - sum(self._starts)

    @property
    def missing(self) -> int:
        """How many numbers below `next` are no members."""
        return self.next - len(self)

    def pairs(self) -> list[tuple[int, int]]:
        """The intervals `(start, stop)`, rising; the constructor takes them back."""
        listed = [*zip(self._starts, self._stops, strict=True), (self._start, self.next)]
        return [(start, stop) for start, stop in listed if start < stop]
