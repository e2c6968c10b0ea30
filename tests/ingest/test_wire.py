"""The wire format: golden bytes of every kind, and a decoder that is total."""

from __future__ import annotations

import contextlib

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.errors import WireError
from ingest.records import Chunk, Progress, Record, StreamDescription
from ingest.times import sample_times
from ingest.wire import VERSION, decode, encode
from tests.ingest.kinds import BOOT, EXAMPLES, KINDS, T0, chunks, of_kind

GOLDEN = {
    "recording_start": (
        "019901a670756d702d37a3722d31c410000102030405060708090a0b0c0d0e0fcf18ead8a3eb544000a57374617274c41010"
        "1112131415161718191a1b1c1d1e1fcf18ead8a3eb543fff81a77375626a656374a3753037"
    ),
    "recording_end": "019602a670756d702d37a3722d31c410000102030405060708090a0b0c0d0e0fcf18ead8a426ef0a00a473746f70",
    "chunk_periodic": (
        "01dc001303a670756d702d37a3722d31a3616363c410000102030405060708090a0b0c0d0e0f03c410101112131415161718"
        "191a1b1c1d1e1fcf18ead8a3eb544000ce0003d090030100c40002c4040100feff05a573706f6f6cc0c400"
    ),
    "chunk_stamped": (
        "01dc001303a670756d702d37a3722d31a3616363c410000102030405060708090a0b0c0d0e0f04c410101112131415161718"
        "191a1b1c1d1e1fcf18ead8a3eb544000000000cd03e8c408000000000700000002c402010200a094a36e7470fbcb3ff80000"
        "00000000ce000dbba0c403736967"
    ),
    "gap": (
        "019904a670756d702d37a3722d31a3616363c410000102030405060708090a0b0c0d0e0fcf18ead8a3eb544000cf18ead8a3"
        "eb544005ffaa73706f6f6c5f66756c6c"
    ),
    "progress": "019605a670756d702d37a3722d31a3616363c410000102030405060708090a0b0c0d0e0fcf18ead8a3eb544000",
    "forget": "019506a670756d702d37a4616e6e61cf18ead8a3eb544000a861736b656420746f",
    "mark_add": (
        "019f10a670756d702d37a36d2d31cf18ead8a3eb544000cf18ead8a3eb544009a4736c616da4616e6e61a472756c65cb3fe0"
        "000000000000cf18ead8a3eb544001cf18ead8a3eb54400281a36d6167cb4004000000000000a27231c3a56c6f6f7365"
    ),
    "mark_edit": (
        "019f11a670756d702d37a36d2d31a362656ea6627574746f6ecf18ead8a3eb544000c0a464726f70c0cf18ead8a3eb544001"
        "cf18ead8a3eb544002a46c617465cf18ead8a3eb544003c381a66f6666736574cb3fe0000000000000"
    ),
    "mark_retract": (
        "019a12a670756d702d37a36d2d31a362656ea86f70657261746f72cf18ead8a3eb544001cf18ead8a3eb544002a57477696365c3"
        "81a66f6666736574cb3fe0000000000000"
    ),
    "recording_undo": "019813a670756d702d37a3722d31a4616e6e61aa77726f6e6720756e6974cf18ead8a3eb544000c3c2",
    "stream_description": (
        "019820a36163639296a178a167cb3f90000000000000cbbff0000000000000cbc010000000000000cb401000000000000096"
        "a174a464656743cb3ff0000000000000cb0000000000000000c0c0a5696e743136cd2ee001a74144584c333435a573686166"
        "74"
    ),
    "stream_description_states": (
        "019820a576616c76659297a46f70656ea131cb3ff0000000000000cb0000000000000000c0c0929200a4736875749201a46f"
        "70656e96a170a25061cb3ff0000000000000cb0000000000000000c0c0a5696e7433320001a0a0"
    ),
    "stream_description_corrected": (
        "019920a361726d9296a178a167cb3ff0000000000000cb0000000000000000c0c096a179a167cb3ff0000000000000cb0000"
        "000000000000c0c0a7666c6f617433320001a0a0959292cb3ff0000000000000cb3fe000000000000092cb00000000000000"
        "00cb400000000000000092cb3fd0000000000000cbbfe000000000000092a22d79a178aa323032362d31312d3230a7677261"
        "76697479"
    ),
    "birth": (
        "019830a670756d702d37a76167656e742d31c410000102030405060708090a0b0c0d0e0fcf18ead8a3eb544000a5302e312e"
        "30a3616263a0"
    ),
    "heartbeat": (
        "019931a670756d702d37a76167656e742d31c410000102030405060708090a0b0c0d0e0fcf18ead8a3eb54400081ab73706f"
        "6f6c5f6279746573cb4028000000000000a0a0a0"
    ),
    "death": (
        "019832a670756d702d37a76167656e742d31c410000102030405060708090a0b0c0d0e0fcf18ead8a3eb544000a753494754"
        "45524da5302e312e30a3616263"
    ),
    "command_result": (
        "019a34a670756d702d37a76167656e742d31c410000102030405060708090a0b0c0d0e0fcf18ead8a3eb544000a3632d31a3"
        "696d75a47a65726fa772656675736564ab69732039302073206f6c64"
    ),
    "configuration": (
        "019650a670756d702d37b061303336656331303035653962663830b1776974686f7574203d205b22696d75225da3616e6ecf"
        "18ead8a3eb544000"
    ),
    "command": "019751a670756d702d37a3632d31a3696d75a47a65726fa3616e6ecf18ead8a3eb544000",
    "change": (
        "019a33a670756d702d37a76167656e742d31c410000102030405060708090a0b0c0d0e0fcf18ead8a3eb544000a772656c65"
        "617365a5302e312e30a5302e322e30ab726f6c6c65645f6261636bb2696d753a206e6f7468696e67206865617264"
    ),
    "dead_letter": "019740a670756d702d37a872656164696e67730311a96e6f207265636f7264c40200ff",
}
"""What version 1 writes, for ever: when a test here fails, the format has changed, and old logs are unreadable."""


