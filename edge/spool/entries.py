"""What lies in the spool: log records and notes of its own, told apart by the first byte of an entry's key. Pure.

A record's value is its wire form, so that draining copies bytes. Notes never leave the agent.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import lru_cache
from types import MappingProxyType
from typing import Final, NamedTuple

import msgspec

from edge.decoders.repetitions import Repetitions
from edge.recording.course import BACKLOG
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
SEEN: Final = b"u"
"""What samples are known by that lie before this note (`edge.decoders.repetitions`): a repetition of theirs is none."""
REACH: Final = b"e"
"""How far a device's records reached that were in the log and made room: all that the next start reads of them."""
MARK: Final = b"m"
HELD_MARK: Final = b"k"
"""A mark whose times are CLOCK_BOOTTIME's, as of `HELD`. It lies among the readings: `urgent` waits for no clock."""
STATUS: Final = b"t"
_CLOSING: Final = 0x80
"""Set in the first byte of the key that is a commit's last."""
IDENTITY_BYTES: Final = 8
MAX_IDENTITIES: Final = 65_536
"""Of one source. As many as MQTT has packet identifiers: no more can wait for a PUBACK."""
_COUNT_BYTES: Final = 4
_ANY_SOURCE: Final = b""
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
    if kind in (HELD, HELD_MARK):
        boot, rest = rest[:KERNEL_BOOT_BYTES], rest[KERNEL_BOOT_BYTES:]
    return Key(kind, rest.decode("utf-8", "replace"), boot)


def reading(device: str, record: Record, kernel_boot: bytes = b"") -> Entry:
    """A record for `readings`; with a kernel boot, one that is held."""
    kind = HELD + kernel_boot if kernel_boot else READING
    return Entry(kind + device.encode(), encode(record))


def description(record: StreamDescription) -> Entry:
    """A stream description: it must be in the log before the chunks behind it."""
    return Entry(STREAM + schema_id(record), encode(record))


def held_mark(device: str, record: Record, kernel_boot: bytes) -> Entry:
    """A mark for `readings`, which waits for the clock of that kernel boot."""
    return Entry(HELD_MARK + kernel_boot + device.encode(), encode(record))


def urgent(kind: bytes, device: str, record: Record) -> Entry:
    """A mark or a status record."""
    return Entry(kind + device.encode(), encode(record))


def identities(found: Sequence[bytes], source: bytes = b"", kept: int = 0) -> Entry:
    """A note of identities, each of `IDENTITY_BYTES`, of the source with this digest; without one, of any source.

    `kept`: of those of this source that were noted before, the newest so many may still come again.
    """
    whose = source + kept.to_bytes(_COUNT_BYTES, "big") if source else b""
    return Entry(IDENTITIES + whose, b"".join(found))


def seen(source: bytes, value: bytes) -> Entry:
    """A note of what samples of the source with this digest are known by."""
    return Entry(SEEN + source, value)


def is_note(entry: Entry) -> bool:
    """Whether it names what may come again: of what is given up, that is new then."""
    return entry.key[:1] in (IDENTITIES, SEEN)


def identities_in(value: bytes) -> list[bytes]:
    """The identities of a note."""
    return [value[at : at + IDENTITY_BYTES] for at in range(0, len(value), IDENTITY_BYTES)]


def reach(device: str, known: DeviceTail) -> Entry:
    """A note of what `read_tail` found of a device."""
    return Entry(REACH + device.encode(), msgspec.msgpack.encode(known))


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
    """The identities of arrivals that may come again: who does is known. Bounded, each source by itself.

    `known`: by a source's digest, oldest first; `seen`: what their samples are known by; both as `Tail` has them.
    """

    def __init__(
        self,
        known: Mapping[bytes, Sequence[bytes]] = MappingProxyType({}),
        seen: Mapping[bytes, Sequence[bytes]] = MappingProxyType({}),
    ) -> None:
        self._known = {source: _Noted(found) for source, found in known.items()}
        self._seen = {source: Repetitions(notes) for source, notes in seen.items()}

    def repetitions(self, source: str) -> Repetitions:
        """What samples of a source are known by; what is added there goes into the notes."""
        return self._seen.setdefault(_source_digest(source), Repetitions())

    def is_known(self, source: str, identity: bytes) -> bool:
        """Whether it was noted, and may come again."""
        digest = _digest(source, identity)
        anyones = self._known.get(_ANY_SOURCE)
        return digest in self._of(source).numbers or (anyones is not None and digest in anyones.numbers)

    def note(self, source: str, identity: bytes) -> None:
        """An arrival is on its way to the disk."""
        self._of(source).add(_digest(source, identity))

    def settle(self, source: str, identities: Iterable[bytes], all_but: Collection[bytes] | None) -> None:
        """These come no more (`edge.protocol.Settled`)."""
        noted = self._of(source)
        for identity in identities:
            noted.remove(_digest(source, identity))
        if all_but is not None:
            left = {_digest(source, identity) for identity in all_but}
            for digest in [digest for digest in noted.numbers if digest not in left]:
                noted.remove(digest)

    def forget(self, notes: Iterable[Entry]) -> None:
        """What these notes name was given up: it may come again, and is new then."""
        for note in notes:
            if note.key.startswith(IDENTITIES) and (noted := self._known.get(_source_of(note.key)[0])) is not None:
                for digest in identities_in(note.value):
                    noted.remove(digest)
            elif note.key.startswith(SEEN) and (repetitions := self._seen.get(note.key[1:])) is not None:
                repetitions.forget(note.value)

    def take(self) -> list[Entry]:
        """Notes of what has changed since the last call: they must be written with the data."""
        notes = [note for source, noted in self._known.items() if (note := noted.take(source)) is not None]
        return notes + [seen(source, value) for source, own in self._seen.items() if (value := own.take())]

    def _of(self, source: str) -> _Noted:
        digest = _source_digest(source)
        if digest not in self._known:
            self._known[digest] = _Noted()
        return self._known[digest]


