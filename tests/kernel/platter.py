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
from collections.abc import Iterator, Sequence
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
    """Write into the disk what the log says is on it once the power is off.

    Where anything was not flushed, some of it is lost: a cache that was written back to its end is no power cut.
    """
    written = list(entries(log.read_bytes()))
    loose = set(_loose(written))
    kept = _kept([entry for number, entry in enumerate(written) if number in loose], chance)
    durable, at = 0, 0
    with disk.open("r+b") as file:
        for number, entry in enumerate(written):
            sectors = len(entry.data) // SECTOR
            if number not in loose:
                durable += sectors
            for sector in range(sectors):
                if number not in loose or kept[at + sector]:
                    file.seek((entry.sector + sector) * SECTOR)
                    file.write(entry.data[sector * SECTOR : (sector + 1) * SECTOR])
            at += sectors if number in loose else 0
    return Cut(durable, sum(kept), len(kept) - sum(kept))


def is_loose(log: Path) -> bool:
    """Whether a cut would come between a write and its flush."""
    return bool(_loose(list(entries(log.read_bytes()))))


def _loose(written: Sequence[Entry]) -> list[int]:
    """Which writes were neither flushed nor forced."""
    last = max((number for number, entry in enumerate(written) if entry.is_flush), default=-1)
    return [number for number, entry in enumerate(written) if number > last and entry.data and not entry.is_forced]


def _kept(loose: Sequence[Entry], chance: random.Random) -> list[bool]:
    """Of each sector of these writes, whether it is there: of each write another share; of all not all."""
    while True:
        shares = [(chance.random(), len(entry.data) // SECTOR) for entry in loose]
        kept = [chance.random() < share for share, sectors in shares for _ in range(sectors)]
        if not kept or not all(kept):
            return kept
