"""Whether a person may do what a page asks for, and the event for the log that says so. Pure: the time comes in.

What is impossible is refused with words: who is told nothing thinks that it was done.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Final, Literal, NamedTuple

import msgspec

from ingest.names import normal
from ingest.records import CLOCK_OFFSET, CLOCK_ROUND_TRIP, MAX_TIME_NS, REACTION, MarkAdd, MarkEdit, MarkRetract
from ingest.records import Mark as MarkEvent
from ingest.settings import suggest
from ingest.units import format_time
from labeling.marks import RULE, History
from timeline.marks.markbook import MarkBook
from timeline.marks.reactions import is_live
from timeline.protocol import Act, Mark, Rejected, Role

TOOL: Final = "operator"
AHEAD_NS: Final = 60 * 10**9
"""So far ahead of both the clock and the device's newest sample a mark may begin: clocks differ."""
LABEL_MAX: Final = 200
MAY: Final[Mapping[Role, tuple[str, ...]]] = {
    "viewer": (),
    "annotator": ("mark",),
    "reviewer": ("mark", "review"),
    "admin": ("mark", "review", "people"),
}
_Code = Literal["role", "device", "label", "range", "mark"]


class Who(NamedTuple):
    """Who asks."""

    user: str
    role: Role


@dataclass(frozen=True, slots=True)
class Site:
    """What marks must fit."""

    spans: Mapping[str, tuple[int, int]]
    """The first and last sample of each device."""
    labels: Collection[str]
    """Those that there may be; empty: any."""


class RefusedError(Exception):
    """An act that is impossible, or not this person's to do."""

    def __init__(self, code: _Code, words: str) -> None:
        super().__init__(words)
        self.code: _Code = code
        self.words = words

    def answer(self, act: Act) -> Rejected:
        """What the page is told."""
        return Rejected(act.act, self.code, self.words)


def event_of(act: Act, who: Who, book: MarkBook, site: Site, now_ns: int) -> MarkEvent | None:
    """The event for the log; None where it is there already.

    Raises:
        RefusedError: nothing is to be written.
    """
    if "mark" not in MAY[who.role]:
        raise RefusedError("role", f"{who.user} is a {who.role} here and may not mark; an admin can change that")
    if not -MAX_TIME_NS <= int(act.client_ns) <= MAX_TIME_NS or not int(act.client_ns):
        raise RefusedError("range", f"client_ns: found {act.client_ns}, expected the time of the browser's clock")
    if book.has(act.device, act.mark, who.user, int(act.client_ns)):
        return None
    if act.kind == "add":
        return _add(act, who, book, site, now_ns)
    history = book.histories.get((act.device, act.mark))
    mark = book.mark(act.device, act.mark)
    if history is None or mark is None:
        raise RefusedError("mark", f'{act.device} has no mark "{act.mark}"; it may have been made in another log')
    if act.kind == "undo":
        return _undo(act, who, history, now_ns)
    _check_whose(mark, who)
    if not mark.stands:
        raise RefusedError("mark", f'the mark "{mark.label}" was retracted already')
    if act.kind == "edit":
        return _edit(act, who, mark, site, now_ns)
    if act.kind == "accept":
        return _accept(act, who, mark, now_ns)
    return MarkRetract(
        act.device, act.mark, who.user, TOOL, int(act.client_ns), now_ns, act.reason, evidence=_clock(act)
    )


def _add(act: Act, who: Who, book: MarkBook, site: Site, now_ns: int) -> MarkAdd:
    if act.device not in site.spans:
        known = suggest(act.device, site.spans) if site.spans else "; no device has"
        raise RefusedError("device", f'"{act.device}" has sent no samples to this log{known}')
    if (act.device, act.mark) in book.histories:
        raise RefusedError("mark", f'there is a mark "{act.mark}" already, of another person or time')
    if act.start_ns is None or act.end_ns is None:
        raise RefusedError("range", "a mark needs a start and an end")
    start_ns, end_ns = int(act.start_ns), int(act.end_ns)
    _check_range(act.device, start_ns, end_ns, site, now_ns)
    label = _label_of_add(act, site)
    confidence = 1.0 if act.confidence is None else act.confidence
    add = MarkAdd(act.device, act.mark, start_ns, end_ns, label, who.user, TOOL, confidence, int(act.client_ns), now_ns)
    add = msgspec.structs.replace(add, trim=act.trim, reason=act.reason, evidence=_clock(act))
    late_s = book.reactions.of(who.user)
    if late_s is None or not is_live(add):
        return add
    return msgspec.structs.replace(add, evidence={**add.evidence, REACTION: round(late_s, 3)})


