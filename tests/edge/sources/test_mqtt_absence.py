"""What is known of a topic while its broker is away, and after: on a real Mosquitto, and on one that does as told."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from edge.protocol import Arrival, Interruption, Settled
from edge.sources.clock import now
from edge.sources.mqtt import link as mqtt_link
from edge.sources.mqtt import source as mqtt
from edge.sources.mqtt.client import KEEPALIVE_S
from edge.sources.mqtt.source import MqttSource
from simulators.doubles.broker import ScriptedBroker
from tests.edge.sources.collecting import Taker, until
from tests.edge.sources.test_mqtt import (
    TOPIC,
    Publisher,
    at_least,
    config,
    lines,
    messages,
    numbered,
    opened,
    publisher,
)
from tests.support.mosquitto import Mosquitto

HELD_S = 0.3


def losses(taker: Taker) -> list[Interruption]:
    return [item for item in taker.items if isinstance(item, Interruption)]


def has_loss(taker: Taker) -> bool:
    return bool(losses(taker))


class Acknowledging(Taker):
    """Acknowledges what it takes at once, as if each message had an fsync of its own."""

    def __init__(self, source: MqttSource) -> None:
        super().__init__(source)
        self.source = source

    async def until(self, enough: Any) -> list[Arrival | Interruption]:
        def and_acknowledge(taker: Taker) -> bool:
            if taker.items and isinstance(taker.items[-1], Arrival):
                self.source.ack(taker.items[-1].token)
            return bool(enough(taker))

        return await super().until(and_acknowledge)


async def comes_as_it_is_published(taker: Taker, sensor: Publisher) -> None:
    """A message that did not wait, among a few: on a machine that is busy one may, and what comes in a heap after an
    absence may have been kept by its publisher."""
    for _ in range(50):
        sensor.publish(b"live")
        await taker.until(at_least(len(messages(taker)) + 1))
        if messages(taker)[-1].waited_ns == 0:
            return
        await asyncio.sleep(0.2)
    raise AssertionError("everything waits")


async def heard_anew(source: MqttSource, since_ns: int) -> None:
    await until(lambda: (source.heard_ns or 0) > since_ns)


@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
def test_while_the_broker_is_away_nothing_is_promised_and_after_it_what_may_be_missing_is_said(
    mosquitto: Mosquitto, protocol: str
) -> None:
    async def scenario() -> None:
        async with opened(mosquitto, protocol=protocol) as source:
            taker = Acknowledging(source)
            with publisher(mosquitto) as sensor:
                sensor.publish(b"before")
            await taker.until(at_least(1))
            await heard_anew(source, messages(taker)[0].monotonic_ns - 1)
            mosquitto.save()
            mosquitto.kill()
            await until(lambda: bool(source.waiting_for))
            stood_ns = source.heard_ns
            assert stood_ns is not None
            await asyncio.sleep(HELD_S)
            assert source.heard_ns == stood_ns
            mosquitto.restart()
            await taker.until(has_loss)
            (loss,) = losses(taker)
            assert loss.reason == "may_be_dropped"
            assert loss.since_ns == stood_ns
            assert loss.monotonic_ns > stood_ns + HELD_S * 1e9
            await heard_anew(source, loss.monotonic_ns - 1)
            with publisher(mosquitto) as sensor:
                await comes_as_it_is_published(taker, sensor)

    asyncio.run(scenario())


@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
def test_a_queue_that_ran_over_while_nobody_was_there_is_a_gap_around_what_it_kept(protocol: str) -> None:
    async def scenario(broker: Mosquitto) -> None:
        async with opened(broker, protocol=protocol) as source:
            await heard_anew(source, 0)
        away_ns, _ = now()
        with publisher(broker) as sensor:
            sensor.publish(*numbered(40))
            async with opened(broker, protocol=protocol) as source:
                assert source.heard_ns == 0 or source.heard_ns is None  # an earlier boot's books are not this one's
                taker = Acknowledging(source)
                await taker.until(has_loss)
                kept = messages(taker)
                assert 0 < len(kept) < 40
                assert all(item.waited_ns == 7 * 86_400 * 10**9 for item in kept)  # as long as the session lives
                (loss,) = losses(taker)
                assert (loss.reason, loss.since_ns) == ("may_be_dropped", 0)
                assert taker.items[-1] is loss  # behind what was kept
                assert (source.heard_ns or 0) >= loss.monotonic_ns > away_ns
                await comes_as_it_is_published(taker, sensor)

    with Mosquitto("max_queued_messages 10") as broker:
        asyncio.run(scenario(broker))


def test_what_waited_says_for_how_long(mosquitto: Mosquitto) -> None:
    async def scenario() -> None:
        async with opened(mosquitto) as source:
            taker = Acknowledging(source)
            with publisher(mosquitto) as sensor:
                await comes_as_it_is_published(taker, sensor)
                source.again()  # a connection that ends, and one that begins
                await until(lambda: bool(source.waiting_for))
                stood_ns = source.heard_ns or 0
                sensor.publish(b"kept")
                await taker.until(has_loss)
                kept = messages(taker)[-1]
                assert kept.waited_ns == kept.monotonic_ns - stood_ns > 0
                assert losses(taker)[0].since_ns == stood_ns

    asyncio.run(scenario())


def test_a_store_that_is_gone_is_a_gap_since_all_was_there(mosquitto: Mosquitto) -> None:
    async def scenario() -> None:
        async with opened(mosquitto) as source:
            taker = Acknowledging(source)
            with publisher(mosquitto) as sensor:
                sensor.publish(b"1")
                await taker.until(at_least(1))
                mosquitto.kill()
                await until(lambda: bool(source.waiting_for))
                stood_ns = source.heard_ns
                await asyncio.sleep(HELD_S)
                mosquitto.restart()  # nothing was saved
                await taker.until(has_loss)
                (loss,) = losses(taker)
                assert (loss.reason, loss.since_ns) == ("session_lost", stood_ns)
                assert loss.monotonic_ns - (loss.since_ns or 0) > HELD_S * 1e9

    asyncio.run(scenario())


def test_a_burst_that_a_small_queue_dropped_is_said_on_311() -> None:
    """The broker sends 20, and keeps what its queue holds; the rest it drops while it is connected, without a word."""

    async def scenario(broker: Mosquitto) -> None:
        async with opened(broker, protocol="3.1.1") as source:
            await heard_anew(source, 0)
            with publisher(broker) as sensor:
                await asyncio.to_thread(sensor.publish, *numbered(1000))
            taker = Acknowledging(source)
            await taker.until(has_loss)
            assert len(messages(taker)) < 1000
            assert losses(taker)[0].reason == "may_be_dropped"
            assert losses(taker)[0].since_ns

    with Mosquitto("max_queued_messages 200") as broker:
        asyncio.run(scenario(broker))


class Wire:
    """A way to a broker that can be cut so that nobody is told: bytes vanish, no connection is closed. Or it holds what
    it carries, as a radio link does, until that is over."""

    def __init__(self, port: int) -> None:
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port = self._server.getsockname()[1]
        self.cut = threading.Event()
        self.flowing = threading.Event()
        self.flowing.set()
        self._target = port
        self._sockets: list[socket.socket] = [self._server]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._server.accept()
                far = socket.create_connection(("127.0.0.1", self._target))
            except OSError:
                return
            self._sockets += [near, far]
            for here, there in ((near, far), (far, near)):
                threading.Thread(target=self._carry, args=(here, there, self.cut), daemon=True).start()

    def _carry(self, here: socket.socket, there: socket.socket, cut: threading.Event) -> None:
        try:
            while data := here.recv(65_536):
                self.flowing.wait()
                if not cut.is_set():
                    there.sendall(data)
            if not cut.is_set():
                there.shutdown(socket.SHUT_WR)
        except OSError:
            pass

    def mend(self) -> None:
        """New connections get through; those that were cut stay so."""
        self.cut = threading.Event()

    def close(self) -> None:
        self.flowing.set()
        for each in self._sockets:
            each.close()


@contextmanager
def wire(broker: Mosquitto) -> Iterator[Wire]:
    made = Wire(broker.port)
    try:
        yield made
    finally:
        made.close()


def test_a_link_that_is_cut_without_a_word_is_told_and_nothing_is_promised(
    mosquitto: Mosquitto, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in (("SILENCE_S", 0.4), ("TELL_S", 0.3), ("PATIENCE_S", 2.0), ("HOUSEKEEPING_S", 0.1)):
        monkeypatch.setattr(mqtt_link, name, value)

    async def scenario(cable: Wire) -> None:
        source = MqttSource.from_config(config(f"mqtt://127.0.0.1:{cable.port}"))
        await asyncio.wait_for(source.open(), 60)
        taker = Acknowledging(source)
        with publisher(mosquitto) as sensor:
            sensor.publish(b"1")
            await taker.until(at_least(1))
            for _ in range(3):  # it is silent, and known to have said nothing
                await heard_anew(source, source.heard_ns or 0)
            cable.cut.set()
            sensor.publish(b"2")
            await until(lambda: source.trouble.startswith("no answer for "))
            stood_ns = source.heard_ns
            assert source.waiting_for == ""
            await until(lambda: source.waiting_for.endswith("no answer for 2 s; is the network cut?"))
            assert source.heard_ns == stood_ns
            cable.mend()
            await taker.until(has_loss)
            assert [item for item in lines(taker.items) if item != b"1"] == [b"2"]
            assert losses(taker)[0].since_ns == stood_ns
            assert source.trouble == ""
        await source.close()

    with wire(mosquitto) as cable:
        asyncio.run(scenario(cable))


def test_what_a_slow_network_held_says_so(mosquitto: Mosquitto, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (("SILENCE_S", 0.1), ("LATE_S", 0.3), ("HOUSEKEEPING_S", 0.05)):
        monkeypatch.setattr(mqtt_link, name, value)

    async def scenario(cable: Wire) -> None:
        source = MqttSource.from_config(config(f"mqtt://127.0.0.1:{cable.port}"))
        await asyncio.wait_for(source.open(), 60)
        taker = Acknowledging(source)
        with publisher(mosquitto) as sensor:
            await heard_anew(source, 0)
            cable.flowing.clear()
            sensor.publish(b"1")
            held_ns, _ = now()
            await asyncio.sleep(1.0)
            stood_ns = source.heard_ns
            cable.flowing.set()
            await taker.until(at_least(1))
            (late,) = messages(taker)
            assert late.waited_ns >= late.monotonic_ns - held_ns
            assert late.monotonic_ns - late.waited_ns == stood_ns
            await heard_anew(source, late.monotonic_ns)
            await comes_as_it_is_published(taker, sensor)
            assert not has_loss(taker)  # the connection held: nothing is missing
        await source.close()

    with wire(mosquitto) as cable:
        asyncio.run(scenario(cable))


def test_it_says_when_it_is_asked_in_time() -> None:
    """A silent topic whose link is cut right after a byte: what is told is told within ten seconds."""
    ticks = 2 * mqtt_link.HOUSEKEEPING_S
    assert mqtt_link.SILENCE_S + mqtt_link.TELL_S + ticks < 10
    assert mqtt_link.PATIENCE_S < KEEPALIVE_S
    assert mqtt.MOST_DELAY_S <= 5  # a broker that is back is found before its queue is full


def test_a_new_message_that_equals_an_old_one_is_told_from_its_repetition() -> None:
    """A broker may use a packet id anew as soon as it has read the acknowledgement."""

    async def scenario(broker: ScriptedBroker) -> None:
        source = MqttSource.from_config(config(broker.url))
        await asyncio.wait_for(source.open(), 60)
        taker = Taker(source)
        broker.send(TOPIC, b"20.5", 1)
        await taker.until(at_least(1))
        (first,) = messages(taker)
        assert source.settled() == ([], frozenset({first.identity}))  # the broker knows of nothing else
        source.ack(first.token)
        found: list[bytes] = []
        while not found:
            await asyncio.sleep(0.005)
            found += source.settled().identities
        assert found == [first.identity]
        broker.drop()  # with a second message on its way
        await broker.until(subscriptions=2)
        broker.send(TOPIC, b"20.5", 1, duplicate=True)
        await taker.until(at_least(2))
        second = messages(taker)[1]
        assert (second.identity, second.redelivered) == (first.identity, True)
        await source.close()

    async def run() -> None:
        async with ScriptedBroker(False, True) as broker:
            await scenario(broker)

    asyncio.run(run())


def test_what_was_not_surely_acknowledged_stays_known() -> None:
    async def run() -> None:
        async with ScriptedBroker(False, True) as broker:
            source = MqttSource.from_config(config(broker.url))
            await asyncio.wait_for(source.open(), 60)
            taker = Taker(source)
            broker.send(TOPIC, b"20.5", 1)
            await taker.until(at_least(1))
            assert source.settled().all_but == {messages(taker)[0].identity}
            broker.drop()
            source.ack(messages(taker)[0].token)
            await broker.until(subscriptions=2)
            broker.send(TOPIC, b"20.5", 1, duplicate=True)
            await taker.until(at_least(2))
            assert source.settled() == ([], None)
            await source.close()

    asyncio.run(run())


def test_what_the_broker_did_not_repeat_in_time_comes_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mqtt, "REPEATING_NS", 200_000_000)
    monkeypatch.setattr(mqtt_link, "SILENCE_S", 0.05)
    monkeypatch.setattr(mqtt_link, "HOUSEKEEPING_S", 0.05)

    async def run() -> None:
        async with ScriptedBroker(True) as broker:
            source = MqttSource.from_config(config(broker.url))
            await asyncio.wait_for(source.open(), 60)
            begin_ns, _ = now()
            taker = Taker(source)
            broker.send(TOPIC, b"1", 1)
            await taker.until(at_least(1))
            source.ack(messages(taker)[0].token)
            found: list[Settled] = []

            def is_told() -> bool:
                found.append(source.settled())
                return found[-1].all_but is not None

            await until(is_told)
            assert now()[0] - begin_ns > 100_000_000
            assert set(found[-1].all_but or ()) <= {messages(taker)[0].identity}
            await source.close()

    asyncio.run(run())


@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
def test_a_message_that_is_too_large_is_told_counted_and_never_comes_again(mosquitto: Mosquitto, protocol: str) -> None:
    async def scenario() -> None:
        options = {"protocol": protocol, "max_message": "10kB"}
        async with opened(mosquitto, **options) as source:
            taker = Acknowledging(source)
            with publisher(mosquitto) as sensor:
                sensor.publish(b"1", bytes(10_001), b"2", bytes(150_000), b"3", bytes(10_000))
                if protocol == "3.1.1":  # what the broker cannot be told not to send
                    await asyncio.to_thread(sensor.publish, bytes(5_000_000), b"4")
            await taker.until(at_least(5 if protocol == "3.1.1" else 4))
            reasons = [item.reason for item in losses(taker)]
            assert reasons == (3 if protocol == "3.1.1" else 2) * ["message_too_large"]
            assert lines(taker.items)[:4] == [b"1", b"2", b"3", bytes(10_000)]
            assert 'is more than max_message = "10kB": say a larger one, or send less' in source.trouble
        async with opened(mosquitto, **options) as source:  # all was acknowledged
            later = Taker(source)
            await later.until(has_loss)
            assert messages(later) == []

    asyncio.run(scenario())


def test_what_a_broker_must_not_send_by_its_own_protocol_does_not_stop_the_rest() -> None:
    async def run() -> None:
        async with ScriptedBroker(False) as broker:
            source = MqttSource.from_config(config(broker.url, topic="#", device_named=True))
            await asyncio.wait_for(source.open(), 60)
            taker = Taker(source)
            topic = bytes((0x61, 0xFF)).decode("utf-8", "surrogateescape")
            broker.send(NotUtf8(topic), b"1", 7)
            broker.send("a", b"2", 8)
            await taker.until(at_least(1))
            assert [item.reason for item in losses(taker)] == ["bad_topic"]
            assert lines(taker.items) == [b"2"]
            assert "not UTF-8" in source.trouble
            await broker.until(acknowledged=1)
            assert broker.acknowledged == [7]
            assert len(broker.client_ids) == 1
            await source.close()

    asyncio.run(run())


class NotUtf8(str):
    """A topic as no broker may have it."""

    def encode(self, encoding: str = "utf-8", errors: str = "strict") -> bytes:
        return super().encode("utf-8", "surrogateescape")


def test_two_topics_in_one_stream_are_told(mosquitto: Mosquitto) -> None:
    async def scenario() -> None:
        async with opened(mosquitto, topic="site/+/acc", device_named=True) as source:
            taker = Acknowledging(source)
            with publisher(mosquitto) as sensor:
                sensor.publish(b"1", b"2", topic="site/a/acc")
                await taker.until(at_least(2))
                assert source.trouble == ""
                sensor.publish(b"3", topic="site/b/acc")
                await taker.until(at_least(3))
                assert source.trouble.startswith('messages of "site/a/acc" and of "site/b/acc" are mixed in one stream')

    asyncio.run(scenario())
