"""Chunks and entries for tests of the spool."""

from __future__ import annotations

import os
from collections.abc import Iterable

import numpy as np
import pytest

from edge.spool.entries import key_of, reading
from edge.spool.spool import Queue
from ingest.log.protocol import Entry
from ingest.log.segments import partition
from ingest.records import Chunk, Gap, Record
from ingest.wire import decode

BOOT = b"b" * 16
SECOND = 1_000_000_000
T0 = 1_700_000_000 * SECOND


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk that makes nobody wait: for tests in which files are damaged by hand."""
    monkeypatch.setattr(os, "fsync", lambda fd: None)
    monkeypatch.setattr(os, "fdatasync", lambda fd: None)
    monkeypatch.setattr(partition, "open_direct", lambda path: os.open(path, os.O_RDWR | os.O_CLOEXEC))


def chunk(seq: int, count: int = 100, stream: str = "acc") -> Chunk:
    """A second of one int16 channel."""
    values = (np.arange(count, dtype="<i2") + seq).tobytes()
    schema = b"s" * 16
    return Chunk(
        "pump", "r", stream, BOOT, seq, schema, T0 + seq * SECOND, SECOND // count, 1, 0, 0, b"", count, values
    )


def entry(seq: int, count: int = 100) -> Entry:
    return reading("pump", chunk(seq, count))


def read_all(queue: Queue) -> list[Record]:
    """What the queue still holds, read to its end."""
    found: list[Record] = []
    while (batch := queue.read()) is not None:
        found += [
            decode(bytes(value))
            for key, value in zip(batch.keys, batch.values, strict=True)
            if key_of(key).kind in b"rh"
        ]
    return found


def accounted(records: Iterable[Record]) -> int:
    """Samples that are there or announced as missing."""
    total = 0
    for record in records:
        if isinstance(record, Chunk):
            total += record.count + record.missing
        elif isinstance(record, Gap):
            total += record.samples
    return total
