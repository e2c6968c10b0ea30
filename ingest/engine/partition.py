"""One partition at work: recover, feed, seal."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import math
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final, Protocol, TypeVar

from ingest.engine.chain import Head, read_entry, read_head, read_merged
from ingest.engine.genesis import Ending
from ingest.engine.heads import check_head, mark_head, stored_head
from ingest.engine.leftovers import announce, notes_of, sweep, tag_of
from ingest.engine.manifest import (
    CHECKPOINT_EVERY,
    FileRef,
    LastRecord,
    Manifest,
    Merged,
    Retired,
    chain_folder,
    checkpoint_name,
    encode_document,
    entry_name,
    format_of,
    sha256_of,
    summarise,
)
from ingest.engine.operator import Buffer, Operator, Output, Running, State
from ingest.engine.states import Base, base_of, decode_parts, encode_parts
from ingest.engine.store import Exists, Store
from ingest.errors import CorruptError, FencedError, StateVersionError, StoreUnavailableError

T = TypeVar("T")
TOTALS_MAX: Final = 256
"""How many different reasons a chain counts; others make up some of them, and each stands in every entry."""


class Offload(Protocol):
    """Runs a function where it does not hold up the event loop: `asyncio.to_thread`, or at once in a simulation."""

    def __call__(self, function: Callable[[], T], /) -> Awaitable[T]:
        """The function's result."""
        ...


@dataclass(slots=True)
class Partition:
    """What a worker holds in memory for a partition that it owns; dropped as a whole when it is lost."""

    topic: str
    number: int
    running: Running
    head: Head | None
    begin: int
    """Where the next entry begins: the head's `through`."""
    position: int
    """Fed up to here; less than `begin` while what another chain has sealed is read again."""
    kept_states: tuple[tuple[str, ...], ...] = ()
    """State files of the last two entries, newest last: with each the base that it needs."""
    base: Base | None = None
    """The whole state that the next one may refer to."""
    last: LastRecord | None = None
    """The last record that was fed."""
    since: float | None = None
    """When the first record after the last look at the output was fed, in the loop's time."""
    looked: float = -math.inf
    """When the output was last looked at."""
    unsealed: float | None = None
    """The same, after the last seal."""
    unsealed_bytes: int = 0
    """Of the records that were fed since the last seal."""
    counted: Counter[str] = field(default_factory=Counter)
    """What outputs without a file counted, which no entry has told yet."""
    lost: list[tuple[int, int]] = field(default_factory=list)
    haunted: bool = False
    """Somebody has begun the next entry, who died or sleeps."""
    more: bool = False
    """The last output was not all that was finished: the operator gives out so much at a time."""
    merged: Merged | None = None
    """What the files of the chain's older entries have become."""
    retired: list[Retired] = field(default_factory=list)
    """Files that they replaced and that may still be there."""
    oldest_ns: int | None = None
    """The oldest output that is kept has a record that was appended then, or later; None: nobody has looked."""
    expired_ns: int | None = None
    """What was appended before that was last asked to go."""
    littered: bool = False
    """A merging was given up on its way: what it wrote is swept when its number has an entry."""

    @property
    def folder(self) -> str:
        """The folder of the chain's entries."""
        return chain_folder(self.topic, self.number)

    @property
    def next_seq(self) -> int:
        """The number of the next entry."""
        return self.head.entry.seq + 1 if self.head else 0

    @property
    def dirty(self) -> bool:
        """Is there anything that the head does not cover?"""
        return self.position > self.begin or bool(self.lost) or self.more

    def behind(self, entry: Manifest, document: bytes) -> tuple[str, ...]:
        """Make `entry` the head; the state files that are outdated once it is visible."""
        kept = (*self.kept_states, _names(entry))
        self.head, self.kept_states = Head(entry, sha256_of(document)), kept[-2:]
        return outdated(kept)


@dataclass(frozen=True, slots=True)
class Seal:
    """All that one atomic act makes visible, ready to be written."""

    entry: Manifest
    document: bytes
    output: Output
    state: Sequence[Buffer]
    """The pieces of its file."""
    base: Base | None
    """What the next state may refer to."""

    @property
    def size(self) -> int:
        """How many bytes it holds until it is visible."""
        published = sum(len(publication.entry.value) for publication in self.output.publications)
        return sum(draft.size for draft in self.output.drafts) + published + self.entry.state.bytes


