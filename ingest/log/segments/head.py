"""A partition's head: how far it is written and how far it is durable, in one small file with a checksum.

It is written only under the partition's lock and read without one: a read that met a write does not match its
checksum. It needs no fsync: it carries the kernel's boot id, and after a power cut it is believed only as a lower
bound of what was durable.
"""

from __future__ import annotations

import struct
from functools import cache
from pathlib import Path
from typing import Final, NamedTuple
from zlib import crc32

from ingest.errors import LogConfigError

_MAGIC: Final = b"WMHEAD1\0"
_FIELDS: Final = struct.Struct("<8s16s9q")
_CRC: Final = struct.Struct("<I")
HEAD_BYTES: Final = _FIELDS.size + _CRC.size


class Head(NamedTuple):
    """Where a partition stands."""

    boot: bytes
    """The kernel's boot id when this was written: what is not fsynced is still there in the same boot only."""
    base: int
    """The first offset of the active segment, which is its file's name."""
    position: int
    """Bytes of the active segment that count."""
    next_offset: int
    append_ns: int
    durable: int
    """Every offset below it is fsynced."""
    durable_position: int
    """The byte of the active segment where `durable` lies."""
    rewinds: int = 0
    """How often what was not durable was taken back since an fsync failed."""
    cuts: int = 0
    """How many torn tails were cut off."""
    cut_bytes: int = 0

    def encode(self) -> bytes:
        """The head's bytes."""
        data = _FIELDS.pack(_MAGIC, *self)
        return data + _CRC.pack(crc32(data))


def decode_head(data: bytes) -> Head | None:
    """The head in `data`; None where the bytes are none."""
    if len(data) != HEAD_BYTES or _CRC.unpack_from(data, _FIELDS.size)[0] != crc32(data[: _FIELDS.size]):
        return None
    magic, *fields = _FIELDS.unpack_from(data)
    return Head(*fields) if magic == _MAGIC else None


@cache
def boot_id() -> bytes:
    """The running kernel's 16 bytes of boot id (random(4))."""
    path = Path("/proc/sys/kernel/random/boot_id")
    try:
        return bytes.fromhex(path.read_text(encoding="ascii").strip().replace("-", ""))
    except (OSError, ValueError) as error:
        raise LogConfigError(f"{path}: {error}; the log `segments` needs Linux with /proc, else use Kafka") from None
