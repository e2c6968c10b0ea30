"""Sample times: exact integers in, exact integers out.

A rate need not have a whole number of nanoseconds (12 kHz is 250000/3 ns): instants are the floor of exact rationals,
computed in int64 only where no product can overflow.
"""

from __future__ import annotations

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


def period_of(rate: Fraction) -> tuple[int, int]:
    """The period of a rate in hertz as a reduced fraction of nanoseconds `(num, den)`."""
    period = Fraction(NS) / rate
    return period.numerator, period.denominator


def advance(t0_ns: int, phase: int, num: int, den: int, count: int) -> tuple[int, int]:
    """`(t0_ns, phase)` of the sample `count` periods later: how a chunk follows the one before it exactly."""
    whole, rest = divmod(phase + count * num, den)
    return t0_ns + whole, rest
