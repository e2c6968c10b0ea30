"""Which records of `readings` count: decided here alone, for windows, rules and whatever operator comes next. Pure.

To a fold over one partition, a recording is in one of these states:

| it is | from | a record of it | until |
|---|---|---|---|
| unknown | ever | begins it: it is open | |
| open | its first record | counts | its end record: ended; 30 days without a record: abandoned |
| abandoned | those 30 days: what it had is closed | counts, and it is open | its end record: ended; a year: unknown |
| ended | its end record | is late ("ended"), for good | 30 days: unknown |

A chunk counts once: (device, stream, boot, seq) names it, and a boot's numbers are known as long as one of its
recordings is open or abandoned, and for 30 days after. A duplicate begins no recording. Of a device that restarts all
the time, the newest `MAX_OVER` boots and ended recordings are known. What comes again after that, from a card out of a
drawer, cannot be told from what never came before, and counts: nothing is lost, and a window that it makes a second
time is left out where a dataset is opened (`windowing.dataset.index.once`). What is "unsynced" says nothing
about its time and is left out; so are samples of times more than a day ahead (quarantine): no later, truer sample could
pass them. Of a forgotten device, or of a forgotten recording, nothing counts, ever. All times are the log's own
(`ingest.logtime`).

What will be due waits in a heap, so a record costs the same however much is known: each thing comes up once in its
lifetime, and waits again where it was touched meanwhile.
"""

from __future__ import annotations

from collections import Counter
from heapq import heapify, heappop, heappush, nsmallest
from typing import Final, Literal, NamedTuple, TypeAlias

import msgspec

from ingest.forgetting import Forgotten
from ingest.intervals import IntervalSet
from ingest.lifetimes import ABANDONED_MEMORY_NS, ABANDONED_NS, DAY_NS, DEDUPE_MEMORY_NS
from ingest.logtime import NEVER, LogTime
from ingest.records import Chunk

UNSYNCED: Final = "unsynced"
MAX_HOLES: Final = 1024
"""So many holes in the sequence numbers of one boot's stream are known; what is still missing in older ones is late."""
MAX_OVER: Final = 4096
"""So many boots whose recordings are over, and so many ended recordings, are known of a device."""
MAX_OLD_HOLES: Final = 16
"""As `MAX_HOLES`, of a boot whose recordings are over: what would fill them is late in any case."""
MAX_REASON_CHARACTERS: Final = 48
MAX_REASONS: Final = 64
_KEPT_OVER: Final = MAX_OVER * 3 // 4

Key: TypeAlias = tuple[str, str]
"""Device and recording."""
Verdict: TypeAlias = Literal["counts", "duplicate", "unsynced", "ended"]


class OpenRecording:
    """A recording that has not ended."""

    __slots__ = ("boots", "closed", "device", "due_ns", "name", "touched_ns")

    def __init__(self, device: str, name: str, touched_ns: int, closed: bool = False) -> None:
        self.device = device
        self.name = name
        self.touched_ns = touched_ns
        """The age of the log at its newest record. Who takes a record past the intake, on a quick way, sets it."""
        self.closed = closed
        """Closed as abandoned; a quick way must not lead past that."""
        self.boots: set[bytes] = set()
        self.due_ns = NEVER
        """When the intake looks at it again."""


class Admission(NamedTuple):
    """What the intake says of a chunk."""

    verdict: Verdict
    recording: OpenRecording | None
    """None where it is unknown or has ended."""
    seen: IntervalSet
    """The sequence numbers seen of the chunk's stream and boot; `seen.next` may be raised on a quick way."""


class Swept(NamedTuple):
    """What has come due: recordings to be closed, and those to be dropped with all that is known of them."""

    abandoned: list[Key]
    dropped: list[Key]


NOTHING: Final = Swept([], [])


class SavedRecording(msgspec.Struct, array_like=True):
    """A recording that has not ended."""

    device: str
    name: str
    touched_ns: int
    closed: bool = False
    boots: list[bytes] = []


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
    """Devices, and recordings as `_recording_of` writes them: releases that know of devices alone read both."""
    ended: list[tuple[str, str, int]]
    recordings: list[SavedRecording]
    identities: list[SavedIdentity]
    last_ns: int = NEVER
    """NEVER, as for `age_ns`: the same as `append_ns`."""
    age_ns: int = NEVER
    reasons: list[str] = []


def without(saved: SavedIntake, whom: Forgotten) -> SavedIntake:
    """What an intake knows without what is to be forgotten."""
    return msgspec.structs.replace(
        saved,
        recordings=[each for each in saved.recordings if not whom.has(each.device, each.name)],
        ended=[each for each in saved.ended if not whom.has(each[0], each[1])],
        identities=[each for each in saved.identities if not whom.whole(each.device)],
    )


