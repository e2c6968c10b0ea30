"""Where virtual sensors speak: a pseudo-terminal, a topic of an MQTT broker, a log. The shell around `speech`."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence
from typing import Any, Final, Protocol

from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion

from ingest.errors import LogUnavailableError, TransientError
from ingest.log.protocol import READINGS, STREAMS, Entry, Log
from ingest.opening import open_log
from ingest.records import RecordingEnd, RecordingStart, StreamDescription, schema_id
from ingest.wire import decode, encode
from simulators.scenario import ViaLog, ViaMqtt, ViaSerial
from simulators.speech import Utterance
from simulators.terminal import Terminal

LISTENER_POLL_S: Final = 0.02
LISTENER_GRACE_S: Final = 0.1
"""A program that opens a port throws away what it finds there, a moment after."""
QUIET_LOOKS: Final = 10
CONNECT_S: Final = 5.0
UNDER_WAY: Final = 1000
"""Messages that a broker has not taken yet."""
FAREWELL_S: Final = 20.0


class Voice(Protocol):
    """One sensor's way out."""

    unheard: int
    """Samples that nobody took."""

    async def open(self) -> None:
        """Get ready; waits for a listener where there must be one. Raises `SensorloomError`."""
        ...

    async def say(self, utterances: Sequence[Utterance]) -> None:
        """Say these now; returns when they are on their way."""
        ...

    async def close(self) -> None:
        """Return when all that was said has arrived, and let go. May be called without `open`, and twice."""
        ...


class SerialVoice:
    """Speaks on a port that appears; while nobody reads, what is said is lost, as on a real line."""

    def __init__(self, via: ViaSerial) -> None:
        self.unheard = 0
        self._path = via.port
        self._terminal: Terminal | None = None

    async def open(self) -> None:
        """The port appears; wait for its first reader."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._terminal = Terminal(self._path)
        while not self._terminal.is_read:  # noqa: ASYNC110 - nothing tells of a reader but looking
            await asyncio.sleep(LISTENER_POLL_S)
        await asyncio.sleep(LISTENER_GRACE_S)
        self._terminal.offer(b"\n")  # who joins leaves out what comes before a line feed: it may be the rest of a line

    async def say(self, utterances: Sequence[Utterance]) -> None:
        """Write, waiting for a reader that is slow."""
        terminal = self._terminal
        assert terminal is not None
        rest = memoryview(b"".join(utterance.data for utterance in utterances))
        while rest:
            if not terminal.is_read:
                self.unheard += sum(utterance.samples for utterance in utterances)
                return
            rest = rest[terminal.offer(rest) :]
            if rest:
                await _writable(terminal)

    async def close(self) -> None:
        """The port vanishes, when what was said has been read."""
        terminal, self._terminal = self._terminal, None
        if terminal is None:
            return
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(FAREWELL_S):
                await _read_out(terminal)
        terminal.unplug()


async def _read_out(terminal: Terminal) -> None:
    """Until nothing waits for a reader: looked at several times, as the kernel carries bytes over in its own time."""
    quiet = 0
    while quiet < QUIET_LOOKS and terminal.is_read:
        quiet = 0 if terminal.unread else quiet + 1
        await asyncio.sleep(LISTENER_POLL_S)


async def _writable(terminal: Terminal) -> None:
    """Until it takes more, or its reader is gone."""
    loop = asyncio.get_running_loop()
    ready = asyncio.Event()
    loop.add_writer(terminal, ready.set)
    try:
        await ready.wait()
    finally:
        loop.remove_writer(terminal)


class MqttVoice:
    """Publishes, a message an utterance; QoS 1 messages wait through a broker's absence."""

    def __init__(self, via: ViaMqtt) -> None:
        self.unheard = 0
        self._via = via
        self._client = Client(CallbackAPIVersion.VERSION2)
        self._client.connect_timeout = CONNECT_S
        self._client.max_inflight_messages_set(UNDER_WAY)
        self._client.reconnect_delay_set(1, 2)
        self._client.on_publish = self._on_publish
        self._loop: asyncio.AbstractEventLoop | None = None
        self._under_way = 0
        self._taken = asyncio.Event()

    async def open(self) -> None:
        """Connect."""
        self._loop = asyncio.get_running_loop()
        try:
            await asyncio.to_thread(self._client.connect, self._via.host, self._via.port)
        except OSError as error:
            self._loop = None
            url = f"mqtt://{self._via.host}:{self._via.port}"
            raise TransientError(
                f"{url}: {error.strerror or error}; start a broker there, or give the scenario a [broker]"
            ) from None
        self._client.loop_start()

    def _on_publish(self, client: Client, userdata: Any, mid: int, reason: Any, properties: Any) -> None:
        if self._loop is not None:
            with contextlib.suppress(RuntimeError):  # the loop is closed: nobody counts any more
                self._loop.call_soon_threadsafe(self._count)

    def _count(self) -> None:
        self._under_way -= 1
        self._taken.set()

    async def say(self, utterances: Sequence[Utterance]) -> None:
        """Publish; waits while the broker has too many to take."""
        for utterance in utterances:
            await self._wait(UNDER_WAY - 1)
            self._under_way += 1
            self._client.publish(self._via.topic, utterance.data.removesuffix(b"\n"), self._via.qos)

    async def _wait(self, most: int) -> None:
        while self._under_way > most:
            self._taken.clear()
            await self._taken.wait()

    async def close(self) -> None:
        """Wait until the broker has all, or is gone for long."""
        if self._loop is None:
            return
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(FAREWELL_S):
                await self._wait(0)
        self.unheard = self._under_way
        self._loop = None
        self._client.disconnect()
        await asyncio.to_thread(self._client.loop_stop)


class LogVoice:
    """Appends records; a recording that was begun is ended, also when it is cut short."""

    def __init__(self, via: ViaLog, device: str, description: StreamDescription) -> None:
        self.unheard = 0
        self._via = via
        self._key = device.encode()
        self._description = description
        self._log: Log | None = None
        self._open: RecordingStart | None = None
        self._end_ns = 0

    async def open(self) -> None:
        """The stream's description first."""
        self._log = open_log(self._via.url)
        entry = Entry(schema_id(self._description), encode(self._description))
        await self._log.append(STREAMS, [entry])

    async def say(self, utterances: Sequence[Utterance]) -> None:
        """Append; tries again while the log is away."""
        for utterance in utterances:
            record = decode(utterance.data)
            if isinstance(record, RecordingStart):
                self._open = record
            elif isinstance(record, RecordingEnd):
                self._open = None
            self._end_ns = utterance.t_ns
        await self._append([Entry(self._key, utterance.data) for utterance in utterances])

    async def _append(self, entries: list[Entry]) -> None:
        assert self._log is not None
        while True:
            try:
                await self._log.append(READINGS, entries)
                return
            except LogUnavailableError:
                await asyncio.sleep(1.0)

    async def close(self) -> None:
        """End the recording and close the log."""
        log, self._log = self._log, None
        if log is None:
            return
        if self._open is not None:
            start, self._open = self._open, None
            end = RecordingEnd(start.device, start.recording, start.boot, self._end_ns, "interrupted")
            await log.append(READINGS, [Entry(self._key, encode(end))])
        await log.close()
