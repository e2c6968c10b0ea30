"""What every test may use: hypothesis, derandomised in CI and exploring at a desk; real Kafka and MQTT brokers."""

from __future__ import annotations

import fcntl
import gc
import importlib
import os
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import settings

from tests.support.kafka import KafkaBroker
from tests.support.mosquitto import Mosquitto
from tests.support.server import PROJECT

# CI draws the same examples each time: more of them find nothing new, and others are drawn at each desk.
settings.register_profile("ci", derandomize=True, deadline=None, database=None, max_examples=50)
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
    """The long proofs run only when asked for, `pytest -m soak`; of the others, those of a long limit are first.

    Begun at the end, one of them would run for a minute while all other workers have nothing left.
    """
    if "soak" in config.option.markexpr:
        return
    soak = [item for item in items if item.get_closest_marker("soak")]
    if soak:
        config.hook.pytest_deselected(items=soak)
        items[:] = [item for item in items if not item.get_closest_marker("soak")]
    items.sort(key=_limit, reverse=True)


def _limit(item: pytest.Item) -> float:
    """Seconds that a test asks for itself; 0 for one that has enough with what all have."""
    mark = item.get_closest_marker("timeout")
    return float(mark.args[0]) if mark else 0.0


def pytest_configure() -> None:
    """What tests start keeps nothing compiled: where no file may grow, Python would keep half of a module."""
    os.environ["PYTHONDONTWRITEBYTECODE"] = "1"
    sys.dont_write_bytecode = False  # a worker was started with it; what is collected is kept all the same
    gc.disable()


def pytest_collection(session: pytest.Session) -> None:
    """Each worker begins with its share of the test modules: those of the others it finds compiled when it gets there.

    To compile a test module, with what its assertions say, takes three times as long as to import it compiled.
    """
    workers = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    if workers == 1:
        return
    modules = sorted(file for path in map(Path, session.config.args) for file in path.rglob("test_*.py"))
    for file in modules[int(os.environ["PYTEST_XDIST_WORKER"].removeprefix("gw")) :: workers]:
        with suppress(Exception):  # the collection says what is wrong with it
            importlib.import_module(".".join(file.resolve().relative_to(PROJECT).with_suffix("").parts))


def pytest_collection_finish() -> None:
    """What imports and the collection made stays to the end: no collection of garbage need look through it again."""
    sys.dont_write_bytecode = True
    gc.enable()
    gc.collect()
    gc.freeze()