@pytest.mark.parametrize("name", EXAMPLES)
def test_golden_bytes(name: str) -> None:
    golden = bytes.fromhex(GOLDEN[name])
    assert encode(EXAMPLES[name]) == golden
    assert decode(golden) == EXAMPLES[name]


def test_every_kind_has_golden_bytes_and_its_own_number() -> None:
    assert {type(record) for record in EXAMPLES.values()} == set(KINDS)
    assert GOLDEN.keys() == EXAMPLES.keys()
    assert len({kind.__struct_config__.tag for kind in KINDS}) == len(KINDS)


@pytest.mark.parametrize("kind", KINDS)
def test_decode_undoes_encode(kind: type[Record]) -> None:
    @given(of_kind(kind))
    def check(record: Record) -> None:
        assert decode(encode(record)) == record

    check()


def elements(name: str) -> list[object]:
    found: list[object] = msgspec.msgpack.decode(bytes.fromhex(GOLDEN[name])[1:])
    return found


@pytest.mark.parametrize("name", EXAMPLES)
def test_fields_that_a_newer_version_adds_are_skipped(name: str) -> None:
    known, fields = elements(name), type(EXAMPLES[name]).__struct_fields__
    left_out = [None] * (1 + len(fields) - len(known))  # what a stream has no need of; before them is the tag
    newer = bytes([VERSION]) + msgspec.msgpack.encode([*known, *left_out, "new", {"deep": [1, 2.5, None]}])
    assert decode(newer) == EXAMPLES[name]


def test_fields_that_an_older_version_lacks_take_their_defaults() -> None:
    older = bytes([VERSION]) + msgspec.msgpack.encode(elements("chunk_periodic")[:15])
    chunk = decode(older)
    assert isinstance(chunk, Chunk)
    assert (chunk.missing, chunk.missing_reason, chunk.clock, chunk.signature) == (0, "", None, b"")


def test_marks_of_an_older_version_lack_the_fields_that_were_added() -> None:
    """What lies in logs and spools from before there were these fields, byte for byte."""
    add = (
        "019c10a670756d702d37a36d2d31cf18ead8a3eb544000cf18ead8a3eb544009a4736c616da4616e6e61a86f70657261746f"
        "72cb3fe0000000000000cf18ead8a3eb544001cf18ead8a3eb54400281a36d6167cb4004000000000000"
    )
    retract = bytes.fromhex(
        "019712a670756d702d37a36d2d31a362656ea86f70657261746f72cf18ead8a3eb544001cf18ead8a3eb544002"
    )
    edit = (
        "019d11a670756d702d37a36d2d31a362656ea6627574746f6ecf18ead8a3eb544000c0a464726f70c0cf18ead8a3eb544001"
        "cf18ead8a3eb544002a46c617465cf18ead8a3eb544003"
    )
    marks = {"add": decode(bytes.fromhex(add)), "edit": decode(bytes.fromhex(edit)), "retract": decode(retract)}
    assert marks["add"] == msgspec.structs.replace(
        EXAMPLES["mark_add"], tool="operator", revision="", trim=False, reason=""
    )
    assert marks["edit"] == msgspec.structs.replace(EXAMPLES["mark_edit"], accept=False, evidence={})
    assert marks["retract"] == msgspec.structs.replace(EXAMPLES["mark_retract"], reason="", undo=False, evidence={})


class OlderChannel(msgspec.Struct, frozen=True, array_like=True):
    """A channel as the releases know it that have no named states."""

    name: str
    unit: str
    scale: float = 1.0
    offset: float = 0.0
    low: float | None = None
    high: float | None = None


