"""The decoder of UBX-NAV-PVT: frames in any pieces, noise, text, bounds."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.decoders.ubx.decoder import UNITS, UbxDecoder
from edge.decoders.ubx.frames import PAYLOAD_BYTES, RUN_BYTES, UbxFrames, sums
from ingest.errors import UsageError
from tests.edge.configs import source_config
from tests.edge.decoders.splitting import check_splits, faults, reasons, run, samples


def frame(kind: int, number: int, payload: bytes) -> bytes:
    body = bytes((kind, number)) + struct.pack("<H", len(payload)) + payload
    return b"\xb5\x62" + body + sums(body)


def pvt(second: int, lat: int = 520_500_000) -> bytes:
    """A 3D fix of 12:00 and so many seconds on 24 November 2026."""
    when = struct.pack("<IHBBBBBBIi", 0, 2026, 11, 24, 12, 0, second, 7, 20, 0)
    where = struct.pack("<BBBBii", 3, 1, 0, 12, 46_000_000, lat)
    return frame(1, 7, (when + where).ljust(92, b"\0"))


TEXT = b"$GPGGA,120000.00,5203.0000,N,00436.0000,E,1,08,0.9,12.5,M,40.0,M,,*59\r\n"


def new() -> UbxDecoder:
    return UbxDecoder.from_config(source_config("ubx", ("lat", "lon"), units=dict(UNITS)))


def test_sums_are_those_of_the_manual() -> None:
    """UBX-MON-VER's poll, and the order to switch GGA off, as u-center shows them."""
    assert sums(bytes.fromhex("0A 04 00 00")) == bytes.fromhex("0E 34")
    assert sums(bytes.fromhex("06 01 03 00 F0 00 00")) == bytes.fromhex("FA 0F")


PARTS = st.sampled_from(
    [
        pvt(1),
        pvt(2),
        TEXT,
        frame(1, 3, bytes(16)),
        b"\xb5",
        b"\xb5\x62",
        b"\xb5\x62\x01\x07\x5c\x00",
        b"\xff\x00",
        pvt(3)[:40],
    ]
)


@settings(deadline=None)
@given(st.lists(PARTS, max_size=6), st.lists(st.integers(0, 600), max_size=6))
def test_pieces_never_matter(parts: list[bytes], cuts: list[int]) -> None:
    check_splits(new, b"".join(parts), cuts)


def test_text_without_a_frame_is_told_and_noise_is_bounded() -> None:
    found = run(new(), [TEXT * 200])
    assert reasons(found) == ["no_frame"] * (len(TEXT) * 200 // RUN_BYTES)
    assert all(fault.samples == 0 for fault in faults(found))
    found = run(new(), [b"\xff" * 3 * RUN_BYTES + pvt(1)])
    assert reasons(found) == ["sync"] * 3
    assert len(samples(found)) == 1


def test_no_more_is_held_than_a_frame_may_have() -> None:
    frames = UbxFrames()
    begin = b"\xb5\x62\x01\x07" + struct.pack("<H", PAYLOAD_BYTES)
    for _ in range(200):
        list(frames.feed(begin + bytes(1000)))
        assert len(frames._held) <= PAYLOAD_BYTES + 8 + 1006


def test_a_frame_within_what_looked_like_one_is_found() -> None:
    false = b"\xb5\x62\x01\x07" + struct.pack("<H", 300)
    found = run(new(), [false + pvt(1) + pvt(2) + pvt(3) + pvt(4)])
    assert reasons(found) == ["checksum"]
    assert len(samples(found)) == 4


def test_messages_and_feeding_count_one_line_of_bytes() -> None:
    decoder = new()
    assert [type(item).__name__ for item in decoder.message(pvt(1) + b"\xff")] == ["Frame", "Fault"]
    (torn,) = decoder.message(pvt(2)[:30])
    assert (torn.reason, torn.byte_offset) == ("torn", len(pvt(1)) + 2)  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("channels", "kind", "message"),
    [
        (("latitude",), "serial", 'unknown channel "latitude"'),
        (("hdop",), "serial", 'unknown channel "hdop"'),
        (("lat",), "replay", "reads no lines"),
    ],
)
def test_what_would_not_work_is_refused(channels: tuple[str, ...], kind: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        UbxDecoder.from_config(source_config("ubx", channels, units=dict(UNITS), kind=kind))
    with pytest.raises(UsageError, match='found unit "g", expected "deg"'):
        UbxDecoder.from_config(source_config("ubx", ("lat",)))
