"""Sample times: exact integers in, exact integers out.

A rate need not have a whole number of nanoseconds (12 kHz is 250000/3 ns): instants are the floor of exact rationals,
computed in int64 only where no product can overflow.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from ingest.records import Chunk

Times = NDArray[np.int64]

NS = 1_000_000_000


def run_times(t0_ns: int, phase: int, num: int, den: int, count: int) -> Times:
    """`t0_ns + (phase + i * num) // den` for `i` in `0..count-1`: `(count,) int64`, ns UTC.

    `count * num + phase` must stay below 2**62 (`ingest.wire.check_chunk` sees to it).
    """
    if den == 1:
        return np.arange(t0_ns + phase, t0_ns + phase + count * num, num, dtype=np.int64)
    steps = np.arange(phase, phase + count * num, num, dtype=np.int64)
    steps //= den
    steps += t0_ns
    return steps


def sample_times(chunk: Chunk) -> Times:
    """The sample times of a chunk that `ingest.wire.check_chunk` has passed, `(count,) int64`, ns UTC."""
    if chunk.period_den > 0:
        return run_times(chunk.t0_ns, chunk.phase, chunk.period_num, chunk.period_den, chunk.count)
    kind = "<i4" if len(chunk.deltas) == 4 * chunk.count else "<i8"
    deltas = np.frombuffer(chunk.deltas, dtype=kind).astype(np.int64)
    deltas *= chunk.tick_ns
    deltas += chunk.t0_ns
    return deltas


def newest_time(chunk: Chunk) -> int:
    """The latest of a chunk's sample times, ns UTC."""
    if chunk.period_den > 0:
        return chunk.t0_ns + (chunk.phase + (chunk.count - 1) * chunk.period_num) // chunk.period_den
    return int(sample_times(chunk).max())


def times_of(chunks: Sequence[Chunk]) -> Times:
    """The sample times of chunks one after the other, `(samples,) int64` ns UTC: quicker than chunk by chunk.

    `ingest.wire.check_chunk` has passed them.
    """
    if not all(chunk.period_den > 0 for chunk in chunks):
        return np.concatenate([sample_times(chunk) for chunk in chunks])
    count = np.fromiter((chunk.count for chunk in chunks), np.int64, len(chunks))
    t0_ns = np.fromiter((chunk.t0_ns for chunk in chunks), np.int64, len(chunks))
    steps = {(chunk.period_num, chunk.period_den, chunk.phase) for chunk in chunks}
    ends = np.cumsum(count)
    if len(steps) == 1 and (step := steps.pop())[1:] == (1, 0):
        even: Times = np.arange(ends[-1]) * step[0]
        even += np.repeat(t0_ns - (ends - count) * step[0], count)
        return even
    num, den, phase = np.array([(c.period_num, c.period_den, c.phase) for c in chunks], np.int64).T
    times: Times = np.arange(ends[-1]) - np.repeat(ends - count, count)
    times *= np.repeat(num, count)
    times += np.repeat(phase, count)
    times //= np.repeat(den, count)
    times += np.repeat(t0_ns, count)
    return times


def last_time(chunk: Chunk) -> int:
    """The time of a chunk's last sample, which `sample_times` has at its end, ns UTC."""
    if chunk.period_den > 0:
        return chunk.t0_ns + (chunk.phase + (chunk.count - 1) * chunk.period_num) // chunk.period_den
    size = len(chunk.deltas) // chunk.count
    return chunk.t0_ns + int.from_bytes(chunk.deltas[-size:], "little", signed=True) * chunk.tick_ns


def period_of(rate: Fraction) -> tuple[int, int]:
    """The period of a rate in hertz as a reduced fraction of nanoseconds `(num, den)`."""
    period = Fraction(NS) / rate
    return period.numerator, period.denominator


def advance(t0_ns: int, phase: int, num: int, den: int, count: int) -> tuple[int, int]:
    """`(t0_ns, phase)` of the sample `count` periods later: how a chunk follows the one before it exactly."""
    whole, rest = divmod(phase + count * num, den)
    return t0_ns + whole, rest
