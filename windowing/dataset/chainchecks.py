"""Do an operator's chains hold together? Every entry's hash and its link to the one before it, the genesis, checkpoints
against the entries that they sum up, what was merged against the rows that the entries had."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from ingest.engine.chain import check_place
from ingest.engine.erasing import COUNT as ERASED_COUNT
from ingest.engine.genesis import NAME as GENESIS
from ingest.engine.genesis import Genesis
from ingest.engine.heads import ChainHead, head_name
from ingest.engine.manifest import (
    CHECKPOINT_EVERY,
    FileRef,
    Manifest,
    checkpoint_name,
    decode_checkpoint,
    decode_entry,
    decode_merged,
    entry_name,
    sha256_of,
    summarise,
)
from ingest.engine.plan import folder_of
from ingest.errors import CorruptError
from windowing.dataset.belongings import REMEDY, RUN_MENDS, Belongings
from windowing.dataset.catalog import KEPT_STATES, read_checked, read_genesis
from windowing.dataset.versionchecks import Note
from windowing.spec import WindowSpec


@dataclass(slots=True)
class Room:
    """An operator's folder: what its manifests name."""

    folder: Path
    window: WindowSpec | None
    """What its shards hold; None where dataset.toml does not say."""
    files: list[FileRef] = field(default_factory=list)
    states: list[tuple[FileRef, Path]] = field(default_factory=list)
    """The states of each chain's last entries, with the later entry whose creation outdates them."""
    entries: int = 0
    """How many entries of its chains can be read."""
    retired: set[str] = field(default_factory=set)
    """Files that were merged and stay for a while."""

    def all(self) -> list[FileRef]:
        """All files that must be there."""
        return [*self.files, *(ref for ref, _ in self.states)]

    def of(self, kind: str) -> list[FileRef]:
        """The files of one folder, `signal` or `index` …"""
        return [ref for ref in self.files if ref.name.startswith(f"{kind}/")]


def read_room(folder: Path, window: WindowSpec | None, belongings: Belongings, note: Note) -> Room:
    """What the chains in an operator's folder say; `note` is told of every fault of theirs."""
    room = Room(folder, window)
    known = folder in belongings.geneses  # what is wrong with its genesis is in the report then
    try:
        genesis = read_genesis(folder)
        if genesis is not None:
            _read_document(folder / GENESIS)
    except CorruptError as error:
        if not known:
            note(folder / GENESIS, error)
        genesis = belongings.geneses.get(folder)
    heads = belongings.heads_of(folder)
    for chain in sorted((folder / "manifest").glob("*/")):
        if genesis is not None and chain.name not in _chain_names(genesis):
            note(chain, f"a chain that the genesis does not have; it has {genesis.partitions} partitions")
        entries = list(_read_chain(room, f"manifest/{chain.name}", genesis, heads, note))
        room.entries += len(entries)
        room.files += _files(room, chain.name, entries, note)
        newest = max((entry.seq for entry in entries), default=-1)
        needed = {ref: entry.seq for entry in entries if entry.seq > newest - KEPT_STATES for ref in entry.states}
        room.states += [
            (ref, folder / entry_name(f"manifest/{chain.name}", seq + KEPT_STATES)) for ref, seq in needed.items()
        ]
    return room


def _files(room: Room, chain: str, entries: list[Manifest], note: Note) -> list[FileRef]:
    """The files that a chain's entries have, after merging."""
    own = [ref for entry in entries for ref in entry.files]
    ref = entries[-1].merged if entries else None
    if ref is None:
        return own
    path = room.folder / ref.name
    try:
        merged = decode_merged(read_checked(room.folder, ref), ref)
    except CorruptError as error:
        note(path, f"{error}: what older entries have cannot be found without it")
        return [ref for ref in own if (room.folder / ref.name).exists()]
    room.retired.update(name for retired in merged.retired for name in retired.names)
    last = room.folder / entry_name(f"manifest/{chain}", merged.last)
    if last.exists() and sha256_of(last.read_bytes()) != merged.last_sha256:
        note(path, f"was made of another entry than {last.name}; {REMEDY}")
    before = [entry for entry in entries if entry.seq <= merged.last]
    if len(before) == merged.last + 1:
        had, has = _rows(ref for entry in before for ref in entry.files), _rows(merged.files)
        had.subtract(_erased(entries[-1]))
        had = +had
        if had != has:
            note(path, f"has {dict(has)} rows, the entries before it had {dict(had)}")
    return [*merged.files, *(ref for entry in entries if entry.seq > merged.last for ref in entry.files), ref]


