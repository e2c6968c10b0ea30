"""One connection to an MQTT broker, on the event loop: paho speaks the protocol, this says when it may.

paho's own thread is not used: everything but the connecting itself happens on the loop, so that no acknowledgement
can slip from one connection into the next, where its packet id may name another message.

A broker answers in order: what was said to it before a question was read when the answer is there. So a question (a
ping) follows each batch of acknowledgements, and five seconds of silence; who does not answer is no longer there.
"""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Protocol, TypeVar

from paho.mqtt.client import Client, ConnectFlags, MQTTMessage
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from edge.errors import SourceUnavailableError
from edge.sources.clock import now
from edge.sources.mqtt import failures
from edge.sources.mqtt.client import CONNECT_S, connect, new_client, subscription, suspicion
from edge.sources.mqtt.settings import Settings
from ingest.times import NS

T = TypeVar("T")
ANSWER_S: Final = 5.0
SETTLE_S: Final = 2.0
HOUSEKEEPING_S: Final = 1.0
SILENCE_S: Final = 4.0
"""After so long without a byte the broker is asked whether it is there."""
LATE_S: Final = 1.0
"""What comes while a question has waited so long for its answer has waited in the network, too."""
TELL_S: Final = 3.0
"""That it does not answer is told after so long."""
PATIENCE_S: Final = 20.0
"""Who has not answered for so long is gone."""
STALL_S: Final = 2.0
"""A loop that did not run for so long has let what came wait in the kernel."""
MESSAGES_AT_ONCE: Final = 100
_TAKEN_OVER: Final = 142
_UNSPECIFIED: Final = 128


@dataclass(frozen=True, slots=True)
class Question:
    """What the broker was asked, and what it has read when it answers."""

    asked_ns: int
    under_way: int
    """Messages that waited for an acknowledgement then."""
    messages: int
    """How many had come."""
    acknowledged: tuple[bytes, ...]
    """Identities of what was acknowledged before it, and after the question before."""
    answered: asyncio.Future[None]


class Listener(Protocol):
    """Who hears what comes on a link. Nothing of it may raise."""

    def deliver(self, link: Link, message: MQTTMessage, size: int) -> None:
        """A message; `size` is its packet's, which may be more than what was kept of it."""
        ...

    def answered(self, question: Question, under_way: int) -> None:
        """The broker has answered, with so many messages under way."""
        ...

    def stalled(self) -> None:
        """What comes from now on may have waited in the kernel."""
        ...


