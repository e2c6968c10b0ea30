"""The MQTT source on a real Mosquitto: nothing is acknowledged too early, and nothing is lost by being slow."""

from __future__ import annotations

import asyncio
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import paho.mqtt.client as paho
import pytest
from paho.mqtt.enums import CallbackAPIVersion

from edge.protocol import Arrival, Interruption, SourceConfig
from edge.sources import source_type
from edge.sources.mqtt import link as mqtt_link
from edge.sources.mqtt import source as mqtt
from edge.sources.mqtt.source import MqttSource
from ingest.errors import UsageError
from simulators.doubles.broker import ScriptedBroker
from tests.edge.sources.collecting import Taker, until
from tests.support.mosquitto import Mosquitto

TOPIC = "site/pump-7/acc"


def config(broker: str, *, device_named: bool = False, **options: Any) -> SourceConfig:
    return SourceConfig(
        where="agent.toml: source[0]",
        base="/etc/sensorloom",
        name="imu",
        type="mqtt",
        decoder="csv",
        device="pump-7",
        stream="acc",
        channels={"x": "g"},
        device_named=device_named,
        options={"broker": broker, "topic": TOPIC, **options},
    )


@asynccontextmanager
async def opened(broker: Mosquitto, **options: Any) -> AsyncIterator[MqttSource]:
    source = MqttSource.from_config(config(broker.url, **options))
    try:
        async with asyncio.timeout(200):
            await source.open()
        yield source
    finally:
        await source.close()


class Publisher:
    """A sensor that publishes with QoS 1, as fast as the broker takes it."""

    def __init__(self, broker: Mosquitto, ca_file: Path | None = None) -> None:
        self._client = paho.Client(CallbackAPIVersion.VERSION2)
        self._client.max_inflight_messages_set(1000)
        self._client.reconnect_delay_set(1, 1)
        if ca_file is not None:
            self._client.tls_set(str(ca_file))
        self._client.connect(broker.host, broker.port)
        self._client.loop_start()

    def publish(self, *payloads: bytes, topic: str = TOPIC, qos: int = 1, retain: bool = False) -> None:
        """Returns when the broker has them."""
        for info in [self._client.publish(topic, payload, qos, retain) for payload in payloads]:
            info.wait_for_publish(20)

    def close(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()


@contextmanager
def publisher(broker: Mosquitto, ca_file: Path | None = None) -> Iterator[Publisher]:
    made = Publisher(broker, ca_file)
    try:
        yield made
    finally:
        made.close()


def numbered(count: int, first: int = 0) -> list[bytes]:
    return [b"%d" % number for number in range(first, first + count)]


def lines(items: list[Arrival | Interruption]) -> list[bytes]:
    return [item.data.rstrip(b"\n") for item in items if isinstance(item, Arrival)]


def messages(taker: Taker) -> list[Arrival]:
    return [item for item in taker.items if isinstance(item, Arrival)]


def at_least(count: int) -> Any:
    return lambda taker: len(messages(taker)) >= count


def test_it_is_found_by_name_and_reads_its_table() -> None:
    assert source_type("mqtt", "agent.toml: source[0]") is MqttSource
    settings = MqttSource.from_config(config("mqtt://broker.local")).settings
    assert (settings.host, settings.port, settings.tls) == ("broker.local", 1883, False)
    assert (settings.qos, settings.version, settings.window) == (1, 5, 60_000)
    assert (settings.client_id, settings.session_expiry_s) == ("sensorloom-pump-7-imu", 7 * 86_400)
    older = MqttSource.from_config(config("mqtts://[::1]:99", protocol="3.1.1", ca_file="ca.pem")).settings
    assert (older.host, older.port, older.tls) == ("::1", 99, True)
    assert (older.version, older.window, older.ca_file) == (3, 20, "/etc/sensorloom/ca.pem")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"broker": "broker.local:1883"}, r"source\[0\]: broker: found .broker.local:1883.; write mqtt://host:1883"),
        ({"broker": "mqtt://broker:port"}, r'broker: "mqtt://broker:port": '),
        ({"broker": "mqtt://me:secret@broker"}, r"broker: holds a user's name; say it in username"),
        ({"protocol": "3.1"}, r'protocol: unknown version "3.1"; known: 3.1.1, 5'),
        ({"qos": 2}, r"qos: found 2; 1 loses nothing"),
        ({"window": 0}, r"window: 0 is not in 1..65535"),
        ({"session_expiry": "100ms"}, r"session_expiry: 0 s is not in"),
        ({"topic": "a/#/b"}, r'topic: "a/#/b" is no topic filter'),
        ({"topic": "a+"}, r'topic: "a\+" is no topic filter'),
        ({"topic": ""}, r'topic: "" is no topic filter'),
    ],
)
def test_a_wrong_table_is_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message) as caught:
        MqttSource.from_config(config(**{"broker": "mqtt://broker", **options}))
    assert "secret" not in str(caught.value)


