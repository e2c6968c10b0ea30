"""Taking a range of a device's samples out: what a stream holds there, in parts that fit into memory.

A part is an answer of history (`ingest.archive.reading.Answer`) that is made of samples. What is too much for one is
divided by the tiles' counts: the parts follow one another in time, so each sample is in exactly one of them.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable
from itertools import pairwise
from typing import Final, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ingest.archive.reading import Answer, Question
from ingest.archive.tiles import BITS

Ask: TypeAlias = Callable[[Question], Awaitable[Answer | None]]
"""`timeline.history.past.Past.ask`."""
SAMPLES_MAX: Final = 10_000_000
"""So many samples are given at once; a program that wants more opens the archive."""
PART: Final = 131_072
"""About so many samples of a stream are in memory."""
_POINTS: Final = 2_048
_UNKNOWN: Final = 1 << 62
_EXACT: Final = 1 << 62
"""Points for a question whose answer is made of samples, however many there are."""


class Span(NamedTuple):
    """A part of a range."""

    start_ns: int
    end_ns: int
    samples: int = _UNKNOWN
    """About so many."""


def counted(answer: Answer | None) -> int:
    """How many samples an answer stands for: about, where it is made of tiles, which go beyond the range's ends."""
    if answer is None:
        return 0
    if answer.level is None:
        return len(answer.times)
    return int(_counts(answer)[1].sum())


async def overview(ask: Ask, device: str, stream: str, start_ns: int, end_ns: int) -> Answer | None:
    """What a stream has in `[start_ns, end_ns)`, coarsely; for `counted`. Raises `SensorloomError`."""
    return await ask(Question(device, stream, start_ns, end_ns, _POINTS))


async def parts(ask: Ask, device: str, stream: str, start_ns: int, end_ns: int) -> AsyncGenerator[Answer]:
    """The samples of `[start_ns, end_ns)` in the order of time, each once. Raises `SensorloomError`."""
    todo = [Span(start_ns, end_ns)]
    while todo:
        span = todo.pop()
        is_small = span.samples <= 2 * PART or span.end_ns - span.start_ns == 1
        answer = await ask(Question(device, stream, *span[:2], _EXACT if is_small else _POINTS))
        if answer is None:
            continue
        if answer.level is None:
            yield answer
        else:
            todo += reversed(divided(answer, span))


def divided(answer: Answer, whole: Span) -> list[Span]:
    """A range whose answer is made of tiles in spans of about `PART` samples."""
    buckets, counts = _counts(answer)
    assert answer.level is not None
    numbers = (np.cumsum(counts) - 1) // PART
    starts = np.flatnonzero(np.diff(numbers, prepend=-1))
    edges = [it << BITS * answer.level for it in buckets[starts].tolist()]
    edges = [whole.start_ns, *(min(max(it, whole.start_ns), whole.end_ns) for it in edges[1:]), whole.end_ns]
    samples = np.add.reduceat(counts, starts).tolist()
    if len(samples) == 1 and samples[0] > 2 * PART:  # one tile: its halves are asked for again
        middle = (whole.start_ns + whole.end_ns) // 2
        return [Span(whole.start_ns, middle), Span(middle, whole.end_ns)]
    spans = (Span(*edge, count) for edge, count in zip(pairwise(edges), samples, strict=True))
    return [span for span in spans if span.start_ns < span.end_ns]


def _counts(answer: Answer) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The tiles' buckets, and how many samples each has: a channel's tiles do not count where it has no value."""
    buckets = np.unique(np.concatenate([tiles.bucket for tiles in answer.tiles]))
    counts = np.zeros(len(buckets), np.int64)
    for tiles in answer.tiles:
        np.maximum.at(counts, np.searchsorted(buckets, tiles.bucket), tiles.samples)
    return buckets, counts
