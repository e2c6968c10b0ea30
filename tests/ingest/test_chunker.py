"""Chunks give back exactly the times and values they were made of, within their limits."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from ingest.chunker import Limits, Origin, periodic_chunks, stamped_chunks
from ingest.records import Chunk, Clock
from ingest.times import period_of, sample_times
from ingest.wire import decode, encode
from tests.support.data import data_dir

ORIGIN = Origin("pump-7", "r-1", "acc", b"b" * 16, b"s" * 16, Clock("import"))
T0 = 1_700_000_000_000_000_000


def joined(chunks: list[Chunk], dtype: str, channels: int) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    for chunk in chunks:
        assert decode(encode(chunk)) == chunk
    times = np.concatenate([sample_times(c) for c in chunks])
    values = np.concatenate([np.frombuffer(c.values, dtype).reshape(c.count, channels) for c in chunks])
    return times, values


def held(chunks: list[Chunk], limits: Limits) -> None:
    for chunk in chunks:
        times = sample_times(chunk)
        assert chunk.count == 1 or len(chunk.values) + len(chunk.deltas) <= limits.bytes
        assert chunk.count == 1 or times[-1] - times[0] < limits.span_ns


def test_fifty_hertz_makes_chunks_of_one_second() -> None:
    values = np.arange(360, dtype="<f8").reshape(120, 3)
    chunks = list(periodic_chunks(ORIGIN, T0, (20_000_000, 1), values, Limits(), first_seq=7))
    assert [(c.seq, c.count, c.t0_ns) for c in chunks] == [
        (7, 50, T0),
        (8, 50, T0 + 10**9),
        (9, 20, T0 + 2 * 10**9),
    ]
    assert chunks[0].clock == Clock("import")
    times, back = joined(chunks, "<f8", 3)
    assert (times == T0 + 20_000_000 * np.arange(120)).all()
    assert (back == values).all()


def test_twelve_kilohertz_stays_exact_over_a_whole_recording() -> None:
    values = np.load(data_dir() / "cwru_bearing" / "1797_B_28_DE12.npz")["DE"].astype("<f8")
    chunks = list(periodic_chunks(ORIGIN, T0, period_of(Fraction(12_000)), values, Limits()))
    assert max(c.count for c in chunks) == 4000, "32 kB of float64"
    times, back = joined(chunks, "<f8", 1)
    assert times.tolist() == [T0 + i * 10**9 // 12_000 for i in range(len(values))]
    assert (back == values).all()


rates = st.fractions(min_value=Fraction(1, 1000), max_value=50_000, max_denominator=1000)
limits_of = st.builds(
    Limits, span_ns=st.sampled_from([10**6, 10**8, 10**9, 10**11]), bytes=st.sampled_from([1, 100, 32_000])
)


@given(rates, st.integers(1, 300), limits_of)
def test_any_rate_is_exact_and_within_limits(rate: Fraction, samples: int, limits: Limits) -> None:
    values = np.arange(2 * samples, dtype="<i2").reshape(samples, 2)
    chunks = list(periodic_chunks(ORIGIN, T0, period_of(rate), values, limits))
    times, back = joined(chunks, "<i2", 2)
    assert times.tolist() == [T0 + int(i * 10**9 / rate) for i in range(samples)]
    assert (back == values).all()
    assert [c.seq for c in chunks] == list(range(len(chunks)))
    held(chunks, limits)


steps_of = st.one_of(
    st.lists(st.integers(1, 40), min_size=0, max_size=200),
    st.lists(st.sampled_from([1, 1, 1, 7, 3_000_000_000]), max_size=200),
    st.lists(st.just(5), max_size=200),
)


@given(steps_of, st.sampled_from([1, 1000, 10**6]), limits_of)
def test_any_stamps_are_exact_and_within_limits(steps: list[int], tick: int, limits: Limits) -> None:
    times = T0 + tick * np.cumsum([0, *steps], dtype=np.int64)
    values = np.arange(len(times), dtype="<f4").reshape(-1, 1)
    chunks = list(stamped_chunks(ORIGIN, times, values, limits))
    back_times, back = joined(chunks, "<f4", 1)
    assert (back_times == times).all()
    assert (back == values).all()
    held(chunks, limits)
    ends = [c.t0_ns + c.count * c.period_num if c.period_den else int(sample_times(c)[-1]) + 1 for c in chunks]
    assert all(end <= c.t0_ns for end, c in zip(ends, chunks[1:], strict=False)), "no chunk claims the next one's time"


def test_deltas_are_int32_in_the_largest_tick_that_divides_them() -> None:
    times = T0 + 1000 * np.array([0, 3, 9, 12, 18], dtype=np.int64)
    (chunk,) = stamped_chunks(ORIGIN, times, np.zeros((5, 1), "<i2"), Limits())
    assert chunk.tick_ns == 3000
    assert np.frombuffer(chunk.deltas, "<i4").tolist() == [0, 1, 3, 4, 6]


def test_five_minutes_in_nanoseconds_need_int64() -> None:
    times = T0 + np.array([0, 300_000_000_001, 600_000_000_000], dtype=np.int64)
    (chunk,) = stamped_chunks(ORIGIN, times, np.zeros((3, 1), "<i2"), Limits(span_ns=10**12))
    assert len(chunk.deltas) == 24
    assert (sample_times(chunk) == times).all()


@pytest.mark.parametrize("samples", [1, 2, 500])
def test_exactly_periodic_stamps_become_a_period(samples: int) -> None:
    times = T0 + 250_000_000 * np.arange(samples, dtype=np.int64)
    chunks = list(stamped_chunks(ORIGIN, times, np.zeros((samples, 1), "<i2"), Limits()))
    assert [c.count for c in chunks] == [4] * (samples // 4) + [samples % 4] * (samples % 4 > 0)
    assert samples == 1 or {(c.period_num, c.period_den, c.deltas) for c in chunks} == {(250_000_000, 1, b"")}


def test_no_samples_make_no_chunks() -> None:
    nothing = np.zeros((0, 3), "<f8")
    assert list(stamped_chunks(ORIGIN, np.zeros(0, np.int64), nothing, Limits())) == []
    assert list(periodic_chunks(ORIGIN, T0, (1, 1), nothing, Limits())) == []
