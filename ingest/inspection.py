"""Looking into a log: its topics, its records as lines, its figures."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from ingest.draining import OnDamage, drain, pass_damage
from ingest.errors import CorruptLogError, UsageError, WireError
from ingest.lifetimes import DAY_NS
from ingest.log.protocol import READINGS, Bounds, Log, LogBatch, partition_of
from ingest.records import Channel, Chunk, Gap, Record, StreamDescription
from ingest.schemas import SchemaRegistry
from ingest.settings import meant, suggest
from ingest.showing import printable, shown_bytes
from ingest.times import last_time, sample_times
from ingest.units import format_time
from ingest.wire import check_chunk, parse

FETCH_TIMEOUT_S: Final = 1.0
_DEVICES_SHOWN: Final = 10
_ID_BYTES: Final = 16
"""Boots and schemas are so long, and shown whole."""
_SHOWN_BYTES: Final = 60
"""Characters of other bytes in a line."""
END_FIELDS: Final = ("end_ns", "complete_to_ns", "time_ns", "start_ns")
"""A record's own time is the first of these that it has; a chunk's is its last sample."""


@dataclass(frozen=True, slots=True)
class Located:
    """A record and where it lies; `record` is None where the bytes are unreadable, `problem` then says why."""

    topic: str
    partition: int
    offset: int
    append_ns: int
    key: bytes
    record: Record | None
    bytes: int
    problem: str = ""


NO_TOPIC: Final = "has no topic yet: is its address right, and the name of the site behind it?"


async def existing_bounds(log: Log, topic: str) -> dict[int, Bounds]:
    """Begin and end of a topic's partitions. Raises `UsageError` where the log has no such topic."""
    topics = await log.topics()
    if not topics:
        raise UsageError(f"{log.url}: {NO_TOPIC}")
    if topic not in topics:
        raise UsageError(f'{log.url}: no topic "{topic}"{suggest(topic, topics)}')
    return await log.bounds(topic)


async def records(
    log: Log,
    topic: str,
    device: str | None = None,
    from_ns: int | None = None,
    *,
    until_idle: bool,
    on_damage: OnDamage | None = None,
) -> AsyncGenerator[Located, None]:
    """The records of a topic by device and own time; for ever, or up to the end it had at first.

    Own times lie no more than a day ahead of append times, or are not believed: reading begins a day before `from_ns`.
    `on_damage` as for `ingest.draining.drain`.
    """
    bounds = await existing_bounds(log, topic)
    if device is not None:
        partition = partition_of(device.encode(), len(bounds))
        bounds = {partition: bounds[partition]}
    if from_ns is not None:
        begins = await log.since(topic, from_ns - DAY_NS)
        bounds = {number: Bounds(max(begin, begins[number]), end) for number, (begin, end) in bounds.items()}
    batches = drain(log, topic, bounds, on_damage) if until_idle else _follow(log, topic, bounds, on_damage)
    async for batch in batches:
        for located in _located(batch, device, from_ns):
            yield located


async def _follow(
    log: Log, topic: str, bounds: Mapping[int, Bounds], on_damage: OnDamage | None
) -> AsyncIterator[LogBatch]:
    position = {partition: begin for partition, (begin, _) in bounds.items()}
    reader = log.reader(topic, dict(position))
    try:
        while True:
            try:
                batches = await reader.fetch(FETCH_TIMEOUT_S)
            except CorruptLogError as error:
                reader = await pass_damage(log, topic, reader, position, error, on_damage)
                continue
            for batch in batches:
                position[batch.partition] = batch.next_offset
                yield batch
    finally:
        await reader.close()


def _located(batch: LogBatch, device: str | None, from_ns: int | None) -> list[Located]:
    wanted = None if device is None else device.encode()
    found = []
    columns = zip(batch.offsets, batch.append_ns, batch.keys, batch.values, strict=True)
    for offset, append_ns, key, value in columns:
        if wanted is not None and key != wanted:
            continue
        record: Record | None = None
        problem = ""
        try:
            record = parse(value)
            if type(record) is Chunk and from_ns is not None and record.count > 0 and last_time(record) < from_ns:
                continue  # most are passed by here: what they hold is not looked at
            if type(record) is Chunk:
                check_chunk(record)
        except WireError as error:
            record, problem = None, str(error)
        if from_ns is None or time_of(record, append_ns) >= from_ns:
            found.append(Located(batch.topic, batch.partition, offset, append_ns, key, record, len(value), problem))
    return found


def time_of(record: Record | None, append_ns: int) -> int:
    """A record's own time, the end where it is a range; its append time where it has none, or cannot be read."""
    if isinstance(record, Chunk):
        return last_time(record)
    return next((t for name in END_FIELDS if (t := getattr(record, name, None)) is not None), append_ns)


