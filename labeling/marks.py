"""Mark events folded into the marks that stand.

Marks are append-only events; a device's all lie in one partition of the log, so (partition, offset) orders them. What
stands of a mark depends on these things only: its first add, its edits in log order, and whether it was retracted.

- The first add of a (device, id) counts; the same add again changes nothing, whatever it says. An edit or retract that
  comes again, with its `client_ns`, counts in its first place: a late repetition overrules nobody.
- An edit counts even when it lies before its add: an operator can correct a rule's mark while the device that made
  it still drains a backlog. A field that is None stays as it is.
- A retract is for ever, also when it lies before the add: an add delivered twice must not bring a mark back. Only its
  own author takes it back, by an undo.
- An undo names the edit or retract that its author takes back by `client_ns`; what it names is as if it had never been,
  wherever it lies, and however often it is undone. An add is undone by a retract.
- A mark belongs to whoever edited it last, except that a rule's edit does not touch what a person added or edited.
  A rule's mark that a person has edited is that person's: it stands whatever becomes of the rule. A retract is of the
  one mark: a corrected rule makes new marks, with new ids. To overrule a rule for good, mark the range.
- An accept is an edit by which a rule's mark becomes its author's, as by any edit; a person's mark stays theirs. It is
  reviewed until somebody else changes it.
- A trim is a mark by which windows go, rather than get a label; it stays one, and without a label, whatever is edited.
- A mark that ends before it starts, or without a label, is invalid: it is counted, and labels nothing.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import repeat
from typing import Final

import msgspec

from ingest.names import normal
from ingest.records import Mark, MarkAdd, MarkEdit, MarkRetract

TRIM: Final = "trim"
"""What a trim is called where others have a label; a label may be called the same."""
RULE: Final = "rule"
"""The tool of marks that no person has touched."""
_HEX: Final = 32


class ResolvedMark(msgspec.Struct, frozen=True, gc=False):
    """A mark as it stands: `label` over `[start_ns, end_ns)` of `device`; equal ends are an instant."""

    id: str
    device: str
    start_ns: int
    end_ns: int
    label: str
    author: str
    tool: str
    confidence: float
    revision: str = ""
    """Of the rule that made it, where a rule stands behind it; "" also where its add does not say."""
    marked_ns: int = 0
    """When the log took the event that made it what it is."""
    order: int = 0
    """That event's place among all events: of two marks of one device, the larger one was said later."""
    trim: bool = False
    """It labels nothing: windows that touch it leave a dataset at opening."""
    reason: str = ""
    """Why it is a trim; of another mark, its note. An edit's own reason takes its place, where it has one;
    one of blanks alone leaves none."""
    reviewed_by: str = ""
    """Who accepted it as it is; "": nobody."""

    @property
    def shown(self) -> str:
        """What people call it: its label, or `TRIM`."""
        return TRIM if self.trim else self.label

    @property
    def by_person(self) -> bool:
        """Whether a person stands behind it: its label goes before a rule's."""
        return self.tool != RULE


@dataclass(frozen=True, slots=True)
class Fold:
    """What stands after some events: the marks by device, start, end and id, and what was set aside, by reason."""

    marks: tuple[ResolvedMark, ...]
    trims: tuple[ResolvedMark, ...] = ()
    """The trims that stand, in the same order; they are not among the marks."""
    counts: Counter[str] = field(default_factory=Counter)
    """`duplicate` (further adds of an id, repeated changes), `retracted`, `orphan` (changes whose add never came),
    `overruled` (a rule's edits of a person's mark), `undone` (edits and retracts taken back), `invalid`."""


class _Told(msgspec.Struct, frozen=True, gc=False):
    """An event where it lay."""

    event: MarkAdd | MarkEdit | MarkRetract
    append_ns: int
    order: int


@dataclass(slots=True)
class History:
    """What was said of one mark, in log order."""

    add: _Told | None = None
    changes: list[_Told] = field(default_factory=list)
    """Edits and retracts, those that were taken back too."""


def histories(
    events: Iterable[Mark], append_ns: Iterable[int] = repeat(0)
) -> tuple[dict[tuple[str, str], History], int]:
    """What was said of each mark, by (device, id), and how many events said nothing new; see `fold`."""
    found: dict[tuple[str, str], History] = {}
    duplicates = 0
    for order, (event, at_ns) in enumerate(zip(events, append_ns, strict=False)):
        duplicates += not tell(found, event, at_ns, order)
    return found, duplicates


