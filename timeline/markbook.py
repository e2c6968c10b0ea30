"""The marks of a log as a timeline wants them: what an event changed, what meets a range, how many there are where.

It is fed every event of the topic `marks` in the log's order. What stands is decided by `labeling.marks` alone. Pure.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ingest.records import Mark as MarkEvent
from ingest.records import MarkAdd, MarkEdit, MarkRetract
from labeling.marks import History, ResolvedMark, standing_of, tell
from timeline.protocol import Changed, Event, Kind, Mark

REBUILD: Final = 512
"""So many changed marks of a device are looked through one by one; more are sorted in."""
_FIELDS: Final = ("start_ns", "end_ns", "label", "confidence")


class MarkBook:
    """All that was said of marks, and what stands."""

    def __init__(self) -> None:
        self.histories: dict[tuple[str, str], History] = {}
        self.labels: Counter[str] = Counter()
        """How many marks that stand have a label."""
        self._devices: dict[str, _Device] = {}

    def feed(self, event: MarkEvent, append_ns: int, offset: int) -> Changed | None:
        """Take an event; what it changed. None: it says nothing new, or of a mark that nobody has added yet."""
        key = event.device, event.id
        if not tell(self.histories, event, append_ns, offset):
            return None
        history = self.histories[key]
        device = self._devices.setdefault(event.device, _Device())
        before, now = device.standing.get(event.id), standing_of(history, Counter())
        if before is not None:
            self.labels[before.label] -= 1
        if now is not None:
            self.labels[now.label] += 1
        device.put(event.id, now)
        shown = self.mark(event.device, event.id)
        return None if shown is None else Changed(shown, _event(event))

    def mark(self, device: str, mark_id: str) -> Mark | None:
        """A mark as it stands, or as it was when it was retracted; None where it never stood."""
        history = self.histories.get((device, mark_id))
        if history is None or history.add is None:
            return None
        stands = self._devices[device].standing.get(mark_id)
        if stands is not None:
            return _shown(stands, history, True)
        edits = [told for told in history.changes if isinstance(told.event, MarkEdit)]
        was = standing_of(History(history.add, edits), Counter())
        return None if was is None else _shown(was, history, False)

    def has(self, device: str, mark_id: str, author: str, client_ns: int) -> bool:
        """Whether an author's event of this `client_ns` on a mark is there."""
        history = self.histories.get((device, mark_id))
        told = [] if history is None else [*([] if history.add is None else [history.add]), *history.changes]
        return any(it.event.author == author and it.event.client_ns == client_ns for it in told)

    def meeting(self, device: str, start_ns: int, end_ns: int, most: int) -> tuple[list[Mark], bool]:
        """The marks that stand and meet a range, by start, and whether these are all."""
        found = self._devices.get(device)
        standing = [] if found is None else sorted(found.meeting(start_ns, end_ns), key=_by_start)
        shown = [_shown(mark, self.histories[device, mark.id], True) for mark in standing[:most]]
        return shown, len(standing) <= most

    def standing(self, device: str) -> Iterable[ResolvedMark]:
        """The marks of a device that stand, in no order."""
        found = self._devices.get(device)
        return () if found is None else found.standing.values()

    def count(self, device: str) -> int:
        """How many marks of a device stand."""
        found = self._devices.get(device)
        return 0 if found is None else len(found.standing)

    def density(
        self, device: str, start_ns: int, end_ns: int, columns: int
    ) -> tuple[tuple[str, ...], list[tuple[int, int, int]]]:
        """Labels, and (column, place of the label, marks) where marks meet one of the equal columns of a range."""
        found = self._devices.get(device)
        marks = [] if found is None else list(found.meeting(start_ns, end_ns))
        names = tuple(sorted({mark.label for mark in marks}))
        if not marks:
            return (), []
        place = {name: number for number, name in enumerate(names)}
        rows = np.array([place[mark.label] for mark in marks])
        low = np.array([(max(mark.start_ns, start_ns) - start_ns) * columns // (end_ns - start_ns) for mark in marks])
        last = (max(min(mark.end_ns, end_ns) - 1, mark.start_ns, start_ns) - start_ns for mark in marks)
        high = np.array([it * columns // (end_ns - start_ns) for it in last])
        steps = np.zeros((len(names), columns + 1), np.int64)
        np.add.at(steps, (rows, low), 1)
        np.add.at(steps, (rows, high + 1), -1)
        counts = np.cumsum(steps, axis=1)[:, :-1]
        label, column = np.nonzero(counts)
        cells = zip(column.tolist(), label.tolist(), counts[label, column].tolist(), strict=True)
        return names, list(cells)


class _Device:
    """The standing marks of a device: sorted ones in columns, and those that changed since."""

    def __init__(self) -> None:
        self.standing: dict[str, ResolvedMark] = {}
        self._ids: list[str] = []
        self._start: NDArray[np.int64] = np.zeros(0, np.int64)
        self._end: NDArray[np.int64] = np.zeros(0, np.int64)
        self._changed: set[str] = set()

    def put(self, mark_id: str, mark: ResolvedMark | None) -> None:
        self._changed.add(mark_id)
        if mark is None:
            self.standing.pop(mark_id, None)
        else:
            self.standing[mark_id] = mark

    def meeting(self, start_ns: int, end_ns: int) -> Iterator[ResolvedMark]:
        if len(self._changed) > REBUILD:
            self._ids = list(self.standing)
            marks = self.standing.values()
            self._start = np.fromiter((mark.start_ns for mark in marks), np.int64, len(marks))
            self._end = np.fromiter((max(mark.end_ns, mark.start_ns + 1) for mark in marks), np.int64, len(marks))
            self._changed = set()
        for place in np.flatnonzero((self._start < end_ns) & (self._end > start_ns)).tolist():
            if (mark_id := self._ids[place]) not in self._changed:
                yield self.standing[mark_id]
        for mark_id in self._changed:
            mark = self.standing.get(mark_id)
            if mark is not None and mark.start_ns < end_ns and max(mark.end_ns, mark.start_ns + 1) > start_ns:
                yield mark


def _by_start(mark: ResolvedMark) -> tuple[int, int, str]:
    return mark.start_ns, mark.end_ns, mark.id


def _shown(mark: ResolvedMark, history: History, stands: bool) -> Mark:
    told = history.changes[-1] if history.changes else history.add
    assert told is not None
    assert history.add is not None
    add = history.add.event
    assert isinstance(add, MarkAdd)
    return Mark(
        mark.id,
        mark.device,
        str(mark.start_ns),
        str(mark.end_ns),
        mark.label,
        mark.author,
        mark.tool,
        mark.confidence,
        stands,
        trim=mark.trim,
        reason=mark.reason,
        revision=mark.revision,
        evidence=add.evidence,
        client_ns=str(told.event.client_ns),
        marked_ns=str(told.append_ns),
        order=told.order,
    )


def _event(event: MarkEvent) -> Event:
    kind: Kind = "add"
    fields: tuple[str, ...] = ()
    reason = ""
    if isinstance(event, MarkEdit):
        kind = "undo" if event.undoes_ns else "edit"
        fields = tuple(name for name in _FIELDS if getattr(event, name) is not None)
        reason = event.reason
    elif isinstance(event, MarkRetract):
        kind, reason = ("undo" if event.undo else "retract"), event.reason
    return Event(kind, event.author, event.tool, str(event.client_ns), fields, reason)