def _recording_of(device: str, recording: str) -> str:
    """A recording of a device as one text, which is no device's name."""
    return f"{device}\0{recording}"


class _Boot:
    __slots__ = ("due_ns", "holders", "seen", "touched_ns")

    def __init__(self, touched_ns: int) -> None:
        self.seen: dict[str, IntervalSet] = {}
        self.touched_ns = touched_ns
        self.holders = 0
        """How many recordings that have not ended it belongs to."""
        self.due_ns = NEVER


class _Device:
    __slots__ = ("boots", "ended", "open", "over")

    def __init__(self) -> None:
        self.open: dict[str, OpenRecording] = {}
        self.ended: dict[str, int] = {}
        self.boots: dict[bytes, _Boot] = {}
        self.over = 0
        """How many of the boots have no recording that has not ended."""

    def trim(self) -> None:
        """Remember the newest of what is over: a quarter less than may be, so that it is seldom to do."""
        if self.over > MAX_OVER:
            over = [(boot.touched_ns, name) for name, boot in self.boots.items() if not boot.holders]
            for _, name in nsmallest(self.over - _KEPT_OVER, over):
                del self.boots[name]
            self.over = _KEPT_OVER
        if len(self.ended) > MAX_OVER:
            ended = [(at, name) for name, at in self.ended.items()]
            for _, recording in nsmallest(len(ended) - _KEPT_OVER, ended):
                del self.ended[recording]