def tell(found: dict[tuple[str, str], History], event: Mark, append_ns: int, order: int) -> bool:
    """Take the next event of the log into the histories; False where it says nothing new.

    An edit or retract that comes again was said once, at its first place, whichever server passed it on, and when.
    """
    history = found.setdefault((event.device, event.id), History())
    if isinstance(event, MarkAdd):
        if history.add is not None:
            return False
        history.add = _Told(event, append_ns, order)
        return True
    if event.client_ns and any(_is_again(told.event, event) for told in history.changes):
        return False
    history.changes.append(_Told(event, append_ns, order))
    return True


def _is_again(event: Mark, later: Mark) -> bool:
    if event.client_ns != later.client_ns or type(event) is not type(later):
        return False
    return _said(event) == _said(later)


def _said(event: Mark) -> Mark:
    """Without what a later sending may say otherwise: who passed it on when, and what the clocks were by then."""
    return msgspec.structs.replace(event, server_ns=0, evidence={})


def fold(events: Iterable[Mark], append_ns: Iterable[int] = repeat(0)) -> Fold:
    """The marks that stand after `events`, which are in log order per device; `append_ns` is when the log took each."""
    counts: Counter[str] = Counter()
    found, duplicates = histories(events, append_ns)
    if duplicates:
        counts["duplicate"] = duplicates
    standing = [mark for history in found.values() if (mark := standing_of(history, counts)) is not None]
    standing.sort(key=mark_order)
    marks, trims = (tuple(mark for mark in standing if mark.trim is trim) for trim in (False, True))
    return Fold(marks, trims, counts)


def mark_order(mark: ResolvedMark) -> tuple[str, int, int, str]:
    """Sorts marks by device, start, end and id."""
    return mark.device, mark.start_ns, mark.end_ns, mark.id


def rule_mark_id(revision: str, device: str, start_ns: int) -> str:
    """The id of the mark of a rule that starts then: the same wherever and whenever the rule runs."""
    return hashlib.sha256(f"{revision}\n{start_ns}\n{device}".encode()).hexdigest()[:_HEX]


def standing_of(history: History, counts: Counter[str]) -> ResolvedMark | None:
    """The mark as it stands, None where it does not; `counts` is told of what was set aside."""
    if history.add is None:
        counts["orphan"] += len(history.changes)
        return None
    changes = _kept(history.changes, counts) if history.changes else ()
    if any(isinstance(told.event, MarkRetract) for told in changes):
        counts["retracted"] += 1
        return None
    mark = _edited(history.add, changes, counts)
    if mark.end_ns < mark.start_ns or not (mark.label or mark.trim):
        counts["invalid"] += 1
        return None
    return mark


def _kept(changes: Sequence[_Told], counts: Counter[str]) -> list[_Told]:
    """The edits and retracts that were not taken back, without the undos."""
    events = [told.event for told in changes]
    undone = {(event.author, event.undoes_ns) for event in events if isinstance(event, MarkEdit) and event.undoes_ns}
    undos = [isinstance(event, MarkEdit) and event.undoes_ns != 0 for event in events]
    kept = [
        told
        for told, undo in zip(changes, undos, strict=True)
        if not undo and (told.event.author, told.event.client_ns) not in undone
    ]
    if len(kept) + sum(undos) < len(changes):
        counts["undone"] += len(changes) - len(kept) - sum(undos)
    return kept


def _edited(told: _Told, changes: Sequence[_Told], counts: Counter[str]) -> ResolvedMark:
    add = told.event
    assert isinstance(add, MarkAdd)
    start_ns, end_ns, label, confidence = add.start_ns, add.end_ns, add.label, add.confidence
    author, tool, reason, reviewed_by = add.author, add.tool, add.reason, ""
    for change in changes:
        edit = change.event
        assert isinstance(edit, MarkEdit)
        if edit.tool == RULE and tool != RULE:
            counts["overruled"] += 1
            continue
        start_ns = start_ns if edit.start_ns is None else edit.start_ns
        end_ns = end_ns if edit.end_ns is None else edit.end_ns
        label = label if edit.label is None else edit.label
        reason = edit.reason.strip() if edit.reason else reason
        confidence = confidence if edit.confidence is None else edit.confidence
        told = change
        if edit.accept or edit.author != reviewed_by:
            reviewed_by = edit.author if edit.accept else ""
        if not edit.accept or tool == RULE:
            author, tool = edit.author, edit.tool
    revision = add.revision if tool == RULE else ""
    return ResolvedMark(
        add.id,
        add.device,
        start_ns,
        end_ns,
        "" if add.trim else normal(label),
        author,
        tool,
        confidence,
        revision,
        told.append_ns,
        told.order,
        add.trim,
        reason,
        reviewed_by,
    )
