"""Small files become larger ones: what was sealed a hundred times is opened as if it had been sealed once.

A merging is an entry of the chain like any other. It covers no record, has the state of the entry before it, and names
a document (`Merged`) that says which files the older entries have from now on; later entries name it too. So who reads
a chain reads its newest entry, that document, and the entries behind it. The new files are announced as a seal's are
(`ingest.engine.leftovers`): who dies on the way leaves what the next worker sweeps away, and who has lost the partition
loses the `link()`. Files that were replaced stay for a while (`grace_ns`), for those who opened the chain before.

Each merging takes the entries since the last one. Files that an operator joins again, as tables are, are joined as a
binary counter carries: with older ones that are not larger. So a row is written again a few times, whatever comes.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Final, Protocol

from ingest.engine.chain import Head, read_entry
from ingest.engine.keeping import Keep
from ingest.engine.leftovers import announce, tag_of
from ingest.engine.manifest import (
    FORMAT,
    FileRef,
    Manifest,
    Merged,
    Retired,
    entry_name,
    sha256_of,
)
from ingest.engine.operator import Draft
from ingest.engine.partition import Offload, Partition
from ingest.engine.plan import folder_of
from ingest.engine.replacing import Ready, ready_of
from ingest.engine.store import Exists, Store
from ingest.errors import FencedError

MERGE_EVERY: Final = 128


class Merger(Protocol):
    """How an operator's files are merged. Pure."""

    def takes(self, ref: FileRef) -> bool:
        """Is a file that was just sealed to be merged with its neighbours?"""
        ...

    def alone(self, files: Sequence[FileRef]) -> bool:
        """Is an entry to stay as it is, and no merging to reach across it?"""
        ...

    def joins(self, older: FileRef, size: int) -> bool:
        """Is an older file to be merged again, with `size` bytes of the same folder that come behind it?"""
        ...

    def merge(self, files: Sequence[tuple[FileRef, bytes]], tag: str) -> Sequence[Draft]:
        """What these files become, with `tag` in their names. Raises `CorruptError` for what is none of the operator's
        files."""
        ...


class Untouched:
    """A `Merger` of files that stay as they are: only what names them becomes one document."""

    def takes(self, ref: FileRef) -> bool:
        """See `Merger`."""
        return False

    def alone(self, files: Sequence[FileRef]) -> bool:
        """See `Merger`."""
        return False

    def joins(self, older: FileRef, size: int) -> bool:
        """See `Merger`."""
        return False

    def merge(self, files: Sequence[tuple[FileRef, bytes]], tag: str) -> Sequence[Draft]:
        """See `Merger`."""
        return ()


@dataclass(frozen=True, slots=True)
class Merging:
    """How a worker merges, and when."""

    merger: Merger
    now_ns: Callable[[], int]
    """The clock that says when replaced files may go."""
    every: int = MERGE_EVERY
    """So many entries are merged; fewer are not worth it."""
    entries_max: int = 1024
    """At once, where a chain was never merged."""
    bytes_max: int = 64 << 20
    """So much is merged at once: it is held in memory."""
    grace_ns: int = 3_600 * 10**9
    """So long do replaced files stay."""
    keep: Keep | None = None
    """What is old goes; None: everything stays."""


def is_due(part: Partition, merging: Merging) -> bool:
    """Are there entries enough?"""
    done = -1 if part.merged is None else part.merged.last
    return part.head is not None and part.head.entry.seq - done >= merging.every


async def merge(store: Store, part: Partition, merging: Merging, offload: Offload) -> Ready:
    """The next merging of a partition, which is between two seals.

    Raises:
        CorruptError: the chain is damaged.
    """
    head = part.head
    assert head is not None, "nothing was sealed"
    heads = await _entries(store, part, merging)
    older, new, chosen, contents = await _gather(store, part.merged, [each.entry for each in heads], merging)
    tag = tag_of(part.number, part.next_seq)
    drafts = list(await offload(lambda: merging.merger.merge(contents, tag))) if chosen else []
    gone, previous = set(chosen), [] if head.entry.merged is None else [head.entry.merged.name]
    files = [ref for ref in (*older, *(ref for entry in new for ref in entry.files)) if ref not in gone]
    files += [FileRef(draft.name, draft.sha256, draft.size, draft.rows) for draft in drafts]
    replaced = (*previous, *(ref.name for ref in chosen))
    retired = (*part.retired, Retired(merging.now_ns(), replaced)) if replaced else tuple(part.retired)
    last = heads[len(new) - 1]
    return ready_of(head, Merged(FORMAT, last.entry.seq, last.sha256, tuple(files), retired), tag, drafts)


