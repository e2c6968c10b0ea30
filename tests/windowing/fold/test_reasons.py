"""Every reason that the windower counts: nothing goes in silence."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from typing import Any
from unittest import mock

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.engine.operator import Output
from ingest.records import (
    Channel,
    Chunk,
    DeadLetter,
    Forget,
    Gap,
    Progress,
    Record,
    RecordingStart,
    RecordingUndo,
    StreamDescription,
    schema_id,
)
from ingest.wire import decode, encode
from tests.windowing.feeding import BOOT, NOW_NS, START_NS, Collected, Source, batches, describe, run
from windowing.fold.anchors import AnchorMark
from windowing.fold.operator import WindowOperator
from windowing.fold.streams import Stream
from windowing.spec import StreamRule, WindowSpec

DAY_NS = 86_400 * 10**9
PERIOD = Fraction(20_000_000)
STEP = 20_000_000
ACC, TEMP = describe("acc", "xy"), describe("temp", "c")
SPEC = WindowSpec(5, 5, Fraction(50), ("acc.x", "acc.y"))
BOTH = WindowSpec(5, 5, Fraction(50), ("acc.x", "acc.y", "temp.c"))


def at(i: float) -> int:
    return START_NS + int(i * STEP)


def ones(count: int, channels: int = 2) -> Any:
    return np.ones((count, channels))


def regular(source: Source, start: int, count: int) -> Record:
    return source.regular(at(start), 0, PERIOD, ones(count, len(source.description.channels)))


def both_ways(spec: WindowSpec, records: Sequence[Record | bytes], **more: Any) -> Collected:
    """The result, the same in one batch and record by record with a restart after each."""
    once = run(spec, records, [ACC, TEMP], **more)
    singly = run(spec, records, [ACC, TEMP], sizes=[1] * len(records), restart=[True] * len(records), **more)
    singly.same_as(once)
    return once


def _daily(days: int) -> list[Record]:
    """What another device says, once a day: the log ages by it."""
    return [Progress("d2", "r9", "acc", BOOT, START_NS) for _ in range(days)]


def _output(spec: WindowSpec, records: Sequence[Record]) -> Output:
    """What one batch gives, with runs of dropped windows as they are."""
    operator = WindowOperator(spec)
    for description in (ACC, TEMP):
        operator.learn(schema_id(description), description)
    running = operator.start(None)
    (batch,) = batches(records)
    assert running.feed(batch) == len(records)
    return running.take()


@pytest.mark.parametrize("anchor", ["epoch", "recording"])
@pytest.mark.parametrize(("days", "again"), [(29, 0), (31, 2)])
def test_chunks_of_a_recording_that_was_forgotten_make_its_windows_again(anchor: Any, days: int, again: int) -> None:
    """They cannot be told from what never came: nothing is lost, and opening leaves the second ones out."""
    source = Source(ACC)
    chunks = [regular(source, start, 10) for start in (0, 10, 20)]
    spec = replace(SPEC, anchor=anchor)
    operator = WindowOperator(spec)
    operator.learn(schema_id(ACC), ACC)
    running, found = operator.start(None), []
    records = [*chunks, source.end(), *_daily(days), chunks[1], source.end()]
    append_ns = [START_NS, START_NS, START_NS, START_NS, *(START_NS + day * DAY_NS for day in range(1, days + 1))]
    append_ns += [append_ns[-1] + 1] * 2
    for batch in batches(records, [4], append_ns):
        running.feed(batch)
        collected = Collected()
        collected.add(running.take())
        found.append({row["window"]: row["offset"] for row in collected.rows})
    before, after = found
    assert (len(before), len(after)) == (6, again)
    assert set(after) <= set(before)
    assert all(offset > max(before.values()) for offset in after.values())


def test_duplicates_are_removed_by_identity_even_after_the_end() -> None:
    acc = Source(ACC)
    chunks = [regular(acc, 0, 10), regular(acc, 10, 10)]
    found = both_ways(SPEC, [*chunks, chunks[0], chunks[1], acc.end(), chunks[0], acc.end()])
    assert len(found.windows) == 4
    assert (found.counts["duplicate.chunks"], found.counts["duplicate.samples"]) == (3, 30)
    assert (found.counts["samples"], found.counts["chunks"]) == (20, 2)
    assert found.counts["ended.recordings"] == 1


def test_another_boot_counts_from_zero_again() -> None:
    acc = Source(ACC)
    first = regular(acc, 0, 10)
    acc.boot, acc.seq = b"c" * 16, 0
    found = both_ways(SPEC, [first, regular(acc, 10, 10)])
    assert len(found.windows) == 4
    assert "duplicate.chunks" not in found.counts


def test_holes_in_the_sequence_are_counted_until_filled() -> None:
    acc = Source(ACC, seq=2)
    later, acc.seq = regular(acc, 10, 10), 1
    filling = regular(acc, 20, 10)
    assert both_ways(SPEC, [later]).counts["missing.chunks"] == 2
    assert both_ways(SPEC, [later, filling]).counts["missing.chunks"] == 1


def test_announced_losses_are_counted_by_reason() -> None:
    acc = Source(ACC, extra={"missing": 7, "missing_reason": "uart overrun"})
    gaps: list[Record] = [Gap("d1", "r1", "acc", BOOT, 0, 1, n, "spool full") for n in (5, -1)]
    found = both_ways(SPEC, [regular(acc, 0, 10), *gaps])
    assert (found.counts["missing.samples"], found.counts["missing.samples.uart overrun"]) == (7, 7)
    assert (found.counts["gap.records"], found.counts["gap.samples.spool full"]) == (2, 5)


def test_late_samples_are_counted_and_kept() -> None:
    acc = Source(ACC)
    good, late = regular(acc, 0, 10), regular(acc, 8, 4)
    found = both_ways(SPEC, [good, late, regular(acc, 12, 3)])
    assert found.counts["late.samples"] == 2
    assert found.counts["samples"] == 15
    assert [(row["t_ns"], row["reason"], row["seq"], row["values"]) for row in found.late] == [
        (at(8), "late", 1, [1.0, 1.0]),
        (at(9), "late", 1, [1.0, 1.0]),
    ]
    assert len(found.windows) == 3


def test_a_progress_record_makes_what_lies_before_it_late() -> None:
    acc = Source(ACC)
    progress = Progress("d1", "r1", "acc", BOOT, at(12))
    found = both_ways(SPEC, [regular(acc, 0, 10), progress, regular(acc, 10, 10)])
    assert found.counts["late.samples"] == 2
    assert [row["t_ns"] for row in found.late] == [at(10), at(11)]


def test_times_that_repeat_or_step_back_within_a_chunk_are_late() -> None:
    acc = Source(ACC)
    chunk = acc.chunk([at(i) for i in (0, 1, 1, 2, 0.5, 3, 4)], np.arange(14).reshape(7, 2))
    found = both_ways(SPEC, [chunk, regular(acc, 5, 5)])
    assert [(row["t_ns"], row["reason"]) for row in found.late] == [(at(1), "backwards"), (at(0.5), "backwards")]
    assert found.counts["late.samples"] == 2
    first = min(found.by_k)
    assert found.by_k[first][:, 0].tolist() == [0, 2, 6, 10, 12]


def test_a_period_below_a_nanosecond_repeats_times() -> None:
    acc = Source(ACC)
    found = both_ways(SPEC, [acc.regular(at(0), 0, Fraction(1, 2), ones(4))])
    assert (found.counts["samples"], found.counts["late.samples"]) == (2, 2)


def test_what_follows_the_end_is_late() -> None:
    acc = Source(ACC)
    found = both_ways(SPEC, [regular(acc, 0, 10), acc.end(), regular(acc, 10, 10)])
    assert found.counts["late.samples"] == 10
    assert {row["reason"] for row in found.late} == {"ended"}
    assert len(found.windows) == 2


def test_samples_more_than_a_day_ahead_are_quarantined() -> None:
    acc, ahead = Source(ACC), (NOW_NS - START_NS) // STEP + 86_400 * 50
    found = both_ways(SPEC, [regular(acc, ahead - 1, 3), regular(acc, 0, 5), Progress("d1", "r1", "acc", BOOT, 2**62)])
    assert found.counts["quarantine.samples"] == 1
    assert found.counts["quarantine.progress"] == 1
    assert found.counts["late.samples"] == 5
    assert {(row["t_ns"], row["reason"]) for row in found.late if row["reason"] != "late"} == {
        (at(ahead + 1), "quarantine")
    }


def test_quarantine_goes_by_the_running_maximum_of_append_times() -> None:
    acc = Source(ACC)
    records = [regular(acc, 0, 5), regular(acc, 5, 5)]
    assert "quarantine.samples" not in both_ways(SPEC, records, append_ns=[START_NS, 0]).counts
    assert both_ways(SPEC, records, append_ns=[0, 0]).counts["quarantine.samples"] == 10


def test_unsynced_clocks_are_never_windowed() -> None:
    acc = Source(ACC)
    first = regular(acc, 0, 5)
    acc.clock = "unsynced"
    second = regular(acc, 5, 5)
    acc.clock = "gps"
    found = both_ways(SPEC, [first, second, regular(acc, 5, 5)])
    assert found.counts["unsynced.samples"] == 5
    assert len(found.windows) == 2


def test_times_that_may_be_too_far_off_are_left_out_and_counted() -> None:
    spec = replace(SPEC, max_uncertainty_ns=10**9)
    assert spec.id != SPEC.id
    acc = Source(ACC)
    records = [regular(acc, 0, 5)]
    acc.uncertainty_ns = 10**9
    records.append(regular(acc, 5, 5))
    acc.uncertainty_ns = 10**9 + 1
    records.append(regular(acc, 10, 40))
    acc.uncertainty_ns = 0
    records.append(regular(acc, 50, 5))
    found = both_ways(spec, records)
    assert found.counts["uncertain.samples"] == 40
    assert len(found.windows) == 3
    assert "uncertain.samples" not in both_ways(SPEC, records).counts


@given(st.lists(st.tuples(st.integers(1, 30), st.integers(-900, 900), st.sampled_from([0, 0, 0, 1, 400, -400, 10**7]))))
def test_chunks_whose_grid_bends_are_windowed_alike_by_the_quick_way_and_the_slow_one(
    bends: list[tuple[int, int, int]],
) -> None:
    acc, records, at = Source(ACC), list[Chunk](), START_NS
    for count, bend, jump in bends:
        period = 20_000_000 + bend
        values = np.arange(acc.seq, acc.seq + count * 2, dtype=np.float32)
        records.append(acc.regular(at + jump, 0, Fraction(period), values))
        at += jump + count * period
    quick = run(SPEC, [*records, acc.end(at)], [ACC])
    with mock.patch.object(Stream, "extend", return_value=False):
        slow = run(SPEC, [*records, acc.end(at)], [ACC])
    quick.same_as(slow)


@pytest.mark.parametrize(
    ("description", "spec", "reason"),
    [
        (describe("acc", "ab"), SPEC, "unknown_channel"),
        (ACC, WindowSpec(5, 5, Fraction(50), ("acc.x",), units={"acc.x": "m/s2"}), "wrong_unit"),
        (ACC, WindowSpec(5, 5, Fraction(50), ("acc.x",), units={"acc": "m/s2"}), "wrong_unit"),
    ],
)
def test_a_stream_that_is_not_what_is_meant_is_a_fault(
    description: StreamDescription, spec: WindowSpec, reason: str
) -> None:
    source = Source(description)
    records = [regular(source, 0, 10), regular(source, 10, 10), source.end()]
    found = run(spec, records, [description], sizes=[1, 1], restart=[True])
    assert found.counts[reason] == 20
    assert not found.windows


def test_the_right_unit_is_no_fault() -> None:
    spec = WindowSpec(5, 5, Fraction(50), ("acc.x",), units={"acc.x": "g"})
    assert len(both_ways(spec, [regular(Source(ACC), 0, 10)]).windows) == 2


def test_streams_that_nobody_named_are_counted() -> None:
    found = both_ways(SPEC, [regular(Source(ACC), 0, 5), regular(Source(describe("gyro", "x")), 0, 9)])
    assert found.counts["unnamed.samples"] == 9


@pytest.mark.parametrize("spoiled", [b"", b"\x02abc", b"\x01\xc1", b"\x01\x92\x03\xa1d"])
def test_what_cannot_be_decoded_goes_to_the_dead_letters(spoiled: bytes) -> None:
    acc = Source(ACC)
    found = both_ways(SPEC, [regular(acc, 0, 5), spoiled, regular(acc, 5, 5)])
    assert found.counts["undecodable"] == 1
    assert len(found.windows) == 2
    (letter,) = found.publications
    record = decode(letter.entry.value)
    assert isinstance(record, DeadLetter)
    assert (letter.topic, letter.entry.key) == ("deadletter", b"d1")
    assert (record.topic, record.partition, record.offset, record.value) == ("readings", 0, 1, spoiled)


def test_chunks_that_contradict_their_schema_or_themselves_go_to_the_dead_letters() -> None:
    acc, three = Source(ACC), Source(describe("acc", "xyz"))
    wrong = regular(three, 5, 5)
    wrong = type(wrong)(**{f: getattr(wrong, f) for f in wrong.__struct_fields__} | {"schema": schema_id(ACC)})
    huge = acc.chunk([0, 2**63 - 1], ones(2))
    none = type(wrong)(**{f: getattr(wrong, f) for f in wrong.__struct_fields__} | {"count": 0, "values": b""})
    endless = type(wrong)(**{f: getattr(wrong, f) for f in wrong.__struct_fields__} | {"seq": 2**64 - 1})
    found = both_ways(SPEC, [regular(acc, 0, 5), wrong, encode(huge), none, endless])
    assert found.counts["undecodable"] == 4
    assert len(found.publications) == 4
    assert len(found.windows) == 1


def test_an_unknown_schema_stops_the_feed_before_its_record() -> None:
    operator = WindowOperator(SPEC)
    operator.learn(schema_id(ACC), ACC)
    scaled = describe("acc", "xy", "int16", scale=0.5)
    first, second = Source(ACC), Source(scaled, seq=1)
    (batch,) = batches([regular(first, 0, 5), regular(second, 5, 5)])
    running = operator.start(None)
    assert running.feed(batch) == 1
    assert running.missing_schema == schema_id(scaled)
    assert running.feed(batch.tail(1)) == 0
    operator.learn(schema_id(scaled), scaled)
    assert running.feed(batch.tail(1)) == 1
    assert running.missing_schema is None
    collected = Collected()
    collected.add(running.take())
    assert [signal.max() for _, signal in sorted(collected.by_k.items())] == [1.0, 0.5]
    assert collected.counts["samples"] == 10


def test_a_log_that_lost_records_is_counted() -> None:
    running = WindowOperator(SPEC).start(None)
    running.skip(5, 12)
    assert running.take().counts == {"lost.offsets": 7}


def test_a_gap_drops_the_windows_that_it_touches() -> None:
    acc = Source(ACC)
    found = both_ways(SPEC, [regular(acc, 0, 8), regular(acc, 60, 15), acc.end()])
    first = min(row["k"] for row in found.rows)
    assert {k - first for *_, k, reason in found.drops if reason == "gap"} == set(range(1, 12))
    assert found.counts["drop.gap"] == 11
    assert sorted(row["k"] - first for row in found.rows) == [0, 12, 13, 14]


def test_a_hole_of_fifty_years_is_a_few_rows() -> None:
    acc = Source(ACC)
    early = acc.regular(0, 0, PERIOD, ones(10))
    output = _output(SPEC, [early, regular(acc, 0, 10), acc.end()])
    assert output.counts["windows"] == 4
    assert output.counts["drop.gap"] == START_NS // (5 * STEP) - 2
    (dropped,) = [draft for draft in output.drafts if draft.name.startswith("dropped/")]
    assert dropped.rows <= 3


def test_a_hole_of_fifty_years_without_any_stream_is_a_few_rows() -> None:
    spec = WindowSpec(5, 5, Fraction(50), ("acc.x", "temp.c"))
    acc, temp = Source(ACC), Source(TEMP)
    output = _output(spec, [acc.regular(0, 0, PERIOD, ones(10)), regular(temp, 0, 10), acc.end()])
    assert output.counts["drop.coverage"] == START_NS // (5 * STEP) + 2
    (dropped,) = [draft for draft in output.drafts if draft.name.startswith("dropped/")]
    assert dropped.rows <= 8


def test_edges_and_thin_windows() -> None:
    acc = Source(ACC)
    spec = WindowSpec(5, 5, Fraction(50), ("acc.x", "acc.y"), rule=StreamRule("none"), min_coverage=Fraction(4, 5))
    values = ones(20)
    values[5:8, 1] = np.nan
    values[11, 0] = np.nan
    chunk = acc.regular(at(3), 0, PERIOD, values)
    found = both_ways(spec, [chunk, acc.end()])
    first = START_NS // (5 * STEP)
    assert {(k - first, reason) for *_, k, reason in found.drops} == {(0, "edge"), (1, "coverage"), (4, "edge")}
    coverage = {row["k"] - first: (row["coverage"], row["mask"] != b"") for row in found.rows}
    assert coverage == {2: (np.float32(0.8), True), 3: (np.float32(1.0), False)}


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("value", [1e300, -1e39, np.inf, -np.inf])
@pytest.mark.parametrize("least", [Fraction(1), Fraction(4, 5)])
def test_a_value_that_no_float32_holds_is_missing(dtype: Any, value: float, least: Fraction) -> None:
    """A finite 1e300 became infinite in the training array, with a coverage of 1."""
    description = describe("acc", "xy", dtype)
    acc, values = Source(description), ones(20).astype(dtype)
    with np.errstate(over="ignore"):
        values[7, 1] = np.array(value).astype(dtype)
    spec = WindowSpec(5, 5, Fraction(50), ("acc.x", "acc.y"), rule=StreamRule("none"), min_coverage=least)
    found = run(spec, [acc.regular(at(0), 0, PERIOD, values), acc.end()], [description])
    first = START_NS // (5 * STEP)
    coverage = {row["k"] - first: (row["coverage"], row["mask"] != b"") for row in found.rows}
    assert coverage.pop(1, None) == (None if least == 1 else (np.float32(0.8), True))
    assert coverage == dict.fromkeys([0, 2, 3], (np.float32(1.0), False))
    assert found.counts.get("drop.coverage", 0) == (least == 1)
    arrays = np.concatenate([np.frombuffer(row["signal"], np.float32) for row in found.rows])
    assert not np.isinf(arrays).any()
    assert np.isnan(arrays).sum() == (least != 1)


def test_a_recording_that_lacks_a_stream_drops_its_windows_at_its_end() -> None:
    acc = Source(ACC)
    open_one = both_ways(BOTH, [regular(acc, 0, 20)])
    assert not open_one.dropped
    found = both_ways(BOTH, [regular(acc, 0, 20), acc.end()])
    assert found.counts["drop.no_stream"] == 4
    assert found.counts["no_stream.recordings"] == 1
    assert {reason for *_, reason in found.drops} == {"no_stream"}


def test_a_window_waits_for_every_stream() -> None:
    acc, temp = Source(ACC), Source(TEMP)
    assert len(both_ways(BOTH, [regular(acc, 0, 20), regular(temp, 0, 10)]).windows) == 2
    progress = Progress("d1", "r1", "temp", BOOT, at(10) + 600_000_000)
    found = both_ways(BOTH, [regular(acc, 0, 50), regular(temp, 0, 10), progress])
    assert len(found.windows) == 2
    assert found.counts["drop.gap"] == 6


def test_abandoned_recordings_are_closed_and_may_go_on() -> None:
    acc = Source(ACC)
    records = [regular(acc, 0, 12), *_daily(31), regular(acc, 15, 10), acc.end()]
    stamps = [NOW_NS, *(NOW_NS + day * DAY_NS for day in range(1, 32)), *[NOW_NS + 31 * DAY_NS] * 2]
    found = both_ways(SPEC, records, append_ns=stamps)
    assert found.counts["abandoned.recordings"] == 1
    first = START_NS // (5 * STEP)
    assert {(r, k - first, reason) for r, _, k, reason in found.drops} == {("r1", 2, "edge")}
    assert sorted(row["k"] - first for row in found.rows if row["recording"] == "r1") == [0, 1, 3, 4]
    assert found.counts["drop.edge"] == 1


def test_a_boot_is_forgotten_thirty_days_after_its_recordings_ended() -> None:
    acc = Source(ACC)
    chunk = regular(acc, 0, 5)
    days = [0, 1, 20, 33]
    records = [chunk, acc.end(), chunk, chunk]
    for day, record in zip(range(1, 65), _daily(64), strict=False):
        at = sum(known <= day for known in days)
        days.insert(at, day)
        records.insert(at, record)
    stamps = [NOW_NS + day * DAY_NS for day in days]
    found = both_ways(SPEC, records, append_ns=stamps)
    assert found.counts["duplicate.chunks"] == 2
    assert found.counts["samples"] == 5
    operator = WindowOperator(SPEC)
    operator.learn(schema_id(ACC), ACC)
    running, sizes = operator.start(None), []
    for batch in batches(records, [len(records) - 1], stamps):
        running.feed(batch)
        running.take()
        sizes.append(any(BOOT in part for part in running.snapshot()))
    assert sizes == [True, False]


def test_an_open_recording_keeps_its_boot_for_ever() -> None:
    acc = Source(ACC)
    chunk = regular(acc, 0, 5)
    records = [chunk, *(Progress("d1", "r1", "acc", BOOT, at(5)) for _ in range(4)), chunk]
    found = both_ways(SPEC, records, append_ns=[NOW_NS + i * 29 * DAY_NS for i in range(6)])
    assert found.counts["duplicate.chunks"] == 1
    assert "abandoned.recordings" not in found.counts


def test_a_forgotten_device_is_windowed_no_more() -> None:
    acc = Source(ACC)
    forget = Forget("d1", "ana", NOW_NS, "asked to")
    start = RecordingStart("d1", "r2", BOOT, START_NS, "start")
    found = both_ways(SPEC, [regular(acc, 0, 12), forget, regular(acc, 12, 8), start, acc.end()])
    assert len(found.windows) == 2
    assert found.counts["forgotten"] == 1
    assert found.counts["forgotten.samples"] == 8
    assert found.counts["forgotten.records"] == 2


def test_a_forgotten_recording_is_windowed_no_more_and_the_next_one_is() -> None:
    acc = Source(ACC)
    undo = RecordingUndo("d1", "r1", "ana", "asked to", NOW_NS, forget=True)
    first = [regular(acc, 0, 12), undo, regular(acc, 12, 8)]
    acc.recording = "r2"
    start = RecordingStart("d1", "r2", BOOT, START_NS, "start")
    found = both_ways(SPEC, [*first, start, regular(acc, 20, 12)])
    recordings = [row["recording"] for row in found.rows]
    assert recordings.count("r1") == 2
    assert found.counts["forgotten.samples"] == 8
    assert found.counts["missing.chunks"] == 0
    assert recordings.count("r2") >= 1


def test_records_of_other_kinds_are_counted() -> None:
    found = both_ways(SPEC, [ACC, RecordingStart("d1", "r1", BOOT, START_NS, "start")])
    assert found.counts == {"other.records": 1, "started.recordings": 1}


def test_a_changed_description_in_one_recording() -> None:
    raw = describe("acc", "xy", "int32")
    scaled = StreamDescription("acc", (Channel("y", "g", 0.1, 2.0), Channel("w", "g"), Channel("x", "g")), "float64")
    first = Source(ACC)
    second, third = Source(raw, seq=1), Source(scaled, seq=2)
    values = np.array([[1.5, 0, 16777217.0]] * 5)
    records: list[Record] = [
        regular(first, 0, 5),
        second.regular(at(5), 0, PERIOD, np.full((5, 2), 2**24 + 1)),
        third.regular(at(10), 0, PERIOD, values),
        first.end(),
    ]
    results = [
        run(SPEC, records, [ACC, raw, scaled], sizes=sizes, restart=[True] * len(sizes)) for sizes in ([], [1, 1, 1])
    ]
    results[0].same_as(results[1])
    rows = [signal[0].tolist() for _, signal in sorted(results[0].by_k.items())]
    assert rows == [[1, 1], [2**24, 2**24], [2**24, float(np.float32(1.5 * 0.1 + 2.0))]]


def test_marks_of_other_devices_and_instants_give_no_windows() -> None:
    spec = WindowSpec(5, 5, Fraction(50), ("acc.x", "acc.y"), anchor="mark")
    acc = Source(ACC)
    marks = [
        AnchorMark("a", "d1", at(1.5), at(12)),
        AnchorMark("b", "d1", at(3), at(3)),
        AnchorMark("c", "d2", at(0), at(99)),
        AnchorMark("d", "d1", at(10), 2**63),
        AnchorMark("e", "d1", -(2**63), at(5)),
        AnchorMark("f", "d1", 2**63, 2**64 - 1),
    ]
    found = both_ways(spec, [regular(acc, 0, 20), acc.end()], marks=marks)
    assert sorted((row["anchor"], row["k"], row["t0_ns"]) for row in found.rows) == [
        ("a", 0, at(2)),
        ("a", 1, at(7)),
        ("d", 0, at(10)),
        ("d", 1, at(15)),
        ("e", 0, at(0)),
    ]
