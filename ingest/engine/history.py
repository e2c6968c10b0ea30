"""A chain's recent past, by few reads: entries have no time, but the files that they are in have."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from ingest.engine.chain import search_newest
from ingest.engine.manifest import Manifest, decode_entry, entry_name

SAMPLED: Final = 32
"""So many of the newest entries are read to tell how large entries are."""


def newest_entry(folder: Path, chain: str) -> int:
    """The number of the newest entry of a chain in an operator's folder, -1 where it has none."""
    search = search_newest()
    probe = next(search)
    while True:
        try:
            probe = search.send((folder / entry_name(chain, probe)).exists())
        except StopIteration as stop:
            return int(stop.value)


def entry(folder: Path, chain: str, seq: int) -> Manifest:
    """One entry. Raises `CorruptError`, `FileNotFoundError`."""
    path = folder / entry_name(chain, seq)
    return decode_entry(path.read_bytes(), str(path))


def sealed_ns(folder: Path, chain: str, seq: int) -> int:
    """When an entry became visible, ns UTC."""
    return (folder / entry_name(chain, seq)).stat().st_mtime_ns


def last_before(folder: Path, chain: str, newest: int, time_ns: int) -> int:
    """The newest entry sealed before a time, -1 where all were later: bisected."""
    low, high = -1, newest + 1
    while high - low > 1:
        middle = (low + high) // 2
        if sealed_ns(folder, chain, middle) < time_ns:
            low = middle
        else:
            high = middle
    return low


@dataclass(frozen=True, slots=True)
class Growth:
    """What the entries of some stretch of time have brought, as the newest of them tell."""

    entries: int
    files: int
    bytes: int
    since_ns: int


def growth(folder: Path, chain: str, newest: int, since_ns: int) -> Growth:
    """Files and bytes of a chain since a time; of more than `SAMPLED` entries the newest stand for all."""
    before = last_before(folder, chain, newest, since_ns)
    count = newest - before
    if not count:
        return Growth(0, 0, 0, since_ns)
    sampled = [entry(folder, chain, seq) for seq in range(max(before + 1, newest - SAMPLED + 1), newest + 1)]
    documents = sum((folder / entry_name(chain, one.seq)).stat().st_size for one in sampled)
    size = documents + sum(ref.bytes for one in sampled for ref in one.files)
    files = len(sampled) + sum(len(one.files) for one in sampled)
    began_ns = max(since_ns, sealed_ns(folder, chain, 0))
    return Growth(count, files * count // len(sampled), size * count // len(sampled), began_ns)
