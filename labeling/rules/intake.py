"""Which records of `readings` count, as the windower counts them: once, in time, of recordings that go on.

Duplicates are known by (device, stream, boot, seq); what belongs to an ended recording or a forgotten device is left
out; what a recording was is forgotten 30 days of append time after its end.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Final

import msgspec

from ingest.intervals import IntervalSet
from ingest.lifetimes import ABANDONED_NS, DAY_NS, DEDUPE_MEMORY_NS
from ingest.records import Chunk
from labeling.rules.kernels import NEVER

_FAR: Final = 1 << 62
Key = tuple[str, str]


class OpenRecording(msgspec.Struct, array_like=True):
    """A recording that has not ended."""

    device: str
    name: str
    touched_ns: int
    """The append time of its newest record."""
    closed: bool = False
    """Closed as abandoned."""
    boots: set[bytes] = msgspec.field(default_factory=set)


class SavedIdentity(msgspec.Struct, array_like=True, gc=False):
    """The sequence numbers seen of a boot, as half-open intervals."""

    device: str
    stream: str
    boot: bytes
    touched_ns: int
    seen: list[tuple[int, int]]


class SavedIntake(msgspec.Struct, array_like=True, gc=False):
    """All that an intake knows between two records."""

    append_ns: int
    forgotten: list[str]
    ended: list[tuple[str, str, int]]
    recordings: list[OpenRecording]
    identities: list[SavedIdentity]


class _Identity:
    __slots__ = ("seen", "touched_ns")

    def __init__(self, touched_ns: int, seen: IntervalSet) -> None:
        self.touched_ns = touched_ns
        self.seen = seen


class Intake:
    """Decides on the records of one partition, in their order."""

    def __init__(self, counts: Counter[str], saved: SavedIntake | None = None) -> None:
        self.counts = counts
        self.append_ns = NEVER if saved is None else saved.append_ns
        """The running maximum of append times."""
        self._forgotten = set(saved.forgotten if saved else ())
        self._ended = {(device, name): at for device, name, at in (saved.ended if saved else ())}
        self._open = {(entry.device, entry.name): entry for entry in (saved.recordings if saved else ())}
        self._identities = {
            (entry.device, entry.stream, entry.boot): _Identity(entry.touched_ns, IntervalSet(entry.seen))
            for entry in (saved.identities if saved else ())
        }
        self._sweep_ns = NEVER if saved else _FAR

    def save(self) -> SavedIntake:
        """The state as plain data."""
        return SavedIntake(
            self.append_ns,
            sorted(self._forgotten),
            [(*key, at) for key, at in self._ended.items()],
            list(self._open.values()),
            [SavedIdentity(*key, found.touched_ns, found.seen.pairs()) for key, found in self._identities.items()],
        )

    def is_forgotten(self, device: str) -> bool:
        """Is nothing of this device to be used?"""
        return device in self._forgotten

    def is_ahead(self, time_ns: int) -> bool:
        """Does a time lie more than a day ahead of its append time: is it no time to trust?"""
        return time_ns - self.append_ns > DAY_NS

    def touch(self, key: Key) -> bool:
        """A record of a recording has come; False where the recording has ended."""
        entry = self._open.get(key)
        if entry is None:
            if key in self._ended:
                return False
            entry = self._open[key] = OpenRecording(*key, self.append_ns)
            self._due(ABANDONED_NS)
        entry.touched_ns, entry.closed = self.append_ns, False
        return True

    def admit(self, chunk: Chunk) -> bool:
        """Note a chunk's identity; False where it is a duplicate, or of a recording that has ended."""
        identity = self._identities.get((chunk.device, chunk.stream, chunk.boot))
        if identity is None:
            identity = _Identity(self.append_ns, IntervalSet())
            self._identities[chunk.device, chunk.stream, chunk.boot] = identity
            self._due(DEDUPE_MEMORY_NS)
        identity.touched_ns = self.append_ns
        key = (chunk.device, chunk.recording)
        if not identity.seen.add(chunk.seq):
            self.counts["duplicate.chunks"] += 1
            if key in self._open:
                self.touch(key)
            return False
        if not self.touch(key):
            self.counts["late.samples"] += chunk.count
            return False
        self._open[key].boots.add(chunk.boot)
        return True

    def end(self, key: Key) -> bool:
        """A recording ends; False where it had ended before."""
        if key in self._ended:
            return False
        entry = self._open.pop(key, None)
        if entry is not None:
            self._retain(entry)
        self._ended[key] = self.append_ns
        self._due(DEDUPE_MEMORY_NS)
        return True

    def forget(self, device: str) -> None:
        """Use nothing of a device from here on."""
        self._forgotten.add(device)
        self._open = {key: entry for key, entry in self._open.items() if key[0] != device}
        self._ended = {key: at for key, at in self._ended.items() if key[0] != device}
        self._identities = {key: found for key, found in self._identities.items() if key[0] != device}

    def advance(self, append_ns: int) -> tuple[list[Key], list[Key]]:
        """Append time has come so far: the recordings that are abandoned now, and those to be dropped for good."""
        if append_ns > self.append_ns:
            self.append_ns = append_ns
            if append_ns > self._sweep_ns:
                return self._sweep()
        return [], []

    def _due(self, after_ns: int) -> None:
        self._sweep_ns = min(self._sweep_ns, self.append_ns + after_ns)

    def _retain(self, entry: OpenRecording) -> None:
        """A recording is over: its boots are known for a while yet."""
        for key, identity in self._identities.items():
            if key[0] == entry.device and key[2] in entry.boots:
                identity.touched_ns = self.append_ns

    def _sweep(self) -> tuple[list[Key], list[Key]]:
        now = self.append_ns
        abandoned, dropped = [], []
        for key, entry in list(self._open.items()):
            silent = now - entry.touched_ns
            if not entry.closed and silent > ABANDONED_NS:
                entry.closed, entry.touched_ns = True, now
                self._retain(entry)
                abandoned.append(key)
            elif entry.closed and silent > DEDUPE_MEMORY_NS:
                del self._open[key]
                dropped.append(key)
        self._ended = {key: at for key, at in self._ended.items() if now - at <= DEDUPE_MEMORY_NS}
        live = {(entry.device, boot) for entry in self._open.values() if not entry.closed for boot in entry.boots}
        self._identities = {
            key: identity
            for key, identity in self._identities.items()
            if (key[0], key[2]) in live or now - identity.touched_ns <= DEDUPE_MEMORY_NS
        }
        times = min(self._times(live), default=_FAR)
        self._sweep_ns = times + min(ABANDONED_NS, DEDUPE_MEMORY_NS) if times != _FAR else _FAR
        return abandoned, dropped

    def _times(self, live: set[tuple[str, bytes]]) -> Iterable[int]:
        yield from (entry.touched_ns for entry in self._open.values())
        yield from self._ended.values()
        yield from (found.touched_ns for key, found in self._identities.items() if (key[0], key[2]) not in live)
