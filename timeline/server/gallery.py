"""The start page's rows: each recording at a glance."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable
from typing import Final, Literal

import numpy as np

from ingest.archive.reading import Answer, Question
from ingest.archive.tiles import BITS
from timeline.history.catalog import RecordingSpan
from timeline.history.pace import is_jerky
from timeline.protocol import Gallery, GalleryRow
from timeline.site import Timeline

ROWS_MAX: Final = 200
SPARK: Final = 48
_Flag = Literal["gap", "still", "jerky", "clock unsure", "unlabelled", "live", "no end"]
_Spark = tuple[tuple[float, float] | None, ...]
REST: Final = 20
"""Rows are kept for so many times as long as it took to make them."""
LIVE_NS: Final = 60 * 10**9
"""A recording that has no end is live while its newest sample is not older."""


class Overlook:
    """The start page's rows for all who ask every few seconds: making them takes no more than a share of a core."""

    def __init__(self, timeline: Timeline, clock: Callable[[], float] = time.monotonic) -> None:
        self._timeline = timeline
        self._clock = clock
        self._one = asyncio.Lock()
        self._kept: Gallery | None = None
        self._until_s = 0.0

    async def rows(self, now_ns: int) -> Gallery:
        """As of now, or of a moment ago. Raises `SensorloomError` where history gives no answer."""
        async with self._one:
            begin_s = self._clock()
            if self._kept is None or begin_s >= self._until_s:
                self._kept = await gallery(self._timeline, now_ns)
                end_s = self._clock()
                self._until_s = end_s + (end_s - begin_s) * REST
            return self._kept


async def gallery(timeline: Timeline, now_ns: int) -> Gallery:
    """The newest recordings that have samples. Raises `SensorloomError` where history gives no answer."""
    found = [it for of_device in timeline.catalog.recordings.values() for it in of_device.values() if it.samples]
    found.sort(key=lambda it: (it.start_ns, it.device, it.name), reverse=True)
    rows = [await _row(timeline, it, now_ns) for it in found[:ROWS_MAX]]
    return Gallery(tuple(rows), len(found) > ROWS_MAX, tuple(label.name for label in timeline.palette()))


async def _row(timeline: Timeline, it: RecordingSpan, now_ns: int) -> GalleryRow:
    start_ns, end_ns = it.start_ns, it.until_ns + 1
    streams = sorted(timeline.catalog.streams.get(it.device, {}))
    asked = Question(it.device, streams[0], start_ns, end_ns, SPARK) if streams else None
    answer = await timeline.past.ask(asked) if asked else None
    spark = _spark(answer, start_ns, end_ns)
    labels, coverage = _coverage(timeline, it.device, start_ns, end_ns)
    flags: list[_Flag] = []
    seen = [pair for pair in spark if pair is not None]
    if it.gaps:
        flags.append("gap")
    if len(seen) > 1 and len({value for pair in seen for value in pair}) == 1:
        flags.append("still")
    if asked and answer and _keeps_no_pace(timeline, asked, answer):
        flags.append("jerky")
    if it.uncertain:
        flags.append("clock unsure")
    if not labels:
        flags.append("unlabelled")
    if not it.ended:
        flags.append("live" if now_ns - it.until_ns <= LIVE_NS else "no end")
    end = str(it.until_ns) if it.ended else None
    told = str(it.start_ns), end, str(it.until_ns), it.samples
    return GalleryRow(it.device, it.name, *told, spark, labels, coverage, tuple(flags))


def _keeps_no_pace(timeline: Timeline, asked: Question, answer: Answer) -> bool:
    """See `is_jerky`; a stream without a nominal rate, such as of changes, has no pace to keep."""
    span = timeline.catalog.streams[asked.device][asked.stream]
    described = timeline.registry.known.get(span.schema)
    if described is None or described.rate_num == 0:
        return False
    gaps = timeline.catalog.gaps_in(asked.device, [asked.stream], asked.start_ns, asked.end_ns)
    return is_jerky(answer, [(gap.start_ns, gap.end_ns) for _, gap in gaps])


def _spark(answer: Answer | None, start_ns: int, end_ns: int) -> _Spark:
    """Lowest and highest value of the first channel in equal spans."""
    if answer is None:
        return (None,) * SPARK
    if answer.level is None:
        times, low, high = answer.times, answer.values[:, 0], answer.values[:, 0]
    else:
        tiles = answer.tiles[0]
        times, low, high = tiles.bucket << BITS * answer.level, tiles.low, tiles.high
    places = np.clip((times - start_ns) // max(1, -(-(end_ns - start_ns) // SPARK)), 0, SPARK - 1)
    found: list[tuple[float, float] | None] = []
    for number in range(SPARK):
        own = places == number
        pair = (float(np.nanmin(low[own])), float(np.nanmax(high[own]))) if own.any() else (math.nan, math.nan)
        found.append(None if math.isnan(pair[0]) else pair)
    return tuple(found)


def _coverage(timeline: Timeline, device: str, start_ns: int, end_ns: int) -> tuple[dict[str, float], float]:
    """The share of a range that each label covers, and that any mark does."""
    spans: dict[str, list[tuple[int, int]]] = {}
    for mark in (it for it in timeline.book.standing(device) if not it.trim):
        if mark.start_ns < end_ns and mark.end_ns > start_ns:
            spans.setdefault(mark.label, []).append((max(mark.start_ns, start_ns), min(mark.end_ns, end_ns)))
        elif mark.start_ns == mark.end_ns and start_ns <= mark.start_ns < end_ns:
            spans.setdefault(mark.label, [])
    whole = end_ns - start_ns
    every = [span for own in spans.values() for span in own]
    return {label: _length(own) / whole for label, own in sorted(spans.items())}, _length(every) / whole


def _length(spans: list[tuple[int, int]]) -> int:
    """Of their union."""
    total, reach = 0, -(1 << 63)
    for start, end in sorted(spans):
        total += max(0, end - max(start, reach))
        reach = max(reach, end)
    return total