async def _entries(store: Store, part: Partition, merging: Merging) -> list[Head]:
    """The entries to merge: those since the last time, as far as they fit into memory; behind any that stay alone, up
    to the next one that does."""
    assert part.head is not None, "nothing was sealed"
    found: list[Head] = []
    size, is_begun = 0, False
    first = 0 if part.merged is None else part.merged.last + 1
    for seq in range(first, min(part.head.entry.seq + 1, first + merging.entries_max)):
        head = await read_entry(store, part.folder, seq)
        mergeable = _mergeable(head.entry, merging.merger)
        size += sum(ref.bytes for ref in mergeable)
        if (found and size > merging.bytes_max) or (is_begun and merging.merger.alone(head.entry.files)):
            break
        is_begun |= bool(mergeable)
        found.append(head)
    return found


def _mergeable(entry: Manifest, merger: Merger) -> list[FileRef]:
    """The files of an entry that are merged with their neighbours."""
    return [] if merger.alone(entry.files) else [ref for ref in entry.files if merger.takes(ref)]


async def _gather(
    store: Store, merged: Merged | None, new: list[Manifest], merging: Merging
) -> tuple[Sequence[FileRef], list[Manifest], list[FileRef], list[tuple[FileRef, bytes]]]:
    """All older files, the entries to merge now, and the files to merge with their bytes.

    A file that is damaged stays as it is, and its entry's others with it: it can be restored from a backup. So the
    merging ends before it, and the next one begins behind it.
    """
    older = () if merged is None else merged.files
    joinable: Sequence[FileRef] = older
    while True:
        mergeable = [ref for entry in new for ref in _mergeable(entry, merging.merger)]
        chosen = chosen_of(joinable, mergeable, merging.merger)
        contents: list[tuple[FileRef, bytes]] = []
        for ref in chosen:
            data = await _read(store, ref)
            if data is None:
                break
            contents.append((ref, data))
        else:
            return older, new, chosen, contents
        if ref in joinable:
            joinable = joinable[joinable.index(ref) + 1 :]
            continue
        place = next(number for number, entry in enumerate(new) if ref in entry.files)
        if not place:
            return older, new[:1], [], []
        new = new[:place]


def chosen_of(older: Sequence[FileRef], new: Sequence[FileRef], merger: Merger) -> list[FileRef]:
    """Which files are merged: of each folder the new ones, and older ones as a counter carries;
    none where it would be one alone. In the order of their folders, and in a folder in theirs."""
    chosen: list[FileRef] = []
    taken = sorted(new, key=lambda ref: folder_of(ref.name))
    for folder, refs in groupby(taken, key=lambda ref: folder_of(ref.name)):
        run = list(refs)
        size = sum(ref.bytes for ref in run)
        for ref in reversed([ref for ref in older if folder_of(ref.name) == folder]):
            if not merger.joins(ref, size):
                break
            run.insert(0, ref)
            size += ref.bytes
        chosen += run if len(run) > 1 else []
    return chosen


async def _read(store: Store, ref: FileRef) -> bytes | None:
    """A file's bytes; None where it is damaged or missing."""
    try:
        data = await store.read(ref.name)
    except FileNotFoundError:
        return None
    return data if len(data) == ref.bytes and sha256_of(data) == ref.sha256 else None


async def write_merged(store: Store, part: Partition, ready: Ready) -> str:
    """Make the new files durable; nothing refers to them yet but the note whose name this gives.

    Raises:
        StoreUnavailableError: there is no room. What was written is not deleted here: its names are free for another
            worker until there is an entry of this number; then it is swept away.
    """
    note = await announce(store, part.folder, ready.entry.seq, [draft.name for draft in ready.drafts])
    puts = (store.put([(draft.name, draft.parts)]) for draft in ready.drafts)
    for result in await asyncio.gather(*puts, return_exceptions=True):
        if isinstance(result, BaseException):
            raise result
    return note


async def commit_merged(store: Store, part: Partition, ready: Ready) -> tuple[str, ...]:
    """Create the entry, and move the partition on behind it; the state files that are outdated now.

    Raises:
        FencedError: the number is taken; another worker owns the partition.
    """
    try:
        await store.create(entry_name(part.folder, ready.entry.seq), ready.document)
    except Exists:
        raise FencedError(
            f"{part.folder}: entry {ready.entry.seq} exists already; another worker owns the partition"
        ) from None
    part.merged, part.retired = ready.merged, list(ready.merged.retired)
    return part.behind(ready.entry, ready.document)


async def let_go(store: Store, part: Partition, merging: Merging) -> None:
    """Delete what was replaced long enough ago. What was replaced once is never named again."""
    until_ns = merging.now_ns() - merging.grace_ns
    old = [retired for retired in part.retired if retired.time_ns <= until_ns]
    if old:
        await store.delete(_names(old))
        part.retired = [retired for retired in part.retired if retired.time_ns > until_ns]


def _names(retired: Iterable[Retired]) -> list[str]:
    return [name for each in retired for name in each.names]
