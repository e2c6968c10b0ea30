"""The windower's state as bytes: a head, and a part for each device, which stays the same while nothing comes for it.

The head has version and checksum, then plain data in MessagePack; a part has a checksum and plain data. Samples that
wait for their window are kept as they came, in the chunks' own bytes; those in buffers as raw bytes.
"""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Mapping, Sequence
from typing import Final

import msgspec
import numpy as np

from ingest.engine.operator import State
from ingest.errors import CorruptError, StateVersionError
from ingest.forgetting import Forgotten
from ingest.intake import OpenRecording, SavedIdentity, SavedIntake
from ingest.intake import SavedRecording as KnownRecording
from ingest.logtime import NEVER
from ingest.records import StreamDescription
from ingest.times import Times
from windowing.fold.anchors import AnchorMark, Cursor, Layout, new_cursor
from windowing.fold.convert import Converter
from windowing.fold.recordings import Recording
from windowing.fold.resample import Carried, gap_of
from windowing.fold.streams import Run, Stream
from windowing.spec import StreamRule

STATE_VERSION: Final = 1
"""Raised when the saved state's meaning changes; another version is refused."""
_FORMAT: Final = 2
"""How it is written. 1: all in one part, samples in buffers alone. It is read as well."""
_MAGIC: Final = b"wavemark windower state"  # the first name of the project: its states stay readable
_DIGEST: Final = 16


class SavedCursor(msgspec.Struct, array_like=True, gc=False):
    """Where an anchor's windows are."""

    anchor: str
    origin_ns: int
    next_k: int | None
    stop_k: int | None


class SavedStream(msgspec.Struct, array_like=True, gc=False):
    """A stream and its samples: times int64, values float32 or float64 (told by length), little-endian.

    `pieces` and `raw` are samples as they came since: runs, or times, and their chunks' bytes of `schema`.
    """

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
    step: int = 0
    """Not 0: the times are evenly so far apart, and `times` has only the first, and how many."""
    schema: bytes = b""
    pieces: list[tuple[int, int, int, int, int] | bytes] = []
    raw: bytes = b""
    held: list[int] = []
    """The channels with named states, by their places in the plan."""


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
    schemas: list[tuple[bytes, StreamDescription]] = []
    """Of the samples that are kept as they came."""

    @classmethod
    def of(
        cls,
        intake: SavedIntake,
        offset: int,
        recordings: list[SavedRecording],
        schemas: list[tuple[bytes, StreamDescription]],
    ) -> Saved:
        """What an intake knows, and the recordings."""
        known, times = (intake.append_ns, offset, intake.forgotten, intake.ended), (intake.last_ns, intake.age_ns)
        return cls(*known, recordings, intake.identities, *times, intake.reasons, schemas)

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


_HEADS: Final = {1: tuple[str, Saved], 2: tuple[str, Saved, int]}
"""By format: the specification's hash, what is known, and how many parts follow."""


class _Device(msgspec.Struct, array_like=True, gc=False):
    """What is known of one device."""

    device: str
    ended: list[tuple[str, str, int]]
    recordings: list[SavedRecording]
    identities: list[SavedIdentity]


def encode_state(saved: Saved, spec_id: str) -> list[bytes]:
    """The state's parts; `spec_id` says for which windows it is."""
    devices: dict[str, _Device] = {}
    for entry in saved.ended:
        _device(devices, entry[0]).ended.append(entry)
    for recording in saved.recordings:
        _device(devices, recording.device).recordings.append(recording)
    for identity in saved.identities:
        _device(devices, identity.device).identities.append(identity)
    head = msgspec.structs.replace(saved, ended=[], recordings=[], identities=[])
    encoder = msgspec.msgpack.Encoder()
    parts = [_checked(encoder.encode(device)) for device in devices.values()]
    body = encoder.encode((spec_id, head, len(parts)))
    begin = _MAGIC + _FORMAT.to_bytes(2, "little")
    return [begin + hashlib.sha256(begin + body).digest()[:_DIGEST] + body, *parts]


def _device(devices: dict[str, _Device], name: str) -> _Device:
    found = devices.get(name)
    if found is None:
        found = devices[name] = _Device(name, [], [], [])
    return found


def _checked(body: bytes) -> bytes:
    return zlib.crc32(body).to_bytes(4, "little") + body


def decode_state(parts: Sequence[bytes], spec_id: str) -> Saved:
    """The state in `parts`.

    Raises:
        StateVersionError: it is another version's, or for another window specification.
        CorruptError: its bytes are not those that were written.
    """
    data, *rest = parts
    start = len(_MAGIC) + 2
    head, digest, body = data[:start], data[start : start + _DIGEST], data[start + _DIGEST :]
    if head[: len(_MAGIC)] != _MAGIC or len(digest) != _DIGEST:
        raise CorruptError(f"windower state: {len(data)} bytes that are no state; rebuild the dataset from the log")
    version = int.from_bytes(head[len(_MAGIC) :], "little")
    if hashlib.sha256(head + body).digest()[:_DIGEST] != digest:
        raise CorruptError("windower state: its checksum does not match; rebuild the dataset from the log")
    if not 1 <= version <= _FORMAT:
        raise StateVersionError(
            f"windower state: found version {version}, expected {_FORMAT}; rebuild the dataset from the log"
        )
    try:
        decoded: tuple[str, Saved] | tuple[str, Saved, int] = msgspec.msgpack.decode(body, type=_HEADS[version])
        found, saved = decoded[:2]
        _join(saved, rest, *decoded[2:])
    except (msgspec.MsgspecError, ValueError) as error:
        raise CorruptError(f"windower state: {error}; rebuild the dataset from the log") from None
    if found != spec_id:
        raise StateVersionError(
            f"windower state: is for window specification {found}, expected {spec_id}; use another output"
        )
    return saved


