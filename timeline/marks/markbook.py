"""The marks of a log as a timeline wants them: what an event changed, what meets a range, how many there are where.

It is fed every event of the topic `marks` in the log's order. What stands is decided by `labeling.marks` alone. Pure.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Final

import numpy as np

from ingest.records import CLOCK_OFFSET, CLOCK_ROUND_TRIP, MarkAdd, MarkEdit, MarkRetract
from ingest.records import Mark as MarkEvent
from labeling.marks import RULE, History, ResolvedMark, standing_of, tell
from timeline.marks.reactions import Reactions
from timeline.marks.review import ReviewQueue
from timeline.marks.standing import Standing
from timeline.protocol import Changed, Event, Kind, Mark, Neighbour

FOREVER_NS: Final = 1 << 63
"""Behind every instant."""
_FIELDS: Final = ("start_ns", "end_ns", "label", "confidence")


class MarkBook:
    """All that was said of marks, and what stands."""

    def __init__(self) -> None:
        self.histories: dict[tuple[str, str], History] = {}
        self.labels: Counter[str] = Counter()
        """How many marks that stand have a label."""
        self.reactions = Reactions()
        self._devices: dict[str, _Device] = {}
        self._set_aside: Counter[str] = Counter()

    def feed(self, event: MarkEvent, append_ns: int, offset: int) -> Changed | None:
        """Take an event; what it changed. None: it says nothing new, or of a mark that nobody has added yet."""
        return self.changed(event) if self.take(event, append_ns, offset) else None

    def take(self, event: MarkEvent, append_ns: int, offset: int) -> bool:
        """Take an event that nobody is to be told of: of a million at start nobody is. False: it says nothing new."""
        if not tell(self.histories, event, append_ns, offset):
            return False
        self.reactions.feed(event, self.histories[event.device, event.id])
        device = self._devices.get(event.device)
        if device is None:
            device = self._devices[event.device] = _Device()
        history = self.histories[event.device, event.id]
        before, now = device.standing.marks.get(event.id), standing_of(history, self._set_aside)
        if before is not None:
            self.labels[before.label] -= 1
        if now is not None:
            self.labels[now.label] += 1
        device.put(event.id, now)
        return True

    def changed(self, event: MarkEvent) -> Changed | None:
        """A mark after an event that was taken; None where nobody has added it yet."""
        shown = self.mark(event.device, event.id)
        return None if shown is None else Changed(shown, _event(event))

    def mark(self, device: str, mark_id: str) -> Mark | None:
        """A mark as it stands, or as it was when it was retracted; None where it never stood."""
        history = self.histories.get((device, mark_id))
        if history is None or history.add is None:
            return None
        stands = self._devices[device].standing.marks.get(mark_id)
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

    def meeting(
        self, device: str, start_ns: int, end_ns: int, most: int, part: int | None = None
    ) -> tuple[list[Mark], bool]:
        """The marks that stand and meet a range, by start, and whether these are all; where they are more than `most`
        the first `part`."""
        found = self._devices.get(device)
        if found is None:
            return [], True
        few = most if part is None else min(part, most)
        standing, total = found.standing.meeting(start_ns, end_ns, few)
        if few < total <= most:
            standing, total = found.standing.meeting(start_ns, end_ns, most)
        return [_shown(mark, self.histories[device, mark.id], True) for mark in standing], total <= most

    def neighbour(self, asked: Neighbour) -> Mark | None:
        """The mark that stands and comes next after another one or an instant, or before it; None: there is none."""
        found = self._devices.get(asked.device)
        edge = FOREVER_NS if asked.later else -1
        place = (int(asked.start_ns), int(asked.end_ns) if asked.mark else edge, asked.mark)
        mark = None if found is None else found.standing.neighbour(place, later=asked.later)
        return None if mark is None else _shown(mark, self.histories[asked.device, mark.id], True)

    def standing(self, device: str) -> Iterable[ResolvedMark]:
        """The marks of a device that stand, in no order."""
        found = self._devices.get(device)
        return () if found is None else found.standing.marks.values()

    def count(self, device: str) -> int:
        """How many marks of a device stand."""
        found = self._devices.get(device)
        return 0 if found is None else len(found.standing.marks)

    def waiting(self, device: str) -> int:
        """How many marks of a device wait for review."""
        found = self._devices.get(device)
        return 0 if found is None else len(found.queue)

    def queue(self, device: str, from_ns: int, most: int) -> list[Mark]:
        """The marks of a device that wait for review, from an instant on and then those before, by start."""
        found = self._devices.get(device)
        ids = () if found is None else found.queue.next(from_ns, most)
        return [mark for mark_id in ids if (mark := self.mark(device, mark_id)) is not None]

    def density(
        self, device: str, start_ns: int, end_ns: int, columns: int
    ) -> tuple[tuple[str, ...], list[tuple[int, int, int]]]:
        """Labels, and (column, place of the label, marks) where marks meet one of the equal columns of a range."""
        found = self._devices.get(device)
        counts = {} if found is None else found.standing.density(start_ns, end_ns, columns)
        if not counts:
            return (), []
        table = np.stack([*counts.values()], axis=1)
        column, label = np.nonzero(table)
        cells = zip(column.tolist(), label.tolist(), table[column, label].tolist(), strict=True)
        return tuple(counts), list(cells)


class _Device:
    """The marks of a device that stand, and those of them that wait for review."""

    def __init__(self) -> None:
        self.standing = Standing()
        self.queue = ReviewQueue()

    def put(self, mark_id: str, mark: ResolvedMark | None) -> None:
        self.standing.put(mark_id, mark)
        self.queue.put(mark_id, mark)


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
        revision=add.revision,
        evidence=add.evidence,
        client_ns=str(told.event.client_ns),
        marked_ns=str(told.append_ns),
        order=told.order,
        reviewed_by=mark.reviewed_by,
        rule=add.author if add.tool == RULE else "",
    )


def _event(event: MarkEvent) -> Event:
    kind: Kind = "add"
    fields: tuple[str, ...] = ()
    reason = ""
    if isinstance(event, MarkEdit):
        kind = "undo" if event.undoes_ns else "accept" if event.accept else "edit"
        fields = tuple(name for name in _FIELDS if getattr(event, name) is not None) if kind == "edit" else ()
        reason = event.reason
    elif isinstance(event, MarkRetract):
        kind, reason = ("undo" if event.undo else "retract"), event.reason
    clock = (str(round(event.evidence.get(name, 0) * 1e9)) for name in (CLOCK_OFFSET, CLOCK_ROUND_TRIP))
    return Event(kind, event.author, event.tool, str(event.client_ns), fields, reason, *clock)