class Intake:
    """Decides on the records of one partition, in their order."""

    def __init__(self, counts: Counter[str], saved: SavedIntake | None = None) -> None:
        self.counts = counts
        self.time = LogTime() if saved is None else LogTime(saved.append_ns, saved.last_ns, saved.age_ns)
        self._forgotten: set[str] = set()
        self._devices: dict[str, _Device] = {}
        self._due: list[tuple[int, str, str, str | bytes]] = []
        self._reasons: set[str] = set()
        if saved is not None:
            self._restore(saved)

    def advance(self, append_ns: int) -> Swept:
        """The next record's append time; what has come due before it."""
        time = self.time
        if append_ns != time.last_ns:
            time.advance(append_ns)
            if self._due and self._due[0][0] < time.age_ns:
                return self._sweep()
        return NOTHING

    @property
    def quiet_ns(self) -> int:
        """So far append time may go on, in whatever steps, with nothing that comes due or has to be told of."""
        age_ns = self.time.age_ns
        return min(self._due[0][0] - age_ns, DAY_NS) if self._due else DAY_NS

    # Records.

    @property
    def forgets(self) -> bool:
        """Is anybody forgotten?"""
        return bool(self._forgotten)

    def is_forgotten(self, device: str, recording: str = "") -> bool:
        """Is nothing of this device, or of this recording of it, to be used?"""
        known = self._forgotten
        return bool(known) and (device in known or (bool(recording) and _recording_of(device, recording) in known))

    def pass_over(self, chunk: Chunk) -> None:
        """A chunk of what is forgotten. Where others of its boot count, its number is known: it is not missing."""
        if chunk.device not in self._forgotten:
            self._add(self._boot(chunk).seen.setdefault(chunk.stream, IntervalSet()), chunk.seq)

    def touch(self, key: Key) -> OpenRecording | None:
        """A record of a recording has come: the recording, begun where it is unknown; None where it has ended."""
        device, name = key
        known = self._devices.get(device)
        if known is None:
            known = self._devices[device] = _Device()
        recording = known.open.get(name)
        if recording is None:
            if name in known.ended:
                return None
            recording = known.open[name] = OpenRecording(device, name, self.time.age_ns)
            self._wait(recording)
        recording.touched_ns = self.time.age_ns
        if recording.closed:
            recording.closed = False
            self._wait(recording)
        return recording

    def pass_by(self, chunk: Chunk) -> OpenRecording | None:
        """A chunk of a stream that the operator does not use: its recording and boot are alive."""
        recording = self.touch((chunk.device, chunk.recording))
        if recording is not None:
            self._hold(recording, chunk.boot, self._boot(chunk))
        return recording

    def admit(self, chunk: Chunk) -> Admission:
        """Take note of a chunk, whose samples are understood, and say whether it counts.

        What does not is counted here, but for what comes after its recording's end: that is the operator's to count.
        """
        boot = self._boot(chunk)
        seen = boot.seen.get(chunk.stream)
        if seen is None:
            seen = boot.seen[chunk.stream] = IntervalSet()
        key = (chunk.device, chunk.recording)
        if not self._add(seen, chunk.seq):
            self.counts["duplicate.chunks"] += 1
            self.counts["duplicate.samples"] += chunk.count
            known = chunk.recording in self._devices[chunk.device].open
            return Admission("duplicate", self.touch(key) if known else None, seen)
        if chunk.missing > 0:
            self.count_reason("missing.samples", chunk.missing_reason, chunk.missing)
        recording = self.touch(key)
        if recording is not None:
            self._hold(recording, chunk.boot, boot)
        else:
            self._devices[chunk.device].trim()
        if chunk.clock is not None and chunk.clock.source == UNSYNCED:
            self.counts["unsynced.samples"] += chunk.count
            return Admission("unsynced", recording, seen)
        self.time.trusted |= chunk.t0_ns <= self.time.limit_ns
        return Admission("ended" if recording is None else "counts", recording, seen)

    def end(self, key: Key) -> bool:
        """A recording ends; False where it had ended before."""
        device, name = key
        known = self._devices.get(device)
        if known is None:
            known = self._devices[device] = _Device()
        if name in known.ended:
            return False
        recording = known.open.pop(name, None)
        if recording is not None:
            self._release(known, recording)
        known.ended[name] = self.time.age_ns
        known.trim()
        heappush(self._due, (self.time.age_ns + DEDUPE_MEMORY_NS, "ended", device, name))
        return True

    def forget(self, device: str, recording: str = "") -> list[Key]:
        """Use nothing of a device, or of one of its recordings, from here on; those of them that had not ended."""
        if recording:
            return self._forget_recording(device, recording)
        self._forgotten.add(device)
        known = self._devices.pop(device, None)
        return [] if known is None else [(device, name) for name in known.open]

    def _forget_recording(self, device: str, name: str) -> list[Key]:
        self._forgotten.add(_recording_of(device, name))
        known = self._devices.get(device)
        if known is None:
            return []
        known.ended.pop(name, None)
        recording = known.open.pop(name, None)
        if recording is None:
            return []
        self._release(known, recording)
        return [(device, name)]

    def quarantine(self, device: str, samples: int, newest_ns: int) -> None:
        """Samples up to `newest_ns` lie too far ahead: count them, and tell people of it."""
        self.counts["quarantine.samples"] += samples
        self.time.ahead(device, newest_ns)

    def count_reason(self, name: str, reason: str, count: int) -> None:
        """Count under a name and, for so many reasons as can be told apart, under the reason that a device gave."""
        self.counts[name] += count
        if not reason:
            return
        full = f"{name}.{reason[:MAX_REASON_CHARACTERS]}"
        if full not in self._reasons:
            if len(self._reasons) >= MAX_REASONS:
                full = f"{name}.other"
            else:
                self._reasons.add(full)
        self.counts[full] += count

    # What is remembered, and until when.

    def _add(self, seen: IntervalSet, seq: int) -> bool:
        """Take note of a sequence number; False where it is known."""
        if seq == seen.next:
            seen.next += 1
            return True
        missing = seen.missing
        if not seen.add(seq):
            return False
        self.counts["missing.chunks"] += seen.missing - missing
        seen.bound(MAX_HOLES)
        return True

    def _boot(self, chunk: Chunk) -> _Boot:
        known = self._devices.get(chunk.device)
        if known is None:
            known = self._devices[chunk.device] = _Device()
        boot = known.boots.get(chunk.boot)
        if boot is None:
            boot = known.boots[chunk.boot] = _Boot(self.time.age_ns)
            known.over += 1
            self._await_end(chunk.device, chunk.boot, boot)
        boot.touched_ns = self.time.age_ns
        return boot

    def _hold(self, recording: OpenRecording, name: bytes, boot: _Boot) -> None:
        if name not in recording.boots:
            recording.boots.add(name)
            self._devices[recording.device].over -= not boot.holders
            boot.holders += 1

    def _release(self, known: _Device, recording: OpenRecording) -> None:
        """A recording is over: its boots are known for a while yet."""
        for name in recording.boots:
            boot = known.boots[name]
            boot.holders -= 1
            boot.touched_ns = self.time.age_ns
            if not boot.holders:
                self._let_go(known, recording.device, name, boot)

    def _let_go(self, known: _Device, device: str, name: bytes, boot: _Boot) -> None:
        """Remember a boot that is over, unless nothing is known of it."""
        if boot.seen:
            known.over += 1
            for seen in boot.seen.values():
                seen.bound(MAX_OLD_HOLES)
            self._await_end(device, name, boot)
        else:
            del known.boots[name]

    def _wait(self, recording: OpenRecording) -> None:
        lifetime = ABANDONED_MEMORY_NS if recording.closed else ABANDONED_NS
        recording.due_ns = recording.touched_ns + lifetime
        heappush(self._due, (recording.due_ns, "open", recording.device, recording.name))

    def _await_end(self, device: str, name: bytes, boot: _Boot) -> None:
        boot.due_ns = boot.touched_ns + DEDUPE_MEMORY_NS
        heappush(self._due, (boot.due_ns, "boot", device, name))

    def _sweep(self) -> Swept:
        """Close what is abandoned, forget what is long over."""
        swept = Swept([], [])
        while self._due and self._due[0][0] < self.time.age_ns:
            due_ns, kind, device, name = heappop(self._due)
            known = self._devices.get(device)
            if known is None:
                continue
            if isinstance(name, bytes):
                self._review_boot(known, device, name, due_ns)
            elif kind == "open":
                self._review(known, name, due_ns, swept)
            elif known.ended.get(name) == due_ns - DEDUPE_MEMORY_NS:
                del known.ended[name]
            if not (known.open or known.ended or known.boots):
                del self._devices[device]
        # What comes due together comes in an order of its own, wherever a state was saved in between.
        swept.abandoned.sort()
        swept.dropped.sort()
        return swept

    def _review(self, known: _Device, name: str, due_ns: int, swept: Swept) -> None:
        recording = known.open.get(name)
        if recording is None or recording.due_ns != due_ns:
            return
        lifetime = ABANDONED_MEMORY_NS if recording.closed else ABANDONED_NS
        if self.time.age_ns - recording.touched_ns <= lifetime:
            self._wait(recording)
        elif recording.closed:
            del known.open[name]
            self._release(known, recording)
            known.trim()
            swept.dropped.append((recording.device, name))
        else:
            recording.closed, recording.touched_ns = True, self.time.age_ns
            self._wait(recording)
            self.counts["abandoned.recordings"] += 1
            swept.abandoned.append((recording.device, name))

    def _review_boot(self, known: _Device, device: str, name: bytes, due_ns: int) -> None:
        boot = known.boots.get(name)
        if boot is None or boot.due_ns != due_ns or boot.holders:
            return
        if self.time.age_ns - boot.touched_ns <= DEDUPE_MEMORY_NS:
            self._await_end(device, name, boot)
        else:
            del known.boots[name]
            known.over -= 1

    # The state as plain data.

    def save(self) -> SavedIntake:
        """The state as plain data."""
        time = self.time
        saved = SavedIntake(time.append_ns, sorted(self._forgotten), [], [], [], time.last_ns, time.age_ns)
        saved.reasons = sorted(self._reasons)
        for device, known in self._devices.items():
            saved.ended.extend((device, name, at) for name, at in known.ended.items())
            saved.recordings.extend(
                SavedRecording(device, name, found.touched_ns, found.closed, sorted(found.boots))
                for name, found in known.open.items()
            )
            saved.identities.extend(
                SavedIdentity(device, stream, name, boot.touched_ns, seen.pairs())
                for name, boot in known.boots.items()
                for stream, seen in boot.seen.items()
            )
        return saved

    def _restore(self, saved: SavedIntake) -> None:
        self._forgotten = set(saved.forgotten)
        self._reasons = set(saved.reasons)
        for device, name, at in saved.ended:
            self._devices.setdefault(device, _Device()).ended[name] = at
            self._due.append((at + DEDUPE_MEMORY_NS, "ended", device, name))
        for entry in saved.identities:
            boots = self._devices.setdefault(entry.device, _Device()).boots
            identity = boots.setdefault(entry.boot, _Boot(entry.touched_ns))
            identity.touched_ns = max(identity.touched_ns, entry.touched_ns)
            identity.seen[entry.stream] = IntervalSet(entry.seen)
        for kept in saved.recordings:
            known = self._devices.setdefault(kept.device, _Device())
            recording = known.open[kept.name] = OpenRecording(kept.device, kept.name, kept.touched_ns, kept.closed)
            for boot in kept.boots:
                self._hold(recording, boot, known.boots.setdefault(boot, _Boot(kept.touched_ns)))
            self._wait(recording)
        for device, known in self._devices.items():
            for boot, found in known.boots.items():
                if not found.holders:
                    self._await_end(device, boot, found)
            known.over = sum(not found.holders for found in known.boots.values())
        heapify(self._due)

    def open_recording(self, key: Key) -> OpenRecording:
        """A recording that has not ended. Raises `KeyError`."""
        return self._devices[key[0]].open[key[1]]
