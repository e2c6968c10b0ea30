"""The source `mqtt`: the messages of a topic, each acknowledged (PUBACK) when its bytes are durable, not before.

MQTT 5 by default, with a session that outlives the connection and a receive maximum so large that a broker can send
for seconds without an acknowledgement. On 3.1.1 the broker decides how many messages may be under way (Mosquitto: 20)
and drops what its queue then cannot hold, so the arrival that fills this window is marked `urgent`.

A message that was not acknowledged on the connection on which it came is delivered again by the broker, with its
packet id: `Arrival.identity` is made of it, of the topic and of the payload, `Arrival.redelivered` is its DUP flag.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import deque
from collections.abc import AsyncIterator, Hashable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import ClassVar, Final, Self
from urllib.parse import urlsplit

from paho.mqtt.client import MQTTMessage, topic_matches_sub

from edge.errors import SourceUnavailableError
from edge.protocol import Arrival, Interruption, Key, SourceConfig
from edge.sources.backoff import Backoff
from edge.sources.clock import now
from edge.sources.mqtt.link import Link, Settings, describe
from ingest.errors import PermanentError, UsageError
from ingest.settings import suggest
from ingest.times import NS
from ingest.units import parse_duration

QUEUE_BYTES: Final = 8_000_000
MESSAGE_BYTES: Final = 400
"""What a waiting message takes besides its payload, roughly."""
FIRST_DELAY_S, MOST_DELAY_S = 0.2, 30.0
STEADY_S: Final = 60.0
"""A connection that lives longer than this was a success: only then the next delay is short again."""
SHORT_LIVES: Final = 3
"""So many connections in a row that were made and soon closed: Mosquitto says no more of a client id used twice."""
CONNECTION_LOST: Final = "connection_lost"
SESSION_LOST: Final = "session_lost"

_PORTS: Final = {"mqtt": 1883, "mqtts": 8883}
_VERSIONS: Final = {"5": 5, "3.1.1": 3}
_WINDOWS: Final = {5: 60_000, 3: 20}
_WINDOW_MAX: Final = 65_535
_EXPIRY_MAX_S: Final = 0xFFFFFFFF


class MqttSource:
    """A topic of a broker as a `Source`."""

    keys: ClassVar[Mapping[str, Key]] = {
        "broker": Key(
            "text",
            "The broker's address: `mqtt://host:1883`, or `mqtts://host:8883` for TLS.",
            '"mqtts://broker.example:8883"',
            synonyms=("server", "host", "hostname", "url", "uri", "address", "port", "ip"),
        ),
        "topic": Key(
            "text", "The topic whose messages are read.", '"plant/pump-7/acc"', synonyms=("topics", "subscribe")
        ),
        "qos": Key(
            "0 or 1",
            "1 loses nothing while the broker keeps the session; 0 is for what may be lost.",
            "0",
            "1",
            ("quality", "quality_of_service"),
        ),
        "client_id": Key(
            "text",
            "Under which name the broker keeps the session; each connection needs its own.",
            '"pump-7-acc"',
            "sensorloom-DEVICE-NAME",
            ("clientid", "client", "id"),
        ),
        "protocol": Key("5 or 3.1.1", "The version of MQTT.", '"3.1.1"', "5", ("version", "mqtt_version")),
        "window": Key(
            "whole number",
            "How many messages the broker sends before it waits for an acknowledgement; with 3.1.1 say what the "
            "broker's own setting is.",
            "1000",
            "60000; 20 with 3.1.1",
            ("receive_maximum", "inflight", "max_inflight", "max_inflight_messages"),
        ),
        "session_expiry": Key(
            "duration",
            "How long the broker keeps the session, and what waits in it, while this agent is away.",
            '"30d"',
            "7d",
            ("expiry", "session_expiry_interval", "clean_session", "clean_start"),
        ),
        "username": Key("text", "The name to log in with.", '"pump-7"', "none", ("user", "login", "user_name")),
        "password_file": Key(
            "text",
            "The file that holds the password and nothing else: a secret is never in agent.toml.",
            '"/etc/sensorloom/mqtt-password"',
            "none",
            ("password", "passwd", "pass", "secret", "token"),
        ),
        "ca_file": Key(
            "text",
            "The certificates that the broker's is checked against.",
            '"/etc/sensorloom/ca.pem"',
            "the system's",
            ("cafile", "ca", "ca_cert", "ca_certs", "cert", "certificate", "cacert", "tls_ca"),
        ),
    }

    def __init__(self, settings: Settings) -> None:
        self.settings: Final = settings
        self.waiting_for = f"{settings.url}: not connected yet"
        self._queue: deque[Arrival | Interruption] = deque()
        self._queued_bytes = 0
        self._filled = asyncio.Event()
        self._opened = asyncio.Event()
        self._link: Link | None = None
        self._links = 0
        self._connecting: asyncio.Task[None] | None = None
        self._wanted = lru_cache(1024)(lambda topic: topic_matches_sub(settings.topic, topic))

    @classmethod
    def from_config(cls, config: SourceConfig) -> Self:
        """`broker` (`mqtt://host:1883`, `mqtts://…`) and `topic`, and what is in `keys`. Raises `UsageError`."""
        return cls(_settings(config))

    @property
    def trouble(self) -> str:
        """See `edge.protocol.Source`."""
        return ""

    @property
    def missing(self) -> str:
        """See `edge.protocol.Source`: a broker keeps what has a quality of service."""
        return CONNECTION_LOST if self.waiting_for and not self.settings.qos else ""

    @property
    def heard_ns(self) -> int | None:
        """See `edge.protocol.Source`: up to now."""
        return None

    async def open(self) -> None:
        """Connect and subscribe, however long it takes.

        Raises:
            PermanentError: the password's or the certificate's file cannot be read.
        """
        if self._connecting is None:
            self.settings.client()  # files that cannot be read are told now
            self._opened.clear()
            self._queue.clear()
            self._queued_bytes = 0
            self._connecting = asyncio.create_task(self._stay_connected())
        await self._opened.wait()

    async def arrivals(self) -> AsyncIterator[Arrival | Interruption]:
        """What arrives, through any number of connections, until `close`."""
        await self.open()
        while self._connecting is not None:
            while self._queue:
                item = self._queue.popleft()
                self._queued_bytes -= _size(item)
                if self._link is not None and self._queued_bytes < QUEUE_BYTES // 2:
                    self._link.pause(False)
                yield item
            self._filled.clear()
            await self._filled.wait()

    def ack(self, token: Hashable) -> None:
        """PUBACK this message, if the connection on which it came is still there; else the broker delivers it again."""
        if isinstance(token, tuple) and self._link is not None and token[0] == self._links:
            self._link.acknowledge(token[1])

    def again(self) -> None:
        """Connect anew: on the same connection a broker never repeats itself, and counts what it waits for."""
        if self._link is not None:
            self._link.leave("asked to deliver again what was given up")

    async def close(self) -> None:
        """Disconnect; the broker keeps the session and what is not acknowledged."""
        connecting, self._connecting = self._connecting, None
        if connecting is not None:
            if self._link is not None:
                await self._link.settle()
            connecting.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await connecting
        self._opened.set()
        self._filled.set()

    async def _stay_connected(self) -> None:
        backoff = Backoff(FIRST_DELAY_S, MOST_DELAY_S)
        short_lives = 0
        while True:
            reason, lived_s = await self._connection()
            if lived_s > STEADY_S:
                backoff.reset()
                short_lives = 0
            elif lived_s:
                short_lives += 1
            if short_lives >= SHORT_LIVES:
                reason += f"; perhaps {self.settings.suspicion()}"
            self.waiting_for = f"{self.settings.url}: {reason}"
            await asyncio.sleep(backoff.next_s())

    async def _connection(self) -> tuple[str, float]:
        """One connection from its beginning to its end: why it ended, and for how many seconds it was of use."""
        self._links += 1
        try:
            self._link = link = Link(self.settings, self._deliver)
        except PermanentError as error:  # its files could be read once
            return str(error), 0.0
        try:
            session_kept = await link.open()
            if not session_kept:
                await link.subscribe()
            if self._opened.is_set():
                self._tell_interruption(session_kept)
            self.waiting_for = ""
            self._opened.set()
            begin = time.monotonic()
            if session_kept:  # what waits in the session comes first, and comes only as far as it is taken
                await link.subscribe()
            return await link.lost, time.monotonic() - begin
        except SourceUnavailableError as error:
            return str(error), 0.0
        except OSError as error:
            return describe(error), 0.0
        finally:
            self._link = None
            link.close()

    def _tell_interruption(self, session_kept: bool) -> None:
        """A connection is back: messages may be missing where the broker did not keep them."""
        if not self.settings.qos or not session_kept:
            reason = SESSION_LOST if self.settings.qos else CONNECTION_LOST
            self._put(Interruption(reason, *now()))

    def _deliver(self, link: Link, message: MQTTMessage) -> None:
        monotonic_ns, wall_ns = now()
        topic = message.topic
        if message.retain or not self._wanted(topic):  # old news, or of a topic that was once subscribed to
            link.acknowledge(message.mid)
            return
        payload = bytes(message.payload)
        if not message.qos:
            self._put(Arrival(payload, monotonic_ns, wall_ns, is_message=True))
            return
        self._put(
            Arrival(
                payload,
                monotonic_ns,
                wall_ns,
                token=(self._links, message.mid),
                identity=b"%d %s\0%s" % (message.mid, topic.encode(), payload),
                redelivered=message.dup,
                is_message=True,
                urgent=len(link.unacknowledged) >= self.settings.window,
            )
        )

    def _put(self, item: Arrival | Interruption) -> None:
        self._queue.append(item)
        self._queued_bytes += _size(item)
        if self._link is not None and self._queued_bytes >= QUEUE_BYTES:
            self._link.pause(True)
        self._filled.set()


def _size(item: Arrival | Interruption) -> int:
    return MESSAGE_BYTES + (len(item.data) if isinstance(item, Arrival) else 0)


def _settings(config: SourceConfig) -> Settings:
    where = config.where
    protocol = config.option("protocol", str, "5")
    if protocol not in _VERSIONS:
        raise UsageError(f'{where}: protocol: unknown version "{protocol}"{suggest(protocol, _VERSIONS)}')
    version = _VERSIONS[protocol]
    qos = config.option("qos", int, 1)
    if qos not in (0, 1):
        raise UsageError(f"{where}: qos: found {qos}; 1 loses nothing, 0 is for what may be lost")
    window = config.option("window", int, _WINDOWS[version])
    if not 1 <= window <= _WINDOW_MAX:
        raise UsageError(f"{where}: window: {window} is not in 1..{_WINDOW_MAX}")
    expiry_s = parse_duration(config.option("session_expiry", str, "7d")) // NS
    if not 0 < expiry_s <= _EXPIRY_MAX_S:
        raise UsageError(f"{where}: session_expiry: {expiry_s} s is not in 1..{_EXPIRY_MAX_S}")
    host, port, tls = _address(config.option("broker", str), where)
    return Settings(
        url=config.option("broker", str),
        host=host,
        port=port,
        tls=tls,
        topic=_topic(config.option("topic", str), where),
        qos=qos,
        client_id=config.option("client_id", str, f"sensorloom-{config.device}-{config.name}"),
        version=version,
        window=window,
        session_expiry_s=expiry_s,
        username=config.option("username", str, ""),
        password_file=_path(config, "password_file"),
        ca_file=_path(config, "ca_file"),
    )


def _path(config: SourceConfig, key: str) -> str:
    given = config.option(key, str, "")
    return str(Path(config.base) / given) if given else ""


def _topic(text: str, where: str) -> str:
    levels = text.split("/")
    if not text or "#" in "".join(levels[:-1]) or any(len(level) > 1 and set("#+") & set(level) for level in levels):
        raise UsageError(f'{where}: topic: "{text}" is no topic filter; write a/b, a/+/c (one level) or a/# (the rest)')
    return text


def _address(url: str, where: str) -> tuple[str, int, bool]:
    """Host, port, whether by TLS."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise UsageError(f'{where}: broker: "{url}": {error}') from None
    if parts.scheme not in _PORTS or not host or parts.path.strip("/") or parts.query:
        raise UsageError(f'{where}: broker: found "{url}"; write mqtt://host:1883, or mqtts://host:8883 for TLS')
    if parts.username or parts.password:
        raise UsageError(f"{where}: broker: holds a user's name; say it in username, and in password_file")
    return host, port or _PORTS[parts.scheme], parts.scheme == "mqtts"
