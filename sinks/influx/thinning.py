"""Thinned samples: the lowest, highest and mean value of each span of time instead of every sample. Pure.

A point stands at the first sample that it is of, not at its span's begin: of two recordings that share a span each has
a point of its own, and neither takes the other's place. Each sample is in exactly one point.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import msgspec
import numpy as np

from ingest.records import Chunk, Progress
from ingest.times import Times, sample_times
from sinks.influx.lines import line
from sinks.influx.samples import StreamLines, Values


class Span(msgspec.Struct, array_like=True):
    """What is known of a span that is not over; the lists have an item a channel."""

    schema: bytes
    number: int
    """It is `[number * span_ns, (number + 1) * span_ns)`."""
    first_ns: int
    samples: int
    known: list[int]
    """How many values are finite."""
    sums: list[float]
    lows: list[float]
    highs: list[float]

    def join(self, other: Span) -> None:
        """Take over what comes behind, of the same span."""
        self.samples += other.samples
        for at, known in enumerate(other.known):
            if not known:
                continue
            first = not self.known[at]
            self.lows[at] = other.lows[at] if first else min(self.lows[at], other.lows[at])
            self.highs[at] = other.highs[at] if first else max(self.highs[at], other.highs[at])
            self.sums[at] += other.sums[at]
            self.known[at] += known

    def line(self, stream: StreamLines) -> str:
        """Its point: `<channel>_min`, `_max` and, of a quantity, `_mean`, and how many samples it has."""
        pairs = [("count", f"{self.samples}i")]
        columns = zip(stream.fields, self.known, self.sums, self.lows, self.highs, strict=True)
        for number, (name, known, total, low, high) in enumerate(columns):
            if known:
                pairs += [(f"{name}_min", repr(low)), (f"{name}_max", repr(high))]
                pairs += [] if number in stream.states else [(f"{name}_mean", repr(total / known))]
        return line(stream.head, pairs, self.first_ns)


def spans_of(schema: bytes, times: Times, values: Values, span_ns: int) -> Iterator[Span]:
    """A schema's samples as spans, in their order."""
    numbers = times // span_ns
    starts = np.concatenate(([0], np.flatnonzero(np.diff(numbers)) + 1))
    finite = np.isfinite(values)
    known = np.add.reduceat(finite, starts, axis=0, dtype=np.int64)
    sums = np.add.reduceat(np.where(finite, values, 0.0), starts, axis=0)
    lows = np.minimum.reduceat(np.where(finite, values, np.inf), starts, axis=0)
    highs = np.maximum.reduceat(np.where(finite, values, -np.inf), starts, axis=0)
    # A state is written as MessagePack, which holds infinities: of channels that are not known nobody looks at them.
    columns = zip(known.tolist(), sums.tolist(), lows.tolist(), highs.tolist(), strict=True)
    ends = [*starts[1:].tolist(), len(times)]
    for start, end, (count, total, low, high) in zip(starts.tolist(), ends, columns, strict=True):
        yield Span(schema, int(numbers[start]), int(times[start]), end - start, count, total, low, high)


class Thinning:
    """The spans that are not over: one of each stream of a recording."""

    def __init__(self, span_ns: int, saved: Sequence[tuple[str, str, str, Span]] = ()) -> None:
        self._span_ns = span_ns
        self._open: dict[str, dict[tuple[str, str], Span]] = {}
        """By device, then by recording and stream."""
        for device, recording, stream, span in saved:
            self._open.setdefault(device, {})[recording, stream] = span

    def save(self) -> list[tuple[str, str, str, Span]]:
        """The state as plain data."""
        return [(device, *key, span) for device, spans in self._open.items() for key, span in spans.items()]

    def add(self, chunk: Chunk, values: Values) -> list[Span]:
        """Take a chunk's samples; the spans that are over by them."""
        over: list[Span] = []
        mine = self._open.setdefault(chunk.device, {})
        key = (chunk.recording, chunk.stream)
        current = mine.get(key)
        for span in spans_of(chunk.schema, sample_times(chunk), values, self._span_ns):
            if current is not None and (current.number, current.schema) == (span.number, span.schema):
                current.join(span)
                continue
            if current is not None:
                over.append(current)
            mine[key] = current = span
        return over

    def complete(self, progress: Progress) -> list[Span]:
        """A stream is complete up to a time: its span, where it is over."""
        mine = self._open.get(progress.device, {})
        key = (progress.recording, progress.stream)
        span = mine.get(key)
        if span is None or (span.number + 1) * self._span_ns > progress.complete_to_ns:
            return []
        return [mine.pop(key)]

    def end(self, device: str, recording: str) -> list[Span]:
        """A recording is over: its spans."""
        mine = self._open.get(device, {})
        spans = [mine.pop(key) for key in list(mine) if key[0] == recording]
        if not mine:
            self._open.pop(device, None)
        return spans

    def forget(self, device: str) -> None:
        """Nothing more of a device is to be used."""
        self._open.pop(device, None)
