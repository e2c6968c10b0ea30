"""What an import of marks tells a person: what fits nothing, what is not as the file says, what it changes. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

import numpy as np

from ingest.reaches import Reaches
from ingest.records import MarkAdd, MarkRetract
from ingest.showing import counted
from ingest.units import format_time
from labeling.changing import Book, Replacement, Scope
from labeling.marks import RULE, ResolvedMark, standing_of
from labeling.strays import near_labels, strays
from labeling.words import in_words


def astray(marks: Sequence[MarkAdd], reaches: Reaches) -> list[str]:
    """Notes on marks whose device has no samples in the log, or none from when to when they hold."""
    if not marks:
        return []
    if not reaches.spans:
        return ["the log has no readings yet: whether devices and times fit them could not be looked at"]
    spans = {
        device: (np.array([start], np.int64), np.array([end], np.int64))
        for device, (start, end) in reaches.spans.items()
    }
    seen = "" if reaches.complete else " (only the newest records of the log were looked at)"
    return [f"{stray.text}{seen}" for stray in strays(marks, spans, "samples")]


def near(marks: Iterable[MarkAdd], book: Book) -> list[str]:
    """Notes on labels that nobody has used before, but one that is much like them."""
    known = {mark.label for mark in book.standing().values() if mark.tool != RULE and not mark.trim}
    labels = Counter(mark.label for mark in marks)
    return [
        f'the label "{label}" ({counted(labels[label], "mark")}) is new in this log, which has "{other}": is it that?'
        for label, other in near_labels(labels, known)
    ]


def not_as_said(marks: Iterable[MarkAdd], book: Book) -> list[str]:
    """A note on rows that the log has had before, and that were edited or retracted since: they stay so."""
    stale = 0
    for mark in marks:
        history = book.histories.get((mark.device, mark.id))
        if history is not None and history.add is not None:
            stands = standing_of(history, Counter())
            said = mark.start_ns, mark.end_ns, mark.label
            stale += stands is None or (stands.start_ns, stands.end_ns, stands.label) != said
    if not stale:
        return []
    return [
        f"{stale:,} of the marks were imported before, and edited or retracted since: they stay so, unless --replace"
    ]


def beside(book: Book, scopes: Sequence[Scope]) -> list[str]:
    """Notes on marks of the same people on the same devices that lie outside of what was replaced."""
    whole = {(scope.device, scope.author) for scope in scopes}
    outside: dict[tuple[str, str], list[ResolvedMark]] = {}
    for mark in book.standing().values():
        key = mark.device, mark.author
        if mark.by_person and not mark.trim and key in whole and not any(scope.holds(mark) for scope in scopes):
            outside.setdefault(key, []).append(mark)
    return [
        f'outside of what was replaced, "{device}" keeps {counted(len(marks), "mark")}'
        f"{f' of {author}' if author else ''}, the first at {format_time(marks[0].start_ns)}; --from and --to say "
        "more of the range"
        for (device, author), marks in sorted(outside.items())
    ]


def changes_in_words(plan: Replacement) -> list[str]:
    """A line for each mark that is added, edited or retracted."""
    lines = []
    for event in plan.events:
        if isinstance(event, MarkAdd):
            lines.append(f"add {in_words(event)}")
            continue
        word = "retract" if isinstance(event, MarkRetract) else "edit"
        lines.append(f"{word} {in_words(plan.before[event.device, event.id])}")
    return lines
