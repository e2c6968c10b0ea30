"""A partition's head: how far it is written and how far it is durable, in one small file with a checksum.

It is written only under the partition's lock and read without one: a read that met a write does not match its
checksum. It needs no fsync: it carries the kernel's boot id, and after a power cut it is believed only as a lower
bound of what was durable.

It also says which file it was written to. A head in another file is a copy: a backup that was taken while the log was
written may hold a later head than segments, and what such a head promises was never in them.
"""

from __future__ import annotations

import os
import struct
from functools import cache
from pathlib import Path
from typing import Any, Final, NamedTuple
from zlib import crc32

from ingest.errors import LogConfigError

_MAGIC: Final = b"WMHEAD2\0"
_FIELDS: Final = struct.Struct("<8s16s9q2Q")
_CRC: Final = struct.Struct("<I")
HEAD_BYTES: Final = _FIELDS.size + _CRC.size
_MAGIC_1: Final = b"WMHEAD1\0"
_FIELDS_1: Final = struct.Struct("<8s16s9q")
"""Of the first format, which did not say where it was written."""


class Home(NamedTuple):
    """A file, by the numbers of its disk and inode; all 0: unknown."""

    device: int
    inode: int


NO_HOME: Final = Home(0, 0)


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
    home: Home = NO_HOME
    """The file that this was written to."""

    def encode(self) -> bytes:
        """The head's bytes."""
        data = _FIELDS.pack(_MAGIC, *self[:-1], *self.home)
        return data + _CRC.pack(crc32(data))

    def holds(self, boot: bytes, home: Home) -> bool:
        """Whether it holds as it is: written in this boot of the kernel, to the file `home` that it was read from."""
        return self.boot == boot and self.home in (home, NO_HOME)

    def is_copy(self, boot: bytes, home: Home) -> bool:
        """Whether it was written to another file than `home`; disks have other numbers after a boot."""
        return self.home != NO_HOME and (self.home != home if self.boot == boot else self.home.inode != home.inode)


def decode_head(data: bytes) -> Head | None:
    """The head in `data`, also one of the first format; None where the bytes are none."""
    if data.startswith(_MAGIC_1):
        fields = _checked(data[: _FIELDS_1.size + _CRC.size], _FIELDS_1)
        return None if fields is None else Head(*fields[1:])
    fields = _checked(data, _FIELDS)
    return Head._make((*fields[1:-2], Home(*fields[-2:]))) if fields is not None and fields[0] == _MAGIC else None


def _checked(data: bytes, layout: struct.Struct) -> tuple[Any, ...] | None:
    if len(data) != layout.size + _CRC.size or _CRC.unpack_from(data, layout.size)[0] != crc32(data[: layout.size]):
        return None
    return layout.unpack_from(data)


def home_of(fd: int) -> Home:
    """Which file is open."""
    found = os.fstat(fd)
    return Home(found.st_dev, found.st_ino)


def write_head(path: Path, head: Head) -> None:
    """Put a head into its file, which is made where it is missing. Not durably: it needs not be."""
    with path.open("r+b" if path.exists() else "w+b") as file:
        file.write(head._replace(home=home_of(file.fileno())).encode())


@cache
def boot_id() -> bytes:
    """The running kernel's 16 bytes of boot id (random(4))."""
    path = Path("/proc/sys/kernel/random/boot_id")
    try:
        return bytes.fromhex(path.read_text(encoding="ascii").strip().replace("-", ""))
    except (OSError, ValueError) as error:
        raise LogConfigError(f"{path}: {error}; the log `segments` needs Linux with /proc, else use Kafka") from None
