"""What waits for review: the marks of rules that stand, and that nobody has looked at, by their start. Pure."""

from __future__ import annotations

from bisect import bisect_left
from itertools import chain, islice

from labeling.marks import RULE, ResolvedMark


def waits(mark: ResolvedMark) -> bool:
    """Whether a mark that stands is one for review: a person's edit or accept makes a rule's mark that person's."""
    return mark.tool == RULE


class ReviewQueue:
    """The marks of one device that wait. Sorted when somebody asks: rules make more marks than people look at."""

    def __init__(self) -> None:
        self._waiting: dict[str, tuple[int, int, str]] = {}
        self._sorted: list[tuple[int, int, str]] | None = None

    def __len__(self) -> int:
        return len(self._waiting)

    def put(self, mark_id: str, mark: ResolvedMark | None) -> None:
        """A mark is new or another one; None: it does not stand."""
        before = self._waiting.pop(mark_id, None)
        now = None if mark is None or not waits(mark) else (mark.start_ns, mark.end_ns, mark_id)
        if now is not None:
            self._waiting[mark_id] = now
        if now != before:
            self._forget(before, now)

    def next(self, from_ns: int, most: int) -> list[str]:
        """The ids of those from an instant on, then of those before, `most` at most."""
        if self._sorted is None:
            self._sorted = sorted(self._waiting.values())
        first = bisect_left(self._sorted, (from_ns,))
        places = chain(range(first, len(self._sorted)), range(first))
        return [self._sorted[place][2] for place in islice(places, most)]

    def _forget(self, before: tuple[int, int, str] | None, now: tuple[int, int, str] | None) -> None:
        """Who works a queue off takes one mark after another out of a long list: that needs no sorting."""
        if self._sorted is None:
            return
        if before is not None and now is None:
            del self._sorted[bisect_left(self._sorted, before)]
        else:
            self._sorted = None
