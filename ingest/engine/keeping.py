"""What is old goes: the oldest outputs of a chain leave it by an entry, as small files are merged (`merging`).

The entry covers no record, and names a document of all files that the chain has from now on. The files that left it
stay for a while, as those do that were merged. What went is counted in the entry.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import dataclass
from typing import Final

from ingest.engine.chain import read_entry
from ingest.engine.leftovers import tag_of
from ingest.engine.manifest import FORMAT, FileRef, Merged, Retired
from ingest.engine.partition import Partition
from ingest.engine.replacing import Ready, ready_of
from ingest.engine.store import Store

HOUR_NS: Final = 3_600 * 10**9
RECORDS, FILES = "expired.records", "expired.files"
"""What went, as an entry counts it."""


@dataclass(frozen=True, slots=True)
class Keep:
    """How long outputs are kept, by the append time of their last record."""

    age_ns: int
    now_ns: Callable[[], int]
    ends: Callable[[FileRef], bool]
    """Is this file the last one of its output?"""
    newest_ns: Callable[[bytes], int]
    """The append time of an output's last record, from the bytes of its last file."""
    step_ns: int = HOUR_NS
    """Whole steps go."""

    @property
    def until_ns(self) -> int:
        """What was appended before this is not kept."""
        return (self.now_ns() - self.age_ns) // self.step_ns * self.step_ns


def is_time(part: Partition, keep: Keep) -> bool:
    """Has more become old since this was last asked? Seals may not come any more to ask it."""
    before_ns, part.expired_ns = part.expired_ns, keep.until_ns
    return before_ns is not None and before_ns < part.expired_ns


async def expire(store: Store, part: Partition, keep: Keep) -> Ready | None:
    """The entry by which outputs leave that have outlived; None where none has. Between two seals.

    An output that cannot be read stays, and what comes behind it: it can be restored from a backup.

    Raises:
        CorruptError: the chain is damaged.
    """
    if part.head is None:
        return None
    gone, last = await _outlived(store, part, keep)
    if not gone:
        return None
    files = () if part.merged is None else part.merged.files
    first = 0 if part.merged is None else part.merged.last + 1
    heads = [await read_entry(store, part.folder, seq) for seq in range(first, last + 1)]
    left = [ref for ref in (*files, *(ref for head in heads for ref in head.entry.files)) if ref not in gone]
    previous = [] if part.head.entry.merged is None else [part.head.entry.merged.name]
    retired = (*part.retired, Retired(keep.now_ns(), (*previous, *(ref.name for ref in gone))))
    upto = (heads[-1].entry.seq, heads[-1].sha256) if heads else _upto(part)
    merged = Merged(FORMAT, *upto, tuple(left), retired)
    counts = {FILES: len(gone), RECORDS: sum(ref.rows for ref in gone if keep.ends(ref))}
    return ready_of(part.head, merged, tag_of(part.number, part.next_seq), counts=counts)


def _upto(part: Partition) -> tuple[int, str]:
    assert part.merged is not None, "what goes is named by the document, or by an entry behind it"
    return part.merged.last, part.merged.last_sha256


async def _outlived(store: Store, part: Partition, keep: Keep) -> tuple[set[FileRef], int]:
    """The files of the oldest outputs that have outlived, and the last entry that any is of; nothing is read where the
    oldest output is known to be young enough."""
    gone: set[FileRef] = set()
    own: list[FileRef] = []
    last, until_ns = -1 if part.merged is None else part.merged.last, keep.until_ns
    if part.oldest_ns is not None and part.oldest_ns >= until_ns:
        return gone, last
    async with aclosing(_files(store, part)) as files:
        async for seq, ref in files:
            own.append(ref)
            if not keep.ends(ref):
                continue
            try:
                newest_ns = keep.newest_ns(await store.read(ref.name))
            except (FileNotFoundError, ValueError):
                break
            if newest_ns >= until_ns:
                part.oldest_ns = newest_ns  # what it is merged with later is no older
                break
            gone.update(own)
            own, last = [], seq
    return gone, last


async def _files(store: Store, part: Partition) -> AsyncGenerator[tuple[int, FileRef], None]:
    """All files of a chain in their order, with the entry that names each, or the last of those that were merged."""
    first = 0
    if part.merged is not None:
        first = part.merged.last + 1
        for ref in part.merged.files:
            yield part.merged.last, ref
    assert part.head is not None
    for seq in range(first, part.head.entry.seq + 1):
        for ref in (await read_entry(store, part.folder, seq)).entry.files:
            yield seq, ref
