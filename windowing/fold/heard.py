"""What was heard of recordings and streams beside their samples. Pure.

It is kept with a dataset: which attributes a window's recording has, in which units its streams came, and which streams
there were that no window names.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple

import msgspec

from ingest.records import Chunk, RecordingStart, StreamDescription

_REMEMBERED_MAX: Final = 100_000


class Started(NamedTuple):
    """A recording says what is so of it."""

    device: str
    recording: str
    offset: int
    start_ns: int
    attributes: Mapping[str, str]


class Described(NamedTuple):
    """A stream of a recording came under a description, for the first time or after another one."""

    device: str
    recording: str
    stream: str
    offset: int
    named: bool
    """Windows name the stream."""
    rate_hz: float
    """The nominal rate; 0 where there is none, or the description is not known."""
    channels: tuple[str, ...]
    units: tuple[str, ...]
    states: str
    """What the channels' values mean, a JSON object of channel, code and name; empty where no channel has states."""


class Hearing:
    """Remembers under which recording and description each stream came last, so that each change is told once.

    It is not saved: after a restart the same may be told again, which changes nothing.
    """

    def __init__(self) -> None:
        self._last: dict[tuple[str, str], tuple[str, bytes]] = {}

    def stream(
        self, chunk: Chunk, offset: int, description: StreamDescription | None, *, named: bool
    ) -> Described | None:
        """What to keep of a chunk's stream; None where nothing has changed."""
        key, now = (chunk.device, chunk.stream), (chunk.recording, chunk.schema)
        if self._last.get(key) == now:
            return None
        if len(self._last) >= _REMEMBERED_MAX:  # names are a device's to choose
            self._last.clear()
        self._last[key] = now
        rate = 0.0
        channels: tuple[str, ...] = ()
        units: tuple[str, ...] = ()
        states = ""
        if description is not None:
            rate = description.rate_num / description.rate_den if description.rate_den else 0.0
            channels = tuple(channel.name for channel in description.channels)
            units = tuple(channel.unit for channel in description.channels)
            states = _told(description)
        return Described(chunk.device, chunk.recording, chunk.stream, offset, named, rate, channels, units, states)


def _told(description: StreamDescription) -> str:
    states = {channel.name: dict(channel.states) for channel in description.channels if channel.states}
    return msgspec.json.encode(states).decode() if states else ""


def started(record: RecordingStart, offset: int) -> Started | None:
    """What to keep of a recording's start; None where it says nothing of itself."""
    if not record.attributes:
        return None
    return Started(record.device, record.recording, offset, record.start_ns, record.attributes)