# --- one record as text or plain data ---------------------------------------------------------------------------------


class Describer:
    """Records as lines and as plain data; looks schemas up in `streams`, and reads on there when one is unknown."""

    def __init__(self, log: Log) -> None:
        self._schemas = SchemaRegistry(log)

    async def line(self, located: Located) -> str:
        """One line: where the record lies, its device and kind, then its fields, or its first and last sample."""
        head = f"{located.topic}/{located.partition}@{located.offset}"
        record = located.record
        if record is None:
            return f"{head} {shown_bytes(located.key, _SHOWN_BYTES)} unreadable: {located.problem}"
        words = [head, *([record.device] if not isinstance(record, StreamDescription) else []), kind_of(record)]
        if not isinstance(record, Chunk):
            return " ".join([*words, *(f"{n}={v}" for n, v in _fields(record).items() if n != "device" and v != "")])
        words += [record.stream, f"recording={record.recording}", f"seq={record.seq}", f"count={record.count}"]
        schema = await self._schema(record.schema)
        times = sample_times(record)
        if schema is None:
            return " ".join([*words, f"{format_time(int(times[0]))} schema {record.schema.hex()} is not in streams"])
        try:
            values = physical(record, schema)
        except WireError as error:
            return " ".join([*words, str(error)])
        ends = [0] if record.count == 1 else [0, -1]
        samples = [f"{format_time(int(times[i]))} {_sample(values[i], schema)}" for i in ends]
        return " ".join([*words, " … ".join(samples)])

    async def data(self, located: Located) -> dict[str, Any]:
        """Plain data for JSON: where it lies, kind, fields; a chunk's times, channels, and values in their units."""
        record = located.record
        place: dict[str, Any] = {
            "topic": located.topic,
            "partition": located.partition,
            "offset": located.offset,
            "append_ns": located.append_ns,
        }
        if record is None:
            return place | {"kind": "unreadable", "key": located.key.hex(), "reason": located.problem}
        place["kind"] = kind_of(record)
        if not isinstance(record, Chunk):
            return place | _plain(record)
        schema = await self._schema(record.schema)
        told = {n: v for n, v in _plain(record).items() if n not in ("deltas", "values", "signature")}
        channels = None if schema is None else [_told(channel) for channel in schema.channels]
        try:
            values = None if schema is None else physical(record, schema).tolist()
        except WireError as error:
            return place | told | {"reason": str(error)}
        return place | told | {"times_ns": sample_times(record).tolist(), "channels": channels, "values": values}

    async def _schema(self, schema: bytes) -> StreamDescription | None:
        found = self._schemas.get(schema)
        if found is None and await self._schemas.refresh():
            found = self._schemas.get(schema)
        return found


def kind_of(record: Record) -> str:
    """A record's kind in words: "recording_start"."""
    name = type(record).__name__
    return "".join("_" + c.lower() if c.isupper() and i else c.lower() for i, c in enumerate(name))


def physical(chunk: Chunk, schema: StreamDescription) -> NDArray[np.float64]:
    """A chunk's values, `(count, channels) float64` in each channel's unit.

    Raises:
        WireError: the chunk does not hold that many values.
    """
    kind = np.dtype(schema.dtype).newbyteorder("<")
    channels = len(schema.channels)
    if len(chunk.values) != chunk.count * channels * kind.itemsize:
        raise WireError(
            f"chunk: {len(chunk.values)} bytes of values, expected {chunk.count} samples of {channels} {schema.dtype}"
        )
    raw = np.frombuffer(chunk.values, kind).reshape(chunk.count, channels).astype(np.float64)
    scale, offset = np.array([(c.scale, c.offset) for c in schema.channels]).T
    result: NDArray[np.float64] = raw * scale + offset
    return result


def _told(channel: Channel) -> dict[str, Any]:
    named = {"states": dict(channel.states)} if channel.states else {}
    return {"name": channel.name, "unit": channel.unit, **named}


def _sample(values: NDArray[np.float64], schema: StreamDescription) -> str:
    return ", ".join(f"{c.name}={_shown(c, v)}" for c, v in zip(schema.channels, values.tolist(), strict=True))


def _shown(channel: Channel, value: float) -> str:
    """A value in its unit, or the name of its state with the code."""
    if not channel.states:
        return f"{value:.6g} {channel.unit}"
    names: Mapping[float, str] = dict(channel.states)
    return f"{printable(names.get(value, 'no state'))} ({value:g})"


def _plain(record: Record) -> dict[str, Any]:
    """A record's fields by name as JSON has them, bytes as hex."""
    return {name: _builtin(getattr(record, name)) for name in record.__struct_fields__}


def _builtin(value: Any) -> Any:
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, msgspec.Struct):
        return {name: _builtin(getattr(value, name)) for name in value.__struct_fields__}
    return [_builtin(item) for item in value] if isinstance(value, tuple) else value


