"""How good rules are: their marks against the truth, event by event. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple


class Span(NamedTuple):
    """Something on a device over `[start_ns, end_ns)`: a true event, or a mark."""

    device: str
    label: str
    start_ns: int
    end_ns: int


@dataclass(frozen=True, slots=True)
class Score:
    """How a label's marks and true events fit."""

    label: str
    events: int
    marks: int
    right: int
    """Marks that match an event, and so also events that a mark matches: never two of one for one of the other."""

    @property
    def precision(self) -> float | None:
        """The share of the marks that are right; None where there are none."""
        return self.right / self.marks if self.marks else None

    @property
    def recall(self) -> float | None:
        """The share of the events that were found; None where there were none."""
        return self.right / self.events if self.events else None


def is_match(event: Span, mark: Span) -> bool:
    """Whether both are of one device and label, and share more than half of the time that either covers.

    Of disjoint events no mark matches two, and of disjoint marks no event does.
    """
    if (event.device, event.label) != (mark.device, mark.label):
        return False
    shared = min(event.end_ns, mark.end_ns) - max(event.start_ns, mark.start_ns)
    covered = max(event.end_ns, mark.end_ns) - min(event.start_ns, mark.start_ns)
    return 2 * shared > covered


def score(labels: Iterable[str], events: Sequence[Span], marks: Sequence[Span]) -> tuple[Score, ...]:
    """The score of each label, in their order; events of a label are disjoint, and so are its marks."""
    found = []
    for label in dict.fromkeys(labels):
        true = [event for event in events if event.label == label]
        made = [mark for mark in marks if mark.label == label]
        right = sum(any(is_match(event, mark) for event in true) for mark in made)
        found.append(Score(label, len(true), len(made), right))
    return tuple(found)
