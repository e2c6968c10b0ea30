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
from ingest.records import Channel, Gap, RecordingEnd, RecordingStart, StreamDescription, schema_id
from tests.edge.spool.spooling import BOOT, chunk

KERNEL = b"k" * 16


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


def test_identities_are_known_until_too_many_came_after_them() -> None:
    known = Identities()
    known.note("mqtt", b"1")
    assert known.is_known("mqtt", b"1")
    assert not known.is_known("other", b"1")
    note = identities(known.take())
    assert known.take() == []
    again = Identities(identities_in(note.value))
    assert again.is_known("mqtt", b"1")
    again.forget([note])
    assert not again.is_known("mqtt", b"1")
    for number in range(MAX_IDENTITIES + 1):
        known.note("mqtt", b"n%d" % number)
    assert not known.is_known("mqtt", b"n0")
    assert known.is_known("mqtt", b"n1")
