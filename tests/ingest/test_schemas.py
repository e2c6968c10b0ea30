"""The schema registry reads `streams` incrementally and never stumbles over a bad record."""

from __future__ import annotations

import asyncio

import pytest

from ingest import draining
from ingest.errors import LogUnavailableError
from ingest.log.protocol import STREAMS, Bounds, Entry
from ingest.records import Channel, Heartbeat, StreamDescription, schema_id
from ingest.schemas import SchemaRegistry
from ingest.wire import encode
from simulators.doubles.log import ListLog


def description(name: str) -> StreamDescription:
    return StreamDescription(name, (Channel("x", "g"),), "int16")


def entry(stream: StreamDescription) -> Entry:
    return Entry(schema_id(stream), encode(stream))


def test_refresh_reads_on_from_where_it_stopped() -> None:
    async def run() -> None:
        log = ListLog()
        registry = SchemaRegistry(log)
        assert await registry.refresh() == 0, "no topic yet"
        streams = [description(f"s{i}") for i in range(300)]
        await log.append(STREAMS, [entry(s) for s in streams[:250]])
        assert await registry.refresh() == 250
        assert registry.get(schema_id(streams[249])) == streams[249]
        assert registry.get(schema_id(streams[250])) is None
        await log.append(STREAMS, [entry(s) for s in streams[240:]])
        assert await registry.refresh() == 50, "ten were known"
        assert all(registry.get(schema_id(s)) == s for s in streams)

    asyncio.run(run())


@pytest.mark.parametrize("others", [0, 1, 5])
def test_a_topic_that_was_made_anew_is_read_from_its_beginning(others: int) -> None:
    """Whatever it holds by now: fewer records than were read, as many, or more."""

    async def run() -> None:
        log = ListLog(partitions=1)
        known = [description(f"s{i}") for i in range(2)]
        await log.append(STREAMS, [entry(s) for s in known])
        registry = SchemaRegistry(log)
        assert await registry.refresh() == 2
        log.content[STREAMS][0].clear()
        new = description("new")
        await log.append(STREAMS, [entry(s) for s in (new, *known[:1] * others)])
        for _ in range(4):  # who needs it asks again
            await registry.refresh()
        assert registry.get(schema_id(new)) == new
        assert registry.get(schema_id(known[1])) == known[1]

    asyncio.run(run())


def test_who_asks_again_and_again_counts_what_is_unreadable_once() -> None:
    async def run() -> None:
        log = ListLog(partitions=1)
        await log.append(STREAMS, [Entry(b"k", b"\xff\x00"), entry(description("acc"))])
        registry = SchemaRegistry(log)
        for _ in range(20):
            await registry.refresh()
        assert registry.unreadable == 1

    asyncio.run(run())


def test_an_unreadable_record_is_counted_and_passed() -> None:
    async def run() -> None:
        log = ListLog(partitions=1)
        good = description("acc")
        wrong_kind = Entry(b"k", encode(Heartbeat("d", "a", b"", 0)))
        await log.append(STREAMS, [Entry(b"k", b"\xff\x00"), wrong_kind, entry(good)])
        registry = SchemaRegistry(log)
        assert await registry.refresh() == 1
        assert registry.unreadable == 2
        assert registry.get(schema_id(good)) == good

    asyncio.run(run())


def test_a_log_that_delivers_nothing_is_an_error_that_says_where(monkeypatch: pytest.MonkeyPatch) -> None:
    class Mute(ListLog):
        async def bounds(self, topic: str) -> dict[int, Bounds]:
            return {0: Bounds(0, 3)}

    async def run() -> None:
        log = Mute(partitions=1)
        await log.ensure(STREAMS)
        with pytest.raises(LogUnavailableError, match="streams: 30 reads brought nothing before the end \\(0: 0 of 3"):
            await SchemaRegistry(log).refresh()

    monkeypatch.setattr(draining, "FETCH_TIMEOUT_S", 0.001)
    asyncio.run(run())
