"""MCAP (mcap.dev/spec), read record by record by the library `mcap` (extra "formats"): a topic is a signal.

Messages in JSON, protobuf and ROS 2's CDR become channels, one of each number in them. A file that is cut off, as by a
robot that lost its power, has all chunks before; a chunk whose checksum is wrong is left out, and counted.
"""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from ingest.errors import MissingLibraryError, UsageError
from ingest.importers.signals.contents import (
    LOST_BYTES,
    Asked,
    Contents,
    FileMark,
    Signal,
    check_span,
    file_label,
    file_unit,
    stream_name,
)
from ingest.importers.signals.flattening import flat
from ingest.importers.source import Source, too_large
from ingest.times import Times

if TYPE_CHECKING:
    from mcap.records import Channel, Schema

MAGIC: Final = b"\x89MCAP0\r\n"
MARK_SCHEMA: Final = "sensorloom.Mark"
"""Messages that are marks: `start_ns`, `end_ns` (exclusive), `label`."""
UNIT_KEY: Final = "unit:"
"""A channel's metadata `unit:FIELD` has the unit of a field."""
DERIVED: Final = "derived"
"""A channel's metadata has it where its messages say again what another one's say."""
ABOUT: Final = "sensorloom"
"""The metadata that says whose recording it is."""
_TIMES: Final = ("log_time", "publish_time", "header.stamp")
_COLUMNS_MAX: Final = 5_000
_STAMPS: Final = ("stamp", "timestamp", "sec", "nanosec", "nsec", "nanos", "seconds", "secs", "nsecs")
_ROS_UNITS: Final = {
    "sensor_msgs/msg/Imu": {"linear_acceleration": "m/s2", "angular_velocity": "rad/s", "orientation": "1"},
    "sensor_msgs/msg/MagneticField": {"magnetic_field": "T"},
    "sensor_msgs/msg/Temperature": {"temperature": "degC"},
    "sensor_msgs/msg/FluidPressure": {"fluid_pressure": "Pa"},
    "sensor_msgs/msg/NavSatFix": {"latitude": "deg", "longitude": "deg", "altitude": "m"},
    "foxglove.LocationFix": {"latitude": "deg", "longitude": "deg", "altitude": "m"},
}
"""What these messages are defined to be measured in, by the beginnings of their fields' names."""


def is_mcap(data: bytes) -> bool:
    """Whether it begins as one."""
    return data.startswith(MAGIC)


@dataclass(slots=True)
class _Topic:
    """What came on one topic."""

    schema: str
    units: dict[str, str]
    times: list[int] = field(default_factory=list)
    columns: dict[str, tuple[list[int], list[float]]] = field(default_factory=dict)
    """By field: the rows that have it, and its values."""
    texts: set[str] = field(default_factory=set)

    def add(self, t_ns: int, message: Any) -> None:
        """One message."""
        row = len(self.times)
        self.times.append(t_ns)
        for name, value in flat(message):
            if value is None:
                self.texts.add(name)
                continue
            found = self.columns.get(name)
            if found is None:
                if len(self.columns) >= _COLUMNS_MAX:
                    self.texts.add("…")
                    continue
                found = self.columns[name] = ([], [])
            found[0].append(row)
            found[1].append(value)

    def signal(self, path: str, name: str) -> Signal | None:
        """None where no message has a number that is no time."""
        names = [it for it in self.columns if not _is_stamp(it)]
        if not names:
            return None
        times: Times = np.array(self.times, np.int64)
        check_span(path, times)
        values: NDArray[np.float64] = np.full((len(times), len(names)), np.nan)
        for place, column in enumerate(names):
            rows, cells = self.columns[column]
            values[rows, place] = cells
        kept = np.argsort(times, kind="stable") if (np.diff(times) < 0).any() else slice(None)
        units = tuple(self._unit(column) for column in names)
        return Signal(name, tuple(names), values[kept], times[kept], units=units)

    def _unit(self, name: str) -> str:
        if name in self.units:
            return file_unit(self.units[name])
        known = _ROS_UNITS.get(self.schema, {})
        return next((unit for start, unit in known.items() if name == start or name.startswith(start + ".")), "")


def _is_stamp(name: str) -> bool:
    """Whether a field says the message's own time: of that samples have one already."""
    head, _, last = name.rpartition(".")
    return last in _STAMPS and (head.rpartition(".")[2] in _STAMPS or head in ("", "header"))


