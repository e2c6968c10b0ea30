"""A rule state as bytes: version, checksum, then plain data in MessagePack, arrays as raw little-endian bytes."""

from __future__ import annotations

import hashlib
from typing import Final, TypeVar

import msgspec
import numpy as np
from numpy.typing import NDArray

from ingest.errors import CorruptError, StateVersionError
from ingest.forgetting import Forgotten
from ingest.records import StreamDescription
from labeling.rules.joining import Join
from labeling.rules.kernels import RollState
from labeling.rules.panes import Panes
from labeling.rules.ruleset import RuleSet
from labeling.rules.state import Recording, RuleState, Stream
from labeling.rules.tracker import Tracker, TrackerState

STATE_VERSION: Final = 2
"""Raised when the saved state's format or meaning changes; another version is refused."""
_MAGIC: Final = b"wavemark rule state"  # the project's first name: states of that time stay readable
_DIGEST: Final = 16
_REMEDY: Final = "start the rules anew, from the log"
S = TypeVar("S", bound=np.generic)


class _Roll(msgspec.Struct, array_like=True, gc=False):
    values: bytes
    flags: bytes
    weights: bytes
    whole: bool
    panes: list[bytes] | None
    """In the order of `Panes`."""


class _Stream(msgspec.Struct, array_like=True, gc=False):
    name: str
    description: StreamDescription | None
    complete_to: int
    tail: bytes
    rolls: list[_Roll]
    aheads: list[tuple[int, int, bytes, dict[int, bytes]]]
    """By rule that looks ahead: what is done, times, lanes."""


class _Join(msgspec.Struct, array_like=True, gc=False):
    rule: int
    done_ns: int
    horizon_ns: int
    buffers: list[tuple[str, int, bytes, bytes, dict[int, bytes]]]
    """By stream: nominal period, times, periods, lanes."""


class _Recording(msgspec.Struct, array_like=True, gc=False):
    device: str
    name: str
    streams: list[_Stream]
    trackers: list[TrackerState]
    joins: list[_Join]


class _Saved(msgspec.Struct, array_like=True, gc=False):
    recordings: list[_Recording]


def save(state: RuleState) -> bytes:
    """The state's bytes; called right after `take`, since finished marks are not in them."""
    state.settle()
    saved = _Saved([_save_recording(record) for record in state.recordings.values()])
    body = msgspec.msgpack.encode((state.rules.revision, saved))
    head = _MAGIC + STATE_VERSION.to_bytes(2, "little")
    return head + hashlib.sha256(head + body).digest()[:_DIGEST] + body


def _save_recording(record: Recording) -> _Recording:
    return _Recording(
        record.device,
        record.name,
        [_save_stream(name, stream) for name, stream in record.streams.items()],
        [tracker.state for tracker in record.trackers],
        [_save_join(index, join) for index, join in record.joins.items()],
    )


def _save_stream(name: str, stream: Stream) -> _Stream:
    description = None if stream.plan is None else stream.plan.description
    aheads = [
        (index, ahead.done_ns, ahead.times.tobytes(), {at: lane.tobytes() for at, lane in ahead.lanes.items()})
        for index, ahead in stream.aheads.items()
    ]
    rolls = [_save_roll(roll) for roll in stream.rolls]
    return _Stream(name, description, stream.complete_to, stream.tail.tobytes(), rolls, aheads)


def _save_roll(roll: RollState) -> _Roll:
    panes = None if roll.panes is None else [part.tobytes() for part in roll.panes]
    return _Roll(roll.values.tobytes(), roll.flags.tobytes(), roll.weights.tobytes(), roll.whole, panes)


def _save_join(index: int, join: Join) -> _Join:
    buffers = [
        (
            *(stream, buffer.period_ns, buffer.times.tobytes(), buffer.periods.tobytes()),
            {at: lane.tobytes() for at, lane in buffer.lanes.items()},
        )
        for stream, buffer in join.buffers.items()
    ]
    return _Join(index, join.done_ns, join.horizon_ns, buffers)


