"""What a recorder is told, and what it gives: the boot before, the clock, how a device is recorded; records that may
wait for the clock. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

from msgspec.structs import replace

from edge.recording.pulses import Line
from ingest.chunker import Limits
from ingest.records import Chunk, Clock, Gap, Progress, Record, RecordingEnd, RecordingStart


class Previous(NamedTuple):
    """The boot before this one, and how far its records reach in the spool."""

    boot: bytes = b""
    reach_ns: int = 0


class Held(NamedTuple):
    """A record, and whether its times still are CLOCK_BOOTTIME's: it must wait for the clock."""

    record: Record
    held: bool


@dataclass(frozen=True, slots=True)
class ClockState:
    """What is known of the system's clock. Only streams that are placed by arrival depend on it."""

    is_set: bool
    source: str
    """For `Clock.source`: `ntp`, `system`, `pps` …"""
    line: Line | None = None
    """What CLOCK_BOOTTIME lacks to UTC, where pulses say it."""


@dataclass(frozen=True, slots=True)
class Rules:
    """How a device is recorded."""

    limits: Limits = field(default_factory=Limits)
    silence_ns: int = 600_000_000_000
    """A recording in which nothing is heard for so long ends."""
    holds_unsynced: bool = True
    """Data taken before the clock was set wait for it; else they are published at once, marked as unsynced."""
    stall_ns: int = 3_000_000_000
    """A flush that comes so long after the one before shows that this process stood still."""
    attributes: dict[str, str] = field(default_factory=dict)
    """What is so of every recording (`ingest.attributes`)."""


def shifted(record: Record, offset_ns: int, clock: Clock | None) -> Record:
    """A held record on the UTC axis that lies `offset_ns` before CLOCK_BOOTTIME's."""
    if isinstance(record, Chunk):
        return replace(record, t0_ns=record.t0_ns + offset_ns, clock=clock)
    if isinstance(record, RecordingStart):
        return replace(record, start_ns=record.start_ns + offset_ns)
    if isinstance(record, RecordingEnd):
        return replace(record, end_ns=record.end_ns + offset_ns)
    if isinstance(record, Gap):
        return replace(record, start_ns=record.start_ns + offset_ns, end_ns=record.end_ns + offset_ns)
    if isinstance(record, Progress):
        return replace(record, complete_to_ns=record.complete_to_ns + offset_ns)
    return record
