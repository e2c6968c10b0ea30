"""What the archive has taken from a log and not sealed yet. Pure."""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

import numpy as np

from ingest.archive.rows import dtype_of
from ingest.log.protocol import LogBatch
from ingest.records import Chunk, StreamDescription

if TYPE_CHECKING:
    from numpy.typing import NDArray

_ROW_BYTES: Final = 64
"""About what a row without samples takes in memory beside its bytes; only decides when to seal."""
CHUNK: Final = "chunk"
COUNTS: Final = "counts"


def integers() -> array[int]:
    """A column of numbers that are added one by one, or many as the bytes of int64."""
    return array("q")


def as_array(column: array[int]) -> NDArray[np.int64]:
    """The same numbers; nothing may be added while they are looked at."""
    return np.frombuffer(column, np.int64)


class Samples:
    """The chunks of one stream and schema that wait to be written, as places of their records."""

    def __init__(self, stream: str, schema: bytes, description: StreamDescription) -> None:
        self.stream = stream
        self.schema = schema
        self.description = description
        self.sample_bytes = dtype_of(description.dtype).itemsize * len(description.channels)
        self.places = integers()

    def take(self) -> Samples:
        """What waits; nothing does afterwards."""
        taken = Samples(self.stream, self.schema, self.description)
        taken.places, self.places = self.places, integers()
        return taken


class Collected:
    """What an output is made of. A record's place is how many were taken before it; nearly all are chunks that count,
    whose bytes follow from what they say, so only what is otherwise is kept beside. Of chunks that are alike but for
    number, start and samples, what they have in common is kept once."""

    def __init__(self) -> None:
        self.offsets = integers()
        self.append_ns = integers()
        self.keys: list[bytes] = []
        self.forms: list[Chunk] = []
        """Chunks: of those that are alike the first one. Of another record what it says of who it is about, as a chunk
        of no samples."""
        self.form = integers()
        """By place, which of the forms it has."""
        self.seq = integers()
        self.t0_ns = integers()
        self.raw: dict[int, bytes] = {}
        """By place, the bytes of a chunk's samples; of a form in `cuts` those of the whole record; none of what is in
        `blocks`."""
        self.cuts: dict[int, slice] = {}
        """By form, where in its records' bytes the samples are."""
        self.blocks: list[tuple[NDArray[np.int64], NDArray[np.uint8]]] = []
        """Places, and the bytes of the samples of each, `(places, bytes)`: of chunks that were taken many at once."""
        self.kinds: dict[int, str] = {}
        """By place, what is no chunk."""
        self.verdicts: dict[int, str] = {}
        """By place, what does not count."""
        self.values: dict[int, bytes] = {}
        """By place, the bytes of what does not follow from a chunk's columns."""
        self.samples: Sequence[Samples] = ()
        """Where samples are, in the order of the first ones."""
        self.counts: Counter[str] = Counter()
        self.bytes = 0

    def add(self, chunk: Chunk) -> None:
        """The next record, of a form of its own."""
        self.raw[len(self.form)] = chunk.values
        self.form.append(len(self.forms))
        self.forms.append(chunk)
        self.seq.append(chunk.seq)
        self.t0_ns.append(chunk.t0_ns)

    def unfold(self, value: bytes, cut: slice) -> int:
        """Of the record that was added last, and of those of its form that come, the whole bytes are kept; its form."""
        form = self.form[-1]
        self.raw[len(self.form) - 1], self.cuts[form] = value, cut
        return form

    def place(self, batch: LogBatch, taken: int) -> None:
        """So many records of a batch, which were added, lay there in the log."""
        for column, found in ((self.offsets, batch.offsets), (self.append_ns, batch.append_ns)):
            column.frombytes(np.fromiter(found, np.int64, taken).tobytes())
        self.keys += batch.keys[:taken]
        self.bytes += _ROW_BYTES * taken + sum(map(len, batch.values[:taken]))

    def count(self) -> Counter[str]:
        """The counts, with how many records of each kind there are, and how many samples."""
        kinds = Counter(self.kinds.values())
        chunks = len(self.form) - kinds.total()
        found = {f"records.{kind}": count for kind, count in ({CHUNK: chunks} | kinds).items() if count}
        self.counts.update(found)
        sizes = np.array([chunk.count for chunk in self.forms], np.int64)
        self.counts["samples"] = int(sizes[as_array(self.form)].sum())
        return self.counts