def _erased(head: Manifest) -> Counter[str]:
    """How many rows went of each folder, since they were to be forgotten."""
    begin = f"{ERASED_COUNT}."
    return Counter({name[len(begin) :]: count for name, count in head.totals.items() if name.startswith(begin)})


def _rows(refs: Iterable[FileRef]) -> Counter[str]:
    """How many rows there are in each folder."""
    rows = Counter[str]()
    for ref in refs:
        rows[folder_of(ref.name)] += ref.rows
    return rows


def _read_document(path: Path) -> bytes:
    """A document's bytes; readers do not mind a lost final newline, but it was written."""
    data = path.read_bytes()
    if not data.endswith(b"\n"):
        raise CorruptError(f"{path}: is cut short; {REMEDY}")
    return data


def _chain_names(genesis: Genesis) -> set[str]:
    return {f"{genesis.topic}-{partition}" for partition in range(genesis.partitions)}


def _read_chain(
    room: Room, chain: str, genesis: Genesis | None, heads: Mapping[str, ChainHead], note: Note
) -> Iterator[Manifest]:
    """The entries that can be read, in order; every fault of the chain is reported."""
    numbers = {int(path.stem) for path in (room.folder / chain).glob("[0-9]*.json")}
    before: tuple[Manifest, bytes] | None = None
    thousand: list[tuple[str, bytes]] = []
    for seq in range(max(numbers, default=-1) + 1):
        path = room.folder / entry_name(chain, seq)
        try:
            data = _read_document(path)
            entry = check_place(decode_entry(data, str(path)), seq, str(path))
        except FileNotFoundError:
            note(path, f"is missing from its chain: what it named is lost to readers; {REMEDY}")
            before = None
            continue
        except CorruptError as error:
            note(path, error)
            before = None
            continue
        head = heads.get(chain)
        if head is not None and head.seq == seq and head.sha256 != sha256_of(data):
            note(path, f"is another entry than {head_name(chain)} names; {REMEDY}")
        if seq == 0 or before is not None:
            _check_link(path, entry, before, note)
        if genesis is not None:
            _check_kin(path, entry, genesis, note)
        before = (entry, data)
        if seq % CHECKPOINT_EVERY == 0:
            thousand.clear()
        thousand.append((str(path), data))
        if (seq + 1) % CHECKPOINT_EVERY == 0:
            known = chain in heads and seq < max(numbers)  # it was written before the entry behind it
            _check_checkpoint(room.folder / checkpoint_name(chain, seq), thousand, note, known=known)
        yield entry


def _check_link(path: Path, entry: Manifest, before: tuple[Manifest, bytes] | None, note: Note) -> None:
    """Does an entry follow the one before it?"""
    previous = sha256_of(before[1]) if before else ""
    through = before[0].through if before else entry.begin
    totals = dict(before[0].totals) if before else {}
    for reason, count in entry.counts.items():
        totals[reason] = totals.get(reason, 0) + count
    if entry.previous != previous:
        note(path, f"names {entry.previous or 'nothing'} as the entry before it, which is {previous or 'none'}")
    elif entry.begin != through or entry.through < entry.begin or entry.totals != totals:
        note(path, f"covers offsets {entry.begin} to {entry.through}, the entry before it ends at {through}")


def _check_kin(path: Path, entry: Manifest, genesis: Genesis, note: Note) -> None:
    kin = (genesis.operator, genesis.topic, genesis.spec)
    if (entry.operator, entry.topic, entry.spec) != kin or path.parent.name != f"{entry.topic}-{entry.partition}":
        note(path, f"is of {entry.operator}, {entry.topic}-{entry.partition}, spec {entry.spec}, not of {kin}")


def _check_checkpoint(path: Path, thousand: list[tuple[str, bytes]], note: Note, *, known: bool) -> None:
    if not path.exists():
        if known:
            note(path, f"is missing; it only spares reading, and {RUN_MENDS}")
        return
    if len(thousand) < CHECKPOINT_EVERY:
        return
    try:
        if decode_checkpoint(_read_document(path), str(path)) != summarise(thousand):
            note(path, "sums up other entries than there are")
    except CorruptError as error:
        note(path, error)
