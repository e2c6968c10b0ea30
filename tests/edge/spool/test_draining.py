from __future__ import annotations

from msgspec.structs import replace

from edge.spool.draining import DAMAGE, Drain
from edge.spool.entries import MARK, description, held_mark, identities, reading, urgent
from ingest.log.protocol import Entry, LogBatch
from ingest.records import Channel, Gap, MarkAdd, MarkRetract, Record, RecordingStart, StreamDescription, schema_id
from ingest.wire import decode
from tests.edge.spool.spooling import BOOT, SECOND, T0, chunk, entry

KERNEL, OTHER = b"k" * 16, b"o" * 16


def batch(*entries: Entry, first: int = 0) -> LogBatch:
    offsets = list(range(first, first + len(entries)))
    keys, values = [found.key for found in entries], [found.value for found in entries]
    return LogBatch("readings", 0, offsets, [0] * len(entries), keys, values, first + len(entries))


def records(entries: list[Entry]) -> list[Record]:
    return [decode(found.value) for found in entries]


def test_entries_go_to_their_topics_in_order() -> None:
    described = StreamDescription("acc", (Channel("x", "g"),), "int16")
    mark = MarkAdd("pump", "id", 1, 2, "bad", "me", "button")
    plan = Drain(KERNEL).plan(
        batch(description(described), entry(0), identities([b"12345678"]), entry(1), urgent(MARK, "pump", mark)), {}
    )
    assert [(step.topic, len(step.entries), step.next_offset) for step in plan.steps] == [
        ("streams", 1, 1),
        ("readings", 2, 4),
        ("marks", 1, 5),
    ]
    assert plan.steps[0].entries[0].key == schema_id(described)
    assert plan.steps[1].entries[0].key == b"pump"
    assert plan.next_offset == 5


def test_held_records_wait_for_their_clock() -> None:
    drain = Drain(KERNEL)
    start = RecordingStart("pump", "r", BOOT, 5, "start")
    mixed = batch(entry(0), reading("pump", start, KERNEL), entry(1))
    plan = drain.plan(mixed, {})
    assert (plan.waits, plan.next_offset, len(plan.steps[0].entries)) == (True, 1, 1)
    plan = drain.plan(mixed, {KERNEL: 1000})
    assert not plan.waits
    assert records(plan.steps[0].entries)[1] == RecordingStart("pump", "r", BOOT, 1005, "start")


def test_what_an_earlier_kernel_never_dated_goes_out_marked() -> None:
    plan = Drain(KERNEL).plan(batch(reading("pump", chunk(0), OTHER)), {})
    (found,) = records(plan.steps[0].entries)
    assert found.clock.source == "unsynced"  # type: ignore[union-attr]


def test_marks_wait_for_their_clock_with_the_readings_and_are_dated_like_them() -> None:
    add = MarkAdd("pump", "id", 5, 9, "walk", "me", "button", client_ns=9)
    back = MarkRetract("pump", "id", "me", "button", 12)
    held = batch(entry(0), held_mark("pump", add, KERNEL), held_mark("pump", back, KERNEL))
    plan = Drain(KERNEL).plan(held, {})
    assert (plan.waits, plan.next_offset) == (True, 1)
    plan = Drain(KERNEL).plan(held, {KERNEL: 1000})
    assert [step.topic for step in plan.steps] == ["readings", "marks"]
    assert records(plan.steps[1].entries) == [
        MarkAdd("pump", "id", 1005, 1009, "walk", "me", "button", client_ns=1009),
        MarkRetract("pump", "id", "me", "button", 1012),
    ]
    (step,) = Drain(KERNEL).plan(batch(held_mark("pump", add, OTHER)), {}).steps
    assert records(step.entries) == [replace(add, evidence={"unsynced": 1.0})]


def test_a_hole_in_the_numbers_is_announced_as_damage() -> None:
    drain = Drain(KERNEL)
    found = records(drain.plan(batch(entry(0), entry(3)), {}).steps[0].entries)
    assert found[1] == Gap("pump", "r", "acc", BOOT, T0 + SECOND, T0 + 3 * SECOND, -1, DAMAGE)
    gap = Gap("pump", "r", "acc", BOOT, T0 + 4 * SECOND, T0 + 6 * SECOND, 200, "spool_full")
    found = records(drain.plan(batch(reading("pump", gap), entry(6)), {}).steps[0].entries)
    assert found == [gap, chunk(6)]


def test_one_lost_chunk_between_two_is_a_hole_and_none_is_not() -> None:
    drain = Drain(KERNEL)
    found = records(drain.plan(batch(entry(0), entry(1), entry(3)), {}).steps[0].entries)
    assert found == [
        chunk(0),
        chunk(1),
        Gap("pump", "r", "acc", BOOT, T0 + 2 * SECOND, T0 + 3 * SECOND, -1, DAMAGE),
        chunk(3),
    ]


def test_one_chunk_that_is_missing_between_two_is_announced() -> None:
    found = records(Drain(KERNEL).plan(batch(entry(0), entry(2)), {}).steps[0].entries)
    assert found == [chunk(0), Gap("pump", "r", "acc", BOOT, T0 + SECOND, T0 + 2 * SECOND, -1, DAMAGE), chunk(2)]
    found = records(Drain(KERNEL).plan(batch(entry(0), entry(1), entry(2)), {}).steps[0].entries)
    assert found == [chunk(0), chunk(1), chunk(2)]


def test_bytes_that_are_no_record_go_on_to_be_buried() -> None:
    plan = Drain(KERNEL).plan(batch(Entry(b"rpump", b"garbage")), {})
    assert plan.steps[0].entries == [Entry(b"pump", b"garbage")]
