"""What a field engineer is told by `sensorloom agent run`, as a process, and that its data wait meanwhile."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from edge.spool.spool import Queue, SpoolLimits
from ingest.records import Chunk, Record
from ingest.times import sample_times
from tests.edge.spool.spooling import read_all
from tests.integration.observed_agent import numbers_of
from tests.integration.sensors import Line
from tests.integration.site import Running, wait_for
from tests.support.kafka import KafkaBroker
from tests.support.logs import read_log
from tests.support.server import free_ports


def configure(folder: Path, log: str, more: str = "") -> Path:
    """agent.toml of an agent with one sensor, on `folder`/port."""
    folder.mkdir(exist_ok=True)
    path = folder / "agent.toml"
    path.write_text(
        f"""device = "pump"
agent = "{folder.name}"
log = "{log}"
[spool]
dir = "spool"
fsync_interval = "100ms"
{more}
[[source]]
name = "line"
type = "serial"
port = "port"
decoder = "csv"
stream = "line"
channels = {{ number = "1", check = "1" }}
dtype = "int32"
"""
    )
    return path


@contextmanager
def agent(folder: Path) -> Iterator[Running]:
    """The agent of a folder; killed at the end."""
    words = [folder, "agent", "run", "-c", folder / "agent.toml"]
    running = Running(folder, words, "tests.edge.agent.staged_agent")
    try:
        yield running
    finally:
        running.kill()


def spooled_bytes(folder: Path) -> int:
    """What the spool's queue of readings takes."""
    return sum(path.stat().st_size for path in (folder / "spool/readings").glob("*.log"))


def goes_on_sampling(folder: Path) -> None:
    before = spooled_bytes(folder)
    wait_for(lambda: spooled_bytes(folder) > before + 3000, "more in the spool")


def spooled(folder: Path) -> set[int]:
    """The numbers that wait in the spool of an agent that does not run."""
    queue = Queue(folder / "spool/readings", SpoolLimits())
    found = samples(read_all(queue))
    queue.close()
    return set(found)


def samples(records: Iterable[Record]) -> dict[int, int]:
    """The time of each number, each chunk once."""
    chunks = {(record.boot, record.seq): record for record in records if isinstance(record, Chunk)}
    return {
        int(number): int(time_ns)
        for chunk in chunks.values()
        for number, time_ns in zip(numbers_of(chunk)[:, 0], sample_times(chunk), strict=True)
    }


@pytest.mark.kafka
def test_a_kafka_that_advertises_an_address_out_of_reach_is_told_apart_from_a_dead_one(tmp_path: Path) -> None:
    answers, unreachable, dead = (f"127.0.0.1:{port}" for port in free_ports(3))
    misled, lonely = tmp_path / "misled", tmp_path / "lonely"
    with KafkaBroker(misleading=(answers, unreachable)) as broker, ExitStack() as stack:
        for folder, address in ((misled, answers), (lonely, dead)):
            configure(folder, f"kafka://{address}")
            stack.enter_context(Line(folder / "port", 100))
        with agent(misled) as first, agent(lonely) as second:
            first.says("the broker answers, but says that clients find it at " + unreachable)
            assert f"waiting for the log: kafka://{answers}: " in first.err
            assert "set its advertised.listeners to an address that they can reach" in first.err
            second.says("nobody answers at this address: connection refused; start the broker")
            assert f"waiting for the log: kafka://{dead}: " in second.err
            assert "nobody answers" not in first.err
            assert "advertised.listeners" not in second.err
            for folder in (misled, lonely):
                goes_on_sampling(folder)
        waiting = spooled(misled)
        assert len(waiting) >= 50
        configure(misled, f"kafka://{broker.bootstrap}")
        with agent(misled) as third:
            wait_for(lambda: samples(read_log(f"kafka://{broker.bootstrap}")).keys() >= waiting, "all that waited")
            assert third.ends(signal.SIGTERM) == 0


def test_a_cloned_card_is_named_by_the_agent_that_was_there(tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    for folder in (first, second):
        configure(folder, f"segments:{tmp_path}/log")
    with Line(first / "port", 100), agent(first) as original:
        wait_for(lambda: bool(samples(read_log(f"segments:{tmp_path}/log"))), "samples in the log")
        with agent(second):
            original.says('device "pump": another agent publishes for it: "second", boot ')
        assert 'Give each its own "device" in agent.toml' in original.err


def test_an_agent_without_a_clock_keeps_its_data_through_a_kill_and_says_what_it_waits_for(tmp_path: Path) -> None:
    log = f"segments:{tmp_path}/log"
    configure(tmp_path, log, '[clock]\ntrust = "ntp"')
    with Line(tmp_path / "port", 100) as line:
        begin_ns = time.time_ns()
        with agent(tmp_path) as first:
            first.says("waiting for the system's clock to be set: data wait in the spool on monotonic time")
            goes_on_sampling(tmp_path)
        waiting = spooled(tmp_path)
        assert len(waiting) >= 50
        with agent(tmp_path) as second:
            second.says("waiting for the system's clock to be set: data wait in the spool on monotonic time")
            assert not samples(read_log(log))
            (tmp_path / "synchronised").touch()
            second.says("the system's clock is set")
            wait_for(lambda: max(samples(read_log(log)), default=0) > max(waiting), "lines of a clock that is set")
            assert second.ends(signal.SIGTERM) == 0
        found = samples(read_log(log))
        assert found.keys() >= waiting
        assert begin_ns < min(found.values()) < max(found.values()) < time.time_ns()
        lags_ns = [time_ns - line.said_ns[number] for number, time_ns in found.items()]
        assert max(lags_ns) < 10 * 10**9
    assert {r.clock.source for r in read_log(log) if isinstance(r, Chunk) and r.clock} == {"late", "ntp"}
