"""What is said of an address that is no broker's: real sockets, each a way in which that happens."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
from aiokafka.errors import NodeNotReadyError

from ingest.errors import LogUnavailableError
from ingest.log.kafka import KafkaLog, contact
from ingest.log.kafka.cluster import Cluster
from ingest.log.kafka.contact import why_silent

Answer = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def serving(answer: Answer) -> AsyncIterator[str]:
    """The address of a server that answers so."""

    handlers = set[asyncio.Task[None]]()

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        handlers.add(task)
        try:
            with contextlib.suppress(OSError):
                await answer(reader, writer)
        finally:
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()

    server = await asyncio.start_server(handle, "127.0.0.1", 0)
    try:
        yield f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()
        for _ in range(5):  # connections that were accepted and not yet handed over have their turn
            await asyncio.sleep(0)
        for handler in handlers:
            handler.cancel()
        await asyncio.gather(*handlers, return_exceptions=True)


async def web(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
    await reader.read(100)


async def tls(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read(5)
    writer.write(bytes.fromhex("15030300020246"))  # an alert: unsupported protocol
    await reader.read(100)


async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read(5)


async def say_nothing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read(1 << 20)
    await asyncio.sleep(3600)


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (web, 'what answers there is no Kafka, it says "HTTP/1.1 400 Bad Request\\r\\n\\r\\n"'),
        (tls, "it speaks TLS"),
        (hang_up, "hangs up"),
        (say_nothing, "a connection, but no answer"),
    ],
)
def test_what_is_there_and_no_kafka_is_told_apart(answer: Answer, said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(contact, "PATIENCE_S", 2.0)

    async def main() -> None:
        async with serving(answer) as address:
            assert said in await why_silent(address)
            log = KafkaLog(address, timeout_s=0.2)
            with pytest.raises(LogUnavailableError) as unavailable:
                await log.topics()
            assert said in str(unavailable.value)
            assert f"kafka://{address}: " in str(unavailable.value)
            await log.close()

    asyncio.run(main())


def test_nobody_and_no_such_host_are_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        assert "connection refused; start the broker" in asyncio.run(why_silent(address))
    assert 'no such host: "nowhere.invalid"' in asyncio.run(why_silent("nowhere.invalid:9092"))
    both = asyncio.run(why_silent(f"{address},nowhere.invalid:9092"))
    assert both.startswith(f"{address}: nobody answers")
    assert '; nowhere.invalid:9092: no such host: "nowhere.invalid"' in both


@pytest.mark.kafka
def test_a_broker_is_one(kafka_bootstrap: str) -> None:
    assert asyncio.run(why_silent(kafka_bootstrap)) == ""
    assert asyncio.run(why_silent(f"nowhere.invalid:9092,{kafka_bootstrap}")) == ""


def test_a_broker_that_went_away_is_said_in_words() -> None:
    error = Cluster("h:9092", partitions=None, timeout_s=1.0).unavailable("fetch", NodeNotReadyError("node id 1"))
    assert str(error) == ("kafka://h:9092: fetch: the broker does not answer any more; see it and the network")