def without(parts: State, spec_id: str, whom: Forgotten) -> State:
    """The state without what is to be forgotten; the same parts where it has none. Raises as `decode_state`."""
    saved = decode_state(parts, spec_id)
    kept = msgspec.structs.replace(
        saved,
        recordings=[each for each in saved.recordings if not whom.has(each.device, each.name)],
        ended=[each for each in saved.ended if not whom.has(each[0], each[1])],
        identities=[each for each in saved.identities if not whom.whole(each.device)],
    )
    sizes = [(len(each.recordings), len(each.ended), len(each.identities)) for each in (saved, kept)]
    return parts if sizes[0] == sizes[1] else tuple(encode_state(kept, spec_id))


def _join(saved: Saved, parts: Sequence[bytes], count: int = 0) -> None:
    """Put the devices' parts into the state. Raises `ValueError` where they are others than were written."""
    if len(parts) != count:
        raise ValueError(f"found {len(parts)} parts, expected {count}")
    decoder = msgspec.msgpack.Decoder(_Device)
    for part in parts:
        if part != _checked(part[4:]):
            raise ValueError("the checksum of a part does not match")
        device = decoder.decode(part[4:])
        saved.ended += device.ended
        saved.recordings += device.recordings
        saved.identities += device.identities


def save_recording(recording: Recording) -> SavedRecording:
    """A recording as plain data."""
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
    pieces, values = stream.collected()  # first: its run counts from here on
    step, times = _save_times(buffer.times)
    return SavedStream(
        name=stream.plan.name,
        first_ns=stream.first_ns,
        last_ns=stream.last_ns,
        complete_to=stream.complete_to,
        touched_ns=stream.known.touched_ns,
        times=times,
        values=buffer.values.tobytes(),
        behind=stream.behind,
        max_gap_ns=-1 if stream.rule is None else gap_of(stream.rule),
        carried=b"" if buffer.carried is None else b"".join(part.tobytes() for part in buffer.carried),
        step=step,
        schema=stream.schema if values else b"",
        pieces=[piece if isinstance(piece, Run) else piece.tobytes() for piece in pieces],
        raw=b"".join(values),
        held=sorted(stream.held),
    )


def _save_times(times: Times) -> tuple[int, bytes]:
    """Evenly spaced times as the first and their number, with the step; others as they are, with 0."""
    if len(times) > 2:
        step = int(times[1]) - int(times[0])
        if int(times[-1]) - int(times[0]) == step * (len(times) - 1) and bool((np.diff(times) == step).all()):
            return step, np.array([times[0], len(times)], dtype="<i8").tobytes()
    return 0, times.tobytes()


def _times_of(saved: SavedStream) -> Times:
    kept = np.frombuffer(saved.times, dtype="<i8")
    return int(kept[0]) + np.arange(int(kept[1])) * saved.step if saved.step else kept


def restore_recording(
    saved: SavedRecording,
    layout: Layout,
    marks: Sequence[AnchorMark],
    known: OpenRecording,
    unsettled: list[OpenRecording],
    schemas: Mapping[bytes, StreamDescription],
) -> Recording:
    """The recording that was saved; `known` is what the intake knows of it, `unsettled` as in `Recording`.

    `schemas` are those that the state has.
    """
    recording = Recording(layout, marks, known, unsettled)
    recording.marks_passed = saved.marks_passed
    recording.cursors = [_restore_cursor(saved, cursor, layout) for cursor in saved.cursors]
    for entry in saved.streams:
        stream = recording.streams[entry.name]
        _restore_stream(entry, stream)
        if entry.pieces:
            pieces = [np.frombuffer(p, "<i8") if isinstance(p, bytes) else Run(*p) for p in entry.pieces]
            converter = Converter(schemas[entry.schema], stream.plan)
            stream.recollect(pieces, entry.raw, entry.schema, converter)
    recording.resume()  # some of its windows may be final and not cut
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
    stream.hold(frozenset(saved.held))
    if saved.carried:
        half = len(saved.carried) // 2
        carried = np.frombuffer(saved.carried[:half], "<i8"), np.frombuffer(saved.carried[half:], "<f8")
        stream.buffer.carried = Carried(*carried)
    samples = _times_of(saved)
    if len(samples):
        channels = len(stream.plan.channels)
        kind = np.float32 if len(saved.values) == 4 * channels * len(samples) else np.float64
        times, values = stream.buffer.room(len(samples), kind)
        times[:] = samples
        values[...] = np.frombuffer(saved.values, dtype=kind).reshape(-1, channels)