def _clock(act: Act) -> dict[str, float]:
    return {CLOCK_OFFSET: int(act.offset_ns) / 1e9, CLOCK_ROUND_TRIP: int(act.round_trip_ns) / 1e9}


def _label_of_add(act: Act, site: Site) -> str:
    if not act.trim:
        return _checked_label(act.label or "", site)
    if act.label:
        raise RefusedError("label", f'a trim has no label, found "{act.label}"; its reason says why it is one')
    return ""


def _edit(act: Act, who: Who, mark: Mark, site: Site, now_ns: int) -> MarkEdit:
    start_ns = None if act.start_ns is None else int(act.start_ns)
    end_ns = None if act.end_ns is None else int(act.end_ns)
    if start_ns is not None or end_ns is not None:
        start, end = (
            int(mark.start_ns) if start_ns is None else start_ns,
            int(mark.end_ns) if end_ns is None else end_ns,
        )
        _check_range(mark.device, start, end, site, now_ns)
    if mark.trim and act.label is not None:
        raise RefusedError("label", "a trim has no label; take it back, and mark the range")
    label = None if act.label is None else _checked_label(act.label, site)
    changed = start_ns, end_ns, label, act.confidence
    if changed == (None, None, None, None) and not act.reason:
        raise RefusedError("range", "the edit changes nothing: give a start, an end, a label, a confidence or a note")
    edit = MarkEdit(act.device, act.mark, who.user, TOOL, *changed, int(act.client_ns), now_ns, act.reason)
    return msgspec.structs.replace(edit, evidence=_clock(act))


def _accept(act: Act, who: Who, mark: Mark, now_ns: int) -> MarkEdit:
    if mark.reviewed_by == who.user:
        raise RefusedError("mark", f'{who.user} has accepted the mark "{mark.label}" already')
    if mark.author == who.user and mark.tool != RULE:
        raise RefusedError("mark", "one's own mark needs somebody else to accept it")
    label = mark.label or None  # said again: a label that a person says has its number in every dataset from then on
    about = None, None, label, None, int(act.client_ns), now_ns, act.reason
    return MarkEdit(act.device, act.mark, who.user, TOOL, *about, accept=True, evidence=_clock(act))


def _undo(act: Act, who: Who, history: History, now_ns: int) -> MarkEdit | MarkRetract:
    client_ns = int(act.client_ns)
    if act.undoes_ns is None:
        if history.add is None or history.add.event.author != who.user:
            raise RefusedError("mark", "one's own marks can be taken back only; this one is another's")
        about = client_ns, now_ns, act.reason
        return MarkRetract(act.device, act.mark, who.user, TOOL, *about, undo=True, evidence=_clock(act))
    undone = int(act.undoes_ns)
    mine = (told.event for told in history.changes if told.event.author == who.user)
    if not undone or all(event.client_ns != undone for event in mine):
        raise RefusedError("mark", "there is no such change of one's own to take back")
    edit = (None, None, None, None)
    taking = MarkEdit(act.device, act.mark, who.user, TOOL, *edit, client_ns, now_ns, act.reason, undone)
    return msgspec.structs.replace(taking, evidence=_clock(act))


def _check_whose(mark: Mark, who: Who) -> None:
    if mark.author != who.user and mark.tool != RULE and "review" not in MAY[who.role]:
        raise RefusedError(
            "role", f"the mark is {mark.author or 'somebody'}'s: copy it, or ask a reviewer to change it"
        )


def _check_range(device: str, start_ns: int, end_ns: int, site: Site, now_ns: int) -> None:
    if max(abs(start_ns), abs(end_ns)) > MAX_TIME_NS:
        raise RefusedError("range", "times go from 1824 to 2116")
    if end_ns < start_ns:
        raise RefusedError("range", f"the end {format_time(end_ns)} would lie before the start {format_time(start_ns)}")
    if device not in site.spans:
        return
    first_ns, last_ns = site.spans[device]
    if max(end_ns, start_ns + 1) <= first_ns:
        raise RefusedError("range", f"{device} has samples from {format_time(first_ns)} on; the mark ends before")
    if start_ns > max(last_ns, now_ns) + AHEAD_NS:
        raise RefusedError("range", f"{format_time(start_ns)} lies ahead of the clock; see the browser's")


def _checked_label(label: str, site: Site) -> str:
    if not label.strip() or not label.isprintable():
        raise RefusedError("label", "the label is empty, or holds a character that nobody sees")
    if len(label) > LABEL_MAX:
        raise RefusedError("label", f"the label has {len(label)} characters, at most {LABEL_MAX} are taken")
    name = normal(label)
    if site.labels and name not in site.labels:
        raise RefusedError("label", f'"{label}" is none of the classes{suggest(label, site.labels)}')
    return name
