"""TFRecord: `train-00000-of-00001.tfrecord`, a `tf.train.Example` a window, uncompressed.

A record is its length (uint64), the length's masked CRC-32C, the bytes, their masked CRC-32C, all little-endian
(TensorFlow's record_writer.h). An Example is one map from names to lists (example.proto, feature.proto); floats and
integers are packed. `signal` has `steps × channels` floats, row by row.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any, BinaryIO, Final

import numpy as np

from curation.exports.content import Batch, Content, Part, Signal
from curation.exports.crc32c import crc32c, masked

_VARINT, _BYTES, _FIXED32 = 0, 2, 5
_KIND_BYTES, _KIND_FLOATS, _KIND_INTS = 1, 2, 3
_TAIL: Final = struct.Struct("<I")


def varint(number: int) -> bytes:
    """A number of protobuf; a negative one as its 64-bit complement."""
    number &= (1 << 64) - 1
    found = bytearray()
    while number >= 0x80:
        found.append(number & 0x7F | 0x80)
        number >>= 7
    found.append(number)
    return bytes(found)


def _field(number: int, data: bytes) -> bytes:
    return varint(number << 3 | _BYTES) + varint(len(data)) + data


def example(features: Mapping[str, Signal | int | float | str | None]) -> bytes:
    """An Example; a missing value is an empty list."""
    return _field(1, b"".join(_field(1, _field(1, name.encode()) + _field(2, _feature(value)))
                              for name, value in features.items()))  # fmt: skip


def _feature(value: Signal | int | float | str | None) -> bytes:
    if isinstance(value, str):
        return _field(_KIND_BYTES, _field(1, value.encode()))
    if isinstance(value, int):
        return _field(_KIND_INTS, _field(1, varint(value)))
    if value is None:
        return _field(_KIND_BYTES, b"")
    return _field(_KIND_FLOATS, _field(1, np.asarray(value, "<f4").tobytes()))


def write(content: Content, folder: Path) -> None:
    """Write all parts."""
    for part in content.parts:
        rows = part.table.iter_rows(named=True)
        with _path(part, folder).open("wb") as file:
            for batch in part.batches():
                records = [example({"signal": X, **next(rows)}) for X in batch.X]
                _write(file, records)


def _write(file: BinaryIO, records: list[bytes]) -> None:
    lengths = [struct.pack("<Q", len(record)) for record in records]
    heads, tails = masked(crc32c(lengths)).tolist(), masked(crc32c(records)).tolist()
    for length, head, record, tail in zip(lengths, heads, records, tails, strict=True):
        file.write(length + _TAIL.pack(head) + record + _TAIL.pack(tail))


def _path(part: Part, folder: Path) -> Path:
    return folder / f"{part.name}-00000-of-00001.tfrecord"


def read(content: Content, folder: Path) -> tuple[str, Iterator[tuple[str, Iterator[Batch]]]]:
    """Each part as TensorFlow reads it; where that is not installed, by a reader of protobuf's wire format."""
    shape = content.steps, len(content.channels)
    if find_spec("tensorflow") is not None:
        return "tensorflow", ((part.name, _by_tensorflow(_path(part, folder), shape)) for part in content.parts)
    return "its wire format", ((part.name, _by_hand(_path(part, folder), shape)) for part in content.parts)


def _by_tensorflow(path: Path, shape: tuple[int, int]) -> Iterator[Batch]:
    import tensorflow as tf

    wanted = {
        "signal": tf.io.FixedLenFeature(shape, tf.float32),
        "y": tf.io.FixedLenFeature([], tf.int64),
        "window": tf.io.FixedLenFeature([], tf.string),
    }
    for few in tf.data.TFRecordDataset(str(path)).batch(512):
        found = tf.io.parse_example(few, wanted)
        names = [name.decode() for name in found["window"].numpy()]
        yield Batch(found["signal"].numpy(), found["y"].numpy(), names)


def _by_hand(path: Path, shape: tuple[int, int]) -> Iterator[Batch]:
    with path.open("rb") as file:
        while head := file.read(12):
            (length,) = struct.unpack("<Q", head[:8])
            record, tail = file.read(length), file.read(4)
            check = masked(crc32c([head[:8], record])).tolist()
            if head[8:] + tail != _TAIL.pack(check[0]) + _TAIL.pack(check[1]):
                raise ValueError(f"{path.name}: a record's checksum is wrong")
            found = parse_example(record)
            X = np.frombuffer(found["signal"], "<f4").reshape(1, *shape)
            y = int.from_bytes(varint_bytes(found["y"]), "little", signed=True)
            yield Batch(X, np.array([y]), [found["window"].decode()])


def varint_bytes(data: bytes) -> bytes:
    """The 64 bits of one number of protobuf."""
    number = sum((byte & 0x7F) << 7 * place for place, byte in enumerate(data))
    return (number & ((1 << 64) - 1)).to_bytes(8, "little")


def _fields(data: bytes) -> Iterator[tuple[int, bytes]]:
    place = 0

    def number() -> int:
        nonlocal place
        begin = place
        while data[place] & 0x80:
            place += 1
        place += 1
        return int.from_bytes(varint_bytes(data[begin:place]), "little")

    while place < len(data):
        key = number()
        if key & 7 != _BYTES:
            raise ValueError(f"wire type {key & 7}: not what an Example of windows has")
        length = number()
        yield key >> 3, data[place : place + length]
        place += length


def parse_example(data: bytes) -> dict[str, bytes]:
    """The bytes of each list in an Example: packed numbers, or the one text."""
    found: dict[str, bytes] = {}
    for _, features in _fields(data):
        for _, entry in _fields(features):
            parts: dict[int, Any] = dict(_fields(entry))
            lists = dict(_fields(parts[2]))
            found[parts[1].decode()] = dict(_fields(next(iter(lists.values())))).get(1, b"")
    return found
