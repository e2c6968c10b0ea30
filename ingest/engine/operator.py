"""What the engine runs: a pure function from (state, records) to (state, output).

An `Operator` is frozen configuration. `start` gives a `Running` object from a saved state; that object is a fold over
the partition's records. It does no I/O and asks neither clock nor chance: the same records give the same outputs,
wherever the batches and the seals fall.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol, TypeAlias

from ingest.log.protocol import Entry, LogBatch
from ingest.records import StreamDescription

Buffer: TypeAlias = bytes | bytearray | memoryview
State: TypeAlias = Sequence[bytes]
"""In parts: those that are as they were in an earlier state need not be written again."""


OUTPUT_TO_STATE: Final = 5
"""So many times what a seal writes of the state it is to have of output, if it need not come sooner."""


@dataclass(frozen=True, slots=True)
class Draft:
    """A file that an output wants, named by its content."""

    name: str
    """Relative to the operator's folder: `signal/s-<sha16>.npy`."""
    sha256: str
    size: int
    parts: tuple[Buffer, ...]
    rows: int

    @classmethod
    def of(cls, folder: str, stem: str, suffix: str, parts: Iterable[Buffer], rows: int, tag: str = "") -> Draft:
        """The draft of the file with these bytes: `<folder>/<stem>-<tag>-<16 hex digits of its SHA-256><suffix>`."""
        kept = tuple(parts)
        digest = hashlib.sha256()
        for part in kept:
            digest.update(part)
        sha256 = digest.hexdigest()
        size = sum(memoryview(part).nbytes for part in kept)
        named = "-".join(part for part in (stem, tag, sha256[:16]) if part)
        return cls(f"{folder}/{named}{suffix}", sha256, size, kept, rows)


@dataclass(frozen=True, slots=True)
class Publication:
    """A record that an output wants in the log before it is sealed; idempotent by the record's own id."""

    topic: str
    entry: Entry


@dataclass(frozen=True, slots=True)
class Output:
    """What was finished since the last `take`."""

    drafts: Sequence[Draft] = ()
    publications: Sequence[Publication] = ()
    counts: Counter[str] = field(default_factory=Counter)
    """How many, by reason: `windows`, `samples`, `drop.coverage`, `late`, `duplicate` …"""
    notes: Sequence[str] = ()
    """What a person should know of, each as a text of its own: why something cannot be done. It may be given again with
    every output; it is told once."""


class Running(Protocol):
    """An operator at work on one partition."""

    def feed(self, batch: LogBatch) -> int:
        """Fold the batch in; the number of records taken.

        Fewer than `len(batch)` where the next record names a schema that `learn` has not been told: the engine reads
        `streams` and feeds the rest again. Fewer too, with no `missing_schema`, where the output has become as much as
        the operator wants to hold: the engine seals it first. At least one record, where nothing is pending.
        """
        ...

    @property
    def missing_schema(self) -> bytes | None:
        """The schema id that `feed` stopped at, else None."""
        ...

    def skip(self, wanted: int, begin: int) -> None:
        """The log no longer has `[wanted, begin)`: go on after the hole, and count it."""
        ...

    @property
    def pending_bytes(self) -> int:
        """About how many bytes of output `take` would give, with what it makes of records that it still collects."""
        ...

    @property
    def urgent(self) -> bool:
        """Whether somebody waits for what `take` would give: it is sealed at once (`Limits.urgent_seconds`)."""
        ...

    def take(self, tag: str = "") -> Output:
        """The output finished since the last call, encoded; it is the engine's from here on.

        `tag` goes into the files' names: no other output has it.
        """
        ...

    def snapshot(self) -> State:
        """The state as `start` understands it: one part, or several, such as one for each device, that stay as they are
        byte for byte where nothing comes for them. Called right after `take`."""
        ...


class Operator(Protocol):
    """Frozen configuration of a fold."""

    @property
    def name(self) -> str:
        """Names the operator in its manifests: "windows", "labels", "archive"."""
        ...

    @property
    def code(self) -> int:
        """The version of the saved state's format and meaning; another one is refused."""
        ...

    @property
    def spec(self) -> str:
        """A hash of the configuration that determines the output."""
        ...

    def learn(self, schema: bytes, description: StreamDescription) -> None:
        """Tell what a schema id means. Content-addressed, so it is knowledge, not state.

        The id is given, not computed: a newer producer may have hashed fields that this version does not decode.
        """
        ...

    def start(self, saved: State | None) -> Running:
        """At work from a saved state, or from the beginning.

        Raises:
            StateVersionError: the state is not this version's.
            CorruptError: the state cannot be understood.
        """
        ...
