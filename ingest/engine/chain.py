"""Finding and reading chains of manifest entries.

Sequence numbers are dense, so the newest entry is found by a galloping search (Bentley and Yao, 1976): a few probes,
never a listing of a year of files.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable
from dataclasses import dataclass

from ingest.engine.manifest import (
    CHECKPOINT_EVERY,
    FileRef,
    Manifest,
    Merged,
    checkpoint_name,
    decode_checkpoint,
    decode_entry,
    decode_merged,
    entry_name,
    sha256_of,
)
from ingest.engine.store import Store
from ingest.errors import CorruptError


def search_newest() -> Generator[int, bool, int]:
    """Asks "is there an entry with this number?" and returns the newest number, -1 where there is none."""
    low, step = -1, 1
    while (yield low + step):
        low, step = low + step, step * 2
    high = low + step
    while high - low > 1:
        middle = (low + high) // 2
        if (yield middle):
            low = middle
        else:
            high = middle
    return low


@dataclass(frozen=True, slots=True)
class Head:
    """The newest entry of a chain and the hash of its document."""

    entry: Manifest
    sha256: str


async def read_head(store: Store, folder: str) -> Head | None:
    """The newest entry of the chain in `folder`, or None. Raises `CorruptError`."""
    newest = await _search(store, folder)
    while went_further(newest, await store.names(states_of(folder))):
        before, newest = newest, await _search(store, folder)  # others may have moved the chain on meanwhile
        if newest == before:
            raise CorruptError(missing_entry(folder, newest + 1))
    return None if newest < 0 else await read_entry(store, folder, newest)


async def _search(store: Store, folder: str) -> int:
    search = search_newest()
    probe = next(search)
    while True:
        try:
            probe = search.send(await store.exists(entry_name(folder, probe)))
        except StopIteration as stop:
            return int(stop.value)


def states_of(folder: str) -> str:
    """The folder of the states of the chain in `folder`."""
    return f"state/{folder.rpartition('/')[2]}"


def went_further(newest: int, states: Iterable[str]) -> bool:
    """Do the names of a chain's states say that it once went on behind entry `newest`?

    A state is written when the entry before its own is durable, and the newest two are kept. The search takes a
    deleted entry for the chain's end; this shows that it is a hole.
    """
    return any(name[:12].isdecimal() and int(name[:12]) > newest + 1 for name in states)


def missing_entry(folder: str, seq: int) -> str:
    """What to say of a deleted entry."""
    return (
        f"{entry_name(folder, seq)}: is missing, but the chain went on behind it; restore it from a backup (a copy "
        "taken while a service wrote: take it by sensorloom backup), or rebuild from the log into another folder"
    )


async def read_entry(store: Store, folder: str, seq: int) -> Head:
    """One entry of a chain that goes on behind it, or that was just seen. Raises `CorruptError`."""
    name = entry_name(folder, seq)
    try:
        data = await store.read(name)
    except FileNotFoundError:
        raise CorruptError(missing_entry(folder, seq)) from None
    return Head(check_place(decode_entry(data, name), seq, name), sha256_of(data))


async def read_merged(store: Store, ref: FileRef) -> Merged:
    """What an entry says was merged before it. Raises `CorruptError`."""
    try:
        return decode_merged(await store.read(ref.name), ref)
    except FileNotFoundError:
        raise CorruptError(f"{ref.name}: is missing; restore it from a backup, or rebuild from the log") from None


def check_place(entry: Manifest, seq: int, where: str) -> Manifest:
    """The entry, if its number is its name's. Raises `CorruptError`."""
    if entry.seq != seq:
        raise CorruptError(f"{where}: holds entry {entry.seq}; a file was renamed, restore the chain from a backup")
    return entry


@dataclass(frozen=True, slots=True)
class Chain:
    """A whole chain, as far as a reader needs it."""

    head: Manifest
    files: tuple[FileRef, ...]
    """Every output file from the first entry through the head; of those that were merged, what they became."""
    states: tuple[tuple[int, FileRef], ...] = ()
    """The states of the last two entries that were read, by their numbers, and what those are based on: what must still
    be there."""
    merged: Merged | None = None
    """What the older entries' files have become."""


def read_chain(
    read: Callable[[str], bytes], exists: Callable[[str], bool], folder: str, *, last: int | None = None
) -> Chain | None:
    """The chain in `folder` up to entry `last` (the newest where None), or None where it is empty.

    What was merged comes from one document, then whole thousands from their checkpoints; the links between all that is
    read are checked.

    Raises:
        CorruptError: a document is damaged, or the chain's links do not match.
    """
    newest = _newest(exists, folder) if last is None else last
    if newest < 0:
        return None
    merged = _merged(read, folder, newest)
    files = [] if merged is None else list(merged.files)
    states: list[dict[FileRef, int]] = []
    previous, seq = ("", 0) if merged is None else (merged.last_sha256, merged.last + 1)
    while True:
        final = seq + CHECKPOINT_EVERY - 1
        if seq % CHECKPOINT_EVERY == 0 and final < newest and exists(checkpoint_name(folder, final)):
            name = checkpoint_name(folder, final)
            checkpoint = decode_checkpoint(read(name), name)
            if (checkpoint.first, checkpoint.last) != (seq, final):
                raise CorruptError(
                    f"{name}: sums up entries {checkpoint.first} to {checkpoint.last}, expected {seq} on"
                )
            files += checkpoint.files
            previous, seq = checkpoint.last_sha256, final + 1
            continue
        name = entry_name(folder, seq)
        data = read(name)
        entry = check_place(decode_entry(data, name), seq, name)
        if entry.previous != previous:
            raise CorruptError(f"{name}: does not follow the entry before it; restore the chain from a backup")
        files += entry.files
        states = [*states[-1:], dict.fromkeys(entry.states, seq)]
        if seq == newest:
            needed = {ref: by for known in states for ref, by in known.items()}
            return Chain(entry, tuple(files), tuple((by, ref) for ref, by in needed.items()), merged)
        previous, seq = sha256_of(data), seq + 1


def _merged(read: Callable[[str], bytes], folder: str, newest: int) -> Merged | None:
    name = entry_name(folder, newest)
    ref = decode_entry(read(name), name).merged
    return None if ref is None else decode_merged(read(ref.name), ref)


def _newest(exists: Callable[[str], bool], folder: str) -> int:
    search = search_newest()
    probe = next(search)
    while True:
        try:
            probe = search.send(exists(entry_name(folder, probe)))
        except StopIteration as stop:
            return int(stop.value)
