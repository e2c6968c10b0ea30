"""What seals leave that never became visible: their worker died, or was fenced.

Before a seal writes its files it lists them in a note beside the states, and takes the note away when its entry is
visible. Names of files say of which partition and entry they are, so that no two chains share one. Who recovers a chain
reads the notes. Those of entries that exist are of nobody any more: what the entry does not name goes. Those of the
next entry may be of a sleeper who could still seal; so an entry of nothing is sealed first, which fences it.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import msgspec

from ingest.engine.chain import read_entry, read_merged, states_of
from ingest.engine.heads import head_name
from ingest.engine.manifest import encode_document, open_document
from ingest.engine.plan import folder_of
from ingest.engine.store import Store
from ingest.errors import CorruptError

_SUFFIX: Final = ".files"


class _Note(msgspec.Struct, frozen=True):
    """The files of a seal."""

    names: tuple[str, ...]


def tag_of(partition: int, seq: int) -> str:
    """What names of output files have in them."""
    return f"{partition}-{seq}"


async def announce(store: Store, folder: str, seq: int, names: Iterable[str]) -> str:
    """List the files of entry `seq` of the chain in `folder` before they are written; the note's name."""
    document = encode_document(_Note(tuple(names)))
    return await store.jot(f"{states_of(folder)}/{seq:012d}{_SUFFIX}", document)


async def notes_of(store: Store, folder: str) -> dict[str, int]:
    """The notes beside a chain's states by name, and the entry of each."""
    states = states_of(folder)
    names = await store.names(states)
    return {f"{states}/{name}": int(name[:12]) for name in names if _SUFFIX in name and name[:12].isdecimal()}


async def sweep(store: Store, folder: str, head: int) -> None:
    """Delete what is listed for entries up to `head`, and is not named by them. Raises `CorruptError`."""
    for note, seq in (await notes_of(store, folder)).items():
        if seq > head:
            continue
        entry = (await read_entry(store, folder, seq)).entry
        kept = {entry.state.name, *(ref.name for ref in entry.files)}
        listed = await _listed(store, note)
        if entry.merged is not None and entry.merged.name in listed:
            kept |= {entry.merged.name, *(ref.name for ref in (await read_merged(store, entry.merged)).files)}
        begun = (*(f"{name}." for name in listed), f"{folder}/", f"{head_name(folder)}.")
        temporary = [
            f"{place}/{name}"
            for place in sorted({folder_of(name) for name in begun})
            for name in await store.names(place)
            if name.endswith(".tmp") and f"{place}/{name}".startswith(begun)
        ]
        await store.delete([*(name for name in listed if name not in kept), *temporary, note])


async def _listed(store: Store, note: str) -> tuple[str, ...]:
    """The names in a note; none where a power cut took it or a part of it, which leaves what it lists for ever."""
    try:
        return msgspec.json.decode(open_document(await store.read(note), note), type=_Note).names
    except (CorruptError, FileNotFoundError, msgspec.MsgspecError):
        return ()
