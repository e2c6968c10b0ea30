"""How people correct marks: edits, retracts, undos, and a file of marks that replaces what its author said before.

All of it gives events for the log, which keeps what was said before; nothing is ever changed in it. Every event says
who, with what tool, when and why. Pure: `now_ns` comes in.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count
from typing import Final, TypeAlias

import msgspec

from ingest.records import Mark, MarkAdd, MarkEdit, MarkRetract
from labeling.marks import RULE, History, ResolvedMark, mark_order, standing_of

TOOLS: Final = ("operator", "button", "import")
"""What people say marks with."""
Key: TypeAlias = tuple[str, str]
"""(device, id) of a mark."""


@dataclass(frozen=True, slots=True)
class Who:
    """Who says something, with what, and why."""

    author: str
    tool: str = "operator"
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Book:
    """All that was ever said of a log's marks."""

    histories: Mapping[Key, History] = field(default_factory=dict)

    def standing(self) -> dict[Key, ResolvedMark]:
        """The marks that stand, in the order of device, start, end and id."""
        found = [mark for history in self.histories.values() if (mark := standing_of(history, Counter())) is not None]
        return {(mark.device, mark.id): mark for mark in sorted(found, key=mark_order)}


@dataclass(frozen=True, slots=True)
class Fields:
    """What an edit changes; None: it stays as it is."""

    start_ns: int | None = None
    end_ns: int | None = None
    label: str | None = None
    confidence: float | None = None


def edit_of(mark: ResolvedMark, who: Who, now_ns: int, to: Fields) -> MarkEdit:
    """The event that changes a mark."""
    changed = to.start_ns, to.end_ns, to.label, to.confidence
    return MarkEdit(mark.device, mark.id, who.author, who.tool, *changed, client_ns=now_ns, reason=who.reason)


def retracts_of(marks: Iterable[ResolvedMark], who: Who, now_ns: int) -> list[MarkRetract]:
    """The events that take marks back, each with a `client_ns` of its own from `now_ns` on."""
    return [
        MarkRetract(mark.device, mark.id, who.author, who.tool, now_ns + place, reason=who.reason)
        for place, mark in enumerate(marks)
    ]


# Undo.


@dataclass(frozen=True, slots=True)
class Undone:
    """What an undo takes back, and the event that says so."""

    event: MarkEdit | MarkRetract
    what: Mark
    """The author's event that no longer counts."""


def undo_of(book: Book, who: Who, now_ns: int, times: int = 1, device: str | None = None) -> list[Undone]:
    """What takes the author's last `times` events back, the last one first: what was undone already is passed over.

    Adds are taken back by a retract; edits and retracts by their `client_ns`, so one that has none cannot be, and is
    passed over. Events of several devices are ordered by when the log took them.
    """
    found: list[tuple[int, int, Mark]] = []
    for key, history in book.histories.items():
        if device is None or key[0] == device:
            found += _still_said(history, who.author)
    found.sort(key=lambda row: row[:2], reverse=True)
    return [
        Undone(_undo(event, who, now_ns + place), event)
        for place, (_, _, event) in zip(range(times), found, strict=False)
    ]


def _undo(event: Mark, who: Who, now_ns: int) -> MarkEdit | MarkRetract:
    if isinstance(event, MarkAdd):
        return MarkRetract(event.device, event.id, who.author, who.tool, now_ns, reason=who.reason, undo=True)
    edit = MarkEdit(event.device, event.id, who.author, who.tool, client_ns=now_ns, reason=who.reason)
    return msgspec.structs.replace(edit, undoes_ns=event.client_ns)


def _still_said(history: History, author: str) -> Iterator[tuple[int, int, Mark]]:
    """The author's events that an undo can take back, with when and in which place the log took them."""
    mine = [told for told in history.changes if told.event.author == author]
    events = [told.event for told in mine]
    undone = {event.undoes_ns for event in events if isinstance(event, MarkEdit) and event.undoes_ns}
    add = history.add
    taken_back = any(isinstance(event, MarkRetract) and event.undo for event in events)
    if add is not None and add.event.author == author and add.event.tool != RULE and not taken_back:
        yield add.append_ns, add.order, add.event
    for told, event in zip(mine, events, strict=True):
        is_undo = event.undo if isinstance(event, MarkRetract) else isinstance(event, MarkEdit) and event.undoes_ns
        if event.client_ns and not is_undo and event.client_ns not in undone:
            yield told.append_ns, told.order, event


# A file that replaces.


@dataclass(frozen=True, slots=True)
class Scope:
    """The range of one author's marks on a device that a file speaks for: every mark that overlaps it."""

    device: str
    author: str
    start_ns: int
    end_ns: int

    def holds(self, mark: ResolvedMark) -> bool:
        """Whether a mark is one of the author's, and in the range. A file of marks says nothing of trims."""
        if not mark.by_person or mark.trim or (mark.device, mark.author) != (self.device, self.author):
            return False
        return mark.start_ns < self.end_ns and max(mark.end_ns, mark.start_ns + 1) > self.start_ns