class Link:
    """One connection, from `open` and `subscribe` until `lost` is done.

    A broker that kept the session sends what waits in it before it answers a subscription: after `open`, messages may
    come, and must be taken for that answer to come.
    """

    def __init__(self, settings: Settings, listener: Listener) -> None:
        self.settings: Final = settings
        self.unacknowledged: Final[dict[int, bytes]] = {}
        """By packet id, the identity of what the broker waits for."""
        self._listener = listener
        self._client = new_client(settings)
        self._client.on_connect = self._on_connect
        self._client.on_subscribe = self._on_subscribe
        self._client.on_disconnect = self._on_disconnect
        self._client.on_message = self._on_message
        self._client.on_socket_close = self._on_socket_close
        self._client.on_pingreq = self._note_question
        self._client.on_pingresp = self._on_answer
        self._loop = asyncio.get_running_loop()
        self._session_kept: asyncio.Future[bool] = self._loop.create_future()
        self._granted: asyncio.Future[int] = self._loop.create_future()
        self.lost: Final[asyncio.Future[str]] = self._loop.create_future()
        """Done when the connection is over, with what people should know about it."""
        self.messages = 0
        """How many have come."""
        self._paused = False
        self._questions: deque[Question] = deque()
        self._acknowledged: list[bytes] = []
        self._heard_ns = self._alive_ns = now()[0]
        """When bytes came; when the loop ran."""
        self._housekeeping: asyncio.TimerHandle | None = None
        self._asking: asyncio.Handle | None = None
        self._reading: asyncio.Handle | None = None

    async def open(self) -> bool:
        """Connect; whether the broker still had the session, and with it the subscription.

        Raises:
            SourceUnavailableError, OSError, UnicodeError: it did not work out this time.
        """
        await asyncio.to_thread(connect, self.settings, self._client)
        socket = self._client.socket()
        if socket is None:
            raise SourceUnavailableError(
                failures.closed_unanswered(self.settings, "the connection was closed", self._client.alert)
            )
        # Set only now: connecting writes from a thread of its own, where the loop must not be touched.
        self._client.on_socket_register_write = self._on_socket_register_write
        self._client.on_socket_unregister_write = self._on_socket_unregister_write
        if self._client.want_write():
            self._loop.add_writer(socket, self._client.loop_write)
        self._loop.add_reader(socket, self._readable)
        self._heard_ns = self._alive_ns = now()[0]
        self._housekeep()
        return await self._answer(self._session_kept)

    async def subscribe(self) -> None:
        """Subscribe, also in a session that was kept: it may have begun with another topic.

        Raises:
            SourceUnavailableError: the broker does not answer, or grants less than what loses nothing.
        """
        self._client.subscribe([subscription(self.settings)])
        self._note_question()
        granted = await self._answer(self._granted, behind_messages=True)
        if granted < self.settings.qos:
            raise SourceUnavailableError(f"grants QoS {granted}, wanted is {self.settings.qos}: it would lose messages")

    def unsubscribe(self) -> None:
        """Nothing new of the topic is to be kept; when the next question is answered, it is so."""
        if self._session_kept.done() and not self.lost.done():
            self._client.unsubscribe(self.settings.topic)

    async def settle(self) -> None:
        """Return when the broker has seen every acknowledgement so far, or will not answer.

        Mosquitto reads a packet a turn, and drops what it has not read of a connection that a newer one of the same
        client replaces: who starts again quickly would be sent again what it had acknowledged.
        """
        if self._session_kept.done() and not self.lost.done():
            self._ask()
            if self._questions:
                waiting = self._questions[-1].answered
                await asyncio.wait((waiting, self.lost), timeout=SETTLE_S, return_when=asyncio.FIRST_COMPLETED)

    @property
    def trouble(self) -> str:
        """That the broker does not answer, for people; empty where it does."""
        unanswered_s = self._unanswered_s()
        if unanswered_s < TELL_S:
            return ""
        return f"no answer for {unanswered_s:.0f} s; is the network cut? It connects anew after {PATIENCE_S:g} s"

    def _unanswered_s(self) -> float:
        """For how long a question has waited for its answer without a sign of the broker."""
        if self._paused or not self._questions or self.lost.done():
            return 0.0
        return (now()[0] - max(self._questions[0].asked_ns, self._heard_ns)) / NS

    async def _answer(self, answer: asyncio.Future[T], *, behind_messages: bool = False) -> T:
        """The answer; `behind_messages`: it may take as long as messages come before it."""
        while True:
            heard, was_paused = self.messages, self._paused
            await asyncio.wait((answer, self.lost), timeout=ANSWER_S, return_when=asyncio.FIRST_COMPLETED)
            if answer.done():
                return answer.result()
            if self.lost.done():
                raise SourceUnavailableError(self.lost.result())
            if not (behind_messages and (was_paused or self._paused or self.messages != heard)):
                raise SourceUnavailableError(f"no answer in {ANSWER_S:g} s; is it an MQTT broker that listens there?")

    def leave(self, reason: str) -> None:
        """The connection is over; its owner closes it."""
        self._end(reason)

    def close(self) -> None:
        """Say goodbye, so far as that can be said, and let go."""
        self._end("closed")
        self._client.disconnect()
        self._client.loop_write()
        socket = self._client.socket()
        if socket is not None:
            self._on_socket_close(self._client, None, socket)
            socket.close()

    def pause(self, on: bool) -> None:
        """Read no more for now, or read again: what the broker then holds back is its own queue's matter."""
        socket = self._client.socket()
        if on is self._paused or socket is None or self.lost.done():
            return
        self._paused = on
        if on:
            self._loop.remove_reader(socket)
        else:
            self._listener.stalled()
            self._heard_ns = now()[0]
            self._loop.add_reader(socket, self._readable)
            self._read_on_soon()
            self._ask_soon()

    def acknowledge(self, packet_id: int) -> None:
        """PUBACK a message; nothing happens where the connection is over, or the broker does not wait for it."""
        if packet_id in self.unacknowledged and not self.lost.done():
            identity = self.unacknowledged.pop(packet_id)
            if identity:
                self._acknowledged.append(identity)
            self._client.ack(packet_id, 1)
            self._ask_soon()

    def publish(self, topic: str, payload: bytes) -> None:
        """Say something that may be lost (QoS 0); nothing happens where the connection is over."""
        if self._session_kept.done() and not self.lost.done():
            self._client.publish(topic, payload, qos=0)

    # --- questions

    def _ask_soon(self) -> None:
        """Ask behind all that is said in this turn of the loop."""
        if self._asking is None:
            self._asking = self._loop.call_soon(self._ask)

    def _ask(self) -> None:
        self._asking = None
        if self._session_kept.done() and not self.lost.done():
            self._client.ping()

    def _note_question(self) -> None:
        said, self._acknowledged = tuple(self._acknowledged), []
        waiting = self._loop.create_future()
        self._questions.append(Question(now()[0], len(self.unacknowledged), self.messages, said, waiting))

    def _on_answer(self) -> None:
        """The oldest question is answered."""
        if not self._questions:
            return  # to nothing that was asked
        question = self._questions.popleft()
        question.answered.set_result(None)
        self._listener.answered(question, question.under_way + self.messages - question.messages)

    # --- the loop

    def _readable(self) -> None:
        """Read messages until there are none, or the loop's other work should have its turn."""
        self._note_alive()
        if self._unanswered_s() > LATE_S:
            self._listener.stalled()
            self._ask_soon()
        self._heard_ns = self._alive_ns
        try:
            for _ in range(MESSAGES_AT_ONCE):
                before = self.messages
                self._client.loop_read()
                if self._paused or self.lost.done() or (self.messages == before and not self._client.has_more):
                    break
            self._read_on_soon()
        except Exception as error:  # what bytes that are no MQTT make paho raise is of many kinds
            self._end(f"it sends what cannot be understood: {error!r}")

    def _read_on_soon(self) -> None:
        """Bytes that were read, or decrypted, are nothing that the event loop hears of."""
        if self._reading is None and self._client.has_more and not self._paused and not self.lost.done():
            self._reading = self._loop.call_soon(self._read_on)

    def _read_on(self) -> None:
        self._reading = None
        if not self._paused:
            self._readable()

    def _note_alive(self) -> None:
        """The loop runs; where it did not for a while, what is read now has waited."""
        at_ns = now()[0]
        if at_ns - self._alive_ns > STALL_S * NS:
            self._listener.stalled()
            self._heard_ns = at_ns
            self._ask_soon()
        self._alive_ns = at_ns

    def _housekeep(self) -> None:
        """Keep-alives, and noticing that the other side is gone."""
        if self.lost.done():
            return
        self._note_alive()
        self._client.loop_misc()
        if self._unanswered_s() >= PATIENCE_S:
            self._end(f"no answer for {PATIENCE_S:g} s; is the network cut?")
        elif not self._questions and not self._paused and self._alive_ns - self._heard_ns >= SILENCE_S * NS:
            self._ask()
        self._housekeeping = self._loop.call_later(HOUSEKEEPING_S, self._housekeep)

    def _end(self, reason: str) -> None:
        if not self.lost.done():
            self.lost.set_result(reason)
        for handle in (self._housekeeping, self._asking, self._reading):
            if handle is not None:
                handle.cancel()

    # --- paho's callbacks

    def _on_connect(
        self, client: Client, userdata: Any, flags: ConnectFlags, reason: ReasonCode, properties: Properties | None
    ) -> None:
        if reason.is_failure:
            self._end(failures.refused(reason.value, str(reason), self.settings))
        elif not self._session_kept.done():
            self._session_kept.set_result(flags.session_present)

    def _on_subscribe(
        self, client: Client, userdata: Any, mid: int, reasons: list[ReasonCode], properties: Properties | None
    ) -> None:
        if reasons[0].is_failure:
            self._end(failures.subscribing(self.settings.topic, reasons[0].value, str(reasons[0])))
        elif not self._granted.done():
            self._granted.set_result(int(reasons[0].value))
            self._on_answer()

    def _on_disconnect(
        self, client: Client, userdata: Any, flags: Any, reason: ReasonCode, properties: Properties | None
    ) -> None:
        said = "connection lost" if reason.value == _UNSPECIFIED else f"connection lost: {reason}"
        if reason.value == _TAKEN_OVER:
            self._end(suspicion(self.settings))
        elif self._session_kept.done():
            self._end(said)
        else:
            self._end(failures.closed_unanswered(self.settings, said, self._client.alert))

    def _on_message(self, client: Client, userdata: Any, message: MQTTMessage) -> None:
        self.messages += 1
        if message.qos:
            self.unacknowledged[message.mid] = b""
        self._listener.deliver(self, message, self._client.packet_size)

    def _on_socket_register_write(self, client: Client, userdata: Any, socket: Any) -> None:
        """paho has something to say: it is written when the loop comes to it, however many acknowledgements it is."""
        self._loop.add_writer(socket, client.loop_write)

    def _on_socket_unregister_write(self, client: Client, userdata: Any, socket: Any) -> None:
        self._loop.remove_writer(socket)

    def _on_socket_close(self, client: Client, userdata: Any, socket: Any) -> None:
        self._loop.remove_reader(socket)
        self._loop.remove_writer(socket)


def describe(error: Exception, settings: Settings) -> str:
    """What people make of a failed attempt to connect."""
    return failures.connecting(error, settings, CONNECT_S, datetime.now())
