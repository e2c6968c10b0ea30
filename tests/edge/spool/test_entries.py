from __future__ import annotations

from edge.spool.entries import (
    HELD,
    MAX_IDENTITIES,
    READING,
    Identities,
    Key,
    description,
    identities,
    identities_in,
    key_of,
    read_tail,
    reading,
)
from ingest.log.protocol import Entry
from ingest.records import Channel, Gap, Progress, Record, RecordingEnd, RecordingStart, StreamDescription, schema_id
from tests.edge.spool.spooling import BOOT, chunk

KERNEL = b"k" * 16
LARGEST_WINDOW = 65_535
"""Of an MQTT session: packet ids have 16 bits."""


def test_keys_say_what_an_entry_is() -> None:
    assert key_of(reading("pump", chunk(0)).key) == Key(READING, "pump")
    assert key_of(reading("pump", chunk(0), KERNEL).key) == Key(HELD, "pump", KERNEL)
    found = StreamDescription("acc", (Channel("x", "g"),), "int16")
    assert description(found).key[1:] == schema_id(found)
    assert key_of(b"") == Key(b"", "")


def test_the_tail_names_what_is_open_and_how_far_it_reaches() -> None:
    start = RecordingStart("pump", "r", BOOT, 5, "start")
    tail = read_tail([reading("pump", start), reading("pump", chunk(3)), (b"r", b"garbage")])
    known = tail.devices["pump"]
    assert (known.boot, known.recording, known.is_open) == (BOOT, "r", True)
    assert known.reach_ns == chunk(4).t0_ns
    ended = read_tail([reading("pump", chunk(3)), reading("pump", RecordingEnd("pump", "r", BOOT, 9, "stopped"))])
    assert not ended.devices["pump"].is_open
    gap = Gap("pump", "r", "acc", BOOT, 0, 1 << 61, 1, "disk_full")
    assert read_tail([reading("pump", chunk(0)), reading("pump", gap)]).devices["pump"].reach_ns == 1 << 61


def after_restart(*notes: Entry) -> Identities:
    """What a new boot knows."""
    return Identities(read_tail(notes).identities)


def test_identities_outlive_a_restart_and_are_of_their_source_alone() -> None:
    known = Identities()
    known.note("mqtt", b"1")
    assert known.is_known("mqtt", b"1")
    assert not known.is_known("other", b"1")
    notes = known.take()
    assert known.take() == []
    again = after_restart(*notes)
    assert again.is_known("mqtt", b"1")
    assert not again.is_known("other", b"1")
    again.forget(notes)
    assert not again.is_known("mqtt", b"1")


def test_what_comes_no_more_is_forgotten_also_after_a_restart() -> None:
    """The same packet id and payload are another message once the acknowledgement was read."""
    known = Identities()
    for identity in (b"1", b"2", b"3"):
        known.note("mqtt", identity)
    notes = known.take()
    known.settle("mqtt", [b"1"], None)
    notes += known.take()
    assert [known.is_known("mqtt", identity) for identity in (b"1", b"2", b"3")] == [False, True, True]
    assert [after_restart(*notes).is_known("mqtt", identity) for identity in (b"1", b"2", b"3")] == [False, True, True]
    known.note("mqtt", b"4")
    known.note("mqtt", b"1")
    known.settle("mqtt", [b"2", b"3"], None)
    notes += known.take()
    found = after_restart(*notes)
    assert [found.is_known("mqtt", identity) for identity in (b"1", b"2", b"3", b"4")] == [True, False, False, True]
    known.settle("mqtt", [], {b"4"})
    assert [known.is_known("mqtt", identity) for identity in (b"1", b"4")] == [False, True]
    known.settle("mqtt", [], frozenset())
    found = after_restart(*notes, *known.take())
    assert not any(found.is_known("mqtt", identity) for identity in (b"1", b"4"))


def test_a_note_never_forgets_what_may_still_come_again() -> None:
    """Settled out of order, given up in between, and repeated after a restart whose spool begins in the middle."""
    known = Identities()
    notes: list[Entry] = []
    for number in range(50):
        known.note("mqtt", b"%d" % number)
        if number % 7 == 3:
            known.forget([*known.take()][-1:])  # never written
        elif number % 3 == 0:
            notes += known.take()
        if number >= 10:
            known.settle("mqtt", [b"%d" % (number - 10 if number % 2 else number - 9)], None)
    notes += known.take()
    found = after_restart(*notes[5:])
    for number in range(50):
        if known.is_known("mqtt", b"%d" % number) and number > 20:
            assert found.is_known("mqtt", b"%d" % number), number


def test_a_fast_source_does_not_push_out_what_another_one_noted() -> None:
    known = Identities()
    known.note("slow", b"1")
    for number in range(MAX_IDENTITIES + 1):
        known.note("fast", b"n%d" % number)
    assert known.is_known("slow", b"1")
    assert not known.is_known("fast", b"n0")
    assert known.is_known("fast", b"n1")
    found = after_restart(*known.take())
    assert found.is_known("slow", b"1")
    assert found.is_known("fast", b"n1")


def test_all_that_two_fast_sources_may_be_sent_again_is_known_after_a_restart() -> None:
    """Each may have the largest window there is unacknowledged; they shared one memory."""
    known, sources = Identities(), ("mqtt", "other")
    notes: list[Entry] = []
    for begin in range(0, LARGEST_WINDOW, 1000):
        for number in range(begin, min(begin + 1000, LARGEST_WINDOW)):
            for source in sources:
                known.note(source, b"%d" % number)
        notes += known.take()
    found = after_restart(*notes)
    assert all(found.is_known(source, b"%d" % number) for source in sources for number in range(LARGEST_WINDOW))


def test_a_note_of_an_earlier_version_is_understood() -> None:
    """It names no source: its identities are anyone's."""
    known = Identities()
    known.note("mqtt", b"1")
    (note,) = known.take()
    old = identities(identities_in(note.value))
    assert old.key == b"i"
    assert after_restart(old).is_known("mqtt", b"1")
    assert not after_restart(old).is_known("mqtt", b"2")
    assert key_of(note.key).kind == b"i"  # and an earlier version understands ours


def test_what_a_device_had_kept_is_ended_beside_what_is_live() -> None:
    live, kept = "boot-0", "boot-1-backlog"
    records: list[Record] = [
        RecordingStart("pump", live, BOOT, 100, "start"),
        RecordingStart("pump", kept, BOOT, 10, "backlog"),
        Progress("pump", live, "acc", BOOT, 200),
        Progress("pump", kept, "acc", BOOT, 20),
    ]
    tail = read_tail((entry.key, entry.value) for entry in (reading("pump", record) for record in records))
    assert (tail.devices["pump"].recording, tail.devices["pump"].reach_ns) == (live, 200)
    assert (tail.beside["pump", kept].reach_ns, tail.beside["pump", kept].is_open) == (20, True)


def test_how_far_each_stream_of_a_boot_is_there() -> None:
    records: list[Record] = [
        RecordingStart("pump", "boot-0", BOOT, 100, "start"),
        Progress("pump", "boot-0", "acc", BOOT, 200),
        Progress("pump", "boot-0", "temp", BOOT, 150),
    ]
    (known,) = read_tail((entry.key, entry.value) for entry in (reading("pump", r) for r in records)).devices.values()
    assert (known.reach_ns, known.streams) == (200, {"acc": 200, "temp": 150})
