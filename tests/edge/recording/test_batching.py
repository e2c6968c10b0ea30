from __future__ import annotations

from dataclasses import replace
from typing import Any
from unittest import mock

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.recording.batching import Account, StreamBatch
from edge.spool.entries import end_of
from ingest.chunker import Limits, Origin
from ingest.records import Chunk, Clock, Gap
from ingest.times import sample_times
from ingest.wire import check_chunk, encode
from tests.edge.configs import source_config

S = 1_000_000_000


def new(
    dtype: str = "float64", channels: tuple[str, ...] = ("x",), rate: int | None = None
) -> tuple[StreamBatch, Origin]:
    batch = StreamBatch(source_config(channels=channels, dtype=dtype, rate=rate), Limits(), Account())
    return batch, Origin("pump", "r", "acc", b"b" * 16, batch.schema)


def column(*values: float) -> Any:
    return np.array(values, dtype=np.float64)[:, None]


@given(st.lists(st.integers(1, 5 * S), min_size=1, max_size=40), st.lists(st.integers(0, 40), max_size=5))
def test_every_sample_is_in_one_chunk_whenever_it_is_drained(steps: list[int], drains: list[int]) -> None:
    batch, origin = new()
    times = np.cumsum(np.array(steps, dtype=np.int64)) + S
    chunks: list[Chunk] = []
    for index, at in enumerate(times):
        batch.add(np.array([at]), column(index))
        if index in drains:
            chunks += [record for record in batch.drain(origin, int(at)) if isinstance(record, Chunk)]
    chunks += [record for record in batch.drain(origin, int(times[-1])) if isinstance(record, Chunk)]
    for chunk in chunks:
        check_chunk(chunk)
    assert [chunk.seq for chunk in chunks] == list(range(len(chunks)))
    assert np.concatenate([sample_times(chunk) for chunk in chunks]).tolist() == times.tolist()
    values = np.concatenate([np.frombuffer(chunk.values, "<f8") for chunk in chunks])
    assert values.tolist() == list(range(len(times)))


@pytest.mark.parametrize("bad", [0.5, 40_000, -40_000, float("nan")])
def test_what_does_not_fit_the_type_is_announced(bad: float) -> None:
    batch, origin = new("int16")
    batch.add(np.array([S, S + 1, S + 2]), column(1, bad, 3))
    gap, *chunks = batch.drain(origin, S + 3)
    assert isinstance(gap, Gap)
    assert (gap.reason, gap.samples, gap.start_ns <= S + 1 < gap.end_ns) == ("range", 1, True)
    assert b"".join(chunk.values for chunk in chunks if isinstance(chunk, Chunk)) == b"\1\0\3\0"


def test_a_gap_begins_behind_the_last_sample_that_fits() -> None:
    batch, origin = new("int16")
    for at, value in enumerate([1, 2, 0.5, 4, 0.5, 6]):
        batch.add(np.array([S + 10 * at]), column(value))
    gap, _ = batch.drain(origin, 2 * S)
    assert isinstance(gap, Gap)
    assert (gap.start_ns, gap.end_ns, gap.samples) == (S + 11, S + 41, 2)


@given(
    st.lists(
        st.sampled_from([-0.0, 255.0, 256.0, -1.0, 32767.0, -32769.0, 2.0**31, 2.0**63, 1e300, 0.5, np.inf, np.nan]),
        min_size=1,
        max_size=8,
    ),
    st.sampled_from(["uint8", "int16", "int32"]),
)
def test_integers_are_those_that_the_type_holds(values: list[float], dtype: str) -> None:
    batch, origin = new(dtype)
    batch.add(np.arange(S, S + len(values)), column(*values))
    limits = np.iinfo(dtype)
    fits = [value for value in values if value % 1 == 0 and limits.min <= value <= limits.max]
    chunks = [record for record in batch.drain(origin, 2 * S) if isinstance(record, Chunk)]
    assert b"".join(chunk.values for chunk in chunks) == np.array(fits, dtype).tobytes()
    assert batch.counters.lost == ({"range": len(values) - len(fits)} if len(fits) < len(values) else {})


