"""Frames over bytes: what is whole, what is damage, what is a torn tail."""

from __future__ import annotations

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.log.protocol import Entry
from ingest.log.segments.segment import HEADER, Run, encode, fitting, frames, locate, parse, resync, scan

ENTRIES = [Entry(b"pump-%d" % (i % 3), b"value %d " % i + bytes(range(i * 3))) for i in range(6)]
entry_lists = st.lists(st.builds(Entry, st.binary(max_size=20), st.binary(max_size=60)), max_size=12)


def parsed(data: bytes, expected: int = 0, limit: int = 1 << 60) -> Run:
    return parse(data, expected, limit, holes=False)


def ends(entries: list[Entry]) -> list[int]:
    """Where the frames end."""
    found, at = [], 0
    for key, value in entries:
        at += HEADER.size + len(key) + len(value)
        found.append(at)
    return found


@given(entry_lists, st.integers(0, 1 << 40), st.integers(0, 1 << 62))
def test_what_was_encoded_is_parsed(entries: list[Entry], base: int, append_ns: int) -> None:
    data = encode(entries, base, append_ns, base)
    run = parsed(data, base)
    assert [Entry(k, v) for k, v in zip(run.keys, run.values, strict=True)] == entries
    assert run.offsets == list(range(base, base + len(entries)))
    assert run.append_ns == [append_ns] * len(entries)
    assert (run.used, run.expected, run.need) == (len(data), base + len(entries), -1)
    assert scan(data, base, 0).records == len(entries)


@given(entry_lists, st.data())
def test_cut_anywhere_the_whole_frames_are_parsed_and_the_rest_is_asked_for(
    entries: list[Entry], draw: st.DataObject
) -> None:
    data = encode(entries, 7, 1, 0)
    cut = draw.draw(st.integers(0, len(data)))
    whole = [end for end in ends(entries) if end <= cut]
    run = parsed(data[:cut], 7)
    assert len(run.offsets) == len(whole)
    assert run.used == (whole[-1] if whole else 0)
    if run.used < cut:
        assert run.need > cut - run.used
    found = scan(data[:cut], 7, 0)
    assert (found.end, found.next_offset, found.damages) == (run.used, 7 + len(whole), ())


