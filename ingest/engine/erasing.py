"""What is to be forgotten leaves a chain: files take others' place, and the states that the chain goes on from are made
again without it.

It is an entry of the chain like a merging's (`ingest.engine.merging`): it covers no record, and names a document of all
files. Whoever was at work is fenced by it and goes on from the cleaned state. The states of a chain's last two entries
are kept, so there are two such entries. What was replaced is deleted at once, not after a while: that is the point.
Whatever cuts this off, doing it again completes it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol

import msgspec

from ingest.engine.chain import Head, read_entry, read_head, read_merged, states_of
from ingest.engine.heads import mark_head
from ingest.engine.leftovers import announce, notes_of, tag_of
from ingest.engine.manifest import (
    FORMAT,
    FileRef,
    Merged,
    Retired,
    chain_folder,
    encode_document,
    entry_name,
    sha256_of,
)
from ingest.engine.operator import Draft, State
from ingest.engine.partition import read_state
from ingest.engine.plan import folder_of
from ingest.engine.replacing import ready_of
from ingest.engine.states import encode_parts
from ingest.engine.store import Exists, Store
from ingest.errors import CorruptError

COUNT: Final = "erased.rows"
"""What an entry counts the rows under that went, with the folder of their files behind it."""
_LONG_AGO_NS: Final = 0


@dataclass(frozen=True, slots=True)
class Rewritten:
    """What the files of a chain become."""

    files: Sequence[FileRef]
    """All files from now on, in their order."""
    drafts: Sequence[Draft] = ()
    """The new ones among them."""
    beside: Sequence[Draft] = ()
    """Files of the entry itself: they come behind all others."""
    rows: Mapping[str, int] = field(default_factory=dict)
    """How many rows went, by folder."""


class Eraser(Protocol):
    """What an operator's files and states are without what is to be forgotten. Pure, but for reading."""

    def files(self, refs: Sequence[FileRef], seq: int, tag: str) -> Rewritten | None:
        """What a chain's files become by entry `seq`, with `tag` in their names; None: they stay as they are."""
        ...

    def state(self, parts: State) -> State:
        """A state without it; the same parts where nothing is to go."""
        ...


async def erase(store: Store, topic: str, number: int, eraser: Eraser) -> dict[str, int]:
    """Take out of a chain what is to be forgotten; how many rows went, by the folder of their files.

    Raises:
        CorruptError: the chain is damaged.
        StoreUnavailableError: there is no room; nothing is lost, and doing it again completes it.
    """
    folder, rows = chain_folder(topic, number), dict[str, int]()
    while True:
        head = await read_head(store, folder)
        if head is None:
            return rows
        await store.settle(folder)
        try:
            gone = await _step(store, folder, number, head, eraser)
        except Exists:
            continue  # a worker has moved the chain on
        if gone is None:
            break
        for kind, count in gone.items():
            rows[kind] = rows.get(kind, 0) + count
    await _sweep(store, folder, number)
    return rows


async def outlook(store: Store, topic: str, number: int, eraser: Eraser) -> dict[str, int]:
    """How many rows `erase` would take out of a chain; nothing is changed. Raises `CorruptError`."""
    head = await read_head(store, chain_folder(topic, number))
    if head is None:
        return {}
    _, refs = await _files(store, chain_folder(topic, number), head)
    rewritten = eraser.files(refs, head.entry.seq + 1, tag_of(number, head.entry.seq + 1))
    return {} if rewritten is None else dict(rewritten.rows)


