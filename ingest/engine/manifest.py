"""Manifest entries: what is in none of them does not exist.

The entries of (operator, topic, partition) form a chain with dense sequence numbers from 0. An entry says which
offsets it covers, which files its outputs are, and the state from which the next entry goes on. Every thousand
entries a checkpoint sums up the thousand before it, so that opening a chain reads few files.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

import msgspec

from ingest.errors import CorruptError
from ingest.formats import newer_format

FORMAT = 1
FORMAT_BASED = 2
"""Of an entry whose state needs a base: what does not know of that must not go on from it."""
FORMAT_MERGED = 3
"""Of an entry before which files were merged: what does not know of that would look for those that went."""
_FORMATS = (FORMAT, FORMAT_BASED, FORMAT_MERGED)
CHECKPOINT_EVERY = 1000


class FileRef(msgspec.Struct, frozen=True):
    """A file by its name relative to the operator's folder, and what its bytes must be."""

    name: str
    sha256: str
    bytes: int
    rows: int = 0


class LastRecord(msgspec.Struct, frozen=True):
    """What a record is known by when the log is looked at again."""

    offset: int
    append_ns: int
    sha256: str
    """The first 16 hex digits, of the value; "" of what stands in an archive for an erased record."""


class Manifest(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """One manifest entry. `begin <= offset < through` is what it covers."""

    format: int
    operator: str
    topic: str
    partition: int
    seq: int
    begin: int
    through: int
    state: FileRef
    files: tuple[FileRef, ...]
    counts: dict[str, int]
    """What happened in this entry alone, by reason."""
    totals: dict[str, int]
    """The sums of `counts` from the chain's first entry through this one."""
    lost: tuple[tuple[int, int], ...]
    """Offset ranges that the log no longer had."""
    code: int
    spec: str
    previous: str
    """SHA-256 of the entry before this one, "" for the first: the chain cannot be cut or swapped unseen."""
    last: LastRecord | None = None
    """The last record that was read before `through`; None: none was, or an older version wrote the entry."""
    base: FileRef | None = None
    """The state that `state` says the changes since; None: it says all by itself."""
    merged: FileRef | None = None
    """The document that says which files the entries up to one before this have after merging, see
    `ingest.engine.merging`; None: those that they name themselves."""

    @property
    def states(self) -> tuple[FileRef, ...]:
        """The files that the next entry goes on from."""
        return (self.state,) if self.base is None else (self.base, self.state)


class Checkpoint(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Sums up the entries `[first, last]` of a chain."""

    format: int
    first: int
    last: int
    begin: int
    through: int
    files: tuple[FileRef, ...]
    last_sha256: str


class Retired(msgspec.Struct, frozen=True):
    """Files that a merging replaced: they stay for a while, for those who opened the chain before."""

    time_ns: int
    """When, by the clock of who merged them."""
    names: tuple[str, ...]


class Merged(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the files of a chain's entries `[0, last]` have become: who reads it need not read those."""

    format: int
    last: int
    last_sha256: str
    """Of the document of entry `last`."""
    files: tuple[FileRef, ...]
    """All output files, those of a folder in the order of what is in them."""
    retired: tuple[Retired, ...]
    """The files that may still be there for a while."""


class _Sealed(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A document with the SHA-256 of its body: one flipped bit is seen before anything is believed."""

    sha256: str
    body: msgspec.Raw


def entry_name(folder: str, seq: int) -> str:
    """The name of an entry: twelve digits, so that names sort as numbers do."""
    return f"{folder}/{seq:012d}.json"


def checkpoint_name(folder: str, last: int) -> str:
    """The name of the checkpoint whose last entry is `last`."""
    return f"{folder}/checkpoint-{last:012d}.json"


def chain_folder(topic: str, partition: int) -> str:
    """The folder of a chain, relative to the operator's folder."""
    return f"manifest/{topic}-{partition}"


def format_of(base: FileRef | None, merged: FileRef | None) -> int:
    """The lowest format that an entry can have: versions before can read as much as possible."""
    return FORMAT_MERGED if merged is not None else FORMAT_BASED if base is not None else FORMAT


def encode_document(document: msgspec.Struct) -> bytes:
    """A document's bytes: its body and the hash of that."""
    body = msgspec.json.encode(document)
    return b'{"sha256":"%s","body":%s}\n' % (sha256_of(body).encode(), body)


def open_document(data: bytes, where: str) -> msgspec.Raw:
    """The body of a document, its hash checked; `where` names it in errors. Raises `CorruptError`."""
    try:
        sealed = msgspec.json.decode(data, type=_Sealed)
    except (msgspec.MsgspecError, ValueError) as error:
        raise CorruptError(f"{where}: not a manifest: {error}; restore it from a backup or rebuild") from None
    if sha256_of(bytes(sealed.body)) != sealed.sha256:
        raise CorruptError(f"{where}: its hash does not match its content; restore it from a backup or rebuild")
    return sealed.body


def decode_entry(data: bytes, where: str) -> Manifest:
    """The entry in `data`; `where` names it in errors. Raises `CorruptError`."""
    body = open_document(data, where)
    try:
        entry = msgspec.json.decode(body, type=Manifest)
    except (msgspec.MsgspecError, ValueError) as error:
        problem = newer_format(body, *_FORMATS) or f"not a manifest entry: {error}"
        raise CorruptError(f"{where}: {problem}") from None
    if entry.format not in _FORMATS:
        raise CorruptError(f"{where}: found format {entry.format}, expected {FORMAT_MERGED}; upgrade sensorloom")
    return entry


def decode_checkpoint(data: bytes, where: str) -> Checkpoint:
    """The checkpoint in `data`. Raises `CorruptError`."""
    body = open_document(data, where)
    try:
        return msgspec.json.decode(body, type=Checkpoint)
    except (msgspec.MsgspecError, ValueError) as error:
        raise CorruptError(f"{where}: {newer_format(body, FORMAT) or f'not a checkpoint: {error}'}") from None


def decode_merged(data: bytes, ref: FileRef) -> Merged:
    """The document `ref` in `data`. Raises `CorruptError`."""
    where = ref.name
    body = open_document(data, where)
    try:
        merged = msgspec.json.decode(body, type=Merged)
    except (msgspec.MsgspecError, ValueError) as error:
        problem = newer_format(body, FORMAT) or f"does not say what was merged: {error}; restore it from a backup"
        raise CorruptError(f"{where}: {problem}") from None
    if sha256_of(data) != ref.sha256:
        raise CorruptError(f"{where}: is another document than its entry names; restore it from a backup")
    return merged


def sha256_of(data: bytes) -> str:
    """The SHA-256 of some bytes, in hex."""
    return hashlib.sha256(data).hexdigest()


def summarise(documents: Iterable[tuple[str, bytes]]) -> Checkpoint:
    """The checkpoint of consecutive entries, given each document's name and bytes. Raises `CorruptError`."""
    listed = list(documents)
    entries = [decode_entry(data, name) for name, data in listed]
    return Checkpoint(
        format=FORMAT,
        first=entries[0].seq,
        last=entries[-1].seq,
        begin=entries[0].begin,
        through=entries[-1].through,
        files=tuple(ref for entry in entries for ref in entry.files),
        last_sha256=sha256_of(listed[-1][1]),
    )
