"""Records to bytes and back: one version byte, then MessagePack (https://github.com/msgpack/msgpack).

`decode` is total: any bytes give a record or a `WireError`, never anything else.
"""

from __future__ import annotations

from typing import Final

import msgspec
import numpy as np

from ingest.errors import WireError
from ingest.records import MAX_MISSING, Chunk, Record, StreamDescription, content_of

VERSION: Final = 1
_PREFIX: Final = bytes([VERSION])
_encoder = msgspec.msgpack.Encoder()
_decoder: msgspec.msgpack.Decoder[Record] = msgspec.msgpack.Decoder(Record)
MAX_SPAN_NS: Final = 1 << 62
WIDE: Final = 1 << 32
"""From here on a whole number has digits of 8 bytes."""
_DIGITS: Final = {1: "b", 2: "B", 3: "H", 5: "I", 9: "Q"}
"""How `struct` calls the digits, big-endian, of a whole number that is written in so many bytes."""
_SHORT: Final = 4096
_ARRAY_BYTES: Final = 4
"""What tells that an array of so many fields begins that is a chunk; behind the version."""


def encode(record: Record) -> bytes:
    """The record's wire bytes."""
    if type(record) is StreamDescription:
        return _PREFIX + _encoder.encode(content_of(record))
    return _PREFIX + _encoder.encode(record)


def pieces(chunk: Chunk) -> tuple[str, bytes, bytes, bytes, bytes]:
    """The wire bytes of a chunk whose `t0_ns` is `WIDE` or more, without the digits of that and of `seq`, and without
    `values`: how `struct` calls the digits of `seq`; the bytes up to them; up to those of `t0_ns`, which are a "Q"; up
    to the values; and behind them. With another number that has as many digits they are another chunk's."""
    fields = [_encoder.encode(field) for field in msgspec.structs.astuple(chunk)]
    seq, behind = fields[4], b"".join(fields[7:14])
    return (
        _DIGITS[len(seq)],
        _PREFIX + _encoder.encode(chunk)[:_ARRAY_BYTES] + b"".join(fields[:4]) + (seq[:1] if len(seq) > 1 else b""),
        fields[5] + fields[6][:1],
        behind[: len(behind) - len(chunk.values)],
        b"".join(fields[14:]),
    )


def decode(data: bytes) -> Record:
    """The record in `data`.

    Raises:
        WireError: unknown version, unknown kind, or bytes that are no record.
    """
    record = parse(data)
    if type(record) is Chunk:
        check_chunk(record)
    return record


def parse(data: bytes) -> Record:
    """As `decode`, but a chunk may contradict itself: for a hot path that rules that out in another way.

    Raises:
        WireError: unknown version, unknown kind, or bytes that are no record.
    """
    if not data or data[0] != VERSION:
        if not data:
            raise WireError("record: found no bytes: so is written what somebody deleted from a compacted topic")
        raise WireError(
            f"record: found version {data[0]}, expected version {VERSION}: upgrade sensorloom, if a newer one wrote it"
        )
    # A short copy costs less than a view.
    body = data[1:] if len(data) < _SHORT else memoryview(data)[1:]
    try:
        return _decoder.decode(body)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise WireError(f"record of {len(data)} bytes: {error}") from None


def check_chunk(chunk: Chunk) -> None:
    """Raise `WireError` where a chunk contradicts itself; what passes can be decoded without a further check."""
    count = chunk.count
    if count <= 0 or not 0 <= chunk.seq < MAX_SPAN_NS or not -MAX_SPAN_NS < chunk.t0_ns < MAX_SPAN_NS:
        raise WireError(f"chunk: count {count}, seq {chunk.seq}, t0_ns {chunk.t0_ns} out of range")
    if chunk.period_den > 0:
        span = chunk.phase + count * chunk.period_num
        if chunk.period_num <= 0 or not 0 <= chunk.phase < chunk.period_den < MAX_SPAN_NS or span >= MAX_SPAN_NS:
            raise WireError(f"chunk: period {chunk.period_num}/{chunk.period_den}, phase {chunk.phase} out of range")
    elif chunk.tick_ns <= 0 or len(chunk.deltas) not in (4 * count, 8 * count):
        raise WireError(
            f"chunk: found {len(chunk.deltas)} bytes of time deltas in ticks of {chunk.tick_ns} ns, "
            f"expected int32 or int64 for {count} samples"
        )
    elif _furthest(chunk) >= MAX_SPAN_NS:
        raise WireError(f"chunk: a sample lies {_furthest(chunk)} ns from t0_ns, expected less than {MAX_SPAN_NS}")
    elif chunk.tick_ns >= MAX_SPAN_NS:
        raise WireError(f"chunk: ticks of {chunk.tick_ns} ns, expected less than {MAX_SPAN_NS}")
    if not 0 <= chunk.missing <= MAX_MISSING:
        raise WireError(f"chunk: {chunk.missing} samples missing before it, expected 0 to {MAX_MISSING}")
    if len(chunk.values) % count or not chunk.values:
        raise WireError(f"chunk: {len(chunk.values)} bytes of values do not divide into {count} samples")


def _furthest(chunk: Chunk) -> int:
    """How far, in ns, the samples lie from `t0_ns`, where that could be too far (else 0)."""
    short = len(chunk.deltas) == 4 * chunk.count
    if short and chunk.tick_ns < 1 << 31:
        return 0
    deltas = np.frombuffer(chunk.deltas, dtype="<i4" if short else "<i8")
    return max(int(deltas.max()), -int(deltas.min())) * chunk.tick_ns
