"""Sample times: exact integers in, exact integers out.

A rate need not have a whole number of nanoseconds (12 kHz is 250000/3 ns): instants are the floor of exact rationals,
computed in int64 only where no product can overflow.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ingest.records import Chunk

Times = NDArray[np.int64]

NS = 1_000_000_000
_LONG: Final = 16
"""Runs of so many samples are quicker by rows than one after the other."""


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


def times_of_runs(t0_ns: Times, phase: Times, num: Times, den: Times, count: Times) -> Times:
    """`run_times` of several runs one after the other, `(runs,) int64` each; `(samples,) int64`, ns UTC."""
    each = int(count[0]) if len(count) else 0
    if each >= _LONG and (count == each).all():
        return _times_of_even_runs(t0_ns, phase, num, den, each)
    starts = np.cumsum(count) - count
    times: Times = np.arange(int(count.sum()))
    if (den == 1).all():
        times *= num[:1] if (num == num[:1]).all() else np.repeat(num, count)
        times += np.repeat(t0_ns + phase - starts * num, count)
        return times
    times -= np.repeat(starts, count)
    times *= np.repeat(num, count)
    times += np.repeat(phase, count)
    times //= np.repeat(den, count)
    times += np.repeat(t0_ns, count)
    return times


def _times_of_even_runs(t0_ns: Times, phase: Times, num: Times, den: Times, count: int) -> Times:
    """As `times_of_runs`, of runs that have all so many samples: a row each, in one go."""
    if (den == 1).all() and (num == num[0]).all():
        return ((t0_ns + phase)[:, None] + run_times(0, 0, int(num[0]), 1, count)).ravel()
    times: Times = np.arange(count) * num[:, None]
    times += phase[:, None]
    times //= den[:, None]
    times += t0_ns[:, None]
    return times.ravel()


def times_of_stamps(t0_ns: Times, tick_ns: Times, deltas: Sequence[bytes], count: Times) -> Times:
    """`sample_times` of several chunks that have no period, one after the other: `(chunks,) int64` and the bytes of
    each one's deltas; `(samples,) int64`, ns UTC."""
    narrow = np.fromiter(map(len, deltas), np.int64, len(deltas)) == 4 * count
    if narrow.all():
        times: Times = np.frombuffer(b"".join(deltas), "<i4").astype(np.int64)
    else:
        kinds = np.where(narrow, "<i4", "<i8").tolist()
        parts = [np.frombuffer(part, kind) for part, kind in zip(deltas, kinds, strict=True)]
        times = np.concatenate(parts, dtype=np.int64)
    times *= np.repeat(tick_ns, count)
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