def test_messages_arrive_in_order_one_an_arrival(mosquitto: Mosquitto) -> None:
    async def scenario() -> None:
        async with opened(mosquitto) as source:
            assert source.waiting_for == ""
            with publisher(mosquitto) as sensor:
                sensor.publish(*numbered(50), b"with a line feed\n", b"", b"two\nlines")
            taker = Taker(source)
            await taker.until(at_least(53))
            payloads = [*(b"%d" % i for i in range(50)), b"with a line feed\n", b"", b"two\nlines"]
            assert [(item.data, item.is_message) for item in messages(taker)] == [(data, True) for data in payloads]
            tokens = [item.token for item in messages(taker)]
            assert None not in tokens
            assert len(set(tokens)) == 53
            assert not any(item.redelivered or item.urgent for item in messages(taker))

    asyncio.run(scenario())


def test_nothing_is_acknowledged_before_ack_and_what_is_not_comes_again(mosquitto: Mosquitto) -> None:
    async def scenario() -> None:
        async with opened(mosquitto) as source:
            with publisher(mosquitto) as sensor:
                sensor.publish(*numbered(10))
            taker = Taker(source)
            first = await taker.until(at_least(10))
            for item in messages(taker)[:4]:
                source.ack(item.token)
        # A new agent, as after a crash: same client id, so the same session.
        async with opened(mosquitto) as source:
            taker = Taker(source)
            await taker.until(at_least(6))
            again = messages(taker)
            assert lines(taker.items) == lines(first)[4:]
            assert all(item.redelivered for item in again)
            assert [item.identity for item in again] == [item.identity for item in first[4:]]  # type: ignore[union-attr]
            assert len({item.identity for item in again}) == 6
            for item in again:
                source.ack(item.token)
        async with opened(mosquitto) as source:
            with publisher(mosquitto) as sensor:
                sensor.publish(b"new")
            taker = Taker(source)
            await taker.until(at_least(1))
            assert lines(taker.items) == [b"new"]
            assert not messages(taker)[0].redelivered

    asyncio.run(scenario())


def test_a_burst_waits_for_late_acknowledgements_and_all_of_it_arrives(mosquitto: Mosquitto) -> None:
    count = 6000

    async def scenario() -> None:
        async with opened(mosquitto) as source:
            loop = asyncio.get_running_loop()
            with publisher(mosquitto) as sensor:
                burst = asyncio.create_task(asyncio.to_thread(sensor.publish, *numbered(count)))
                taker = Taker(source)

                def late(taker: Taker) -> bool:
                    if taker.items:  # each PUBACK a second after its message, as an fsync a second makes them
                        loop.call_later(1.0, source.ack, taker.items[-1].token)  # type: ignore[union-attr]
                    return len(taker.items) >= count

                await taker.until(late)
                await burst
            assert lines(taker.items) == numbered(count)
            assert not any(item.urgent for item in messages(taker))

    asyncio.run(scenario())


def test_on_311_a_full_window_is_urgent_and_acknowledging_at_once_loses_nothing(mosquitto: Mosquitto) -> None:
    count = 900  # what Mosquitto's queue holds; 1,000 and more would be its loss

    async def scenario() -> None:
        async with opened(mosquitto, protocol="3.1.1") as source:
            with publisher(mosquitto) as sensor:
                sensor.publish(*numbered(count))
            taker = Taker(source)
            unacknowledged: list[Arrival] = []
            fsyncs: list[int] = []

            def fsync_when_urgent(taker: Taker) -> bool:
                if taker.items and isinstance(item := taker.items[-1], Arrival):
                    unacknowledged.append(item)
                    if item.urgent:
                        fsyncs.append(len(unacknowledged))
                        for each in unacknowledged:
                            source.ack(each.token)
                        unacknowledged.clear()
                return len(taker.items) >= count

            await taker.until(fsync_when_urgent)
            assert lines(taker.items) == numbered(count)
            assert max(fsyncs) == 20

    asyncio.run(scenario())


