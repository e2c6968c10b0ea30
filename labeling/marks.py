"""Mark events folded into the marks that stand.

Marks are append-only events; a device's all lie in one partition of the log, so (partition, offset) orders them. What
stands of a mark depends on three things only: its first add, its edits in log order, and whether it was ever retracted.

- The first add of a (device, id) counts; the same add again changes nothing, whatever it says.
- An edit counts even when it lies before its add: an operator can correct a rule's mark while the device that made
  it still drains a backlog. A field that is None stays as it is.
- A retract is for ever, also when it lies before the add: an add delivered twice must not bring a mark back.
  Undoing a retract is a new mark with a new id.
- A mark belongs to whoever edited it last, except that a rule's edit does not touch what a person added or edited.
- A mark that ends before it starts, or without a label, is invalid: it is counted, and labels nothing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final

import msgspec

from ingest.records import Mark, MarkAdd, MarkEdit, MarkRetract

RULE: Final = "rule"
"""The tool of marks that no person has touched."""


class ResolvedMark(msgspec.Struct, frozen=True):
    """A mark as it stands: `label` over `[start_ns, end_ns)` of `device`; equal ends are an instant."""

    id: str
    device: str
    start_ns: int
    end_ns: int
    label: str
    author: str
    tool: str
    confidence: float

    @property
    def by_person(self) -> bool:
        """Whether a person stands behind it: its label goes before a rule's."""
        return self.tool != RULE


@dataclass(frozen=True, slots=True)
class Fold:
    """What stands after some events: the marks by device, start, end and id, and what was set aside, by reason."""

    marks: tuple[ResolvedMark, ...]
    counts: Counter[str] = field(default_factory=Counter)
    """`duplicate` (further adds of an id), `retracted`, `orphan` (edits and retracts whose add never came),
    `overruled` (a rule's edits of a person's mark), `invalid`."""


@dataclass(slots=True)
class _History:
    """What was said of one mark, in log order."""

    add: MarkAdd | None = None
    edits: list[MarkEdit] = field(default_factory=list)
    retracts: int = 0


def fold(events: Iterable[Mark]) -> Fold:
    """The marks that stand after `events`, which are in log order per device."""
    counts: Counter[str] = Counter()
    histories: dict[tuple[str, str], _History] = {}
    for event in events:
        history = histories.setdefault((event.device, event.id), _History())
        match event:
            case MarkAdd() if history.add is None:
                history.add = event
            case MarkAdd():
                counts["duplicate"] += 1
            case MarkEdit():
                history.edits.append(event)
            case MarkRetract():
                history.retracts += 1
    standing = [mark for history in histories.values() if (mark := _standing(history, counts)) is not None]
    return Fold(tuple(sorted(standing, key=mark_order)), counts)


def mark_order(mark: ResolvedMark) -> tuple[str, int, int, str]:
    """Sorts marks by device, start, end and id."""
    return mark.device, mark.start_ns, mark.end_ns, mark.id


def _standing(history: _History, counts: Counter[str]) -> ResolvedMark | None:
    add = history.add
    if add is None:
        counts["orphan"] += len(history.edits) + history.retracts
        return None
    if history.retracts:
        counts["retracted"] += 1
        return None
    mark = _edited(add, history.edits, counts)
    if mark.end_ns < mark.start_ns or not mark.label:
        counts["invalid"] += 1
        return None
    return mark


def _edited(add: MarkAdd, edits: Sequence[MarkEdit], counts: Counter[str]) -> ResolvedMark:
    start_ns, end_ns, label, confidence = add.start_ns, add.end_ns, add.label, add.confidence
    author, tool = add.author, add.tool
    for edit in edits:
        if edit.tool == RULE and tool != RULE:
            counts["overruled"] += 1
            continue
        start_ns = start_ns if edit.start_ns is None else edit.start_ns
        end_ns = end_ns if edit.end_ns is None else edit.end_ns
        label = label if edit.label is None else edit.label
        confidence = confidence if edit.confidence is None else edit.confidence
        author, tool = edit.author, edit.tool
    return ResolvedMark(add.id, add.device, start_ns, end_ns, label, author, tool, confidence)