def read_mcap(source: Source, asked: Asked) -> Contents:
    """The topics whose messages hold numbers.

    Raises:
        UsageError: none does, or the file unpacks to more than it may.
        MissingLibraryError: the extra "formats" is not installed.
    """
    path, wanted = source.path, asked.time_field or _TIMES[0]
    if wanted not in _TIMES:
        raise UsageError(f'{path}: --time-column: found "{wanted}", expected one of {", ".join(_TIMES)}')
    reader = _Reader(source)
    topics: dict[str, _Topic] = {}
    marks: list[FileMark] = []
    for schema, channel, message in reader.messages():
        if DERIVED in channel.metadata:
            continue
        decoded = reader.decode(schema, channel, message)
        if decoded is None:
            continue
        if schema is not None and schema.name == MARK_SCHEMA:
            marks += reader.mark(decoded)
            continue
        topic = topics.get(channel.topic)
        if topic is None:
            units = {name[len(UNIT_KEY) :]: it for name, it in channel.metadata.items() if name.startswith(UNIT_KEY)}
            topic = topics[channel.topic] = _Topic(schema.name if schema else "", units)
            topic.columns |= {name: ([], []) for name in units}
        t_ns = _time(message, decoded, wanted)
        if t_ns is None:
            reader.lost[f"messages without a {wanted}"] += 1
        else:
            topic.add(t_ns, decoded)
    notes = reader.notes()
    signals = []
    for name, topic in topics.items():
        if (signal := topic.signal(path, stream_name(name))) is not None:
            signals.append(signal)
        if topic.texts:
            shown = ", ".join(sorted(topic.texts)[:5]) + (", …" if len(topic.texts) > 5 else "")
            notes.append(f"{name}: is text, or too long for channels, and was left out: {shown}")
    if not signals:
        raise UsageError(f"{path}: an MCAP file without a message that has numbers" + "".join(f"; {n}" for n in notes))
    return Contents(
        "MCAP", tuple(signals), "utc", tuple(marks), reader.device, lost=dict(+reader.lost), notes=tuple(notes)
    )


def _time(message: Any, decoded: Any, wanted: str) -> int | None:
    if wanted == "log_time":
        return int(message.log_time)
    if wanted == "publish_time":
        return int(message.publish_time)
    found = {name.removeprefix("header.stamp."): value for name, value in flat(decoded) if "header.stamp." in name}
    second, rest = found.get("sec", found.get("secs")), found.get("nanosec", found.get("nsec", found.get("nsecs", 0)))
    return None if second is None else int(second) * 10**9 + int(rest or 0)