def _fields(record: Record) -> dict[str, Any]:
    """A record's fields for a line: times as ISO 8601, channels with their units, what is empty left out."""
    told: dict[str, Any] = {}
    for name in record.__struct_fields__:
        value = getattr(record, name)
        if name.endswith("_ns"):
            told[name.removesuffix("_ns")] = format_time(value) if value else ""
        elif isinstance(value, bytes):
            told[name] = value.hex() if len(value) <= _ID_BYTES else _excerpt(value)
        elif name == "channels":
            told[name] = ",".join(f"{c.name}[{_meaning(c)}]" for c in value)
        elif value is not None and value != {}:
            told[name] = value
    return told


def _meaning(channel: Channel) -> str:
    """A channel's unit, or its states."""
    return printable(",".join(f"{code}={name}" for code, name in channel.states)) or channel.unit


def _excerpt(value: bytes) -> str:
    """The beginning of many bytes, as text where it is some; `--json` has all of them."""
    return f"{shown_bytes(value[: 2 * _SHOWN_BYTES], _SHOWN_BYTES)} ({len(value):,} bytes)"


# --- figures ----------------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class StreamFigures:
    """What `readings` holds of one stream of a device."""

    chunks: int = 0
    samples: int = 0
    gaps: int = 0
    lost: int = 0
    """Samples that gaps announce; what nobody can know the number of counts as none."""
    bytes: int = 0
    start_ns: int | None = None
    end_ns: int | None = None
    recordings: set[str] = field(default_factory=set)

    def add(self, chunk: Chunk, size: int) -> None:
        """Take a chunk of so many bytes."""
        first_ns, last_ns = chunk.t0_ns, last_time(chunk)
        self.chunks += 1
        self.samples += chunk.count
        self.bytes += size
        if self.start_ns is None or first_ns < self.start_ns:
            self.start_ns = first_ns
        if self.end_ns is None or last_ns > self.end_ns:
            self.end_ns = last_ns
        self.recordings.add(chunk.recording)

    def as_dict(self) -> dict[str, Any]:
        """Plain data; `end_ns` is the last sample's time."""
        return {name: getattr(self, name) for name in self.__dataclass_fields__} | {
            "recordings": sorted(self.recordings)
        }


async def partition_figures(log: Log, group: str | None) -> list[dict[str, Any]]:
    """Begin, end and number of records of every partition, and how far a consumer group is behind."""
    rows: list[dict[str, Any]] = []
    for topic in sorted(await log.topics()):
        committed: Mapping[int, int] = await log.committed(topic, group) if group else {}
        for partition, (begin, end) in sorted((await log.bounds(topic)).items()):
            row = {"topic": topic, "partition": partition, "begin": begin, "end": end, "records": end - begin}
            if group:
                row["lag"] = end - committed[partition] if partition in committed else None
            rows.append(row)
    return rows


async def stream_figures(log: Log, device: str, on_damage: OnDamage | None = None) -> dict[str, StreamFigures]:
    """Chunks, samples, gaps and bytes in `readings` by stream of a device: one pass over its partition.

    `on_damage` as for `ingest.draining.drain`.
    """
    figures: dict[str, StreamFigures] = {}
    bounds, key = await existing_bounds(log, READINGS), device.encode()
    partition = partition_of(key, len(bounds))
    async for batch in drain(log, READINGS, {partition: bounds[partition]}, on_damage):
        for value in itertools.compress(batch.values, map(key.__eq__, batch.keys)):
            with contextlib.suppress(WireError):
                record = parse(value)
                if type(record) is Chunk:
                    check_chunk(record)
                    figures.setdefault(record.stream, StreamFigures()).add(record, len(value))
                elif isinstance(record, Gap):
                    stream = figures.setdefault(record.stream, StreamFigures())
                    stream.gaps += 1
                    stream.lost += max(0, record.samples)
    return figures


async def check_device(log: Log, topic: str, device: str) -> None:
    """Raise `UsageError` where a topic has no record of this device; the nearest that there are stand in it."""
    wanted, found = device.encode(), set[bytes]()
    async for batch in drain(log, topic, await existing_bounds(log, topic), lambda error: None):
        found.update(batch.keys)
        if wanted in found:
            return
    names = sorted(name for key in found if (name := key.decode("utf-8", "replace")).isprintable())
    near = meant(device, names)
    shown = ", ".join(names[:_DEVICES_SHOWN]) + (
        f" and {len(names) - _DEVICES_SHOWN} more" * (len(names) > _DEVICES_SHOWN)
    )
    raise UsageError(
        f'{log.url}: "{topic}" has no record of a device "{device}"; there are: {shown or "none yet"}.'
        + (f' Did you mean "{near}"?' if near else "")
    )
