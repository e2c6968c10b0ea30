"""What every test may use: hypothesis, derandomised in CI and exploring at a desk; real Kafka and MQTT brokers."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from tests.support.kafka import KafkaBroker
from tests.support.mosquitto import Mosquitto

settings.register_profile("ci", derandomize=True, deadline=None, database=None)
settings.register_profile("desk", deadline=None)
settings.load_profile("ci" if os.environ.get("CI") else "desk")


@pytest.fixture(scope="session")
def kafka_bootstrap(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a real Kafka broker that all tests of this run share: give topics and groups names of your own.

    `KAFKA_BOOTSTRAP` in the environment names a running cluster to use instead.
    """
    given = os.environ.get("KAFKA_BOOTSTRAP")
    if given:
        yield given
    elif "PYTEST_XDIST_WORKER" in os.environ:
        yield _broker_of_all_workers(tmp_path_factory.getbasetemp().parent)
    else:
        with KafkaBroker() as broker:
            yield broker.bootstrap


def _broker_of_all_workers(shared: Path) -> str:
    """The first xdist worker that asks starts the broker; it ends with the process that started the workers."""
    with (shared / "kafka.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        address = shared / "kafka.address"
        if not address.exists():
            broker = KafkaBroker(owner=os.getppid())
            broker.release()
            address.write_text(broker.bootstrap)
        return address.read_text()


@pytest.fixture
def mosquitto() -> Iterator[Mosquitto]:
    """A real Mosquitto of the test's own, which it may kill and restart."""
    with Mosquitto() as broker:
        yield broker


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """The long proofs run only when they are asked for: `pytest -m soak`."""
    if "soak" in config.option.markexpr:
        return
    soak = [item for item in items if item.get_closest_marker("soak")]
    if soak:
        config.hook.pytest_deselected(items=soak)
        items[:] = [item for item in items if not item.get_closest_marker("soak")]
