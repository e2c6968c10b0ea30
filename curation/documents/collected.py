"""What a log says of how a dataset was collected: agents' versions, sensors, calibrations; nobody's name."""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

import msgspec

from ingest.draining import drain
from ingest.errors import UsageError, WireError
from ingest.log.protocol import STATUS, STREAMS, Log
from ingest.records import Birth, Change, Heartbeat, Record, StreamDescription
from ingest.units import exact_time
from ingest.wire import decode

RELEASE: Final = "release"


class AgentFacts(msgspec.Struct, frozen=True):
    """A version of the agent, and when the log heard of it."""

    version: str
    devices: int
    first: str
    last: str


class SensorFacts(msgspec.Struct, frozen=True):
    """What a stream's description says of its sensor."""

    stream: str
    sensor: str
    mounting: str
    calibrated: str
    """When; "" where it was not."""
    reference: str
    """Against what; "" where nobody said it."""
    axes: str
    """Which ones were turned."""


class CollectionFacts(msgspec.Struct, frozen=True):
    """All of it; empty where the log says nothing, or not any more."""

    agents: tuple[AgentFacts, ...]
    sensors: tuple[SensorFacts, ...]
    changes: tuple[tuple[str, str], ...]
    """Times, and which release became which one, how it came out."""


async def read_collection(
    log: Log, devices: Collection[str], streams: Collection[str], identity: str
) -> CollectionFacts:
    """What the log of this identity says of these devices, and of streams of these names.

    Raises:
        UsageError: it is another log.
        LogUnavailableError: it does not answer.
    """
    if (its := await log.identity()) != identity:
        raise UsageError(f"documents: --log: {log.url} is the log {its}, the dataset was cut from {identity}")
    heard: dict[str, dict[str, list[int]]] = {}
    changes: list[tuple[int, str]] = []
    for record in await _records(log, STATUS):
        if getattr(record, "device", "") not in devices:
            continue
        if isinstance(record, Birth | Heartbeat) and record.version:
            heard.setdefault(record.version, {}).setdefault(record.device, []).append(record.time_ns)
        elif isinstance(record, Change) and record.what == RELEASE:
            changes.append((record.time_ns, f"an agent's release {record.old or '?'} → {record.new}: {record.outcome}"))
    described = [record for record in await _records(log, STREAMS) if isinstance(record, StreamDescription)]
    sensors = {found for each in described if each.stream in streams and (found := _sensor(each)) is not None}
    return CollectionFacts(
        tuple(_agent(version, times) for version, times in sorted(heard.items())),
        tuple(sorted(sensors, key=msgspec.structs.astuple)),
        tuple((exact_time(time_ns), what) for time_ns, what in sorted(changes)),
    )


async def _records(log: Log, topic: str) -> list[Record]:
    if topic not in await log.topics():
        return []
    found = []
    async for batch in drain(log, topic, await log.bounds(topic), on_damage=lambda error: None):
        for value in batch.values:
            try:
                found.append(decode(bytes(value)))
            except WireError:  # it is the readers' to report
                continue
    return found


def _agent(version: str, times: dict[str, list[int]]) -> AgentFacts:
    every = [time_ns for few in times.values() for time_ns in few]
    return AgentFacts(version, len(times), exact_time(min(every)), exact_time(max(every)))


def _sensor(description: StreamDescription) -> SensorFacts | None:
    """None where a description says nothing of its sensor."""
    was = description.correction
    axes = "" if was is None else ", ".join(was.axes)
    told = ("", "") if was is None else (was.date, was.reference)
    found = SensorFacts(description.stream, description.sensor, description.mounting, *told, axes)
    return found if any((found.sensor, found.mounting, *told, axes)) else None
