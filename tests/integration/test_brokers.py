"""Three brokers, of which some are always away: nothing is wrong, lost or doubled, and every worker outlives it.

Three replicas, of which two acknowledge. The samples are numbered, so that every window is known; two partitions have
devices that say the same for ever, so that their shards are equal. The long form runs with `make soak`.
"""

from __future__ import annotations

import asyncio
import os
import random
import signal
import time
from pathlib import Path

import pytest

from ingest.log.kafka.cluster import Cluster
from ingest.log.protocol import READINGS
from tests.integration.storm import Storm
from tests.support.kafka import KafkaBroker, KafkaCluster

pytestmark = [pytest.mark.kafka]
PATIENCE_S = 300.0


def leader_of(cluster: KafkaCluster, partition: int) -> KafkaBroker:
    """The broker that leads a partition of `readings` now."""

    async def ask() -> int:
        client = Cluster(cluster.bootstrap, partitions=None, timeout_s=PATIENCE_S)
        try:
            return (await client.leaders(READINGS))[partition]
        finally:
            await client.close()

    return cluster.brokers[asyncio.run(ask())]


def freeze(*brokers: KafkaBroker) -> None:
    for broker in brokers:
        os.kill(broker.pid, signal.SIGSTOP)


def thaw(*brokers: KafkaBroker) -> None:
    for broker in brokers:
        os.kill(broker.pid, signal.SIGCONT)


def calls_out(storm: Storm, text: str) -> None:
    """Every worker says it, each in lines of its own."""
    deadline = time.monotonic() + PATIENCE_S
    before = storm.said.count(text)
    while storm.said.count(text) < before + len(storm.workers):
        assert time.monotonic() < deadline, storm.tail()
        time.sleep(0.1)


def all_go_on(storm: Storm) -> None:
    """Entries come, and nobody has given up."""
    storm.await_seals(3 * len(storm.workers), PATIENCE_S)
    storm.assert_alive()


def ends_well(storm: Storm) -> None:
    """Every acknowledged sample is in its windows, once."""
    storm.check(storm.acknowledged())
    assert "Traceback" not in storm.said, storm.said


@pytest.mark.timeout(900)
def test_brokers_that_come_and_go(tmp_path: Path) -> None:
    """A leader is killed, a worker is killed, and all brokers stand still for longer than an answer may take."""
    with KafkaCluster() as cluster:
        storm = Storm(f"kafka://{cluster.bootstrap}", tmp_path, seed=3)
        with storm.raging(2):
            all_go_on(storm)
            leader_of(cluster, 0).kill()
            all_go_on(storm)
            storm.workers[1].kill()
            storm.workers[1].wait()
            storm.start_worker(1)
            cluster.restart()
            all_go_on(storm)
            freeze(*cluster.brokers.values())
            calls_out(storm, "no answer for")
            thaw(*cluster.brokers.values())
            all_go_on(storm)
        ends_well(storm)


@pytest.mark.soak
@pytest.mark.timeout(0)
@pytest.mark.parametrize("seed", range(2))
def test_a_day_of_a_cluster(seed: int, tmp_path: Path) -> None:
    """Leaders killed, workers that come and go, too few replicas in sync, a leader that stands still, two outages of
    15 s that lie more than two minutes apart, and one of 135 s."""
    chance = random.Random(seed)
    with KafkaCluster() as cluster:
        storm = Storm(f"kafka://{cluster.bootstrap}", tmp_path, seed=seed)
        with storm.raging(3):
            all_go_on(storm)
            for _ in range(2):
                cluster.kill()
                time.sleep(15.0)
                cluster.restart()
                all_go_on(storm)
                for partition in range(3):
                    leader_of(cluster, partition).kill()
                    all_go_on(storm)
                    cluster.restart()
                    all_go_on(storm)
                churn(storm, chance)
            leader = leader_of(cluster, 0)
            freeze(leader)
            time.sleep(40.0)
            thaw(leader)
            all_go_on(storm)
            left = chance.choice(sorted(cluster.brokers))
            for number, broker in cluster.brokers.items():
                if number != left:
                    broker.kill()  # one is left, and two have to acknowledge
            time.sleep(30.0)
            cluster.restart()
            all_go_on(storm)
            cluster.kill()
            until = time.monotonic() + 135.0
            calls_out(storm, "no answer for")
            time.sleep(until - time.monotonic())
            cluster.restart()
            all_go_on(storm)
        ends_well(storm)


def churn(storm: Storm, chance: random.Random) -> None:
    """Workers join, are ended and are killed, for a good two minutes."""
    until = time.monotonic() + 130.0
    while time.monotonic() < until:
        victim = chance.choice(sorted(storm.workers))
        storm.workers[victim].send_signal(chance.choice([signal.SIGTERM, signal.SIGKILL]))
        storm.workers[victim].wait()
        time.sleep(chance.uniform(0.0, 8.0))
        storm.start_worker(victim)
        time.sleep(chance.uniform(0.0, 8.0))
    all_go_on(storm)