class _Reader:
    """Reads records until the end, or the tear."""

    def __init__(self, source: Source) -> None:
        try:
            import mcap.stream_reader
        except ImportError as error:
            raise MissingLibraryError(f"{source.path}: an MCAP file", error.name, "formats") from None
        self.source = source
        self.lost: Counter[str] = Counter()
        self.device = ""
        """As the file's own metadata says."""
        self._told: list[str] = []
        self._file = io.BytesIO(source.data)
        self._reader = mcap.stream_reader.StreamReader(self._file, emit_chunks=True)
        self._breakup = mcap.stream_reader.breakup_chunk
        self._decoders: dict[int, Callable[[bytes], Any] | None] = {}
        self._unread: dict[str, Counter[str]] = {}
        self._unpacked = 0

    def messages(self) -> Iterator[tuple[Schema | None, Channel, Any]]:
        """All that can be read, in the file's order."""
        from mcap.records import Channel, Message, Metadata, Schema

        schemas: dict[int, Schema] = {}
        channels: dict[int, Channel] = {}
        for record in self._records():
            if isinstance(record, Schema):
                schemas[record.id] = record
            elif isinstance(record, Channel):
                channels[record.id] = record
            elif isinstance(record, Metadata) and record.name == ABOUT:
                self.device = record.metadata.get("device", "")
            elif isinstance(record, Message):
                channel = channels.get(record.channel_id)
                if channel is None:
                    self.lost["messages"] += 1
                else:
                    yield schemas.get(channel.schema_id), channel, record

    def _records(self) -> Iterator[Any]:
        from mcap.records import Chunk, DataEnd, Footer

        records, at, ended = self._reader.records, 0, False
        while True:
            try:
                record = next(records, None)
            except Exception as error:  # what damage makes the library raise is its to choose
                if not ended:  # behind the data lies an index, which nothing here needs
                    gone = len(self.source.data) - at
                    self.lost[LOST_BYTES] += gone
                    words = str(error).splitlines()[0] if str(error) else type(error).__name__
                    self._told.append(
                        f"the file is cut off or damaged at byte {at} ({words}): {gone} bytes were not read"
                    )
                return
            if record is None:
                return
            at, ended = self._file.tell(), ended or isinstance(record, DataEnd | Footer)
            if isinstance(record, Chunk):
                yield from self._of_chunk(record)
            else:
                yield record

    def _of_chunk(self, chunk: Any) -> list[Any]:
        self._unpacked += max(chunk.uncompressed_size, _said(chunk))
        if self._unpacked > self.source.max_bytes:
            raise too_large(self.source.path, f"{self._unpacked:,} bytes", self.source.max_bytes)
        try:
            return list(self._breakup(chunk, validate_crc=True))
        except Exception:  # the same
            self.lost["chunks"] += 1
            self.lost[LOST_BYTES] += len(chunk.data)
            return []

    def decode(self, schema: Schema | None, channel: Channel, message: Any) -> Any:
        """A message; None where it cannot be read, which is counted."""
        if channel.id not in self._decoders:
            self._decoders[channel.id] = self._decoder(schema, channel)
        decoder = self._decoders[channel.id]
        if decoder is None:
            why = f"{channel.message_encoding or 'no'} encoding of {schema.name if schema else 'no schema'}"
            self._unread.setdefault(why, Counter())[channel.topic] += 1
            self.lost["messages of encodings that are not read"] += 1
            return None
        try:
            return decoder(message.data)
        except Exception:  # the same
            self.lost["messages"] += 1
            return None

    def _decoder(self, schema: Schema | None, channel: Channel) -> Callable[[bytes], Any] | None:
        if channel.message_encoding == "json":
            return msgspec.json.decode
        try:
            if channel.message_encoding == "cdr":
                from mcap_ros2.decoder import DecoderFactory as Ros2

                return _made(Ros2(), schema, "cdr")
            if channel.message_encoding == "protobuf":
                from mcap_protobuf.decoder import DecoderFactory as Protobuf

                return _made(Protobuf(), schema, "protobuf")
        except ImportError as error:
            what = f"{self.source.path}: its messages are {channel.message_encoding}, which"
            raise MissingLibraryError(what, error.name, "formats") from None
        return None

    def mark(self, said: Any) -> list[FileMark]:
        """The mark of a message; none where it says nothing."""
        try:
            start_ns, end_ns, label = int(said["start_ns"]), int(said["end_ns"]), file_label(str(said["label"]))
        except (KeyError, TypeError, ValueError):
            start_ns, end_ns, label = 0, -1, ""
        if not label or end_ns < start_ns:
            self.lost["marks"] += 1
            return []
        return [FileMark(start_ns, end_ns, label)]

    def notes(self) -> list[str]:
        """What a person should know."""
        told = list(self._told)
        if chunks := self.lost["chunks"]:
            told.append(f"{chunks} chunks are damaged, as their checksums say, and were left out")
        if bad := self.lost["messages"]:
            told.append(f"{bad} messages are damaged and were left out")
        for why, topics in self._unread.items():
            count = sum(topics.values())
            told.append(
                f"{count} messages of {', '.join(sorted(topics)[:5])} were not read: {why}; JSON, protobuf and ROS 2 "
                "(cdr with ros2msg) are. Of ROS 1: rosbags-convert makes ROS 2 of it"
            )
        return told


def _made(factory: Any, schema: Schema | None, encoding: str) -> Callable[[bytes], Any] | None:
    """A factory's decoder; None of a schema that is damaged, or of a kind that it does not know."""
    try:
        made: Callable[[bytes], Any] | None = factory.decoder_for(encoding, schema)
    except Exception:  # what a damaged schema makes the libraries raise is theirs to choose
        return None
    return made


def _said(chunk: Any) -> int:
    """What a packed chunk itself says that it unpacks to."""
    if chunk.compression != "zstd":
        return 0
    import zstandard

    try:
        return max(0, int(zstandard.frame_content_size(chunk.data)))
    except zstandard.ZstdError:
        return 0
