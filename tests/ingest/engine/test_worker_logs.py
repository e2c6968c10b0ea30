"""A worker on a simulated log and disk: which log it refuses, and after which chain it goes on."""

from __future__ import annotations

import asyncio
import random

import pytest

from ingest.engine.manifest import Manifest, chain_folder, encode_document
from ingest.errors import CorruptLogError, ReplacedLogError, TruncatedLogError
from ingest.log.protocol import Assigned, Event, LogBatch
from simulators.sim.files import SimDisk
from simulators.sim.log import SimLog, SimMember, SimPartition
from tests.ingest.engine.counting import Summing
from tests.ingest.engine.workers import (
    TOPIC,
    Puffing,
    Site,
    play,
)

# Which log it is.


def test_entries_say_what_they_read_last() -> None:
    async def scenario() -> None:
        site = Site()
        site.fill(5)
        site.partition().end += 3  # a hole at the end, as transaction markers leave one
        await site.drain()
        last = site.entries()[-1].last
        assert last is not None
        assert (site.entries()[-1].through, last.offset, last.append_ns) == (8, 4, 14)
        site.fill(1, base=7, at_ns=99)
        await site.drain()
        assert site.entries()[-1].last != last

    play(scenario)


@pytest.mark.parametrize("length", [0, 1, 4, 5, 6, 50])
def test_a_topic_made_anew_is_refused(length: int) -> None:
    async def scenario() -> None:
        site = Site()
        site.fill(5)
        await site.drain()
        site.broker.topics[TOPIC] = [SimPartition()]
        site.fill(length, base=100, at_ns=1_000_000)
        before = site.entries()
        with pytest.raises(ReplacedLogError, match="made anew, or restored from an older backup"):
            await site.drain()
        assert site.entries() == before

    play(scenario)


class SlowGroup(SimLog):
    """It gives nobody a partition for now: a group takes its time to settle."""

    async def join(self, topic: str, group: str, instance: str, *, owner: str = "") -> SimMember:
        member = await super().join(topic, group, instance, owner=owner)
        poll = member.poll

        async def without_partitions(timeout_s: float) -> list[Event]:
            return [event for event in await poll(timeout_s) if not isinstance(event, Assigned | LogBatch)]

        member.poll = without_partitions  # type: ignore[method-assign]
        return member


@pytest.mark.parametrize("length", [0, 1, 4, 5])
def test_a_topic_made_anew_is_refused_before_any_partition_is_given(length: int) -> None:
    """It is no longer than what was sealed, so that nothing seemed to be left to read."""

    async def scenario() -> None:
        site = Site()
        site.fill(5)
        await site.drain()
        await site.worker(SlowGroup(site.broker)).run({0: 5})
        site.broker.topics[TOPIC] = [SimPartition()]
        site.fill(length, base=100, at_ns=1_000_000)
        with pytest.raises(ReplacedLogError, match="made anew, or restored from an older backup"):
            await site.worker(SlowGroup(site.broker)).run({0: length})

    play(scenario)


@pytest.mark.parametrize("kept", [0, 3, 4])
@pytest.mark.parametrize("more", [0, 1, 2, 5, 40])
def test_a_log_restored_from_an_older_backup_is_refused(kept: int, more: int) -> None:
    """Its first records are those that were read, also the values of the others may be: they came at another time."""

    async def scenario() -> None:
        site = Site()
        site.fill(5)
        await site.drain()
        site.broker.topics[TOPIC] = [SimPartition()]
        site.fill(kept)
        site.fill(more, base=kept, at_ns=1_000_000)
        with pytest.raises(ReplacedLogError):
            await site.drain()

    play(scenario)


def test_the_same_values_at_the_same_times_are_the_same_log() -> None:
    async def scenario() -> None:
        site = Site()
        site.fill(5)
        await site.drain()
        site.broker.topics[TOPIC] = [SimPartition()]
        site.fill(9)
        await site.drain()
        assert site.entries()[-1].through == 9

    play(scenario)


@pytest.mark.parametrize("begin", [4, 5, 7])
def test_where_retention_took_the_record_only_the_hole_is_told(begin: int) -> None:
    async def scenario() -> None:
        site = Site()
        site.fill(5)
        await site.drain()
        site.fill(4, base=5, at_ns=100)
        site.partition().truncate(begin)
        await site.drain()
        assert [hole for entry in site.entries() for hole in entry.lost] == ([(5, 7)] if begin == 7 else [])
        assert site.entries()[-1].through == 9

    play(scenario)