def test_a_broker_killed_and_restarted_delivers_what_was_not_acknowledged(mosquitto: Mosquitto) -> None:
    async def scenario() -> None:
        async with opened(mosquitto) as source:
            with publisher(mosquitto) as sensor:
                sensor.publish(*numbered(20))
                taker = Taker(source)
                first = await taker.until(at_least(20))
                mosquitto.save()
                mosquitto.kill()
                await until(lambda: source.waiting_for.startswith(f"{mosquitto.url}: "))
                assert source.missing == ""  # the broker keeps it
                source.ack(messages(taker)[0].token)  # too late for its connection: it comes again
                mosquitto.restart()
                await taker.until(at_least(40))
                assert lines(taker.items) == 2 * numbered(20)
                assert [item.identity for item in messages(taker)[20:]] == [item.identity for item in first]  # type: ignore[union-attr]
                assert all(item.redelivered for item in messages(taker)[20:])
                assert not any(isinstance(item, Interruption) for item in taker.items)
                await until(lambda: source.waiting_for == "")
            with publisher(mosquitto) as sensor:
                sensor.publish(*numbered(5, first=20))
                await taker.until(at_least(45))
                assert lines(taker.items)[40:] == numbered(5, first=20)
                for item in messages(taker):
                    source.ack(item.token)  # those of the first connection are heard no more
                sensor.publish(b"last")
                await taker.until(at_least(46))

    asyncio.run(scenario())


def test_what_was_given_up_comes_again_when_it_is_asked_for(mosquitto: Mosquitto) -> None:
    async def scenario() -> None:
        async with opened(mosquitto, window=5) as source:
            with publisher(mosquitto) as sensor:
                sensor.publish(*numbered(10))
            taker = Taker(source)
            await taker.until(at_least(5))  # the window is full: nothing more comes until something is acknowledged
            source.again()
            await taker.until(at_least(10))
            assert lines(taker.items) == 2 * numbered(5)
            assert all(item.redelivered for item in messages(taker)[5:])
            for item in messages(taker)[5:]:
                source.ack(item.token)
            await taker.until(at_least(15))
            assert lines(taker.items)[10:] == numbered(5, first=5)
            assert not any(isinstance(item, Interruption) for item in taker.items)

    asyncio.run(scenario())


def test_an_acknowledgement_never_slips_into_the_next_connection(mosquitto: Mosquitto) -> None:
    async def scenario() -> None:
        async with opened(mosquitto) as source:
            with publisher(mosquitto) as sensor:
                sensor.publish(b"first")
            taker = Taker(source)
            await taker.until(at_least(1))
            stale = messages(taker)[0].token
            mosquitto.kill()  # and nothing was saved: packet ids begin anew
            mosquitto.restart()
            await taker.until(lambda taker: isinstance(taker.items[-1], Interruption))
            lost = taker.items[-1]
            assert isinstance(lost, Interruption)
            assert lost.reason == "session_lost"
            with publisher(mosquitto) as sensor:
                sensor.publish(b"second")
            await taker.until(at_least(2))
            fresh = messages(taker)[1].token
            assert fresh != stale
            source.ack(stale)
        async with opened(mosquitto) as source:
            taker = Taker(source)
            await taker.until(at_least(1))
            assert lines(taker.items) == [b"second"]

    asyncio.run(scenario())


def test_without_quality_of_service_a_lost_connection_is_an_interruption(mosquitto: Mosquitto) -> None:
    async def scenario() -> None:
        async with opened(mosquitto, qos=0) as source:
            with publisher(mosquitto) as sensor:
                sensor.publish(b"1")
            taker = Taker(source)
            await taker.until(at_least(1))
            assert messages(taker)[0].token is None
            assert messages(taker)[0].identity == b""
            source.ack(None)
            assert source.missing == ""
            mosquitto.kill()
            await until(lambda: source.missing == "connection_lost")
            mosquitto.restart()
            await taker.until(lambda taker: isinstance(taker.items[-1], Interruption))
            assert taker.items[-1].reason == "connection_lost"  # type: ignore[union-attr]

    asyncio.run(scenario())


