"""How late each person marks what happens before their eyes, as their own corrections tell. Pure.

Who presses a key when something happens presses it some tenths of a second later. When the same person moves an edge of
such a mark afterwards, the way it moves is that delay. It is said beside later marks, never taken off their times: who
trains on them decides (`ingest.records.REACTION`).
"""

from __future__ import annotations

from collections import deque
from statistics import median
from typing import Final, NamedTuple

from ingest.records import CLOCK_OFFSET, Mark, MarkAdd, MarkEdit
from labeling.marks import RULE, History

LIVE_NS: Final = 2_000_000_000
"""A mark that ends within so long of its author's clock was set at the live edge."""
DELAY_MAX_NS: Final = 5_000_000_000
"""An edge that is moved further was another thing."""
LEAST: Final = 5
"""So many corrections, and nothing is said before."""
NEWEST: Final = 50
"""So many corrections are looked at: people get used to what they do."""


class _Correction(NamedTuple):
    mark: tuple[str, str]
    client_ns: int
    """Of the edit: another one of the same mark takes its place, an undo takes it back."""
    delay_ns: int


class Reactions:
    """What is learned, by person."""

    def __init__(self) -> None:
        self._corrections: dict[str, deque[_Correction]] = {}

    def feed(self, event: Mark, history: History) -> None:
        """Take an event that is part of `history` by now."""
        if not isinstance(event, MarkEdit) or history.add is None:
            return
        add = history.add.event
        assert isinstance(add, MarkAdd)
        if event.author != add.author or add.tool == RULE or not is_live(add):
            return
        key = add.device, add.id
        own = self._corrections.setdefault(event.author, deque())
        if event.undoes_ns:
            kept = [one for one in own if (one.mark, one.client_ns) != (key, event.undoes_ns)]
        else:
            moved = ((add.start_ns, event.start_ns), (add.end_ns, event.end_ns))
            delays = {was - now for was, now in moved if now is not None and now != was}  # an instant moves both
            found = [_Correction(key, event.client_ns, delay) for delay in delays if abs(delay) <= DELAY_MAX_NS]
            kept = [*(one for one in own if not found or one.mark != key), *found]
        self._corrections[event.author] = deque(kept, NEWEST)

    def of(self, author: str) -> float | None:
        """Seconds by which a person's marks are late at the live edge; None where too little is known."""
        own = self._corrections.get(author, ())
        return median(one.delay_ns for one in own) / 1e9 if len(own) >= LEAST else None


def is_live(add: MarkAdd) -> bool:
    """Whether a mark was set while it happened, by its author's clock as it was measured."""
    set_ns = add.client_ns + round(add.evidence.get(CLOCK_OFFSET, 0.0) * 1e9)
    return abs(set_ns - add.end_ns) <= LIVE_NS
