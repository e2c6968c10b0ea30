from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from edge.spool.condensing import Part, Refusals, choose, condense, entries_of, sum_up, thin
from edge.spool.entries import identities, read_tail, reading, seen
from ingest.log.protocol import Entry
from ingest.log.segments.segment import encode, parse
from ingest.records import Chunk, Gap, Progress, RecordingEnd, RecordingStart
from ingest.times import sample_times
from ingest.wire import check_chunk, decode
from tests.edge.spool.spooling import BOOT, SECOND, T0, accounted, chunk, entry


def records_in(data: bytes, base: int, below: int) -> list[object]:
    return [decode(value) for _, value in entries_of(data, base, below)]


@given(st.lists(st.integers(1, 200), min_size=1, max_size=12), st.integers(0, 12), st.sampled_from(["oldest", "thin"]))
def test_what_goes_is_announced_to_the_sample(counts: list[int], start: int, policy: str) -> None:
    entries = [entry(seq, count) for seq, count in enumerate(counts)]
    data = encode(entries, 7, 1, 7)
    below = 7 + len(entries)
    found = condense([Part(data, 7, below)], 7 + start, policy, 1 << 20)  # type: ignore[arg-type]
    records = records_in(found.data, 7, below)
    assert accounted(records) == sum(counts)  # type: ignore[arg-type]
    assert found.dropped_samples == sum(counts) - sum(r.count for r in records if isinstance(r, Chunk))
    assert records[: min(start, len(counts))] == [chunk(seq, count) for seq, count in enumerate(counts)][:start]
    assert parse(found.data, 7, below, holes=True).need == -1


def test_starts_gaps_and_descriptions_stay_progress_goes() -> None:
    start = RecordingStart("pump", "r", BOOT, T0, "start")
    gap = Gap("pump", "r", "acc", BOOT, 1, 2, 3, "port_lost")
    progress = Progress("pump", "r", "temp", BOOT, T0)
    entries = [reading("pump", start), reading("pump", gap), entry(0), reading("pump", progress), Entry(b"sX", b"d")]
    found = condense([Part(encode(entries, 0, 1, 0), 0, 5)], 0, "oldest", 1 << 20)
    run = parse(found.data, 0, 5, holes=True)
    assert run.offsets == [0, 1, 2, 4]
    assert [decode(value) for value in run.values[:3]] == [
        start,
        gap,
        Gap("pump", "r", "acc", BOOT, T0, T0 + SECOND, 100, "spool_full"),
    ]


def test_a_second_pass_adds_nothing_twice() -> None:
    data = encode([entry(0), entry(1)], 0, 1, 0)
    once = condense([Part(data, 0, 2)], 0, "oldest", 1 << 20)
    assert condense([Part(once.data, 0, 2)], 0, "oldest", 1 << 20).data == once.data


@pytest.mark.parametrize("period", [True, False])
def test_thinning_keeps_every_second_sample_at_its_time(period: bool) -> None:
    whole = chunk(3, 5)
    if not period:
        deltas = np.array([0, 3, 4, 9, 11], dtype="<i4").tobytes()
        whole = replace(whole, period_num=0, period_den=0, tick_ns=5, deltas=deltas)
    found = thin(whole, "spool_full")
    assert found is not None
    check_chunk(found)
    assert sample_times(found).tolist() == sample_times(whole)[::2].tolist()
    assert found.values == np.frombuffer(whole.values, "<i2")[::2].tobytes()
    assert (found.seq, found.count, found.missing, found.missing_reason) == (3, 3, 2, "spool_full")
    assert thin(chunk(0, 1), "spool_full") is None


def test_thinning_again_adds_to_what_is_missing() -> None:
    found = chunk(0, 101)
    for counts in ((51, 50), (26, 75), (13, 88)):
        thinner = thin(found, "spool_full")
        assert thinner is not None
        assert (thinner.count, thinner.missing) == counts
        found = thinner


def test_the_choice_of_what_to_make_smaller() -> None:
    assert choose([10, 400, 400], "oldest", 100) == slice(0, 2)
    assert choose([400, 400], "oldest", 100) == slice(0, 1)
    assert choose([10, 10], "oldest", 100) == slice(0, 2)
    assert choose([400, 400, 10], "newest", 100) == slice(1, 3)
    assert choose([200, 400, 400], "thin", 100) == slice(1, 2)


def test_refused_chunks_become_one_gap_a_stream() -> None:
    refusals = Refusals()
    for seq in range(3):
        refusals.refuse(chunk(seq), "disk_full")
    refusals.refuse(chunk(0, 7, "temp"), "disk_full")
    (first, _), (second, _) = refusals.take()
    assert first == Gap("pump", "r", "acc", BOOT, T0, T0 + 3 * SECOND, 300, "disk_full")
    assert isinstance(second, Gap)
    assert second.samples == 7
    assert refusals.take() == []


@pytest.mark.parametrize("period", [True, False])
def test_thinning_again_and_again_keeps_the_sum_of_samples(period: bool) -> None:
    found = replace(chunk(0, 100), missing=7, missing_reason="line")
    if not period:
        deltas = np.arange(100, dtype="<i4").tobytes()
        found = replace(found, period_num=0, period_den=0, tick_ns=5, deltas=deltas)
    counts = []
    while (smaller := thin(found, "spool_full")) is not None:
        check_chunk(smaller)
        assert smaller.count + smaller.missing == 107
        counts.append(smaller.count)
        found = smaller
    assert counts == [50, 25, 13, 7, 4, 2, 1]


def test_what_the_log_has_is_summed_up_to_what_the_next_start_reads() -> None:
    start = RecordingStart("other", "s", BOOT, T0, "start")
    end = RecordingEnd("other", "s", BOOT, T0 + SECOND, "stopped")
    parts = [
        Part(encode([entry(0), reading("other", start), identities([b"12345678"])], 0, 1, 0), 0, 3),
        Part(encode([entry(1), reading("other", end), identities([b"abcdefgh"]), entry(2), entry(3)], 3, 1, 3), 3, 8),
        Part(encode([seen(b"a source", b"pair of digests."), entry(4), entry(5)], 8, 1, 8), 8, 11),
    ]
    data = sum_up(parts, 9)
    run = parse(data, 0, 11, holes=True)
    assert run.offsets[-2:] == [9, 10]
    assert [decode(value) for value in run.values[-2:]] == [chunk(4), chunk(5)]
    tail = read_tail(entries_of(data, 0, 11))
    whole = read_tail(pair for part in parts for pair in entries_of(*part))
    assert tail == whole
    assert whole.seen == {b"a source": [b"pair of digests."]}
    again = sum_up([Part(data, 0, 11)], 11)
    assert read_tail(entries_of(again, 0, 11)) == whole
    assert len(parse(again, 0, 11, holes=True).offsets) == 4
    assert sum_up([Part(encode([Entry(b"rx", b"junk")], 0, 1, 0), 0, 1)], 1) == b""