class OlderDescription(msgspec.Struct, frozen=True, array_like=True, tag=32):
    stream: str
    channels: tuple[OlderChannel, ...]
    dtype: str
    rate_num: int = 0
    rate_den: int = 1
    sensor: str = ""
    mounting: str = ""


@pytest.mark.parametrize("name", ["stream_description", "stream_description_states", "stream_description_corrected"])
def test_an_older_version_reads_a_description_without_its_states(name: str) -> None:
    description = EXAMPLES[name]
    assert isinstance(description, StreamDescription)
    read = msgspec.msgpack.decode(encode(description)[1:], type=OlderDescription)
    for channel, known in zip(read.channels, description.channels, strict=True):
        for field in OlderChannel.__struct_fields__:
            assert getattr(channel, field) == getattr(known, field)
    for field in ("stream", "dtype", "rate_num", "rate_den", "sensor", "mounting"):
        assert getattr(read, field) == getattr(description, field)


@given(of_kind(StreamDescription))
def test_a_description_without_states_and_correction_has_the_bytes_of_before(description: StreamDescription) -> None:
    plain = [msgspec.structs.replace(channel, states=()) for channel in description.channels]
    plainly = msgspec.structs.replace(description, channels=tuple(plain), correction=None)
    older = [OlderChannel(*(getattr(channel, name) for name in OlderChannel.__struct_fields__)) for channel in plain]
    fields = {name: getattr(plainly, name) for name in OlderDescription.__struct_fields__}
    told = OlderDescription(**(fields | {"channels": tuple(older)}))
    assert encode(plainly)[1:] == msgspec.msgpack.encode(told)


@pytest.mark.parametrize("version", [0, 2, 255])
def test_another_version_is_refused_with_what_was_found(version: int) -> None:
    with pytest.raises(WireError, match=f"found version {version}, expected version 1"):
        decode(bytes([version]) + encode(EXAMPLES["gap"])[1:])


def test_no_bytes_are_no_record() -> None:
    with pytest.raises(WireError, match="found no bytes"):
        decode(b"")


def test_an_unknown_kind_is_refused() -> None:
    with pytest.raises(WireError, match="127"):
        decode(bytes([VERSION]) + msgspec.msgpack.encode([127, "pump-7"]))


def total(data: bytes) -> None:
    with contextlib.suppress(WireError):
        decode(data)


@pytest.mark.parametrize("name", EXAMPLES)
def test_any_single_bit_flip_gives_a_record_or_a_wire_error(name: str) -> None:
    golden = bytearray.fromhex(GOLDEN[name])
    for bit in range(8 * len(golden)):
        golden[bit // 8] ^= 1 << bit % 8
        total(bytes(golden))
        golden[bit // 8] ^= 1 << bit % 8


@pytest.mark.parametrize("name", EXAMPLES)
def test_any_truncation_is_a_wire_error(name: str) -> None:
    golden = bytes.fromhex(GOLDEN[name])
    for size in range(len(golden)):
        with pytest.raises(WireError):
            decode(golden[:size])


@given(st.binary(max_size=200), st.booleans())
def test_random_bytes_give_a_record_or_a_wire_error(data: bytes, versioned: bool) -> None:
    total(bytes([VERSION]) + data if versioned else data)


def test_deep_nesting_is_a_wire_error() -> None:
    total(bytes([VERSION]) + b"\x91" * 100_000)


CONTRADICTIONS = {
    "no samples": {"count": 0},
    "negative sequence number": {"seq": -1},
    "a time out of range": {"t0_ns": 1 << 62},
    "a phase past its period": {"phase": 3},
    "a period of nothing": {"period_num": 0},
    "a span out of range": {"period_num": 1 << 61},
    "a period of too many digits": {"period_den": 1 << 63},
    "ticks of too many digits": {"period_den": 0, "deltas": bytes(4), "count": 1, "tick_ns": 1 << 63},
    "neither period nor deltas": {"period_den": 0, "tick_ns": 1},
    "ticks of nothing": {"period_den": 0, "deltas": bytes(8)},
    "values that do not divide": {"values": b"abc"},
    "no values": {"values": b""},
}


@pytest.mark.parametrize("changes", CONTRADICTIONS.values(), ids=CONTRADICTIONS.keys())
def test_a_chunk_that_contradicts_itself_is_refused(changes: dict[str, object]) -> None:
    with pytest.raises(WireError, match="chunk: "):
        decode(encode(msgspec.structs.replace(EXAMPLES["chunk_periodic"], **changes)))


@given(chunks())
def test_a_decoded_chunk_has_its_times(chunk: Chunk) -> None:
    assert len(sample_times(chunk)) == chunk.count


def test_records_are_small() -> None:
    assert len(encode(Progress("pump-7", "r-1", "acc", BOOT, T0))) <= 48
