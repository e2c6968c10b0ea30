"""The source `mqtt`: the messages of a topic, each acknowledged (PUBACK) when its bytes are durable, not before.

MQTT 5 by default, with a session that outlives the connection and a receive maximum so large that a broker can send
for seconds without an acknowledgement. On 3.1.1 the broker decides how many messages may be under way (Mosquitto: 20)
and drops what its queue then cannot hold, so the arrival that fills this window is marked `urgent`.

A message that was not acknowledged on the connection on which it came is delivered again by the broker, with its
packet id: `Arrival.identity` is made of it, of the topic and of the payload, `Arrival.redelivered` is its DUP flag.
Which of them come no more is in `redelivery`; up to when the topic was heard, and what its broker may have dropped, in
`hearing`.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
from collections import deque
from collections.abc import AsyncIterator, Hashable, Iterable, Mapping
from functools import lru_cache
from typing import ClassVar, Final, NamedTuple, Self

from paho.mqtt.client import MQTTMessage, topic_matches_sub

from edge.devices import NAMELESS
from edge.errors import SourceUnavailableError
from edge.protocol import Arrival, Interruption, Key, Settled, Source, SourceConfig
from edge.sources.backoff import Backoff
from edge.sources.clock import now
from edge.sources.mqtt.client import suspicion
from edge.sources.mqtt.failures import one_line
from edge.sources.mqtt.hearing import CONNECTION_LOST, Hearing
from edge.sources.mqtt.link import Link, Question, describe
from edge.sources.mqtt.redelivery import Redelivery
from edge.sources.mqtt.settings import KEYS, Settings, passing, settings
from ingest.errors import PermanentError
from ingest.times import NS

QUEUE_BYTES: Final = 8_000_000
MESSAGE_BYTES: Final = 400
"""What a waiting message takes besides its payload, roughly."""
FIRST_DELAY_S, MOST_DELAY_S = 0.2, 5.0
"""A broker that is back is found within the latter: what its queue cannot hold meanwhile is lost."""
STEADY_S: Final = 60.0
"""A connection that lives longer than this was a success: only then the next delay is short again."""
SHORT_LIVES: Final = 3
"""So many connections in a row that were made and soon closed: Mosquitto says no more of a client id used twice."""
REPEATING_NS: Final = 10 * NS
"""A broker repeats what it has to repeat when a connection begins; by then it has, whatever its order is."""
NEVER_NS: Final = 1 << 62
LEAVE_S: Final = 10.0
"""So long what a session held is waited for, when it is given up."""
TROUBLE_S: Final = 60.0
"""What was wrong with a message is told for so long."""
TOO_LARGE: Final = "message_too_large"
BAD_TOPIC: Final = "bad_topic"
_PLAIN_BYTES: Final = 64
"""A longer payload is hashed for its identity, not copied."""


class Whose(NamedTuple):
    """Device and stream of a message, as `Arrival` has them."""

    device: str = ""
    stream: str = ""


NOBODY: Final = Whose()


class MqttSource:
    """A topic of a broker as a `Source`."""

    keys: ClassVar[Mapping[str, Key]] = KEYS

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
        self._whose = lru_cache(1024)(self._whose_of)
        self._hearing = Hearing(settings.window, settings.qos, settings.longest_wait_ns, has_grid=settings.has_grid)
        self._redelivery = Redelivery()
        self._repeats_until_ns = NEVER_NS
        self._topics: dict[Whose, str] = {}
        """By device and stream, the first one that a message came of; with wildcards, one of several."""
        self._heard_ns = 0
        self._trouble, self._trouble_ns = "", 0

    @classmethod
    def from_config(cls, config: SourceConfig) -> Self:
        """`broker` (`mqtt://host:1883`, `mqtts://…`) and `topic`, and what is in `keys`. Raises `UsageError`."""
        return cls(settings(config))

    @classmethod
    def passing(cls, config: SourceConfig, token: str) -> Self:
        """The same for who only listens for a moment, and leaves nothing at the broker."""
        return cls(passing(settings(config), token))

    @property
    def trouble(self) -> str:
        """See `edge.protocol.Source`."""
        if self._link is not None and self._link.trouble:
            return self._link.trouble
        return self._trouble if now()[0] - self._trouble_ns < TROUBLE_S * NS else ""

    @property
    def missing(self) -> str:
        """See `edge.protocol.Source`: nobody keeps what has no quality of service."""
        has_failed = self.waiting_for and self._hearing.heard_ns
        return CONNECTION_LOST if has_failed and not self.settings.qos else ""

    @property
    def heard_ns(self) -> int | None:
        """See `edge.protocol.Source`. What waits here is not in the agent's books yet: until then it stands."""
        if not self._queue:
            self._heard_ns = self._hearing.heard_ns
        return self._heard_ns

    def settled(self) -> Settled:
        """See `edge.protocol.Source`."""
        return self._redelivery.take(item.identity for item in self._queue if isinstance(item, Arrival))

    async def open(self) -> None:
        """Connect and subscribe, however long it takes. Files that cannot be read are waited for, too: whoever puts
        them there need not start the agent anew, and its other sources go on."""
        if self._connecting is None:
            self._opened.clear()
            self._queue = deque(item for item in self._queue if isinstance(item, Interruption))  # the rest comes again
            self._queued_bytes = sum(map(_size, self._queue))
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

    async def leave(self, successor: Source | None) -> None:
        """See `edge.protocol.Leaving`: a session that nobody takes up is unsubscribed, and what it held is taken first,
        for `LEAVE_S` at most."""
        link = self._link
        goes_on = isinstance(successor, MqttSource) and _session(successor.settings) == _session(self.settings)
        if link is None or goes_on:
            return
        link.unsubscribe()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(LEAVE_S):
                came = -1
                while not link.lost.done() and (
                    link.messages != came or self._queue or len(link.unacknowledged) >= self.settings.window
                ):
                    came = link.messages
                    await link.settle()
                    await asyncio.sleep(0.02)  # who takes what came has its turn

    # --- connections

    def left(self) -> Iterable[Arrival | Interruption]:
        """See `edge.protocol.Source`: the broker brings again what it waits for, and nothing else."""
        left = [item for item in self._queue if isinstance(item, Interruption) or item.token is None]
        self._queue.clear()
        self._queued_bytes = 0
        return left

    async def _stay_connected(self) -> None:
        backoff = Backoff(FIRST_DELAY_S, MOST_DELAY_S)
        begin_ns, _ = now()
        short_lives = 0
        while True:
            reason, lived_s = await self._connection()
            self._hearing.failed(begin_ns)
            if lived_s > STEADY_S:
                backoff.reset()
                short_lives = 0
            elif lived_s:
                short_lives += 1
            if short_lives >= SHORT_LIVES:
                reason += f"; perhaps {suspicion(self.settings)}"
            self.waiting_for = one_line(f"{self.settings.url}: {reason}")
            await asyncio.sleep(backoff.next_s())

    async def _connection(self) -> tuple[str, float]:
        """One connection from its beginning to its end: why it ended, and for how many seconds it was of use."""
        self._links += 1
        try:
            self._link = link = Link(self.settings, self)
        except PermanentError as error:  # a file that it names cannot be read, or is none of its kind
            return str(error), 0.0
        try:
            session_kept = await link.open()
            connected_ns, _ = now()
            self._hearing.connected(session_kept, connected_ns)
            self._repeats_until_ns = connected_ns + (REPEATING_NS if session_kept else 0)
            if not session_kept:
                await link.subscribe()
            self.waiting_for = ""
            self._opened.set()
            begin_ns = now()[0]
            if session_kept:  # what waits in the session comes first, and comes only as far as it is taken
                await link.subscribe()
            return await link.lost, (now()[0] - begin_ns) / NS
        except SourceUnavailableError as error:
            return str(error), 0.0
        except Exception as error:  # whatever it is, it is told, and tried again
            return describe(error, self.settings), 0.0
        finally:
            self._link = None
            self._hearing.over()
            self._redelivery.connection_over()
            link.close()

    # --- what a link hears

    def deliver(self, link: Link, message: MQTTMessage, size: int) -> None:
        """See `edge.sources.mqtt.link.Listener`."""
        topic, payload = _topic(message), bytes(message.payload)
        if topic is None:
            self._leave_out(link, message, BAD_TOPIC, "a message's topic is not UTF-8: correct the publisher", NOBODY)
        elif message.retain or not self._wanted(topic):  # old news, or of a topic that was once subscribed to
            link.acknowledge(message.mid)
        elif size > self.settings.kept_bytes or len(payload) > self.settings.max_message:
            what = f'a message of {size:,} bytes of "{topic}"'
            limit = f'max_message = "{self.settings.max_message_text}"'
            words = f"{what} is more than {limit}: say a larger one, or send less"
            self._leave_out(link, message, TOO_LARGE, words, self._whose(topic))
            self.left_out(topic)
        else:
            self._take(link, message, topic, payload, self.compare(topic))

    def answered(self, question: Question, under_way: int) -> None:
        """See `edge.sources.mqtt.link.Listener`."""
        self._redelivery.settled(question.acknowledged)
        boot_ns, wall_ns = now()
        loss = self._hearing.answered(question.asked_ns, under_way, boot_ns)
        if loss is not None:  # it is said behind what has come: what was kept is not called lost
            self.put(Interruption(loss.reason, boot_ns, wall_ns, loss.since_ns))
        if self._hearing.is_current and boot_ns > self._repeats_until_ns:
            self._redelivery.repeated_all()
            self._repeats_until_ns = NEVER_NS

    def stalled(self) -> None:
        """See `edge.sources.mqtt.link.Listener`."""
        self._hearing.stalled(now()[0])

    def _take(self, link: Link, message: MQTTMessage, topic: str, payload: bytes, whose: Whose) -> None:
        boot_ns, wall_ns = now()
        publisher = "/".join(filter(None, whose)) if whose in self._topics else ""
        waited_ns = self._hearing.arrived(boot_ns, len(link.unacknowledged), publisher)
        if not message.qos:
            item = Arrival(payload, boot_ns, wall_ns, is_message=True, waited_ns=waited_ns, **whose._asdict())
            self.hand_on(link, topic, item)
            return
        said = payload if len(payload) <= _PLAIN_BYTES else hashlib.blake2b(payload, digest_size=32).digest()
        identity = b"%d %s\0%s" % (message.mid, topic.encode(), said)
        link.unacknowledged[message.mid] = identity
        self._redelivery.delivered(identity)
        item = Arrival(
            payload,
            boot_ns,
            wall_ns,
            token=(self._links, message.mid),
            identity=identity,
            redelivered=message.dup,
            is_message=True,
            urgent=len(link.unacknowledged) >= self.settings.window,
            waited_ns=waited_ns,
            **whose._asdict(),
        )
        self.hand_on(link, topic, item)

    def hand_on(self, link: Link, topic: str, item: Arrival) -> None:
        """A message for the agent; those that read more in it do so here."""
        self.put(item)

    def left_out(self, topic: str) -> None:
        """A message of this topic was too large to be taken; for those that read more in it."""

    def _leave_out(self, link: Link, message: MQTTMessage, reason: str, words: str, whose: Whose) -> None:
        """No reading of this message mends it: it is counted as lost, told, and not delivered again."""
        self._tell(words)
        boot_ns, wall_ns = now()
        complete_ns = self._hearing.heard_ns
        waited_ns = self._hearing.arrived(boot_ns, len(link.unacknowledged))
        since_ns = boot_ns - waited_ns if waited_ns else complete_ns
        self.put(Interruption(reason, boot_ns, wall_ns, since_ns, **whose._asdict()))
        link.acknowledge(message.mid)

    def compare(self, topic: str) -> Whose:
        """Whose message it is, where the topic says it; a second topic in one stream is told."""
        whose = self._whose(topic)
        first = self._topics.get(whose)
        if first is None:
            if len(self._topics) < self.settings.max_devices:
                self._topics[whose] = topic
        elif topic != first:
            self._tell(
                f'messages of "{first}" and of "{topic}" are mixed in one stream; where these are two sensors, tell '
                "them apart by a {device} or {stream} in the topic, or name one topic in each source"
            )
        return whose

    def _whose_of(self, topic: str) -> Whose:
        """What tells devices and streams apart, where the topic does; it need not be their name."""
        settings, levels = self.settings, topic.split("/")
        values = {part: levels[level] for part, level in settings.parts.items()}
        device, stream = (
            "" if pattern is None else pattern.fill(values) or NAMELESS
            for pattern in (settings.devices, settings.streams)
        )
        return Whose(device, stream)

    def _tell(self, trouble: str) -> None:
        self._trouble, self._trouble_ns = one_line(trouble), now()[0]

    def put(self, item: Arrival | Interruption) -> None:
        """Into the queue of what the agent takes; reading rests while that is full."""
        self._queue.append(item)
        self._queued_bytes += _size(item)
        if self._link is not None and self._queued_bytes >= QUEUE_BYTES:
            self._link.pause(True)
        self._filled.set()


def _session(settings: Settings) -> tuple[str, str, str]:
    """What a broker keeps messages for."""
    return settings.url, settings.client_id, settings.topic


def _size(item: Arrival | Interruption) -> int:
    return MESSAGE_BYTES + (len(item.data) if isinstance(item, Arrival) else 0)


def _topic(message: MQTTMessage) -> str | None:
    """A message's topic; None where it is not UTF-8, as it must be (MQTT 5.0, section 1.5.4)."""
    try:
        return message.topic
    except UnicodeDecodeError:
        return None
