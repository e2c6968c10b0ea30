"""What every log must do: one suite, run on `segments`, on Apache Kafka and on the simulated log.

An implementation's test module subclasses `LogContract` and gives the fixture `world`; `tests.ingest.log.world` says
what that is.
"""

from __future__ import annotations

import asyncio
import os

import pytest

from ingest.errors import LogConfigError, TruncatedLogError
from ingest.log.protocol import (
    Bounds,
    Entry,
    Log,
    Position,
    Truncated,
    partition_of,
)
from tests.ingest.log.world import Group, World, in_world, read, read_all, spread, values


class LogContract:
    """The suite. Subclass it as `Test...` and define the fixture `world`."""

    @pytest.fixture
    def world(self) -> World:
        raise NotImplementedError("the module of each log gives its own world")

    # --- the log and its topics

    @in_world
    async def test_identity_is_for_life_and_the_same_for_all(self, world: World) -> None:
        first, second = world.open(), world.open()
        name = await first.identity()
        assert name
        assert await second.identity() == name
        await first.close()
        assert await second.identity() == name
        await second.close()

    @in_world
    async def test_topics_are_created_at_first_use(self, world: World) -> None:
        topic, other = world.topic("readings"), world.topic("marks")
        log = world.open(partitions=3)
        assert topic not in await log.topics()
        assert await log.ensure(topic) == 3
        assert await log.ensure(topic) == 3
        await log.append(other, [Entry(b"k", b"v")])
        second = world.open()
        known = await second.topics()
        assert (known[topic], known[other]) == (3, 3)
        assert await second.ensure(topic) == 3
        await second.close()
        await log.close()

    @in_world
    async def test_what_append_takes_passes_the_check_and_writes_nothing(self, world: World) -> None:
        topic = world.topic("readings")
        log = world.open(partitions=1)
        await log.ensure(topic)
        await log.check(topic, [Entry(b"k", bytes(500_000))])
        assert await log.bounds(topic) == {0: Bounds(0, 0)}
        await log.close()

    @in_world
    async def test_an_empty_topic_has_empty_bounds_and_nothing_to_read(self, world: World) -> None:
        topic = world.topic("readings")
        log = world.open(partitions=2)
        await log.ensure(topic)
        assert await log.bounds(topic) == {0: Bounds(0, 0), 1: Bounds(0, 0)}
        assert await log.committed(topic, "group") == {}
        reader = log.reader(topic, {0: 0, 1: 0})
        assert await reader.fetch(0.05) == []
        await reader.close()
        await log.close()

    # --- appending

    @in_world
    async def test_appended_entries_are_where_append_says(self, world: World) -> None:
        topic = world.topic("readings")
        log = world.open(partitions=3)
        keys = spread(3, each=2)
        entries = [Entry(keys[i % 6], b"value-%d" % i) for i in range(60)]
        positions = await log.append(topic, entries[:30]) + await log.append(topic, entries[30:])
        assert [p.partition for p in positions] == [partition_of(e.key, 3) for e in entries]
        for partition in range(3):
            offsets = [p.offset for p in positions if p.partition == partition]
            assert offsets == list(range(20))
        assert await log.bounds(topic) == {p: Bounds(0, 20) for p in range(3)}

        batches = await read_all(world, log, topic, {0: 0, 1: 0, 2: 0}, 60)
        found = {
            Position(b.partition, offset): Entry(key, value)
            for b in batches
            for offset, key, value in zip(b.offsets, b.keys, b.values, strict=True)
        }
        assert found == dict(zip(positions, entries, strict=True))
        await log.close()

    @in_world
    async def test_an_empty_append_is_no_append(self, world: World) -> None:
        topic = world.topic("readings")
        log = world.open(partitions=1)
        assert await log.append(topic, []) == []
        assert await log.append(topic, [Entry(b"k", b"v")]) == [Position(0, 0)]
        assert await log.append(topic, []) == []
        assert await log.bounds(topic) == {0: Bounds(0, 1)}
        await log.close()

    @in_world
    async def test_any_bytes_are_kept(self, world: World) -> None:
        topic = world.topic("readings")
        log = world.open(partitions=1)
        entries = [
            Entry(b"k", b""),
            Entry(bytes(range(256)), bytes(range(256)) * 3),
            Entry(b"\x00", b"\x00" * 1000),
            Entry("pümp-7".encode(), os.urandom(900_000)),
            Entry(b"k", b"\xff" * 65_536),
            Entry(b"k", os.urandom(700_000)),
        ]
        await log.append(topic, entries)
        batches = await read_all(world, log, topic, {0: 0}, len(entries))
        assert [Entry(k, v) for b in batches for k, v in zip(b.keys, b.values, strict=True)] == entries
        assert all(type(x) is bytes for b in batches for x in (*b.keys, *b.values))
        await log.close()

    @in_world
    async def test_append_times_never_run_backwards(self, world: World) -> None:
        topic = world.topic("readings")
        first, second = world.open(partitions=1), world.open()
        for i in range(20):
            await (first, second)[i % 2].append(topic, [Entry(b"k", b"%d" % i)])
        batches = await read_all(world, first, topic, {0: 0}, 20)
        times = [t for b in batches for t in b.append_ns]
        assert times == sorted(times)
        assert times[0] > 10**18, "append times are ns UTC"
        assert values(batches) == [b"%d" % i for i in range(20)]
        await first.close()
        await second.close()

    @in_world
    async def test_reading_since_a_time_misses_nothing_of_it(self, world: World) -> None:
        topic, log = world.topic("readings"), world.open(partitions=1)
        for n in range(5):
            await log.append(topic, [Entry(b"k", b"%d" % n)])
            await asyncio.sleep(0.01)
        found = await read_all(world, log, topic, {0: 0}, 5)
        times = [append_ns for batch in found for append_ns in batch.append_ns]
        for append_ns in (0, *times, times[-1] + 10**9):
            first = next((offset for offset, at in enumerate(times) if at >= append_ns), 5)
            assert 0 <= (await log.since(topic, append_ns))[0] <= first
        await log.close()

    @in_world
    async def test_appends_under_way_at_once_keep_the_order_of_each_key(self, world: World) -> None:
        topic = world.topic("readings")
        log = world.open(partitions=4)
        keys = spread(4, each=2)
        calls = [
            asyncio.create_task(log.append(topic, [Entry(key, b"%d.%d" % (i, j)) for j in range(3)]))
            for i in range(40)
            for key in keys
        ]
        positions = [p for call in calls for p in await call]
        assert len(set(positions)) == 40 * 8 * 3
        batches = await read_all(world, log, topic, dict.fromkeys(range(4), 0), len(positions))
        wanted = [b"%d.%d" % (i, j) for i in range(40) for j in range(3)]
        for key in keys:
            got = [v for b in batches for k, v in zip(b.keys, b.values, strict=True) if k == key]
            assert got == wanted
        await log.close()

    @in_world
    async def test_two_clients_append_at_once(self, world: World) -> None:
        topic = world.topic("readings")
        clients = [world.open(partitions=1), world.open(partitions=1)]

        async def write(name: bytes, log: Log) -> list[Position]:
            return [p for i in range(25) for p in await log.append(topic, [Entry(b"k", name + b"%d" % i)])]

        a, b = await asyncio.gather(write(b"a", clients[0]), write(b"b", clients[1]))
        assert sorted(a + b) == [Position(0, i) for i in range(50)]
        got = values(await read_all(world, clients[0], topic, {0: 0}, 50))
        assert [v for v in got if v[:1] == b"a"] == [b"a%d" % i for i in range(25)]
        assert [v for v in got if v[:1] == b"b"] == [b"b%d" % i for i in range(25)]
        for log in clients:
            await log.close()

    # --- reading

    @in_world
    async def test_a_reader_begins_where_it_is_told_and_goes_on(self, world: World) -> None:
        topic = world.topic("readings")
        log = world.open(partitions=2)
        keys = spread(2)
        await log.append(topic, [Entry(key, b"%d" % i) for i in range(10) for key in keys])
        reader = log.reader(topic, {0: 7, 1: 9})
        first = await read(world, reader, 4)
        assert sorted((b.partition, o) for b in first for o in b.offsets) == [(0, 7), (0, 8), (0, 9), (1, 9)]
        assert {b.partition: b.next_offset for b in first} == {0: 10, 1: 10}
        assert all(b.topic == topic for b in first)
        assert await reader.fetch(0.05) == []
        await log.append(topic, [Entry(keys[1], b"later")])
        (more,) = await read(world, reader, 1)
        assert (more.partition, list(more.offsets), list(more.values)) == (1, [10], [b"later"])
        await reader.close()
        await log.close()

    @in_world
    async def test_a_reader_reads_only_the_partitions_it_was_given(self, world: World) -> None:
        topic = world.topic("readings")
        log = world.open(partitions=3)
        keys = spread(3)
        await log.append(topic, [Entry(key, key) for key in keys])
        batches = await read_all(world, log, topic, {1: 0}, 1)
        assert [(b.partition, list(b.values)) for b in batches] == [(1, [keys[1]])]
        await log.close()

    @in_world
    async def test_a_waiting_fetch_is_woken_by_an_append(self, world: World) -> None:
        topic = world.topic("readings")
        writer, other = world.open(partitions=1), world.open()
        await writer.ensure(topic)
        reader = other.reader(topic, {0: 0})
        waiting = asyncio.create_task(reader.fetch(world.patience_s))
        assert await asyncio.wait([waiting], timeout=0.05) == (set(), {waiting})
        await writer.append(topic, [Entry(b"k", b"v")])
        assert values(await waiting) == [b"v"]
        await reader.close()
        await other.close()
        await writer.close()

    @in_world
    async def test_a_reader_that_does_not_insist_on_durability_misses_nothing_either(self, world: World) -> None:
        topic = world.topic("live")
        log = world.open(partitions=1)
        await log.append(topic, [Entry(b"k", b"%d" % i) for i in range(10)])
        reader = log.reader(topic, {0: 0}, durable=False)
        assert values(await read(world, reader, 10)) == [b"%d" % i for i in range(10)]
        await reader.close()
        await log.close()

    @in_world
    async def test_many_records_come_in_order_without_holes(self, world: World) -> None:
        topic = world.topic("readings")
        log = world.open(partitions=1)
        count = 4_000
        for i in range(0, count, 500):
            await log.append(topic, [Entry(b"k", b"%d|" % j + b"x" * 700) for j in range(i, i + 500)])
        batches = await read_all(world, log, topic, {0: 0}, count)
        assert [o for b in batches for o in b.offsets] == list(range(count))
        assert [int(v.split(b"|")[0]) for v in values(batches)] == list(range(count))
        await log.close()

    @in_world
    async def test_a_forgotten_range_is_an_error_to_a_reader(self, world: World) -> None:
        topic = world.topic("readings")
        log = world.open(partitions=1)
        begin = await self.forget_some(world, log, topic)
        reader = log.reader(topic, {0: 0})
        with pytest.raises(TruncatedLogError):
            await read(world, reader, 1)
        await reader.close()
        (first, *_) = await read_all(world, log, topic, {0: begin}, 1)
        assert first.offsets[0] == begin
        await log.close()

    @in_world
    async def test_an_offset_past_the_end_is_an_error_to_a_reader(self, world: World) -> None:
        """Waiting there would silently skip what comes in between."""
        topic = world.topic("readings")
        log = world.open(partitions=1)
        await log.append(topic, [Entry(b"k", b"v")])
        reader = log.reader(topic, {0: 1_000})
        with pytest.raises(TruncatedLogError):
            await read(world, reader, 1)
        await reader.close()
        await log.close()

    async def forget_some(self, world: World, log: Log, topic: str) -> int:
        """Fill partition 0, trim it, and say where it begins now."""
        for i in range(20):
            await log.append(topic, [Entry(b"k", b"%d|" % j + b"x" * 4_000) for j in range(i * 10, i * 10 + 10)])
        await world.trim(log, topic, 0, 150)
        begin, end = (await log.bounds(topic))[0]
        assert 0 < begin <= 150
        assert end == 200
        return begin

    # --- groups

    @in_world
    async def test_a_lone_member_owns_all_and_is_silent_until_seek(self, world: World) -> None:
        topic = world.topic("readings")
        log = world.open(partitions=3)
        keys = spread(3)
        await log.append(topic, [Entry(key, key) for key in keys])
        group = Group(world)
        one = group.add("one", await log.join(topic, "group", "one"), start=None)
        await group.until(lambda: one.owned == {0, 1, 2})
        for _ in range(3):
            await one.step()
        assert one.seen == []
        for partition in range(3):
            one.member.seek(partition, 0)
        await group.until(lambda: len(one.values()) >= 3)
        assert sorted(one.values()) == sorted(keys)
        await one.member.close()
        await log.close()

    @in_world
    async def test_seek_moves_an_owned_partition_and_is_ignored_elsewhere(self, world: World) -> None:
        topic = world.topic("readings")
        log = world.open(partitions=1)
        await log.append(topic, [Entry(b"k", b"%d" % i) for i in range(10)])
        group = Group(world)
        one = group.add("one", await log.join(topic, "group", "one"), start=4)
        await group.until(lambda: len(one.values()) >= 6)
        assert one.values() == [b"%d" % i for i in range(4, 10)]
        one.member.seek(17, 3)
        one.seen.clear()
        one.member.seek(0, 8)
        await group.until(lambda: len(one.values()) >= 2)
        assert one.values() == [b"8", b"9"]
        await one.member.close()
        await log.close()

    @in_world
    async def test_a_group_that_works_for_another_owner_is_refused(self, world: World) -> None:
        topic = world.topic("readings")
        log, other = world.open(partitions=2), world.open()
        await log.append(topic, [Entry(key, key) for key in spread(2)])
        group = Group(world)
        one = group.add("one", await log.join(topic, "group", "one", owner="north"))
        await group.until(lambda: len(one.values()) == 2)
        two = group.add("two", await other.join(topic, "group", "two", owner="north"))
        await group.until(lambda: len(two.owned) == 1)
        await one.member.commit(dict.fromkeys(one.owned, 1))
        with pytest.raises(LogConfigError, match='"north".*"south"'):
            await other.join(topic, "group", "three", owner="south")
        await one.member.close()
        await two.member.close()
        with pytest.raises(LogConfigError, match="group"):
            await log.join(topic, "group", "one", owner="south")
        south = await other.join(topic, "another", "three", owner="south")
        await south.close()
        await log.close()
        await other.close()

    @in_world
    async def test_commits_persist_and_belong_to_their_group(self, world: World) -> None:
        topic = world.topic("readings")
        log = world.open(partitions=2)
        await log.append(topic, [Entry(key, b"v") for key in spread(2, each=5)])
        group = Group(world)
        one = group.add("one", await log.join(topic, "group", "one"))
        await group.until(lambda: len(one.values()) >= 10)
        await one.member.commit({0: 2})
        await one.member.commit({0: 3, 1: 5})
        assert await log.committed(topic, "group") == {0: 3, 1: 5}
        await one.member.close()
        await log.close()
        again = world.open()
        assert await again.committed(topic, "group") == {0: 3, 1: 5}
        assert await again.committed(topic, "other") == {}
        await again.close()

    @in_world
    async def test_a_second_member_takes_its_share_after_the_first_let_go(self, world: World) -> None:
        topic = world.topic("readings")
        logs = [world.open(partitions=4), world.open()]
        await logs[0].append(topic, [Entry(key, key) for key in spread(4)])
        group = Group(world)
        one = group.add("one", await logs[0].join(topic, "group", "one"))
        await group.until(lambda: one.owned == {0, 1, 2, 3} and len(one.values()) >= 4)
        two = group.add("two", await logs[1].join(topic, "group", "two"))
        # "range": the members sorted by name, each with a run of neighbouring partitions
        await group.until(lambda: (one.owned, two.owned) == ({0, 1}, {2, 3}))
        for i in range(5):
            await logs[0].append(topic, [Entry(key, b"%d" % i) for key in spread(4)])
        await group.until(lambda: {b"4"} <= set(one.values()) and {b"4"} <= set(two.values()))
        for follower, log in zip((one, two), logs, strict=True):
            await follower.member.close()
            await log.close()

    @in_world
    async def test_who_leaves_hands_over(self, world: World) -> None:
        topic = world.topic("readings")
        logs = [world.open(partitions=4), world.open()]
        await logs[0].append(topic, [Entry(key, key) for key in spread(4)])
        group = Group(world)
        one = group.add("one", await logs[0].join(topic, "group", "one"))
        two = group.add("two", await logs[1].join(topic, "group", "two"))
        await group.until(lambda: (one.owned, two.owned) == ({0, 1}, {2, 3}))
        await one.member.close()
        await logs[0].close()
        group.forget(one)
        two.seen.clear()
        await group.until(lambda: two.owned == {0, 1, 2, 3})
        await group.until(lambda: set(spread(4)[:2]) <= set(two.values()))
        await two.member.close()
        await logs[1].close()

    @in_world
    async def test_who_is_killed_is_replaced(self, world: World) -> None:
        topic = world.topic("readings")
        logs = [world.open(partitions=4), world.open()]
        await logs[0].append(topic, [Entry(key, key) for key in spread(4)])
        group = Group(world)
        one = group.add("one", await logs[0].join(topic, "group", "one"))
        two = group.add("two", await logs[1].join(topic, "group", "two"))
        await group.until(lambda: (one.owned, two.owned) == ({0, 1}, {2, 3}))
        await world.crash(logs[0])
        group.forget(one)
        two.seen.clear()
        await group.until(lambda: two.owned == {0, 1, 2, 3})
        await group.until(lambda: set(spread(4)[:2]) <= set(two.values()))
        await two.member.close()
        await logs[1].close()

    @in_world
    async def test_groups_do_not_know_each_other(self, world: World) -> None:
        topic = world.topic("readings")
        log = world.open(partitions=2)
        await log.append(topic, [Entry(key, key) for key in spread(2)])
        members = []
        for name in ("windows", "archive"):
            group = Group(world)
            follower = group.add(name, await log.join(topic, name, "worker-1"))
            await group.until(lambda follower=follower: len(follower.values()) >= 2)  # type: ignore[misc]
            assert follower.owned == {0, 1}
            members.append(follower.member)
        for member in members:
            await member.close()
        await log.close()

    @in_world
    async def test_a_forgotten_range_is_an_event_to_a_member(self, world: World) -> None:
        topic = world.topic("readings")
        log = world.open(partitions=1)
        begin = await self.forget_some(world, log, topic)
        group = Group(world)
        one = group.add("one", await log.join(topic, "group", "one"), start=0)
        await group.until(lambda: bool(one.truncated))
        assert one.truncated == [Truncated(0, 0, begin)]
        for _ in range(3):
            await one.step()
        assert one.truncated == [Truncated(0, 0, begin)], "said once"
        assert one.seen == [], "silent until seek"
        one.member.seek(0, begin)
        await group.until(lambda: len(one.values()) >= 200 - begin)
        assert one.seen[0].offsets[0] == begin
        await one.member.close()
        await log.close()
