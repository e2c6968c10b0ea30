"""Sample times: exact over a whole recording, whatever the chunks."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.errors import WireError
from ingest.records import Chunk
from ingest.times import advance, period_of, run_times, sample_times, times_of_runs, times_of_stamps
from ingest.wire import decode, encode
from tests.support.data import data_dir

T0 = 1_700_000_000_123_456_789


def _chunk(t0: int, phase: int, num: int, den: int, count: int) -> Chunk:
    return Chunk("d", "r", "s", b"", 0, b"", t0, num, den, phase, 1, b"", count, bytes(count))


def _stamped(t0: int, deltas: list[int], kind: str, tick: int) -> Chunk:
    packed = np.array(deltas, dtype=kind).tobytes()
    return Chunk("d", "r", "s", b"", 0, b"", t0, 0, 0, 0, tick, packed, len(deltas), bytes(len(deltas)))


@given(
    st.integers(-(2**60), 2**60),
    st.integers(1, 10**12),
    st.integers(1, 10**6),
    st.lists(st.integers(1, 50), min_size=1, max_size=8),
)
def test_chunks_follow_each_other_exactly(t0: int, num: int, den: int, sizes: list[int]) -> None:
    found, t, phase = [], t0, 0
    for size in sizes:
        found += sample_times(_chunk(t, phase, num, den, size)).tolist()
        t, phase = advance(t, phase, num, den, size)
    assert found == [t0 + i * num // den for i in range(sum(sizes))]


RUNS = st.tuples(
    st.integers(-(1 << 61), 1 << 61),
    st.integers(0, 1 << 40),
    st.integers(1, 1 << 55),
    st.integers(1, 9),
    st.integers(1, 60),
)


@given(st.lists(RUNS, min_size=1, max_size=9), st.booleans(), st.booleans(), st.booleans())
def test_the_times_of_runs_together_are_those_of_each(
    runs: list[tuple[int, ...]], whole: bool, long: bool, steady: bool
) -> None:
    """Of runs with periods of whole ns or not, that have all as many samples or not, and one period or not."""
    some_ns, many = runs[0][2], runs[0][4]
    runs = [
        (t0, phase % den, some_ns if steady else num, den, many if long else count)
        for t0, phase, num, d, count in runs
        for den in [1 if whole else d]
    ]
    found = times_of_runs(*np.array(runs, np.int64).T)
    np.testing.assert_array_equal(found, np.concatenate([run_times(*run) for run in runs]))


STAMPS = st.tuples(
    st.integers(-(1 << 61), 1 << 61),
    st.integers(1, 1 << 28),
    st.lists(st.integers(-(1 << 31), (1 << 31) - 1), min_size=1, max_size=9),
    st.sampled_from(["<i4", "<i8"]),
)


@given(st.lists(STAMPS, min_size=1, max_size=9))
def test_the_times_of_stamped_chunks_together_are_those_of_each(stamps: list[tuple[int, int, list[int], str]]) -> None:
    chunks = [_stamped(t0_ns, deltas, kind, tick_ns) for t0_ns, tick_ns, deltas, kind in stamps]
    t0_ns, tick_ns, count = np.array([(chunk.t0_ns, chunk.tick_ns, chunk.count) for chunk in chunks], np.int64).T
    found = times_of_stamps(t0_ns, tick_ns, [chunk.deltas for chunk in chunks], count)
    np.testing.assert_array_equal(found, np.concatenate([sample_times(chunk) for chunk in chunks]))


def test_twelve_kilohertz_is_exact_over_the_whole_bearing_file() -> None:
    with np.load(data_dir() / "cwru_bearing/1797_B_28_DE12.npz") as file:
        count = len(file["DE"])
    num, den = period_of(Fraction(12_000))
    assert (num, den) == (250_000, 3)
    t, phase, found = T0, 0, []
    for start in range(0, count, 1000):
        size = min(1000, count - start)
        found.append(sample_times(_chunk(t, phase, num, den, size)))
        t, phase = advance(t, phase, num, den, size)
    expected = [T0 + i * 250_000 // 3 for i in range(count)]
    assert np.concatenate(found).tolist() == expected
    assert run_times(T0, 0, num, den, count).tolist() == expected


def test_times_one_by_one_in_ticks() -> None:
    for kind, tick in (("<i4", 1000), ("<i8", 1), ("<i8", 10**6)):
        chunk = decode(encode(_stamped(T0, [0, 5, 3, -7], kind, tick)))
        assert isinstance(chunk, Chunk)
        assert sample_times(chunk).tolist() == [T0 + d * tick for d in (0, 5, 3, -7)]


@pytest.mark.parametrize(
    ("deltas", "tick"),
    [([0, 2**62], 1), ([0, -(2**63)], 1), ([0, 2**40], 2**30), ([0, 1], 2**62), ([0, 2**31], 2**33)],
)
def test_times_that_would_overflow_are_refused(deltas: list[int], tick: int) -> None:
    with pytest.raises(WireError, match="from t0_ns"):
        decode(encode(_stamped(T0, deltas, "<i8", tick)))


def test_short_deltas_in_long_ticks() -> None:
    with pytest.raises(WireError, match="from t0_ns"):
        decode(encode(_stamped(T0, [0, 2**31 - 1], "<i4", 2**32)))
    for deltas, tick in (([-(2**31), 2**31 - 1], 2**31 - 1), ([0, 1, 8760], 3600 * 10**9)):
        chunk = decode(encode(_stamped(0, deltas, "<i4", tick)))
        assert isinstance(chunk, Chunk)
        assert sample_times(chunk).tolist() == [delta * tick for delta in deltas]


def test_the_longest_period_that_passes_does_not_overflow() -> None:
    span = 2**62 - 2
    chunk = decode(encode(_chunk(2**62 - 1, 0, span, 1, 1)))
    assert isinstance(chunk, Chunk)
    assert sample_times(chunk).tolist() == [2**62 - 1]
    assert sample_times(_chunk(T0, 2, 2**60, 3, 3)).tolist() == [T0 + (2 + i * 2**60) // 3 for i in range(3)]