def test_who_begins_behind_what_was_says_so() -> None:
    async def scenario() -> None:
        site = Site(partitions=2)
        site.fill(5)
        site.fill(5, 1)
        site.partition(1).truncate(3)
        await site.drain()
        await site.drain()
        assert site.texts("noted") == [
            "this begins where the log does: readings-1 at offset 3; what was before, retention has taken"
        ]

    play(scenario)


def test_an_entry_of_an_older_version_goes_on_and_gains_the_proof() -> None:
    async def scenario() -> None:
        site = Site()
        site.fill(5)
        await site.drain()
        old = site.entries()[0]
        body = encode_document(Manifest(**{**{f: getattr(old, f) for f in old.__struct_fields__}, "last": None}))
        site.disk.write(f"{chain_folder(TOPIC, 0)}/000000000000.json", body)
        site.fill(1, base=5, at_ns=100)
        await site.drain()
        assert [entry.last is None for entry in site.entries()] == [True, False]

    play(scenario)


def test_a_log_that_is_shorter_for_a_moment_is_asked_again() -> None:
    async def scenario() -> None:
        site = Site()
        site.fill(5)
        await site.drain()
        site.partition().end = 3  # a new leader in Kafka has not heard yet how far its followers were

        async def hear() -> None:
            await asyncio.sleep(1.5)
            site.partition().end = 5

        hearing = asyncio.create_task(hear())
        await site.worker().run({0: 5})
        await hearing

    play(scenario)


class RottenLog(SimLog):
    """Its records from 3 on cannot be read; what comes next is said to be at `next_offset`."""

    next_offset = 0

    async def join(self, topic: str, group: str, instance: str, *, owner: str = "") -> SimMember:
        member = await super().join(topic, group, instance, owner=owner)
        poll = member.poll

        async def rotten(timeout_s: float) -> list[Event]:
            events = await poll(timeout_s)
            if any(isinstance(event, LogBatch) and event.offsets[0] == 0 for event in events):
                raise CorruptLogError("rot", partition=0, offset=3, next_offset=self.next_offset)
            return events

        member.poll = rotten  # type: ignore[method-assign]
        return member


@pytest.mark.parametrize("next_offset", [6, 2**31])
def test_no_hole_beyond_the_log_is_sealed(next_offset: int) -> None:
    async def scenario() -> None:
        site = Site()
        site.fill(5)
        log = RottenLog(site.broker)
        log.next_offset = next_offset
        with pytest.raises(TruncatedLogError, match="but the log ends at 5; nothing of this was sealed"):
            await site.drain(log=log)
        assert site.entries() == []

    play(scenario)


# A chain that goes on where another one ended.


@pytest.mark.parametrize("kind", [Summing, Puffing])
@pytest.mark.parametrize("more", [0, 1, 30])
def test_a_chain_goes_on_after_another_with_the_state_that_it_would_have(kind: type[Summing], more: int) -> None:
    async def scenario() -> None:
        site, new = Site(), SimDisk(random.Random(5))
        site.fill(20)
        await site.drain(kind=kind)
        after = site.ending()
        site.fill(more, base=20, at_ns=1000)
        for _ in range(2):  # and again from its own entries
            await site.drain(kind=kind, after=[after], disk=new)
        sums = [sum(range(number + 1)) for number in range(20, 20 + more)]
        assert site.lines(new) == [f"{20 + at} {total}" for at, total in enumerate(sums)]
        assert [entry.begin for entry in site.entries(disk=new)][:1] == ([20] if more else [])
        if more:
            assert site.entries(disk=new)[-1].totals == {"lines": more, "records": more}

    play(scenario)


@pytest.mark.parametrize(("begin", "lost"), [(15, []), (20, []), (25, [(20, 25)])])
def test_what_the_log_has_lost_before_the_end_is_no_loss(begin: int, lost: list[tuple[int, int]]) -> None:
    async def scenario() -> None:
        site, new = Site(), SimDisk(random.Random(5))
        site.fill(20)
        await site.drain()
        site.fill(10, base=20, at_ns=1000)
        site.partition().truncate(begin)
        await site.drain(after=[site.ending()], disk=new)
        assert [hole for entry in site.entries(disk=new) for hole in entry.lost] == lost
        assert site.entries(disk=new)[-1].through == 30
        assert [int(line.split()[0]) for line in site.lines(new) if "lost" not in line] == [*range(max(20, begin), 30)]

    play(scenario)


def test_nobody_goes_on_after_a_chain_of_another_log() -> None:
    async def scenario() -> None:
        site, new = Site(), SimDisk(random.Random(5))
        site.fill(20)
        await site.drain()
        site.broker.topics[TOPIC] = [SimPartition()]
        site.fill(40, base=7, at_ns=1000)
        with pytest.raises(ReplacedLogError):
            await site.drain(after=[site.ending()], disk=new)

    play(scenario)
