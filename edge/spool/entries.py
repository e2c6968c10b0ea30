"""What lies in the spool: log records and notes of its own, told apart by the first byte of an entry's key. Pure.

A record's value is its wire form, so that draining copies bytes. Notes never leave the agent.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from ingest.chunker import chunk_end_ns
from ingest.errors import WireError
from ingest.log.protocol import Entry
from ingest.records import Chunk, Gap, Progress, Record, RecordingEnd, RecordingStart, StreamDescription, schema_id
from ingest.wire import decode, encode

READING: Final = b"r"
HELD: Final = b"h"
"""A reading whose times are CLOCK_BOOTTIME's of the kernel boot in its key; it waits for the clock."""
STREAM: Final = b"s"
IDENTITIES: Final = b"i"
"""Identities of arrivals whose data lie before this note, and which may be delivered again."""
MARK: Final = b"m"
STATUS: Final = b"t"
_CLOSING: Final = 0x80
"""Set in the first byte of the key that is a commit's last."""
IDENTITY_BYTES: Final = 8
MAX_IDENTITIES: Final = 65_536
"""As many as MQTT has packet identifiers: no more can wait for a PUBACK."""
KERNEL_BOOT_BYTES: Final = 16


class Key(NamedTuple):
    """An entry's key, taken apart."""

    kind: bytes
    device: str
    kernel_boot: bytes = b""


def closing(entry: Entry) -> Entry:
    """The entry as the last one of a commit."""
    return entry._replace(key=bytes((entry.key[0] | _CLOSING,)) + entry.key[1:])


def is_closing(key: bytes) -> bool:
    """Whether a commit ends with the entry of this key."""
    return bool(key) and bool(key[0] & _CLOSING)


def plain(key: bytes) -> bytes:
    """The key as it was committed."""
    return bytes((key[0] & ~_CLOSING,)) + key[1:] if is_closing(key) else key


def key_of(data: bytes) -> Key:
    """Total: what is no key has a kind that nobody knows."""
    kind, rest = data[:1], data[1:]
    boot = b""
    if kind == HELD:
        boot, rest = rest[:KERNEL_BOOT_BYTES], rest[KERNEL_BOOT_BYTES:]
    return Key(kind, rest.decode("utf-8", "replace"), boot)


def reading(device: str, record: Record, kernel_boot: bytes = b"") -> Entry:
    """A record for `readings`; with a kernel boot, one that is held."""
    kind = HELD + kernel_boot if kernel_boot else READING
    return Entry(kind + device.encode(), encode(record))


def description(record: StreamDescription) -> Entry:
    """A stream description: it must be in the log before the chunks behind it."""
    return Entry(STREAM + schema_id(record), encode(record))


def urgent(kind: bytes, device: str, record: Record) -> Entry:
    """A mark or a status record."""
    return Entry(kind + device.encode(), encode(record))


def identities(found: Sequence[bytes]) -> Entry:
    """A note of identities, each of `IDENTITY_BYTES`."""
    return Entry(IDENTITIES, b"".join(found))


def identities_in(value: bytes) -> list[bytes]:
    """The identities of a note."""
    return [value[at : at + IDENTITY_BYTES] for at in range(0, len(value), IDENTITY_BYTES)]


def end_of(record: Record) -> int | None:
    """How far a record reaches in time; None where it says nothing of it."""
    match record:
        case Chunk():
            return max(record.t0_ns + 1, chunk_end_ns(record))
        case Gap() | RecordingEnd():
            return record.end_ns
        case Progress():
            return record.complete_to_ns
        case RecordingStart():
            return record.start_ns
    return None


class Identities:
    """The identities of the newest arrivals: who comes again is known. Bounded."""

    def __init__(self, known: Sequence[bytes] = ()) -> None:
        self._known: dict[bytes, None] = dict.fromkeys(known[-MAX_IDENTITIES:])
        self._new: list[bytes] = []

    def is_known(self, source: str, identity: bytes) -> bool:
        """Whether it was noted."""
        return _digest(source, identity) in self._known

    def note(self, source: str, identity: bytes) -> None:
        """An arrival is on its way to the disk."""
        digest = _digest(source, identity)
        self._known.pop(digest, None)
        self._known[digest] = None
        self._new.append(digest)
        if len(self._known) > MAX_IDENTITIES:
            del self._known[next(iter(self._known))]

    def forget(self, notes: Iterable[Entry]) -> None:
        """What these notes name was given up: it may come again."""
        for note in notes:
            if note.key.startswith(IDENTITIES):
                for digest in identities_in(note.value):
                    self._known.pop(digest, None)

    def take(self) -> list[bytes]:
        """What was noted since the last call: it must be written with the data."""
        new, self._new = self._new, []
        return new


def _digest(source: str, identity: bytes) -> bytes:
    return hashlib.blake2b(identity, digest_size=IDENTITY_BYTES, key=source.encode()[:64]).digest()


@dataclass(slots=True)
class DeviceTail:
    """The end of a device's records in a spool."""

    boot: bytes
    recording: str
    reach_ns: int
    is_open: bool
    kernel_boot: bytes = b""
    """Where its last records are held: whose monotonic time `reach_ns` is."""


@dataclass(slots=True)
class Tail:
    """What the newest segments of a spool say about the boots before."""

    devices: dict[str, DeviceTail] = field(default_factory=dict)
    identities: list[bytes] = field(default_factory=list)


def read_tail(entries: Iterable[tuple[bytes, bytes]]) -> Tail:
    """Fold entries, oldest first; what cannot be understood is passed over."""
    tail = Tail()
    for raw, value in entries:
        key = key_of(raw)
        if key.kind == IDENTITIES:
            tail.identities += identities_in(value)
        if key.kind not in (READING, HELD):
            continue
        try:
            record = decode(value)
        except WireError:
            continue
        if isinstance(record, Chunk | Gap | Progress | RecordingStart | RecordingEnd):
            _fold(tail, key, record)
    return tail


def _fold(tail: Tail, key: Key, record: Chunk | Gap | Progress | RecordingStart | RecordingEnd) -> None:
    known = tail.devices.get(record.device)
    reach = end_of(record) or 0
    if known is None or (known.boot, known.recording) != (record.boot, record.recording):
        known = tail.devices[record.device] = DeviceTail(record.boot, record.recording, reach, is_open=True)
    known.is_open = not isinstance(record, RecordingEnd)
    known.reach_ns = max(known.reach_ns, reach) if known.kernel_boot == key.kernel_boot else reach
    known.kernel_boot = key.kernel_boot
