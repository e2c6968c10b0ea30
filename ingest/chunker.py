"""Arrays of samples to chunk records: pure, exact in time, nothing copied but the bytes of each chunk.

A chunk closes after `Limits.span_ns` or `Limits.bytes`, whichever comes first, and holds at least one sample.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from ingest.records import Chunk, Clock
from ingest.times import Times, advance, sample_times
from ingest.wire import MAX_SPAN_NS

Values = NDArray[Any]
"""`(samples, channels)`, row-major, little-endian, in the schema's sample type."""

INT32_MAX: Final = 2**31 - 1


@dataclass(frozen=True, slots=True)
class Origin:
    """What every chunk of a run has in common."""

    device: str
    recording: str
    stream: str
    boot: bytes
    schema: bytes
    clock: Clock | None = None


@dataclass(frozen=True, slots=True)
class Limits:
    """When a chunk closes: its samples lie within `span_ns`; values and time deltas take at most `bytes`."""

    span_ns: int = 1_000_000_000
    bytes: int = 32_000


def periodic_chunks(
    origin: Origin, t0_ns: int, period: tuple[int, int], values: Values, limits: Limits, first_seq: int = 0
) -> Iterator[Chunk]:
    """Chunks of samples that lie `num / den` ns apart, sample 0 at `t0_ns`; exact over any number of chunks."""
    num, den = period
    samples, sample_bytes = len(values), values.shape[1] * values.itemsize
    # A chunk's phase and periods must fit the wire: a period of many digits makes chunks of fewer samples.
    most = (MAX_SPAN_NS - den) // num
    size = max(1, min(-(-limits.span_ns * den // num), limits.bytes // sample_bytes, most))
    raw = values.tobytes()
    for seq, start in enumerate(range(0, samples, size), first_seq):
        count = min(size, samples - start)
        t_ns, phase = advance(t0_ns, 0, num, den, start)
        part = raw[start * sample_bytes : (start + count) * sample_bytes]
        yield _chunk(origin, seq, t_ns, (num, den, phase), 0, b"", count, part)


def stamped_chunks(
    origin: Origin, times: Times, values: Values, limits: Limits, first_seq: int = 0, *, has_rate: bool = True
) -> Iterator[Chunk]:
    """Chunks of samples with a time each: `times` is `(samples,) int64` ns UTC and rises strictly.

    Samples that lie exactly periodic in the whole run, or within a chunk that the next sample does not crowd, are
    described by their period; the others by deltas in the largest tick that divides all of them, as int32 where they
    fit, else int64. A stream that has no rate (`has_rate`) is not given a period: two samples have one by chance, and
    it would say that nothing was lost before the instant of a third.
    """
    steps = np.diff(times)
    if has_rate and len(steps) and (steps == steps[0]).all():
        yield from periodic_chunks(origin, int(times[0]), (int(steps[0]), 1), values, limits, first_seq)
        return
    tick = int(np.gcd.reduce(steps)) if len(steps) else 1
    ticks = (times - times[0]) // tick if len(times) else times
    raw = values.tobytes()
    sample_bytes = values.shape[1] * values.itemsize
    time_bytes = 4 if min(limits.span_ns // tick, ticks[-1] if len(ticks) else 0) <= INT32_MAX else 8
    size = max(1, limits.bytes // (sample_bytes + time_bytes))
    start, seq = 0, first_seq
    while start < len(times):
        t_ns = int(times[start])
        stop = start + max(1, int(times[start : start + size].searchsorted(t_ns + limits.span_ns)))
        deltas = b""
        num = _common_step(steps, start, stop) if has_rate else 0
        if not num:
            offsets = ticks[start:stop] - ticks[start]
            deltas = offsets.astype("<i4" if offsets[-1] <= INT32_MAX else "<i8").tobytes()
        timing = (num, 1, 0) if num else (0, 0, 0)
        part = raw[start * sample_bytes : stop * sample_bytes]
        yield _chunk(origin, seq, t_ns, timing, 0 if num else tick, deltas, stop - start, part)
        start, seq = stop, seq + 1


def _common_step(steps: Times, start: int, stop: int) -> int:
    """The step that all samples of `[start, stop)` share and that the sample after them keeps too; else 0."""
    if stop - start < 2:
        return 0
    step = int(steps[start])
    inside = steps[start : stop - 1]
    crowded = stop <= len(steps) and steps[stop - 1] < step
    return 0 if crowded or inside[-1] != step or not (inside == step).all() else step


def _chunk(
    origin: Origin, seq: int, t0_ns: int, timing: tuple[int, int, int], tick: int, deltas: bytes, count: int, raw: bytes
) -> Chunk:
    num, den, phase = timing
    return Chunk(
        origin.device,
        origin.recording,
        origin.stream,
        origin.boot,
        seq,
        origin.schema,
        t0_ns,
        num,
        den,
        phase,
        tick,
        deltas,
        count,
        raw,
        clock=origin.clock,
    )


def chunk_end_ns(chunk: Chunk) -> int:
    """Where a chunk ends: the instant of the next sample by its period, or 1 ns past its last stamp."""
    if chunk.period_den > 0:
        return advance(chunk.t0_ns, chunk.phase, chunk.period_num, chunk.period_den, chunk.count)[0]
    return int(sample_times(chunk)[-1]) + 1
