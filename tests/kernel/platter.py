"""A disk whose cache is lost with the power: what was written and never flushed is there in part, or not at all.

QEMU's driver `blklogwrites` writes down each write and each flush in their order, in the format of the kernel's
dm-log-writes (Documentation/admin-guide/device-mapper/log-writes.rst): a first sector with the log's own data, then for
each entry a sector that says what it is, and what was written.

What lies before the last flush is on the platter, and so is what was written with force unit access (FUA). Of all else
each sector is there or not, as chance has it: a disk may write its cache back in any order, and promises no more than
that a sector is whole.
"""

from __future__ import annotations

import random
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

SECTOR: Final = 512
_FLUSH, _FUA, _DISCARD = 1, 2, 4
_HEAD: Final = struct.Struct("<QQQQ")
"""Of an entry: sector, sectors, flags, bytes."""


class Entry(NamedTuple):
    """A write, or a flush of what was written before."""

    sector: int
    data: bytes
    is_flush: bool = False
    is_forced: bool = False
    """With force unit access: durable by itself."""


def entries(log: bytes) -> Iterator[Entry]:
    """What the log has; it ends where QEMU was killed, perhaps within an entry, which nobody was told of then."""
    at = SECTOR
    while at + SECTOR <= len(log):
        sector, sectors, flags, _ = _HEAD.unpack_from(log, at)
        at += SECTOR
        if flags & _DISCARD:  # what is discarded may be there as well
            continue
        if flags & _FLUSH:
            yield Entry(0, b"", is_flush=True)
        if not sectors:
            if not flags:  # nothing was written from here on
                return
            continue
        data = log[at : at + sectors * SECTOR]
        at += sectors * SECTOR
        if len(data) == sectors * SECTOR:
            yield Entry(sector, data, is_forced=bool(flags & _FUA))


class Cut(NamedTuple):
    """What a power cut left."""

    durable: int
    """Sectors that were written, and flushed or forced."""
    kept: int
    """Those that were not, and are there."""
    lost: int


def cut(disk: Path, log: Path, chance: random.Random) -> Cut:
    """Write into the disk what the log says is on it once the power is off."""
    written = list(entries(log.read_bytes()))
    last = max((number for number, entry in enumerate(written) if entry.is_flush), default=-1)
    durable = kept = lost = 0
    with disk.open("r+b") as file:
        for number, entry in enumerate(written):
            if number <= last or entry.is_forced:
                file.seek(entry.sector * SECTOR)
                file.write(entry.data)
                durable += len(entry.data) // SECTOR
                continue
            share = chance.random()
            for at in range(0, len(entry.data), SECTOR):
                if chance.random() < share:
                    file.seek(entry.sector * SECTOR + at)
                    file.write(entry.data[at : at + SECTOR])
                    kept += 1
                else:
                    lost += 1
    return Cut(durable, kept, lost)