async def recover(
    store: Store, operator: Operator, topic: str, number: int, log_begin: int, after: Ending | None = None
) -> Partition:
    """The partition as its last entry left it; at the log's first record where there is no entry yet.

    A chain that goes on `after` another one begins where that ended. What the log still has before it is read too, and
    its output thrown away: so the operator's state is what it would have been.

    Raises:
        CorruptError: the entry or its state is damaged.
        StateVersionError: another version or another spec wrote the chain.
    """
    folder = chain_folder(topic, number)
    known = await stored_head(store, folder)
    head = await read_head(store, folder)
    check_head(known, head, folder, log_begin)
    if head is None:
        begin, last = (after.through, after.last) if after else (log_begin, None)
        at = min(begin, log_begin)
        partition = Partition(topic, number, operator.start(None), None, begin, at, last=last)
        partition.haunted = bool(await notes_of(store, folder))
        return partition
    # Another worker may have died, or sleep, between link() and the fsync of the folder: what we build on must not
    # vanish. So first look, then settle: what was seen is durable then.
    await store.settle(folder)
    entry = head.entry
    check_kinship(entry, operator, f"{folder}/{entry.seq:012d}.json")
    try:
        state, base = await read_state(store, entry)
        merged = None if entry.merged is None else await read_merged(store, entry.merged)
    except CorruptError:
        newer = await read_head(store, folder)
        if newer is None or newer.entry.seq == entry.seq:
            raise
        # Others moved the chain on meanwhile and deleted this state as outdated, or what says what was merged.
        return await recover(store, operator, topic, number, log_begin, after)
    running = operator.start(state)
    kept = [_names(entry)]
    for seq in range(entry.seq - 1, max(entry.seq - 3, -1), -1):
        kept.insert(0, _names((await read_entry(store, folder, seq)).entry))
    # The worker before us may have died before it deleted the state that its last seal outdated.
    await store.delete(outdated(kept))
    states = tuple(kept[-2:])
    partition = Partition(topic, number, running, head, entry.through, entry.through, states, base, entry.last)
    partition.merged, partition.retired = merged, [] if merged is None else list(merged.retired)
    if known.seq < entry.seq:
        await mark_head(store, folder, head)
    await write_checkpoint(store, folder, entry.seq)
    await sweep(store, folder, entry.seq)
    partition.haunted = bool(await notes_of(store, folder))
    return partition


def check_kinship(entry: Manifest, operator: Operator, where: str) -> None:
    """Raise `StateVersionError` where `entry` was not written by this operator in this version."""
    if entry.operator != operator.name or entry.spec != operator.spec:
        raise StateVersionError(
            f"{where}: written by {entry.operator} with spec {entry.spec}, this is {operator.name} with "
            f"{operator.spec}; use another output folder"
        )
    if entry.code != operator.code:
        raise StateVersionError(
            f"{where}: state of code version {entry.code}, this is version {operator.code}; "
            "go on into another --out with --after and this dataset, or rebuild there from the log"
        )


def _names(entry: Manifest) -> tuple[str, ...]:
    return tuple(ref.name for ref in entry.states)


def outdated(kept: Sequence[tuple[str, ...]]) -> tuple[str, ...]:
    """The state files of entries, the newest last, that neither of the newest two needs."""
    needed = {name for names in kept[-2:] for name in names}
    return tuple(name for names in kept[:-2] for name in names if name not in needed)


async def read_state(store: Store, entry: Manifest) -> tuple[State, Base | None]:
    """The state that an entry names, and what the next one may refer to. Raises `CorruptError`."""
    data = await _read_file(store, entry.state)
    if entry.base is None:
        parts = decode_parts(data, entry.state.name)
        return parts, base_of(entry.state, parts)
    whole = await _read_file(store, entry.base)
    parts = decode_parts(data, entry.state.name, whole, entry.base.sha256)
    return parts, base_of(entry.base, decode_parts(whole, entry.base.name))


async def _read_file(store: Store, ref: FileRef) -> bytes:
    """A state's bytes, checked. Raises `CorruptError`."""
    try:
        state = await store.read(ref.name)
    except FileNotFoundError:
        raise CorruptError(f"{ref.name}: the state file is missing; restore it, or rebuild from the log") from None
    if len(state) != ref.bytes or sha256_of(state) != ref.sha256:
        raise CorruptError(
            f"{ref.name}: found {len(state)} bytes with another hash, expected {ref.bytes} bytes; "
            "restore it from a backup, or rebuild from the log into another folder"
        )
    return state


def draw(partition: Partition) -> Output:
    """The output since the last seal; what it counts is told once, by the entry that is made of this."""
    output = partition.running.take(tag_of(partition.number, partition.next_seq))
    counts, partition.counted = partition.counted, Counter()
    counts.update(output.counts)
    return replace(output, counts=counts)


def discard(partition: Partition) -> None:
    """Throw away what was finished: another chain has it."""
    while not is_hollow(partition.running.take()) and partition.running.pending_bytes:
        pass


def is_hollow(output: Output) -> bool:
    """Would an entry tell of nothing but numbers, and of how far the log was read?"""
    return not output.drafts and not output.publications


