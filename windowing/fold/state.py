"""The windower's state as bytes: version, checksum, then plain data in MessagePack, sample buffers as raw bytes."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Final

import msgspec
import numpy as np

from ingest.errors import CorruptError, StateVersionError
from ingest.intake import OpenRecording, SavedIdentity, SavedIntake
from ingest.intake import SavedRecording as KnownRecording
from ingest.logtime import NEVER
from windowing.fold.anchors import AnchorMark, Cursor, Layout, new_cursor
from windowing.fold.recordings import Recording
from windowing.fold.resample import Carried, gap_of
from windowing.fold.streams import Stream
from windowing.spec import StreamRule

STATE_VERSION: Final = 1
"""Raised when the saved state's format or meaning changes; another version is refused."""
_MAGIC: Final = b"wavemark windower state"  # the first name of the project: its states stay readable
_DIGEST: Final = 16


class SavedCursor(msgspec.Struct, array_like=True, gc=False):
    """Where an anchor's windows are."""

    anchor: str
    origin_ns: int
    next_k: int | None
    stop_k: int | None


class SavedStream(msgspec.Struct, array_like=True, gc=False):
    """A stream and its samples: times int64, values float32 or float64 (told by length), little-endian."""

    name: str
    first_ns: int
    last_ns: int
    complete_to: int
    touched_ns: int
    times: bytes
    values: bytes
    behind: int = 0
    max_gap_ns: int = -1
    """What is a gap; -1: nobody knows yet."""
    carried: bytes = b""
    """`windowing.fold.resample.Carried`: times, then values; empty: none."""


class SavedRecording(msgspec.Struct, array_like=True, gc=False):
    """A recording that has not ended."""

    device: str
    name: str
    closed: bool
    touched_ns: int
    marks_passed: int
    boots: list[bytes]
    cursors: list[SavedCursor]
    streams: list[SavedStream]


class Saved(msgspec.Struct, array_like=True, gc=False):
    """All that the fold knows between two records."""

    append_ns: int
    offset: int
    forgotten: list[str]
    ended: list[tuple[str, str, int]]
    recordings: list[SavedRecording]
    identities: list[SavedIdentity]
    last_ns: int = NEVER
    """This and what follows came later: see `ingest.intake.SavedIntake`."""
    age_ns: int = NEVER
    reasons: list[str] = []

    @classmethod
    def of(cls, intake: SavedIntake, offset: int, recordings: list[SavedRecording]) -> Saved:
        """What an intake knows, and the recordings."""
        known, times = (intake.append_ns, offset, intake.forgotten, intake.ended), (intake.last_ns, intake.age_ns)
        return cls(*known, recordings, intake.identities, *times, intake.reasons)

    @property
    def intake(self) -> SavedIntake:
        """What the intake knew."""
        known = [
            KnownRecording(entry.device, entry.name, _touched(entry), entry.closed, entry.boots)
            for entry in self.recordings
        ]
        return SavedIntake(
            self.append_ns,
            self.forgotten,
            self.ended,
            known,
            self.identities,
            self.last_ns,
            self.age_ns,
            self.reasons,
        )


def _touched(entry: SavedRecording) -> int:
    return max(entry.touched_ns, *(stream.touched_ns for stream in entry.streams))


def encode_state(saved: Saved, spec_id: str) -> bytes:
    """The state's bytes; `spec_id` says for which windows it is."""
    body = msgspec.msgpack.encode((spec_id, saved))
    head = _MAGIC + STATE_VERSION.to_bytes(2, "little")
    return head + hashlib.sha256(head + body).digest()[:_DIGEST] + body


