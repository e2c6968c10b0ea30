"""The marks of one device that stand, found by range and counted by column: a million of them in milliseconds. Pure.

They lie in columns sorted by start. What changed since is looked through one by one, and sorted in when that is much.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from typing import Any, Final, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from labeling.marks import ResolvedMark

CHANGED_MAX: Final = 512
"""So many changed marks are looked through one by one, and a 128th of all where that is more."""

_Instants: TypeAlias = NDArray[np.int64]


class _Columns(NamedTuple):
    """`(marks,)` each, by start; an instant ends a nanosecond after its start."""

    ids: NDArray[np.object_]
    labels: NDArray[np.int32]
    start: _Instants
    end: _Instants
    stands: NDArray[np.bool_]

    def at(self, places: NDArray[np.intp] | NDArray[np.bool_]) -> _Columns:
        """The rows at these places."""
        return _Columns(*(column[places] for column in self))  # type: ignore[arg-type]


class _Spans(NamedTuple):
    """Starts and ends of spans, each sorted for itself: which of them belong together is not asked."""

    start: _Instants
    end: _Instants

    def meeting(self, edges: _Instants) -> _Instants:
        """How many meet each of the columns between rising edges: those that begin before its end, but for those that
        end before its start."""
        return np.searchsorted(self.start, edges[1:]) - np.searchsorted(self.end, edges[:-1], "right")


class Standing:
    """The marks of a device that stand."""

    def __init__(self) -> None:
        self.marks: dict[str, ResolvedMark] = {}
        self._changed: set[str] = set()
        """Of these, those that are not in the columns."""
        self._labels: dict[str, int] = {}
        """The number of each label in the columns."""
        self._columns = self._columns_of(())
        self._gone: list[int] = []
        """Places in the columns that do not stand any more."""
        self._by_label: dict[int, _Spans] | None = None
        """Of all in the columns, `_gone` too."""

    def put(self, mark_id: str, mark: ResolvedMark | None) -> None:
        """A mark is new or another one; None: it does not stand."""
        before = self.marks.get(mark_id)
        if before is not None and mark_id not in self._changed:
            self._strike(mark_id, before.start_ns)
        if mark is None:
            self.marks.pop(mark_id, None)
            self._changed.discard(mark_id)
            return
        self.marks[mark_id] = mark
        self._changed.add(mark_id)
        self._settle(len(self._columns.ids) >> 3)

    def meeting(self, start_ns: int, end_ns: int, most: int) -> tuple[list[ResolvedMark], int]:
        """The first `most` marks by start that meet a range, and how many do."""
        self._settle(len(self._columns.ids) >> 7)
        columns = self._columns
        stop = int(np.searchsorted(columns.start, end_ns))
        places = np.flatnonzero((columns.end[:stop] > start_ns) & columns.stands[:stop])
        changed = [
            mark for mark in self._new() if mark.start_ns < end_ns and max(mark.end_ns, mark.start_ns + 1) > start_ns
        ]
        enough = most
        if 0 < most < len(places):  # those of one start lie in no order
            enough = int(np.searchsorted(columns.start[places], columns.start[places[most - 1]], "right"))
        found = [self.marks[mark_id] for mark_id in columns.ids[places[:enough]].tolist()] + changed
        return sorted(found, key=_by_start)[:most], len(places) + len(changed)

    def neighbour(self, place: tuple[int, int, str], *, later: bool) -> ResolvedMark | None:
        """The first mark behind a start, an end and an id, in this order, or the last one before them."""
        self._settle(len(self._columns.ids) >> 7)
        new = (mark for mark in self._new() if _is_beside(mark, place, later))
        found = sorted(chain(new, self._beside(place, later)), key=_by_start)
        return None if not found else found[0 if later else -1]

    def _beside(self, place: tuple[int, int, str], later: bool) -> Iterator[ResolvedMark]:
        """Those of one start that hold the one beside a place, as far as the columns have it."""
        start = self._columns.start
        first = int(np.searchsorted(start, place[0], "left" if later else "right"))
        at_ns: int | None = None
        for row in range(first, len(start)) if later else range(first - 1, -1, -1):
            if at_ns is not None and start[row] != at_ns:
                return
            mark = self.marks[self._columns.ids[row]] if self._columns.stands[row] else None
            if mark is not None and _is_beside(mark, place, later):
                at_ns = mark.start_ns
                yield mark

    def density(self, start_ns: int, end_ns: int, columns: int) -> dict[str, _Instants]:
        """For each label, how many marks meet each of the equal columns of a range: `(columns,)`."""
        self._settle(len(self._columns.ids) >> 7)
        if self._by_label is None:
            self._by_label = _by_label(self._columns)
        span_ns = end_ns - start_ns
        edges = np.array([start_ns - (-number * span_ns // columns) for number in range(columns + 1)], np.int64)
        counts = {label: spans.meeting(edges) for label, spans in self._by_label.items()}
        for label, spans in _by_label(self._columns.at(np.array(self._gone, np.intp))).items():
            counts[label] -= spans.meeting(edges)
        for label, spans in _by_label(self._columns_of(self._new())).items():
            counts[label] = counts.get(label, 0) + spans.meeting(edges)
        names = sorted((name, label) for name, label in self._labels.items() if label in counts)
        return {name: counts[label] for name, label in names if counts[label].any()}

    def _new(self) -> list[ResolvedMark]:
        return [self.marks[mark_id] for mark_id in self._changed]

    def _strike(self, mark_id: str, start_ns: int) -> None:
        first = int(np.searchsorted(self._columns.start, start_ns))
        while self._columns.ids[first] != mark_id or not self._columns.stands[first]:
            first += 1
        self._columns.stands[first] = False
        self._gone.append(first)

    def _settle(self, most: int) -> None:
        """Sort in what changed, where that is more than `most`, and enough to be worth it."""
        if len(self._changed) + len(self._gone) <= max(CHANGED_MAX, most):
            return
        old, new = self._columns.at(self._columns.stands), self._columns_of(self._new())
        pairs: Iterable[Any] = zip(old, new, strict=True)
        joined = _Columns(*(np.concatenate(pair) for pair in pairs))
        self._columns = joined.at(np.argsort(joined.start, kind="stable"))
        self._changed, self._gone, self._by_label = set(), [], None

    def _columns_of(self, marks: Sequence[ResolvedMark]) -> _Columns:
        count = len(marks)
        ids = np.array([mark.id for mark in marks], np.object_)
        numbers = (self._labels.setdefault(mark.label, len(self._labels)) for mark in marks)
        start = np.fromiter((mark.start_ns for mark in marks), np.int64, count)
        end = np.fromiter((max(mark.end_ns, mark.start_ns + 1) for mark in marks), np.int64, count)
        return _Columns(ids, np.fromiter(numbers, np.int32, count), start, end, np.ones(count, np.bool_))


def _by_label(columns: _Columns) -> dict[int, _Spans]:
    spans: dict[int, _Spans] = {}
    for label in np.unique(columns.labels).tolist():
        own = columns.labels == label
        spans[label] = _Spans(np.sort(columns.start[own]), np.sort(columns.end[own]))
    return spans


def _is_beside(mark: ResolvedMark, place: tuple[int, int, str], later: bool) -> bool:
    return _by_start(mark) > place if later else _by_start(mark) < place


def _by_start(mark: ResolvedMark) -> tuple[int, int, str]:
    return mark.start_ns, mark.end_ns, mark.id
