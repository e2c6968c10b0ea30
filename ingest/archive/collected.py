"""What the archive has taken from a log and not sealed yet. Pure."""

from __future__ import annotations

from collections import Counter
from typing import Final, NamedTuple

from ingest.archive.rows import dtype_of
from ingest.records import Chunk, StreamDescription

_ROW_BYTES: Final = 64
"""About what a row without samples takes in memory beside its bytes; only decides when to seal."""


class Kept(NamedTuple):
    """What is kept of a record beside its place."""

    kind: str
    verdict: str
    chunk: Chunk
    follows: bool = False
    """Its bytes follow from these."""


class Samples:
    """The chunks of one stream and schema that wait to be written, and the indices of their records."""

    def __init__(self, description: StreamDescription) -> None:
        self.description = description
        self.sample_bytes = dtype_of(description.dtype).itemsize * len(description.channels)
        self.indices: list[int] = []
        self.chunks: list[Chunk] = []


class Collected:
    """What an output is made of: columns of equal length, an element a record."""

    def __init__(self) -> None:
        self.offsets: list[int] = []
        self.append_ns: list[int] = []
        self.keys: list[bytes] = []
        self.values: list[bytes] = []
        """Empty where the bytes of a chunk follow from its columns."""
        self.kinds: list[str] = []
        self.verdicts: list[str] = []
        self.chunks: list[Chunk] = []
        """Of another record what it says of who it is about, as a chunk of no samples."""
        self.samples: dict[tuple[str, bytes], Samples] = {}
        self.counts: Counter[str] = Counter()
        self.bytes = 0

    def add(self, offset: int, append_ns: int, key: bytes, value: bytes, kept: Kept) -> None:
        """A record."""
        self.offsets.append(offset)
        self.append_ns.append(append_ns)
        self.keys.append(key)
        self.values.append(b"" if kept.follows else value)
        self.kinds.append(kept.kind)
        self.verdicts.append(kept.verdict)
        self.chunks.append(kept.chunk)
        self.bytes += _ROW_BYTES + len(value)