@dataclass(slots=True)
class Replacement:
    """What makes a file's marks the ones that stand."""

    events: list[Mark] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    """`added`, `edited`, `retracted`, `unchanged` marks; `others`: rows that somebody else has edited or retracted
    since, left as they made them."""
    before: dict[Key, ResolvedMark] = field(default_factory=dict)
    """The marks that are edited or retracted, as they were."""


def scopes_of(rows: Sequence[MarkAdd]) -> list[Scope]:
    """What a file speaks for by itself: of each author and device the range from its first start to its last end."""
    found: dict[Key, tuple[int, int]] = {}
    for row in rows:
        start_ns, end_ns = found.get((row.device, row.author), (row.start_ns, row.start_ns))
        reach = max(end_ns, row.end_ns, row.start_ns + 1)
        found[row.device, row.author] = min(start_ns, row.start_ns), reach
    return [Scope(device, author, *span) for (device, author), span in found.items()]


def replace(book: Book, rows: Sequence[MarkAdd], scopes: Sequence[Scope], now_ns: int, reason: str = "") -> Replacement:
    """What makes `rows` the marks that stand of their authors in `scopes`.

    A mark that is in the file stays; one that differs from a row in one respect is edited (its label, its end, its
    start), the others are retracted, and the rows that are left are added, under fresh ids where theirs were used.
    """
    standing = book.standing()
    found = Replacement()
    held: dict[Key, list[ResolvedMark]] = {}
    for mark in standing.values():
        for scope in scopes:
            if scope.holds(mark):
                held.setdefault((mark.device, mark.author), []).append(mark)
                break
    wanted: dict[Key, list[MarkAdd]] = {key: [] for key in held}
    for row in rows:
        wanted.setdefault((row.device, row.author), []).append(row)
    taken = set(book.histories)
    for key, group in wanted.items():
        _replace(found, held.get(key, []), group, book, taken, now_ns, reason)
    return found


_PAIRS: Final[tuple[Callable[[MarkAdd | ResolvedMark], object], ...]] = (
    lambda it: (it.start_ns, it.end_ns, it.label, it.confidence),
    lambda it: (it.start_ns, it.end_ns, it.label),
    lambda it: (it.start_ns, it.end_ns),
    lambda it: (it.start_ns, it.label),
    lambda it: (it.end_ns, it.label),
)
"""What a mark and a row must have in common to be one, the surest first."""


def _replace(
    found: Replacement,
    held: list[ResolvedMark],
    rows: list[MarkAdd],
    book: Book,
    taken: set[Key],
    now_ns: int,
    reason: str,
) -> None:
    """Replace the marks of one author on one device."""
    for alike in _PAIRS:
        held, rows, pairs = _paired(held, rows, alike)
        for mark, row in pairs:
            _edit(found, mark, row, now_ns, reason)
    for row in rows:
        if _is_anothers(book, row):
            found.counts["others"] += 1
            continue
        key = next(key for n in count(1) if (key := (row.device, row.id if n == 1 else f"{row.id}-{n}")) not in taken)
        taken.add(key)
        add = MarkAdd(row.device, key[1], row.start_ns, row.end_ns, row.label, row.author, row.tool, row.confidence)
        found.events.append(add)
        found.counts["added"] += 1
    for mark in held:
        who = Who(mark.author, "import", reason)
        found.before[mark.device, mark.id] = mark
        found.events += retracts_of([mark], who, now_ns + len(found.events))
        found.counts["retracted"] += 1


def _paired(
    held: list[ResolvedMark], rows: list[MarkAdd], alike: Callable[[MarkAdd | ResolvedMark], object]
) -> tuple[list[ResolvedMark], list[MarkAdd], list[tuple[ResolvedMark, MarkAdd]]]:
    """The marks and the rows that no pair was found for, and the pairs that are alike."""
    waiting: dict[object, list[ResolvedMark]] = {}
    for mark in held:
        waiting.setdefault(alike(mark), []).append(mark)
    pairs, alone = [], []
    for row in rows:
        marks = waiting.get(alike(row))
        if marks:
            pairs.append((marks.pop(0), row))
        else:
            alone.append(row)
    used = {mark.id for mark, _ in pairs}
    return [mark for mark in held if mark.id not in used], alone, pairs


def _edit(found: Replacement, mark: ResolvedMark, row: MarkAdd, now_ns: int, reason: str) -> None:
    to = Fields(
        None if row.start_ns == mark.start_ns else row.start_ns,
        None if row.end_ns == mark.end_ns else row.end_ns,
        None if row.label == mark.label else row.label,
        None if row.confidence == mark.confidence else row.confidence,
    )
    if to == Fields():
        found.counts["unchanged"] += 1
        return
    found.before[mark.device, mark.id] = mark
    found.events.append(edit_of(mark, Who(mark.author, "import", reason), now_ns + len(found.events), to))
    found.counts["edited"] += 1


def _is_anothers(book: Book, row: MarkAdd) -> bool:
    """Whether somebody else than its author has edited or retracted the mark of a row since, and still says so."""
    history = book.histories.get((row.device, row.id))
    if history is None or history.add is None:
        return False
    mark = standing_of(history, Counter())
    if mark is not None:
        return mark.author != row.author
    return not any(isinstance(told.event, MarkRetract) and told.event.author == row.author for told in history.changes)