def test_retained_messages_and_other_topics_are_left_alone(mosquitto: Mosquitto) -> None:
    async def scenario() -> None:
        with publisher(mosquitto) as sensor:
            sensor.publish(b"old news", retain=True)
            for protocol in ("5", "3.1.1"):
                client = f"client-{protocol}"
                async with opened(
                    mosquitto, protocol=protocol, topic="site/+/acc", client_id=client, device_named=True
                ) as source:
                    sensor.publish(b"elsewhere", topic="site/pump-7/temp")
                    sensor.publish(b"1", topic="site/pump-8/acc")
                    taker = Taker(source)
                    await taker.until(at_least(1))
                    assert lines(taker.items) == [b"1"]
                    source.ack(messages(taker)[0].token)
                # The topic was changed since: the session still has the old one.
                async with opened(mosquitto, protocol=protocol, topic="site/pump-9/acc", client_id=client) as source:
                    sensor.publish(b"not wanted", topic="site/pump-8/acc")
                    sensor.publish(b"2", topic="site/pump-9/acc")
                    taker = Taker(source)
                    await taker.until(at_least(1))
                    assert lines(taker.items) == [b"2"]

    asyncio.run(scenario())


def test_a_slow_taker_holds_the_broker_back_and_loses_nothing(
    mosquitto: Mosquitto, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mqtt, "QUEUE_BYTES", 20_000)

    async def scenario() -> None:
        async with opened(mosquitto) as source:
            with publisher(mosquitto) as sensor:
                await asyncio.to_thread(sensor.publish, *numbered(500))
                await until(lambda: source._queued_bytes >= 20_000)
                assert source._queued_bytes < 22_000
                taker = Taker(source)
                await taker.until(at_least(500))
                assert lines(taker.items) == numbered(500)

    asyncio.run(scenario())