@given(
    st.lists(st.sampled_from([1.0, 2.0, 0.5, 70_000.0, float("nan")]), min_size=1, max_size=30),
    st.sets(st.integers(0, 29)),
    st.sets(st.integers(0, 29)),
    st.sampled_from([1, 3, 1000]),
)
def test_how_samples_are_grouped_makes_no_difference(
    values: list[float], losses: set[int], cuts: set[int], fresh_samples: int
) -> None:
    """Whether they come one by one or together, and whatever is asked for on the way."""

    def records(cuts: set[int], asks: bool) -> list[Chunk | Gap]:
        batch, origin = new("int16")
        start = 0
        for stop in sorted({at for at in cuts | losses if 0 < at < len(values)} | {len(values)}):
            batch.add(S + 10 * np.arange(start, stop), column(*values[start:stop]))
            if asks:
                assert batch.counters.samples + batch.counters.lost.get("range", 0) == stop
            if stop in losses:
                batch.lose("checksum", 1, S + 10 * stop - 5)
            start = stop
        return batch.drain(origin, S + 1000)

    with mock.patch("edge.recording.batching.FRESH_SAMPLES", fresh_samples):
        assert records(set(range(30)), asks=True) == records(cuts, asks=False)


def test_losses_lie_between_the_samples_around_them() -> None:
    batch, origin = new()
    batch.add(np.array([S]), column(1))
    batch.lose("checksum", 2, S + 50)
    batch.lose("port_lost", -1, S + 60)
    batch.lose("port_lost", 1, S + 60)
    batch.add(np.array([S + 100]), column(2))
    batch.add(np.array([S + 200]), column(3))
    first, second, *_ = batch.drain(origin, S + 300)
    assert isinstance(first, Gap)
    assert isinstance(second, Gap)
    assert (first.start_ns, first.end_ns, first.samples, first.reason) == (S + 1, S + 100, 2, "checksum")
    assert second.samples == -1
    assert batch.counters.lost == {"checksum": 2, "port_lost": 2}
    assert batch.drain(origin, S + 400) == []


def test_three_int16_axes_at_100_hz_take_at_most_8_bytes_a_sample() -> None:
    batch, origin = new("int16", ("x", "y", "z"), rate=100)
    batch.add(S + np.arange(100, dtype=np.int64) * 10_000_000, np.zeros((100, 3)))
    (chunk,) = batch.drain(origin, 2 * S)
    assert len(encode(chunk)) / 100 <= 8


def test_two_samples_of_no_rate_say_nothing_of_a_third() -> None:
    """As two lines that had waited for their port: what was lost behind them was announced half a second late."""
    batch, origin = new()
    batch.add(np.array([S, S + S // 2]), np.zeros((2, 1)))
    (chunk,) = batch.drain(origin, 2 * S)
    assert end_of(chunk) == S + S // 2 + 1


def test_a_chunk_says_how_far_off_the_worst_of_its_times_may_be() -> None:
    batch, origin = new()
    origin = replace(origin, clock=Clock("system", uncertainty_ns=10_000_000))
    at = S
    for error_s in (9.0, 8.0, 2.0, 0.5, 0.02, 0.0, 0.001, 0.0):
        batch.add(np.array([at]), column(at), int(error_s * S))
        at += S // 100
    chunks = [record for record in batch.drain(origin, at) if isinstance(record, Chunk)]
    assert [(chunk.count, chunk.clock and chunk.clock.uncertainty_ns) for chunk in chunks] == [
        (3, 9 * S),
        (1, S // 2),
        (4, 20_000_000),
    ]


def test_who_was_unsure_once_is_not_so_for_ever() -> None:
    batch, origin = new()
    origin = replace(origin, clock=Clock("arrival", 0, 0.0, 5_000_000))
    found = []
    for second, error_ns in enumerate([0, 150_000_000, 0, 0]):
        batch.add(np.array([second * S]), column(second), error_ns)
        found += [chunk.clock.uncertainty_ns for chunk in batch.drain(origin, second * S) if chunk.clock]  # type: ignore[union-attr]
    assert found == [5_000_000, 150_000_000, 5_000_000, 5_000_000]
