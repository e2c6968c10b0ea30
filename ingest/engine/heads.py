"""How far a chain has surely come: a small document beside it, `heads/<topic>-<partition>.json`.

The search for the newest entry takes a chain whose newest entry was removed, or all of them, for a shorter one. So its
head is written down anew whenever an entry has become durable: a bound from below, one entry behind after a crash,
never ahead of what there was. A chain that is shorter than its head says has lost entries.

An operator's folder of yesterday is whole in itself, and its heads with it. So a copy of an operator's heads is kept
apart from it, in the dataset's folder, as they were within the last minute or at a run's end.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterable, Mapping
from typing import Final, TypeVar

import msgspec

from ingest.engine.chain import Head
from ingest.engine.manifest import encode_document, entry_name, open_document
from ingest.engine.store import Exists, Store
from ingest.errors import CorruptError, StoreUnavailableError
from ingest.formats import newer_format

FORMAT: Final = 1
HEADS: Final = "heads"
"""The folder of these documents, in the operator's folder."""


class ChainHead(msgspec.Struct, frozen=True):
    """The newest entry of a chain that its writer knew to be durable."""

    format: int
    seq: int
    """-1: the chain may have no entry yet."""
    begin: int = 0
    through: int = 0
    sha256: str = ""
    """Of the entry's document."""


NOTHING: Final = ChainHead(FORMAT, -1)


class HeadsCopy(msgspec.Struct, frozen=True):
    """A copy of the heads of an operator's chains."""

    format: int
    heads: dict[str, ChainHead]
    """By the chain's folder."""


Document = TypeVar("Document", ChainHead, HeadsCopy)


def head_name(folder: str) -> str:
    """The name of the head of the chain in `folder`, `manifest/<topic>-<partition>`."""
    return f"{HEADS}/{folder.rpartition('/')[2]}.json"


def decode_head(data: bytes, where: str) -> ChainHead:
    """The head in `data`; `where` names it in errors. Raises `CorruptError`."""
    return _decode(data, where, ChainHead, "not the head of a chain")


def decode_heads_copy(data: bytes, where: str) -> Mapping[str, ChainHead]:
    """The heads in `data`, by the chain's folder; `where` names it in errors. Raises `CorruptError`."""
    return _decode(data, where, HeadsCopy, "not the heads of chains").heads


def _decode(data: bytes, where: str, kind: type[Document], otherwise: str) -> Document:
    body = open_document(data, where)
    try:
        found = msgspec.json.decode(body, type=kind)
    except (msgspec.MsgspecError, ValueError) as error:
        problem = newer_format(body, FORMAT) or f"{otherwise}: {error}"
        raise CorruptError(f"{where}: {problem}") from None
    if found.format != FORMAT:
        raise CorruptError(f"{where}: found format {found.format}, expected {FORMAT}; upgrade sensorloom")
    return found


async def begin_heads(store: Store, folders: list[str]) -> None:
    """See that each of the chains in `folders` has a head, which may be behind it."""

    async def begin(folder: str) -> None:
        with contextlib.suppress(Exists):
            await store.create(head_name(folder), encode_document(NOTHING))

    known = set(await store.names(HEADS))
    await asyncio.gather(*(begin(folder) for folder in folders if head_name(folder).partition("/")[2] not in known))


async def stored_head(store: Store, folder: str) -> ChainHead:
    """The head that was written down; `NOTHING` where none was, or it is damaged: it is only a bound."""
    name = head_name(folder)
    try:
        return decode_head(await store.read(name), name)
    except (FileNotFoundError, CorruptError):
        return NOTHING


async def mark_head(store: Store, folder: str, head: Head) -> None:
    """Write down a head that is durable; where there is no room for it, the next one is."""
    entry = head.entry
    document = encode_document(ChainHead(FORMAT, entry.seq, entry.begin, entry.through, head.sha256))
    with contextlib.suppress(StoreUnavailableError):
        await store.put([(head_name(folder), (document,))])


async def copy_heads(store: Store, root: Store, name: str, folders: Iterable[str]) -> None:
    """Keep a copy of the heads of the chains in `folders` of `store`, as `name` in `root`.

    It never says less than before of a chain that is not as far again: somebody may have brought an older one.
    """
    try:
        before = decode_heads_copy(await root.read(name), name)
    except (FileNotFoundError, CorruptError):
        before = None
    heads: dict[str, ChainHead] = {}
    for folder in folders:
        now, then = await stored_head(store, folder), (before or {}).get(folder, NOTHING)
        heads[folder] = now if now.through >= then.through else then
    if heads == before:
        return
    with contextlib.suppress(StoreUnavailableError):
        await root.put([(name, (encode_document(HeadsCopy(FORMAT, heads)),))])


def check_head(stored: ChainHead, found: Head | None, folder: str, log_begin: int) -> None:
    """Raise where a chain has lost entries that its worker cannot make again: more than its newest, or forgotten ones.

    Raises:
        CorruptError: see above.
    """
    newest = found.entry.seq if found else -1
    again = found.entry.through if found else stored.begin
    if stored.seq > newest + 1 or (stored.seq > newest and log_begin > again):
        raise CorruptError(
            f"{entry_name(folder, newest + 1)}: is missing, the chain went on to entry {stored.seq}; restore it from a "
            "backup, or rebuild from the log into another folder"
        )
