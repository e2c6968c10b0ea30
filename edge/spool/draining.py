"""Spool entries on their way to the log: which topic, which bytes, in which order. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from msgspec.structs import replace

from edge.recording.axes import UNSYNCED
from edge.recording.terms import shifted
from edge.spool.entries import HELD, HELD_MARK, MARK, READING, STATUS, STREAM, end_of, key_of
from ingest.errors import WireError
from ingest.log.protocol import MARKS, READINGS, STREAMS, Entry, LogBatch
from ingest.log.protocol import STATUS as STATUS_TOPIC
from ingest.records import Chunk, Clock, Gap, MarkAdd, MarkRetract, Record
from ingest.wire import decode, encode

DAMAGE = "spool_damage"
_TOPICS = {READING: READINGS, HELD: READINGS, STREAM: STREAMS, MARK: MARKS, HELD_MARK: MARKS, STATUS: STATUS_TOPIC}


@dataclass(slots=True)
class Step:
    """One append: entries of one topic, and how far the spool is read with them."""

    topic: str
    entries: list[Entry] = field(default_factory=list)
    next_offset: int = 0


@dataclass(slots=True)
class Plan:
    """What a batch becomes, step by step; `waits` where the next entry waits for the clock."""

    steps: list[Step]
    next_offset: int
    waits: bool = False


class Drain:
    """Turns batches of the spool into appends. It announces chunks that damage took: their numbers are missing."""

    def __init__(self, kernel_boot: bytes) -> None:
        self._kernel_boot = kernel_boot
        self._last: dict[tuple[str, str, bytes], tuple[int, int]] = {}
        """Of each stream and boot: the newest chunk's number, and how far it or a gap behind it reaches."""

    def plan(self, batch: LogBatch, offsets_ns: Mapping[bytes, int]) -> Plan:
        """The appends for a batch; `offsets_ns` says, by kernel boot, what CLOCK_BOOTTIME lacks to UTC.

        What an earlier kernel boot held and never could date goes out as it is, marked as unsynced.
        """
        plan = Plan([], batch.offsets[0] if batch.offsets else batch.next_offset)
        for offset, raw, value in zip(batch.offsets, batch.keys, batch.values, strict=True):
            key = key_of(raw)
            topic = _TOPICS.get(key.kind)
            if (
                key.kind in (HELD, HELD_MARK)
                and key.kernel_boot not in offsets_ns
                and key.kernel_boot == self._kernel_boot
            ):
                plan.waits = True
                return plan
            if topic is not None:
                entries = self._entries(key.kind, key.device, value, offsets_ns.get(key.kernel_boot))
                self._add(plan, topic, entries if topic != STREAMS else [Entry(raw[1:], value)])
            plan.next_offset = offset + 1
            if plan.steps:
                plan.steps[-1].next_offset = plan.next_offset
        plan.next_offset = batch.next_offset
        return plan

    @staticmethod
    def _add(plan: Plan, topic: str, entries: list[Entry]) -> None:
        if not plan.steps or plan.steps[-1].topic != topic:
            plan.steps.append(Step(topic))
        plan.steps[-1].entries += entries

    def _entries(self, kind: bytes, device: str, value: bytes, offset_ns: int | None) -> list[Entry]:
        record = self._decoded(value) if kind in (READING, HELD, HELD_MARK) else None
        if record is None:
            return [Entry(device.encode(), value)]
        if kind == HELD_MARK:
            return [Entry(device.encode(), encode(_dated(record, offset_ns)))]
        if kind == HELD:
            record = shifted(record, offset_ns or 0, Clock(UNSYNCED if offset_ns is None else "late"))
            value = encode(record)
        own = Entry(device.encode(), value)
        hole = self._hole(record)
        return [own] if hole is None else [Entry(device.encode(), encode(hole)), own]

    def _hole(self, record: Record) -> Gap | None:
        """The gap before a chunk whose number does not follow the last one's, unless it was announced."""
        if not isinstance(record, Chunk | Gap):
            return None
        whose = (record.device, record.stream, record.boot)
        known = self._last.get(whose)
        if isinstance(record, Gap):
            if known is not None:  # it may stand for chunks that were dropped: their numbers are accounted for
                self._last[whose] = -1, max(known[1], record.end_ns)
            return None
        reach = end_of(record) or record.t0_ns
        self._last[whose] = record.seq, reach
        if known is None or known[0] < 0 or record.seq <= known[0] + 1:
            return None
        start_ns = min(known[1], record.t0_ns - 1)
        return Gap(record.device, record.recording, record.stream, record.boot, start_ns, record.t0_ns, -1, DAMAGE)

    @staticmethod
    def _decoded(value: bytes) -> Record | None:
        try:
            return decode(value)
        except WireError:
            return None


def _dated(mark: Record, offset_ns: int | None) -> Record:
    """A mark on the UTC axis, as the samples beside it are; what never could be dated says so."""
    own, added = offset_ns or 0, {} if offset_ns is not None else {UNSYNCED: 1.0}
    if isinstance(mark, MarkAdd):
        times = {"start_ns": mark.start_ns + own, "end_ns": mark.end_ns + own, "client_ns": mark.client_ns + own}
        return replace(mark, **times, evidence={**mark.evidence, **added})
    if isinstance(mark, MarkRetract):
        return replace(mark, client_ns=mark.client_ns + own, evidence={**mark.evidence, **added})
    return mark