def test_every_single_bit_flip_is_seen() -> None:
    data = encode(ENTRIES, 0, 5, 0)
    whole = ends(ENTRIES)
    for bit in range(len(data) * 8):
        flipped = bytearray(data)
        flipped[bit // 8] ^= 1 << bit % 8
        run = parsed(bytes(flipped))
        hit = sum(end <= bit // 8 for end in whole)
        assert run.offsets == list(range(hit)), f"bit {bit}"
        assert run.values == [value for _, value in ENTRIES[:hit]]


def test_parse_stops_at_its_limit() -> None:
    data = encode(ENTRIES, 10, 5, 0)
    run = parsed(data, 10, limit=13)
    assert (run.offsets, run.expected, run.need) == ([10, 11, 12], 13, -1)
    assert run.used == ends(ENTRIES)[2]


def test_holes_are_an_error_where_there_are_none() -> None:
    data = encode(ENTRIES[:2], 0, 5, 0) + encode(ENTRIES[2:], 20, 5, 0)
    assert parse(data, 0, 100, holes=True).offsets == [0, 1, 20, 21, 22, 23]
    assert parsed(data).offsets == [0, 1]
    assert parsed(data).need == 0


@pytest.mark.parametrize("room", range(0, 400, 7))
def test_fitting_counts_the_bytes_that_encode_makes(room: int) -> None:
    stop = fitting(ENTRIES, 1, room)
    assert len(encode(ENTRIES[1:stop], 0, 0, 0)) <= room
    assert stop == len(ENTRIES) or len(encode(ENTRIES[1 : stop + 1], 0, 0, 0)) > room


def test_damage_below_what_was_durable_is_stepped_over() -> None:
    """The later frames say that offset 2 was durable when they were written."""
    data = bytearray(encode(ENTRIES[:3], 0, 5, 0) + encode(ENTRIES[3:], 3, 6, 3))
    data[ends(ENTRIES)[0] + 30] ^= 0x10
    found = scan(bytes(data), 0, 0)
    assert (found.end, found.next_offset, found.records, found.append_ns) == (len(data), 6, 5, 6)
    assert [(d.offset, d.next_offset) for d in found.damages] == [(1, 2)]


def test_a_write_torn_in_its_middle_is_cut_where_nothing_behind_it_was_durable() -> None:
    """A power cut wrote a later page of one write, but not an earlier one."""
    data = bytearray(encode(ENTRIES[:3], 0, 5, 0) + encode(ENTRIES[3:], 3, 6, 3))
    start = ends(ENTRIES)[3]
    data[start : start + 20] = bytes(20)
    found = scan(bytes(data), 0, 0)
    assert (found.end, found.next_offset, found.append_ns, found.records) == (start, 4, 6, 4)
    assert found.damages == ()


def test_a_damaged_end_that_was_durable_is_no_torn_tail() -> None:
    data = bytearray(encode(ENTRIES, 0, 5, 0))
    data[-1] ^= 1
    found = scan(bytes(data), 0, durable=6)
    assert (found.end, found.next_offset, found.records) == (len(data), 6, 5)
    assert [(d.offset, d.next_offset) for d in found.damages] == [(5, 6)]
    assert scan(bytes(data), 0, durable=5).next_offset == 5


def test_frames_go_on_behind_damage_and_locate_finds_what_is_left() -> None:
    data = bytearray(encode(ENTRIES, 0, 5, 0))
    data[ends(ENTRIES)[1] + 3] ^= 0xFF  # a length that reaches far beyond the file
    assert [frame.offset for frame in frames(bytes(data), 0)] == [0, 1, 3, 4, 5]
    assert locate(bytes(data), 0, 2, 6) == ends(ENTRIES)[1], "where the damage begins"
    assert locate(bytes(data), 0, 3, 6) == ends(ENTRIES)[2]
    assert locate(bytes(data), 0, 4, 6) == ends(ENTRIES)[3]
    assert locate(bytes(data), 0, 6, 6) == len(data)


def test_resync_in_garbage_ends_soon_and_finds_nothing() -> None:
    for garbage in (bytes(1 << 20), b"\xff" * (1 << 18), os.urandom(1 << 18), bytes([1, 0, 0, 0]) * (1 << 16)):
        assert resync(garbage, 0, 0) is None
        data = garbage + encode(ENTRIES, 4, 5, 0)
        found = resync(data, 0, 0)
        assert found is not None
        assert (found.offset, found.position) == (4, len(garbage))


def test_a_write_that_was_never_durable_and_has_lost_its_end_is_torn_as_a_whole() -> None:
    first = encode([Entry(b"a", b"1"), Entry(b"E", b"2")], 0, 5, 0)
    second = encode([Entry(b"a", b"3"), Entry(b"a", b"4"), Entry(b"E", b"5")], 2, 6, 2)
    data, last = first + second, len(encode([Entry(b"E", b"5")], 4, 6, 2))

    def ends(key: bytes) -> bool:
        return key == b"E"

    assert scan(data, 0, 0, ends) == scan(data, 0, 0)
    torn = scan(data[:-1], 0, 0, ends)
    assert (torn.end, torn.next_offset, torn.records, torn.append_ns) == (len(first), 2, 2, 5)
    assert scan(data[:-1], 0, 0).next_offset == 4
    assert scan(data[:-last], 0, 0, ends).end == len(first)
    assert scan(data[:-last], 0, 4, ends).next_offset == 4, "what was durable stays, whatever is behind it"
    assert scan(first[:-1], 0, 0, ends).end == 0
