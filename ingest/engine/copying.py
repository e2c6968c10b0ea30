"""A copy of an operator's chains that others move on meanwhile: each up to one entry, with the state to go on from."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from ingest.copying import Copier
from ingest.engine.chain import read_chain, states_of
from ingest.engine.genesis import NAME as GENESIS
from ingest.engine.heads import HEADS, head_name
from ingest.engine.history import newest_entry
from ingest.engine.manifest import (
    Manifest,
    checkpoint_name,
    decode_entry,
    decode_merged,
    entry_name,
)
from ingest.errors import CorruptError, UsageError

_TRIES: Final = 100
_MANIFEST: Final = "manifest"
_STATE: Final = "state"


def is_chain_folder(folder: Path) -> bool:
    """Whether an operator keeps its chains here."""
    return (folder / GENESIS).is_file()


@dataclass(slots=True)
class Copied:
    """What was copied of an operator's chains."""

    newest: dict[str, int] = field(default_factory=dict)
    """The number of the newest entry of each chain, -1 where it has none."""
    folders: set[str] = field(default_factory=lambda: {_MANIFEST, _STATE, HEADS, GENESIS})
    """The names in the operator's folder whose files belong to entries: no others are to be copied of them."""

    def take(self, entry: Manifest) -> None:
        """Note where an entry has its files."""
        self.folders.update(ref.name.partition("/")[0] for ref in entry.files)


def copy_chains(source: Path, to: Path, copier: Copier) -> Copied:
    """Copy an operator's chains, or bring an older copy up to date.

    Raises:
        UsageError: `to` is a copy of other chains, or goes further than `source` does.
        CorruptError: a file is not what its entry says.
    """
    genesis = to / GENESIS
    if genesis.exists() and genesis.read_bytes() != (source / GENESIS).read_bytes():
        raise UsageError(f"{genesis}: is the genesis of other chains than {source / GENESIS}; give another folder")
    copier.copy(source / GENESIS, genesis)
    copied = Copied()
    begun = {path.name for path in (source / _MANIFEST).glob("*/")}
    headed = {path.stem for path in (source / HEADS).glob("*.json")}  # also of chains that have no entry yet
    for name in sorted(begun | headed):
        copied.newest[name] = _copy_chain(source, to, f"{_MANIFEST}/{name}", copier, copied)
    return copied


def _copy_chain(source: Path, to: Path, chain: str, copier: Copier, copied: Copied) -> int:
    """Copy the entries up to the newest one, each behind its files, and that one's state; the head, which is a lower
    bound, before all of them."""
    for _ in range(_TRIES):
        if (source / head_name(chain)).exists():
            copier.copy(source / head_name(chain), to / head_name(chain))
        head = _copy_state(source, to, chain, copier)
        try:
            return _copy_entries(source, to, chain, head, copier, copied)
        except FileNotFoundError:
            newest = newest_entry(source, chain)
            if head is None or _entry(source, entry_name(chain, newest)).merged == head.merged:
                raise  # else it was merged meanwhile, so long ago that it is gone
    raise CorruptError(f"{source / chain}: is merged while it is copied; see who does so without an end")


def _copy_entries(source: Path, to: Path, chain: str, head: Manifest | None, copier: Copier, copied: Copied) -> int:
    """The number of the newest entry. Raises `FileNotFoundError` where a file is gone."""
    there, newest = newest_entry(to, chain), -1 if head is None else head.seq
    if there > newest:
        raise UsageError(
            f"{to / chain}: goes on to entry {there}, {source / chain} only to {newest}: the dataset has lost its end, "
            "or was restored; keep this copy, and give another folder"
        )
    if head is None:
        return -1
    copied.take(head)
    before = _names_in(to, chain)
    last = _copy_merged(source, to, head, copier, copied)
    for seq in range(there + 1, newest + 1):
        name = entry_name(chain, seq)
        entry = _entry(source, name)
        copied.take(entry)
        for ref in entry.files if seq > last else ():
            copier.copy(source / ref.name, to / ref.name, sha256=ref.sha256)
        if (source / checkpoint_name(chain, seq)).exists():
            copier.copy(source / checkpoint_name(chain, seq), to / checkpoint_name(chain, seq))
        copier.copy(source / name, to / name)
    if head.merged is not None and head.merged.name not in before:  # what was merged the copy needs no more
        copier.settle()
        now = _names_in(to, chain)
        for name in sorted(before - now) if now else ():
            copier.remove(to / name)
    return newest


def _copy_merged(source: Path, to: Path, head: Manifest, copier: Copier, copied: Copied) -> int:
    """Copy the files that were merged before an entry, and what says so; the last entry that they are of, or -1."""
    ref = head.merged
    if ref is None:
        return -1
    merged = decode_merged((source / ref.name).read_bytes(), ref)
    for each in (*merged.files, ref):
        copier.copy(source / each.name, to / each.name, sha256=each.sha256)
        copied.folders.add(each.name.partition("/")[0])
    return merged.last


def _names_in(to: Path, chain: str) -> set[str]:
    """The files that an older copy's chain names; none where it is not whole, as one that was cut short."""
    try:
        found = read_chain(lambda name: (to / name).read_bytes(), lambda name: (to / name).exists(), chain)
    except (CorruptError, FileNotFoundError):
        return set()
    if found is None:
        return set()
    documents = [] if found.head.merged is None else [found.head.merged.name]
    return {*documents, *(ref.name for ref in found.files)}


def _copy_state(source: Path, to: Path, chain: str, copier: Copier) -> Manifest | None:
    """The newest entry whose state, and the one before it, could be copied: others take old states away."""
    for _ in range(_TRIES):
        newest = newest_entry(source, chain)
        if newest < 0:
            return None
        entries = [_entry(source, entry_name(chain, seq)) for seq in range(max(0, newest - 1), newest + 1)]
        refs = list(dict.fromkeys(ref for entry in entries for ref in entry.states))
        try:
            for ref in refs:
                copier.copy(source / ref.name, to / ref.name, sha256=ref.sha256)
        except FileNotFoundError as error:
            if newest_entry(source, chain) == newest:
                raise CorruptError(f"{error.filename}: is missing; run the windowing service once") from None
            continue
        for path in set((to / states_of(chain)).iterdir()) - {to / ref.name for ref in refs}:
            copier.remove(path)
        return entries[-1]
    raise CorruptError(f"{source / states_of(chain)}: states vanish while they are copied; see who deletes them")


def _entry(source: Path, name: str) -> Manifest:
    path = source / name
    return decode_entry(path.read_bytes(), str(path))