async def _step(store: Store, folder: str, number: int, head: Head, eraser: Eraser) -> dict[str, int] | None:
    """Append an entry, where one is needed; how many rows went by it. Raises `Exists`."""
    seq = head.entry.seq + 1
    merged, refs = await _files(store, folder, head)
    rewritten = eraser.files(refs, seq, tag_of(number, seq))
    parts, _ = await read_state(store, head.entry)
    cleaned = eraser.state(parts)
    if rewritten is None and cleaned == parts and not await _is_dirty(store, folder, head, eraser):
        return None
    found = rewritten or Rewritten(refs)
    names = {ref.name for ref in found.files}
    replaced = tuple(ref.name for ref in refs if ref.name not in names)
    before = () if merged is None else merged.retired
    old = () if head.entry.merged is None else (head.entry.merged.name,)
    retired = (*before, Retired(_LONG_AGO_NS, (*old, *replaced)))
    counts = {f"{COUNT}.{kind}": count for kind, count in found.rows.items() if count}
    document = Merged(FORMAT, head.entry.seq, head.sha256, tuple(found.files), retired)
    ready = ready_of(head, document, tag_of(number, seq), [*found.drafts, *found.beside], counts)
    pieces, _ = encode_parts(cleaned, None)
    data = b"".join(bytes(piece) for piece in pieces)
    name = f"{states_of(folder)}/{seq:012d}-{sha256_of(data)[:16]}.bin"
    entry = msgspec.structs.replace(
        ready.entry,
        state=FileRef(name, sha256_of(data), len(data)),
        base=None,
        files=tuple(FileRef(draft.name, draft.sha256, draft.size, draft.rows) for draft in found.beside),
    )
    note = await announce(store, folder, seq, [name, *(draft.name for draft in ready.drafts)])
    await store.put([*((draft.name, draft.parts) for draft in ready.drafts), (name, (data,))])
    written = encode_document(entry)
    await store.create(entry_name(folder, seq), written)
    await mark_head(store, folder, Head(entry, sha256_of(written)))
    await store.delete([note])
    return dict(found.rows)


async def _files(store: Store, folder: str, head: Head) -> tuple[Merged | None, list[FileRef]]:
    """What was merged in a chain, and all its files in their order."""
    merged = None if head.entry.merged is None else await read_merged(store, head.entry.merged)
    refs = [] if merged is None else list(merged.files)
    first = 0 if merged is None else merged.last + 1
    for seq in range(first, head.entry.seq + 1):
        refs += (await read_entry(store, folder, seq)).entry.files
    return merged, refs


async def _is_dirty(store: Store, folder: str, head: Head, eraser: Eraser) -> bool:
    """Does the state of the entry before the head hold what is to go? One that is gone holds nothing."""
    if head.entry.seq == 0:
        return False
    before = (await read_entry(store, folder, head.entry.seq - 1)).entry
    try:
        parts, _ = await read_state(store, before)
    except CorruptError:
        return False
    return eraser.state(parts) != parts


async def _sweep(store: Store, folder: str, number: int) -> None:
    """Delete what the chain does not name any more: what was replaced, older states, what seals left that died."""
    head = await read_head(store, folder)
    assert head is not None, "a chain that was erased has an entry"
    merged, refs = await _files(store, folder, head)
    needed = {ref.name for ref in refs} | {ref.name for ref in head.entry.states}
    needed |= set() if head.entry.merged is None else {head.entry.merged.name}
    if head.entry.seq:
        needed |= {ref.name for ref in (await read_entry(store, folder, head.entry.seq - 1)).entry.states}
    gone = [] if merged is None else [name for retired in merged.retired for name in retired.names]
    gone += [f"{states_of(folder)}/{name}" for name in await store.names(states_of(folder)) if name.endswith(".bin")]
    for place in sorted({folder_of(name) for name in (*needed, *gone) if name}):
        own = (f"{place}/{name}" for name in await store.names(place))
        gone += [name for name in own if _entry_of(name, number) in range(head.entry.seq + 1)]
    gone += [note for note, seq in (await notes_of(store, folder)).items() if seq <= head.entry.seq]
    await store.delete(sorted(set(gone) - needed))


def _entry_of(name: str, number: int) -> int:
    """The entry whose seal wrote a file of the partition `number`, by its name; -1 where that does not say."""
    pieces = name.rpartition("/")[2].partition(".")[0].split("-")
    if len(pieces) != 4 or not (pieces[1].isdecimal() and pieces[2].isdecimal()) or int(pieces[1]) != number:
        return -1
    return int(pieces[2])


Read = Callable[[FileRef], bytes]
"""A file's bytes, its hash checked. Raises `CorruptError`."""