def decode_state(data: bytes, spec_id: str) -> Saved:
    """The state in `data`.

    Raises:
        StateVersionError: it is another version's, or for another window specification.
        CorruptError: its bytes are not those that were written.
    """
    start = len(_MAGIC) + 2
    head, digest, body = data[:start], data[start : start + _DIGEST], data[start + _DIGEST :]
    if head[: len(_MAGIC)] != _MAGIC or len(digest) != _DIGEST:
        raise CorruptError(f"windower state: {len(data)} bytes that are no state; rebuild the dataset from the log")
    version = int.from_bytes(head[len(_MAGIC) :], "little")
    if hashlib.sha256(head + body).digest()[:_DIGEST] != digest:
        raise CorruptError("windower state: its checksum does not match; rebuild the dataset from the log")
    if version != STATE_VERSION:
        raise StateVersionError(
            f"windower state: found version {version}, expected {STATE_VERSION}; rebuild the dataset from the log"
        )
    try:
        found, saved = msgspec.msgpack.decode(body, type=tuple[str, Saved])
    except (msgspec.MsgspecError, ValueError) as error:
        raise CorruptError(f"windower state: {error}; rebuild the dataset from the log") from None
    if found != spec_id:
        raise StateVersionError(
            f"windower state: is for window specification {found}, expected {spec_id}; use another output"
        )
    return saved


def save_recording(recording: Recording) -> SavedRecording:
    """A settled recording as plain data."""
    return SavedRecording(
        device=recording.device,
        name=recording.name,
        closed=recording.known.closed,
        touched_ns=recording.known.touched_ns,
        marks_passed=recording.marks_passed,
        boots=sorted(recording.known.boots),
        cursors=[SavedCursor(c.anchor, c.grid.origin_ns, c.next_k, c.stop_k) for c in recording.cursors],
        streams=[_save_stream(stream) for stream in recording.streams.values()],
    )


def _save_stream(stream: Stream) -> SavedStream:
    buffer = stream.buffer
    return SavedStream(
        name=stream.plan.name,
        first_ns=stream.first_ns,
        last_ns=stream.last_ns,
        complete_to=stream.complete_to,
        touched_ns=stream.known.touched_ns,
        times=buffer.times.tobytes(),
        values=buffer.values.tobytes(),
        behind=stream.behind,
        max_gap_ns=-1 if stream.rule is None else gap_of(stream.rule),
        carried=b"" if buffer.carried is None else b"".join(part.tobytes() for part in buffer.carried),
    )


def restore_recording(
    saved: SavedRecording,
    layout: Layout,
    marks: Sequence[AnchorMark],
    known: OpenRecording,
    unsettled: list[OpenRecording],
) -> Recording:
    """The recording that was saved; `known` is what the intake knows of it, `unsettled` as in `Recording`."""
    recording = Recording(layout, marks, known, unsettled)
    recording.marks_passed = saved.marks_passed
    recording.cursors = [_restore_cursor(saved, cursor, layout) for cursor in saved.cursors]
    recording.move()  # some of its windows may be final and not cut
    for entry in saved.streams:
        _restore_stream(entry, recording.streams[entry.name])
    return recording


def _restore_cursor(saved: SavedRecording, entry: SavedCursor, layout: Layout) -> Cursor:
    cursor = new_cursor(layout, saved.device, saved.name, entry.anchor, entry.origin_ns)
    cursor.next_k, cursor.stop_k = entry.next_k, entry.stop_k
    return cursor


def _restore_stream(saved: SavedStream, stream: Stream) -> None:
    stream.first_ns, stream.last_ns = saved.first_ns, saved.last_ns
    stream.complete_to, stream.behind = saved.complete_to, saved.behind
    if saved.max_gap_ns >= 0:
        stream.rule = StreamRule(stream.plan.rule.interpolation, saved.max_gap_ns)
    if saved.carried:
        half = len(saved.carried) // 2
        carried = np.frombuffer(saved.carried[:half], "<i8"), np.frombuffer(saved.carried[half:], "<f8")
        stream.buffer.carried = Carried(*carried)
    samples = np.frombuffer(saved.times, dtype="<i8")
    if len(samples):
        channels = len(stream.plan.channels)
        kind = np.float32 if len(saved.values) == 4 * channels * len(samples) else np.float64
        times, values = stream.buffer.room(len(samples), kind)
        times[:] = samples
        values[...] = np.frombuffer(saved.values, dtype=kind).reshape(-1, channels)
