"""What cases beside the binary decoder do not say of frames: the vectors, and that nothing is lost between them."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.decoders.framing.ended import cobs, slip
from edge.decoders.framing.shape import Framing, Piece, Shape
from edge.decoders.framing.synced import FixedFrames, LengthFrames
from tests.support.data import data_dir

VECTORS = json.loads((data_dir() / "cobs" / "vectors.json").read_text())["encode"]


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector["cobs_hex"])
def test_cobs(vector: dict[str, str]) -> None:
    assert cobs(bytes.fromhex(vector["cobs_hex"])).hex() == vector["data_hex"]


@pytest.mark.parametrize(
    ("coded", "plain"),
    [(b"\xff" + bytes(range(1, 255)), bytes(range(1, 255))), (b"\xff" + b"a" * 254 + b"\x02b", b"a" * 254 + b"b")],
)
def test_a_full_block_of_cobs_has_no_zero_behind_it(coded: bytes, plain: bytes) -> None:
    assert cobs(coded) == plain


@pytest.mark.parametrize("damaged", [b"\x05ab", b"\x03a\x00"])
def test_what_is_no_cobs(damaged: bytes) -> None:
    with pytest.raises(ValueError, match="no COBS"):
        cobs(damaged)


@given(st.binary(max_size=50))
def test_slip(data: bytes) -> None:
    assert slip(data.replace(b"\xdb", b"\xdb\xdd").replace(b"\xc0", b"\xdb\xdc")) == data


def payloads(framing: Framing, data: bytes) -> list[bytes]:
    pieces = [item for item in [*framing.feed(data), *framing.reset()] if isinstance(item, Piece)]
    return [row.tobytes() for piece in pieces for row in piece.rows]


RECORD = st.binary(min_size=3, max_size=3)


@given(st.lists(RECORD, min_size=1, max_size=20), st.data())
def test_without_a_checksum_a_lost_byte_costs_two_records_at_most(records: list[bytes], data: st.DataObject) -> None:
    sync = b"\xfe\xfd\xfc"
    records = [record.replace(b"\xfe", b"\x00") for record in records]
    whole = b"".join(sync + record for record in records)
    at = data.draw(st.integers(0, len(whole) - 1))
    found = payloads(FixedFrames(Shape(sync), 6), whole[:at] + whole[at + 1 :])
    number = at // 6
    kept = records[: max(0, number - 1)] + records[number + 1 :]
    assert [record for record in found if record in kept][-len(records[number + 1 :]) or len(found) :] == (
        records[number + 1 :] or []
    )
    assert len(found) >= len(records) - 2
    assert set(found) <= set(records)


@given(st.lists(st.binary(min_size=1, max_size=9), max_size=9))
def test_frames_of_any_length_hold_what_was_put_in(frames: list[bytes]) -> None:
    sync = b"\x02\x03"
    data = b"".join(sync + len(frame).to_bytes(2, "big") + frame for frame in frames)
    wanted = frames
    found = payloads(LengthFrames(Shape(sync), 2, "big", 0, 64), data)
    assert found == wanted