def restore(rules: RuleSet, saved: bytes) -> RuleState:
    """The state that was saved.

    Raises:
        StateVersionError: it is that of other rules, or another version's.
        CorruptError: it cannot be understood.
    """
    state = RuleState(rules)
    for recording in _decode(rules, saved).recordings:
        state.recordings[recording.device, recording.name] = _restore_recording(state, recording)
    return state


def without(data: bytes, whom: Forgotten) -> bytes:
    """A saved state without what is to be forgotten; the same bytes where it has nothing of that."""
    begin = len(_MAGIC) + 2
    head, body = data[:begin], data[begin + _DIGEST :]
    revision, saved = msgspec.msgpack.decode(body, type=tuple[str, _Saved])
    kept = [each for each in saved.recordings if not whom.has(each.device, each.name)]
    if len(kept) == len(saved.recordings):
        return data
    body = msgspec.msgpack.encode((revision, _Saved(kept)))
    return head + hashlib.sha256(head + body).digest()[:_DIGEST] + body


def _decode(rules: RuleSet, data: bytes) -> _Saved:
    begin = len(_MAGIC) + 2
    head, digest, body = data[:begin], data[begin : begin + _DIGEST], data[begin + _DIGEST :]
    if head[: len(_MAGIC)] != _MAGIC or hashlib.sha256(head + body).digest()[:_DIGEST] != digest:
        raise CorruptError(f"rule state: {len(data)} bytes that are not those that were written; {_REMEDY}")
    version = int.from_bytes(head[len(_MAGIC) :], "little")
    if version != STATE_VERSION:
        raise StateVersionError(f"rule state: found version {version}, expected {STATE_VERSION}; {_REMEDY}")
    try:
        revision, saved = msgspec.msgpack.decode(body, type=tuple[str, _Saved])
    except (msgspec.MsgspecError, ValueError) as error:
        raise CorruptError(f"rule state: {error}; {_REMEDY}") from None
    if revision != rules.revision:
        raise StateVersionError(f"rule state: is that of rules {revision}, {rules.name} is {rules.revision}; {_REMEDY}")
    return saved


def _array(data: bytes, kind: type[S]) -> NDArray[S]:
    return np.frombuffer(data, dtype=np.dtype(kind).newbyteorder("<")).astype(kind)


def _restore_recording(state: RuleState, saved: _Recording) -> Recording:
    record = Recording(state.rules, saved.device, saved.name)
    for entry in saved.streams:
        _restore_stream(state, entry, record.streams[entry.name])
    trackers = zip(state.rules.rules, saved.trackers, strict=True)
    record.trackers = [Tracker(rule.timing, kept) for rule, kept in trackers]
    for join in saved.joins:
        _restore_join(join, record.joins[join.rule])
    return record


def _restore_stream(state: RuleState, entry: _Stream, stream: Stream) -> None:
    stream.complete_to = entry.complete_to
    if entry.description is None:
        return
    stream.adopt(state.plan(entry.description))
    stream.tail = _array(entry.tail, np.int64)
    for index, done_ns, times, lanes in entry.aheads:
        ahead = stream.aheads[index]
        ahead.done_ns, ahead.times = done_ns, _array(times, np.int64)
        ahead.lanes = {at: _array(lane, np.float64) for at, lane in lanes.items()}
    for roll, kept in zip(stream.rolls, entry.rolls, strict=True):
        roll.values, roll.weights = _array(kept.values, np.float64), _array(kept.weights, np.int64)
        roll.flags, roll.whole = _array(kept.flags, np.bool_), kept.whole
        if kept.panes is not None:
            *whole, stats = kept.panes
            indexes, counts, weights = (_array(part, np.int64) for part in whole)
            roll.panes = Panes(indexes, counts, weights, _array(stats, np.float64).reshape(len(indexes), -1))


def _restore_join(entry: _Join, join: Join) -> None:
    join.done_ns, join.horizon_ns = entry.done_ns, entry.horizon_ns
    for stream, period_ns, times, periods, lanes in entry.buffers:
        buffer = join.buffers[stream]
        buffer.period_ns = period_ns
        buffer.times, buffer.periods = _array(times, np.int64), _array(periods, np.int64)
        buffer.lanes = {at: _array(lane, np.float64) for at, lane in lanes.items()}