class _Noted:
    """One source's identities. Each has the number under which it was noted, so that a note can say how far back those
    that may come again reach."""

    def __init__(self, found: Sequence[bytes] = ()) -> None:
        self.numbers = {digest: number for number, digest in enumerate(found)}
        self._count = len(found)
        self._new: list[bytes] = []
        self._has_changed = False

    def add(self, digest: bytes) -> None:
        self.numbers.pop(digest, None)  # so that the dictionary stays in the order of the numbers
        self.numbers[digest] = self._count
        self._count += 1
        self._new.append(digest)
        if len(self.numbers) > MAX_IDENTITIES:
            del self.numbers[next(iter(self.numbers))]

    def remove(self, digest: bytes) -> None:
        if self.numbers.pop(digest, None) is not None:
            self._has_changed = True

    def take(self, source: bytes) -> Entry | None:
        if not self._new and not self._has_changed:
            return None
        oldest = next(iter(self.numbers.values()), self._count)
        kept = max(0, self._count - len(self._new) - oldest)
        note = identities(self._new, source, kept)
        self._new, self._has_changed = [], False
        return note


@lru_cache(256)
def _source_digest(source: str) -> bytes:
    return hashlib.blake2b(source.encode(), digest_size=IDENTITY_BYTES).digest()


def _digest(source: str, identity: bytes) -> bytes:
    return hashlib.blake2b(identity, digest_size=IDENTITY_BYTES, key=source.encode()[:64]).digest()


def _source_of(key: bytes) -> tuple[bytes, int]:
    """Whose note this is, and how many before it still count; a note of earlier versions names no source."""
    whose = key[1:]
    if len(whose) != IDENTITY_BYTES + _COUNT_BYTES:
        return _ANY_SOURCE, MAX_IDENTITIES
    return whose[:IDENTITY_BYTES], int.from_bytes(whose[IDENTITY_BYTES:], "big")


class DeviceTail(msgspec.Struct, array_like=True):
    """The end of a device's records in a spool."""

    boot: bytes
    recording: str
    reach_ns: int
    is_open: bool
    kernel_boot: bytes = b""
    """Where its last records are held: whose boot time `reach_ns` is."""
    streams: dict[str, int] = {}
    """How far each stream is there, or announced, as far as the newest segments say; in the times of `kernel_boot`."""
    start_ns: int = 0
    """Where the recording began; 0 where the newest segments do not say."""


@dataclass(slots=True)
class Tail:
    """What the newest segments of a spool say about the boots before."""

    devices: dict[str, DeviceTail] = field(default_factory=dict)
    beside: dict[tuple[str, str], DeviceTail] = field(default_factory=dict)
    """By device and recording: of what devices had kept, which is recorded beside what is live."""
    identities: dict[bytes, list[bytes]] = field(default_factory=dict)
    """Of arrivals that may come again, by their source's digest, oldest first."""
    seen: dict[bytes, list[bytes]] = field(default_factory=dict)
    """What samples are known by, by their source's digest: the notes, oldest first."""


def read_tail(entries: Iterable[tuple[bytes, bytes]]) -> Tail:
    """Fold entries, oldest first; what cannot be understood is passed over."""
    tail = Tail()
    for raw, value in entries:
        key = key_of(raw)
        if key.kind == IDENTITIES:
            source, kept = _source_of(plain(raw))
            known = tail.identities.get(source, [])
            tail.identities[source] = known[len(known) - min(kept, len(known)) :] + identities_in(value)
        if key.kind == SEEN:
            tail.seen.setdefault(plain(raw)[1:], []).append(value)
        if key.kind == REACH:
            with suppress(msgspec.MsgspecError):
                tail.devices[key.device] = msgspec.msgpack.decode(value, type=DeviceTail)
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
    reach = end_of(record) or 0
    fresh = DeviceTail(record.boot, record.recording, reach, is_open=True)
    if record.recording.endswith(BACKLOG):
        known = tail.beside.setdefault((record.device, record.recording), fresh)
    else:
        known = tail.devices.setdefault(record.device, fresh)
        if (known.boot, known.recording) != (record.boot, record.recording):
            known = tail.devices[record.device] = fresh
    known.is_open = not isinstance(record, RecordingEnd)
    if known.kernel_boot != key.kernel_boot:
        known.reach_ns, known.kernel_boot, known.streams, known.start_ns = reach, key.kernel_boot, {}, 0
    known.reach_ns = max(known.reach_ns, reach)
    if isinstance(record, RecordingStart):
        known.start_ns = record.start_ns
    if isinstance(record, Chunk | Gap | Progress):
        known.streams[record.stream] = max(known.streams.get(record.stream, reach), reach)