def bounded(counts: Mapping[str, int], known: Mapping[str, int]) -> dict[str, int]:
    """The counts, their reasons' third part, which others make up (`gap.samples.REASON`), as `other` where it is new
    and too many are known already."""
    kept: dict[str, int] = {}
    for reason, count in sorted(counts.items()):
        family = reason.split(".", 2)
        if len(family) == 3 and reason not in known and len(known.keys() | kept.keys()) >= TOTALS_MAX:
            reason = f"{family[0]}.{family[1]}.other"
        if count:
            kept[reason] = kept.get(reason, 0) + count
    return kept


def prepare(partition: Partition, operator: Operator, output: Output | None = None) -> Seal:
    """The state and the entry that names it and the output, which is drawn here where none is given."""
    output = draw(partition) if output is None else output
    parts = partition.running.snapshot()
    state, is_delta = encode_parts(parts, partition.base)
    head = partition.head
    seq = partition.next_seq
    digest = hashlib.sha256()
    for piece in state:
        digest.update(piece)
    # The number in the name keeps equal states apart: deleting an old one must never delete a newer one.
    state_name = f"state/{partition.topic}-{partition.number}/{seq:012d}-{digest.hexdigest()[:16]}.bin"
    ref = FileRef(state_name, digest.hexdigest(), sum(map(len, state)))
    base = partition.base if is_delta else base_of(ref, parts)
    based_on = base.ref if is_delta and base is not None else None
    totals, merged = (dict(head.entry.totals), head.entry.merged) if head else ({}, None)
    counts = bounded(output.counts, totals)
    for reason, count in counts.items():
        totals[reason] = totals.get(reason, 0) + count
    entry = Manifest(
        format=format_of(based_on, merged),
        operator=operator.name,
        topic=partition.topic,
        partition=partition.number,
        seq=seq,
        begin=partition.begin,
        through=partition.position,
        state=ref,
        files=tuple(FileRef(d.name, d.sha256, d.size, d.rows) for d in output.drafts),
        counts=counts,
        totals=totals,
        lost=tuple(partition.lost),
        code=operator.code,
        spec=operator.spec,
        previous=head.sha256 if head else "",
        last=partition.last,
        base=based_on,
        merged=merged,
    )
    return Seal(entry, encode_document(entry), output, state, base)


async def write_files(store: Store, seal: Seal) -> str:
    """Make the output files and the state durable; nothing refers to them yet but the note whose name this gives."""
    files = [(draft.name, draft.parts) for draft in seal.output.drafts]
    names = [*(name for name, _ in files), seal.entry.state.name]
    note = await announce(store, chain_folder(seal.entry.topic, seal.entry.partition), seal.entry.seq, names)
    # At once: the disk has one queue for all their fsyncs. And to the end of each, also where one fails: no act of this
    # attempt runs on beside the next one.
    puts = (store.put([file]) for file in (*files, (seal.entry.state.name, seal.state)))
    for result in await asyncio.gather(*puts, return_exceptions=True):
        if isinstance(result, BaseException):
            raise result
    return note


async def commit(store: Store, partition: Partition, seal: Seal) -> None:
    """Create the entry: the one step that makes everything visible.

    Raises:
        FencedError: the number is taken; another worker owns the partition.
    """
    try:
        await store.create(entry_name(partition.folder, seal.entry.seq), seal.document)
    except Exists:
        raise FencedError(
            f"{partition.folder}: entry {seal.entry.seq} exists already; another worker owns the partition"
        ) from None


def move_on(partition: Partition, seal: Seal) -> tuple[str, ...]:
    """Move the partition on behind a prepared seal; the state files that are outdated once it is visible.

    The next seal may be prepared at once, but must not be written before this one is visible: it names it.
    """
    outdated = partition.behind(seal.entry, seal.document)
    partition.begin, partition.base = seal.entry.through, seal.base
    partition.since = partition.unsealed = None
    partition.unsealed_bytes = 0
    partition.lost.clear()
    partition.more = partition.running.pending_bytes > 0 and not is_hollow(seal.output)
    return outdated


async def write_checkpoint(store: Store, folder: str, newest: int) -> None:
    """Sum up the last full thousand of a chain's entries `0..newest`, unless somebody has."""
    last = (newest + 1) // CHECKPOINT_EVERY * CHECKPOINT_EVERY - 1
    name = checkpoint_name(folder, last)
    if last < 0 or await store.exists(name):
        return
    names = [entry_name(folder, seq) for seq in range(last - CHECKPOINT_EVERY + 1, last + 1)]
    checkpoint = summarise([(entry, await store.read(entry)) for entry in names])
    # The same entries give the same checkpoint; where there is no room for it, the next worker writes it.
    with contextlib.suppress(Exists, StoreUnavailableError):
        await store.create(name, encode_document(checkpoint))
