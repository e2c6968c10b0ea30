"""What the simulated log does beyond the contract: the permitted lies."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable

import pytest

from ingest.errors import LogUnavailableError
from ingest.log.protocol import Assigned, Entry, Event, LogBatch, Revoked
from simulators.sim.faults import Chance, Faults, Process
from simulators.sim.log import SimBroker, SimLog, SimMember
from simulators.sim.loop import run

ENTRIES = [Entry(b"k", b"%d" % i) for i in range(4)]


def client(broker: SimBroker, faults: Faults | None = None, seed: int = 1) -> SimLog:
    return SimLog(broker, Process("p", Chance(random.Random(seed), faults or Faults())))


def values_after(faults: Faults, seed: int) -> tuple[bool, list[bytes]]:
    """Whether an append was acknowledged, and what the log holds after it."""

    async def main(rng: random.Random) -> tuple[bool, list[bytes]]:
        broker = SimBroker(rng, partitions=1)
        try:
            await client(broker, faults, seed).append("readings", ENTRIES)
            acknowledged = True
        except LogUnavailableError:
            acknowledged = False
        return acknowledged, broker.ensure("readings", None)[0].values

    return run(main, seed)


def test_a_lost_acknowledgement_leaves_any_prefix() -> None:
    fates = [values_after(Faults(lost_ack=1.0), seed) for seed in range(60)]
    wanted = [entry.value for entry in ENTRIES]
    assert not any(acknowledged for acknowledged, _ in fates)
    assert {len(values) for _, values in fates} == {0, 1, 2, 3, 4}
    assert all(values == wanted[: len(values)] for _, values in fates)


def test_an_unavailable_log_did_nothing() -> None:
    assert values_after(Faults(unavailable=1.0), 1) == (False, [])


def test_a_retrying_client_doubles() -> None:
    wanted = [entry.value for entry in ENTRIES]
    assert values_after(Faults(duplicate=1.0), 1) == (True, wanted * 2)


def test_holes_are_skipped_by_readers() -> None:
    async def main(rng: random.Random) -> None:
        broker = SimBroker(rng, partitions=1)
        positions = await client(broker, Faults(hole=1.0)).append("readings", ENTRIES)
        offsets = [position.offset for position in positions]
        assert offsets == sorted(offsets)
        assert offsets[0] > 0
        (batch,) = await client(broker).reader("readings", {0: 0}).fetch(1.0)
        assert list(batch.offsets) == offsets
        assert batch.next_offset == broker.topics["readings"][0].end

    run(main, seed=1)


def test_compaction_keeps_the_last_of_each_key_and_its_offset() -> None:
    async def main(rng: random.Random) -> None:
        broker = SimBroker(rng, partitions=1)
        await client(broker).append("streams", [Entry(key, b"%d" % i) for i, key in enumerate([b"a", b"b", b"a"])])
        broker.topics["streams"][0].compact()
        (batch,) = await client(broker).reader("streams", {0: 0}).fetch(1.0)
        assert (list(batch.offsets), list(batch.values), batch.next_offset) == ([1, 2], [b"1", b"2"], 3)

    run(main, seed=1)


async def collect(member: SimMember, until: Callable[[list[Event]], bool]) -> list[Event]:
    events: list[Event] = []
    async with asyncio.timeout(100.0):
        while not until(events):
            events += await member.poll(0.5)
    return events


def test_a_member_taken_for_dead_reads_on_and_is_not_heard() -> None:
    async def main(rng: random.Random) -> None:
        broker = SimBroker(rng, partitions=1)
        await client(broker).append("readings", ENTRIES)
        zombie = await client(broker, Faults(stale=1.0)).join("readings", "g", "zombie")
        assert await zombie.poll(0.5) == [Assigned((0,))]
        zombie.seek(0, 0)
        await asyncio.sleep(2 * broker.session_s)
        heir = await client(broker).join("readings", "g", "heir")
        assert await heir.poll(0.5) == [Assigned((0,))]
        (batch,) = await zombie.poll(0.5)
        assert isinstance(batch, LogBatch)
        assert len(batch) == 4
        await zombie.commit({0: 4})
        assert await client(broker).committed("readings", "g") == {}
        await heir.commit({0: 2})
        assert await client(broker).committed("readings", "g") == {0: 2}

    run(main, seed=1)


def test_a_rebalance_moves_partitions() -> None:
    async def main(rng: random.Random) -> None:
        broker = SimBroker(rng, partitions=2)
        broker.ensure("readings", None)
        one = await client(broker).join("readings", "g", "one")
        two = await client(broker).join("readings", "g", "two")
        assert await one.poll(0.5) == [Assigned((0,))]
        assert await two.poll(0.5) == [Assigned((1,))]
        restless = client(broker, Faults(rebalance=1.0))
        three = await restless.join("readings", "g", "three")
        await three.poll(0.0)
        events = await collect(one, lambda events: any(isinstance(event, Revoked) for event in events))
        assert Revoked((0,)) in events

    run(main, seed=1)


def test_a_name_belongs_to_one_member() -> None:
    async def main(rng: random.Random) -> None:
        broker = SimBroker(rng, partitions=1)
        broker.ensure("readings", None)
        first = await client(broker).join("readings", "g", "same")
        await client(broker).join("readings", "g", "same")
        with pytest.raises(LogUnavailableError, match="a name of its own"):
            await first.poll(0.5)

    run(main, seed=1)
