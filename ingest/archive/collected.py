"""What the archive has taken from a log and not sealed yet. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Final

from ingest.archive.rows import dtype_of
from ingest.log.protocol import LogBatch
from ingest.records import Chunk, StreamDescription

_ROW_BYTES: Final = 64
"""About what a row without samples takes in memory beside its bytes; only decides when to seal."""
CHUNK: Final = "chunk"
COUNTS: Final = "counts"


class Samples:
    """The chunks of one stream and schema that wait to be written, as places of their records."""

    def __init__(self, stream: str, schema: bytes, description: StreamDescription) -> None:
        self.stream = stream
        self.schema = schema
        self.description = description
        self.sample_bytes = dtype_of(description.dtype).itemsize * len(description.channels)
        self.places: list[int] = []

    def take(self) -> Samples:
        """What waits; nothing does afterwards."""
        taken = Samples(self.stream, self.schema, self.description)
        taken.places, self.places = self.places, []
        return taken


class Collected:
    """What an output is made of. A record's place is how many were taken before it; nearly all are chunks that count,
    whose bytes follow from what they say, so only what is otherwise is kept beside. Of chunks that are alike but for
    number, start and samples, what they have in common is kept once."""

    def __init__(self) -> None:
        self.offsets: list[int] = []
        self.append_ns: list[int] = []
        self.keys: list[bytes] = []
        self.forms: list[Chunk] = []
        """Chunks: of those that are alike the first one. Of another record what it says of who it is about, as a chunk
        of no samples."""
        self.form: list[int] = []
        """By place, which of the forms it has."""
        self.seq: list[int] = []
        self.t0_ns: list[int] = []
        self.raw: list[bytes] = []
        """By place, the bytes of a chunk's samples; of a form in `cuts` those of the whole record."""
        self.cuts: dict[int, slice] = {}
        """By form, where in its records' bytes the samples are."""
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
        self.form.append(len(self.forms))
        self.forms.append(chunk)
        self.seq.append(chunk.seq)
        self.t0_ns.append(chunk.t0_ns)
        self.raw.append(chunk.values)

    def unfold(self, value: bytes, cut: slice) -> int:
        """Of the record that was added last, and of those of its form that come, the whole bytes are kept; its form."""
        form = self.form[-1]
        self.raw[-1], self.cuts[form] = value, cut
        return form

    def place(self, batch: LogBatch, taken: int) -> None:
        """So many records of a batch, which were added, lay there in the log."""
        self.offsets += batch.offsets[:taken]
        self.append_ns += batch.append_ns[:taken]
        self.keys += batch.keys[:taken]
        self.bytes += _ROW_BYTES * taken + sum(map(len, batch.values[:taken]))

    def count(self) -> Counter[str]:
        """The counts, with how many records of each kind there are, and how many samples."""
        kinds = Counter(self.kinds.values())
        chunks = len(self.form) - kinds.total()
        found = {f"records.{kind}": count for kind, count in ({CHUNK: chunks} | kinds).items() if count}
        self.counts.update(found)
        sizes = [chunk.count for chunk in self.forms]
        self.counts["samples"] = sum(map(sizes.__getitem__, self.form))
        return self.counts
