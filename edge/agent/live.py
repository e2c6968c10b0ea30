"""Live values of sources, a line a stream with a sparkline: made of one view after the other. Pure."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from edge.agent.overview import SourceView, troubles, value_words
from ingest.showing import printable

BLOCKS: Final = "▁▂▃▄▅▆▇█"
SPARKS: Final = 16
"""So many of the newest looks are drawn."""
_RATE_S: Final = 5.0
"""Rates are counted over so long."""
_GAP: Final = " "
"""What stands for a missing value."""


class LiveLines:
    """Remembers what it was shown, and draws it."""

    def __init__(self) -> None:
        self._values: dict[tuple[str, str], deque[float | None]] = {}
        """By source and channel, the newest at each look."""
        self._counts: dict[str, deque[tuple[float, int]]] = {}
        """By source, how many samples there were, and when (in seconds)."""

    def look(self, sources: Iterable[SourceView], at_s: float) -> None:
        """What is so now; `at_s` is of any clock that rises."""
        for source in sources:
            counts = self._counts.setdefault(source.name, deque())
            counts.append((at_s, source.samples))
            while len(counts) > 2 and at_s - counts[1][0] >= _RATE_S:
                counts.popleft()
            for value in source.values:
                kept = self._values.setdefault((source.name, value.channel), deque(maxlen=SPARKS))
                kept.append(value.value)

    def lines(self, sources: Sequence[SourceView], width: int) -> list[str]:
        """A line a stream, and one for each thing that is wrong, each of at most `width` characters."""
        longest = max((len(source.stream) for source in sources), default=0)
        found = [line for source in sources for line in self._of(source, longest)]
        return [line if len(line) <= width else f"{line[: width - 1]}…" for line in map(printable, found)]

    def _of(self, source: SourceView, longest: int) -> Iterator[str]:
        channels = "  ".join(
            f"{value_words(value)} {sparkline(self._values.get((source.name, value.channel), ()))}"
            for value in source.values
        )
        lost = sum(source.lost.values())
        told = f"  lost {lost:,}" if lost else ""
        yield f"{source.stream:<{longest}} {self._rate(source.name):>9}{told}  {channels or 'nothing yet'}"
        yield from (f"  {text}" for text in troubles(source))

    def _rate(self, name: str) -> str:
        (first_s, first), (last_s, last) = self._counts[name][0], self._counts[name][-1]
        if last_s <= first_s:
            return "-"
        hertz = max(0, last - first) / (last_s - first_s)
        return f"{hertz:,.0f}/s" if hertz >= 100 or hertz == 0 else f"{hertz:.3g}/s"


def sparkline(values: Iterable[float | None]) -> str:
    """A block a value, between the least and the greatest of them; a blank where one is missing."""
    some = list(values)
    known = [value for value in some if value is not None]
    if not known:
        return _GAP * len(some)
    low, span = min(known), max(known) - min(known)
    return "".join(_GAP if value is None else _block((value - low) / span if span else 0.5) for value in some)


def _block(part: float) -> str:
    return BLOCKS[min(len(BLOCKS) - 1, int(part * len(BLOCKS)))]