def test_what_waited_at_the_broker_is_taken_however_much_it_is(
    mosquitto: Mosquitto, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The broker sends it before it answers the subscription: who waits for that answer first waits for ever, once the
    queue is full; and the answer may come late."""
    monkeypatch.setattr(mqtt, "QUEUE_BYTES", 20_000)
    monkeypatch.setattr(mqtt_link, "ANSWER_S", 1.0)

    async def scenario() -> None:
        async with opened(mosquitto):
            pass
        with publisher(mosquitto) as sensor:
            await asyncio.to_thread(sensor.publish, *numbered(1000))
        async with opened(mosquitto) as source:
            taker = Taker(source)
            await taker.until(at_least(1))
            await asyncio.sleep(2.5)  # the queue is full, nothing is read, and no answer can come
            await taker.until(at_least(1000))
            assert lines(taker.items) == numbered(1000)
            assert source.waiting_for == ""
            assert source._links == 1

    asyncio.run(scenario())


def test_two_agents_of_one_name_are_told(mosquitto: Mosquitto, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mqtt, "FIRST_DELAY_S", 0.02)

    async def scenario() -> None:
        async with opened(mosquitto) as first, opened(mosquitto):
            await until(lambda: "are there two agents of one device?" in first.waiting_for)
            assert 'connection lost; perhaps another client connects as "sensorloom-pump-7-imu"' in first.waiting_for

    asyncio.run(scenario())


def test_it_waits_for_a_broker_that_is_not_there(mosquitto: Mosquitto) -> None:
    async def scenario() -> None:
        mosquitto.kill()
        source = MqttSource.from_config(config(mosquitto.url))
        opening = asyncio.create_task(source.open())
        await until(lambda: source.waiting_for.startswith(f"{mosquitto.url}: Connection refused: nobody"))
        assert not opening.done()
        mosquitto.restart()
        await asyncio.wait_for(opening, 60)
        await source.close()
        await source.close()

    asyncio.run(scenario())


def test_it_can_be_opened_again_and_what_was_not_taken_comes_again(mosquitto: Mosquitto) -> None:
    async def scenario() -> None:
        async with opened(mosquitto) as source:
            with publisher(mosquitto) as sensor:
                sensor.publish(*numbered(5))
            taker = Taker(source)
            await taker.until(at_least(2))
            await source.close()
            await asyncio.wait_for(source.open(), 60)
            again = Taker(source)
            await again.until(at_least(5))
            assert lines(again.items) == numbered(5)
            assert not {item.token for item in messages(taker)} & {item.token for item in messages(again)}

    asyncio.run(scenario())


@pytest.mark.parametrize("state", ["new", "waiting"])
def test_it_can_be_closed_at_any_time(mosquitto: Mosquitto, state: str) -> None:
    async def scenario() -> None:
        source = MqttSource.from_config(config(mosquitto.url))
        if state == "waiting":
            mosquitto.kill()
            opening = asyncio.create_task(source.open())
            await until(lambda: "refused" in source.waiting_for)
        async with asyncio.timeout(200):
            await source.close()
            await source.close()
            if state == "waiting":
                await opening

    asyncio.run(scenario())


def test_what_the_broker_refuses_is_said(tmp_path: Path) -> None:
    passwords, secret = tmp_path / "passwords", tmp_path / "secret"
    subprocess.run(["mosquitto_passwd", "-b", "-c", passwords, "pump", "right"], check=True, timeout=200)
    passwords.chmod(0o600)

    async def scenario(broker: Mosquitto) -> None:
        source = MqttSource.from_config(config(broker.url, username="pump", password_file=str(secret)))
        opening = asyncio.create_task(source.open())
        await until(lambda: f"{secret}: No such file or directory; put it there" in source.waiting_for)
        secret.write_text("wrong\n")
        said = f'it does not let in "pump" with the password of password_file, {secret}; correct them'
        await until(lambda: said in source.waiting_for)
        secret.write_text("right\n")
        await asyncio.wait_for(opening, 60)
        await source.close()

    with Mosquitto("allow_anonymous false", f"password_file {passwords}") as broker:
        asyncio.run(scenario(broker))


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (
            b"HTTP/1.1 400 Bad Request\r\n\r\n",
            "no answer in 0.1 s; is it an MQTT broker",
        ),  # the first bytes of a long packet, for all we know
        (b"\x20\xff\xff\xff\xff\xff", "connection lost"),
        (b"\x30\x04\x00\x01a\xff", "connection lost: "),
        (b"\x20\x03\x00\x60\x00", "connection lost: "),
        (b"", "no answer in 0.1 s"),
        (None, "connection lost"),
    ],
)
def test_what_is_no_broker_is_waited_for_too(answer: bytes | None, told: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mqtt_link, "ANSWER_S", 0.1)

    async def respond(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if answer:
            writer.write(answer)
        if answer is not None:
            await reader.read()
        writer.close()

    async def scenario() -> None:
        server = await asyncio.start_server(respond, "127.0.0.1", 0)
        url = f"mqtt://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        source = MqttSource.from_config(config(url))
        opening = asyncio.create_task(source.open())
        await until(lambda: source.waiting_for.startswith(f"{url}: {told}"))
        await source.close()
        await opening
        server.close()
        await server.wait_closed()

    asyncio.run(scenario())


def test_an_error_while_reading_ends_the_connection_and_is_told(
    mosquitto: Mosquitto, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(client: object) -> None:
        raise LookupError("a bug")

    async def scenario() -> None:
        async with opened(mosquitto) as source:
            with monkeypatch.context() as patch:
                patch.setattr("edge.sources.mqtt.client.BoundedClient.loop_read", broken)
                with publisher(mosquitto) as sensor:
                    await asyncio.to_thread(sensor.publish, b"1")
                await until(lambda: "it sends what cannot be understood: LookupError('a bug')" in source.waiting_for)
            taker = Taker(source)
            await taker.until(at_least(1))
            assert lines(taker.items) == [b"1"]

    asyncio.run(scenario())


def test_what_was_read_at_once_is_taken_although_nothing_more_comes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mqtt_link, "SILENCE_S", 1e6)  # nobody asks, so that no answer wakes who reads
    monkeypatch.setattr(mqtt, "QUEUE_BYTES", 50_000)  # with a pause, too
    count = 5 * mqtt_link.MESSAGES_AT_ONCE

    async def scenario() -> None:
        async with ScriptedBroker() as broker:
            source = MqttSource.from_config(config(broker.url))
            await asyncio.wait_for(source.open(), 60)
            await broker.until(subscriptions=1)
            for number, payload in enumerate(numbered(count), 1):
                broker.send(TOPIC, payload, number)
            await until(lambda: source._queued_bytes >= 50_000)
            taker = Taker(source)
            await taker.until(at_least(count))
            assert lines(taker.items) == numbered(count)
            await source.close()

    asyncio.run(scenario())
