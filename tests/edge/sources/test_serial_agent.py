"""An agent on serial ports: lines of every end, ports that open one after the other, bytes that are no lines."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pytest

from edge.agent.agent import Agent
from edge.config import load_config
from edge.sources.serial import handover
from simulators.doubles.log import FlakyLog
from tests.support.pty import SerialPort


def config(folder: Path, *sources: str) -> Path:
    """An agent.toml with a source a text, each on a port `tty0`, `tty1` …"""
    path = folder / "agent.toml"
    text = 'device = "pump"\nagent = "test"\nlog = "segments:log"\n[spool]\ndir = "spool"\nfsync_interval = "50ms"\n'
    for number, more in enumerate(sources):
        text += f'[[source]]\nname = "s{number}"\ntype = "serial"\nport = "tty{number}"\ndecoder = "csv"\n'
        text += f'stream = "s{number}"\nchannels = {{ x = "g" }}\n{more}\n'
    path.write_text(text)
    return path


def values(log: FlakyLog, stream: str) -> list[float]:
    chunks = {(chunk.boot, chunk.seq): chunk for chunk in log.chunks() if chunk.stream == stream}
    return [value for chunk in chunks.values() for value in np.frombuffer(chunk.values, "<f4").tolist()]


def drive(
    folder: Path,
    sources: tuple[str, ...],
    say: Callable[[list[SerialPort]], None],
    done: Callable[[Agent, FlakyLog], bool],
) -> FlakyLog:
    """Run an agent until `done`; `say` is called again and again, a tenth of a second apart."""
    log = FlakyLog()

    async def main() -> None:
        with ExitStack() as stack:
            ports = [stack.enter_context(SerialPort(folder / f"tty{number}")) for number in range(len(sources))]
            agent = Agent(load_config(config(folder, *sources)), log, b"1" * 16, "0", lambda text: None)
            stop = asyncio.Event()
            running = asyncio.create_task(agent.run(stop))
            async with asyncio.timeout(200):
                while not done(agent, log):
                    if all(port.is_read for port in ports):
                        say(ports)
                    await asyncio.sleep(0.1)
                stop.set()
                await running

    asyncio.run(main())
    return log


@pytest.fixture(autouse=True)
def _patient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edge.agent.publisher.RETRY_S", (0.01, 0.05))


def test_lines_of_every_end_and_records_of_none_are_samples_and_nothing_is_lost(tmp_path: Path) -> None:
    ends = {"": "\n", "# ": "\r\n", "#  ": "\r", 'line_end = "nul"': "\0", 'line_end = "\\u0003"': "\3"}
    sources = (*ends, "record_bytes = 5")
    said = iter(range(100_000))

    def say(ports: list[SerialPort]) -> None:
        number = next(said)
        for port, end in zip(ports, [*ends.values(), ""], strict=True):
            port.write(b"%05d" % number + end.encode())

    def done(agent: Agent, log: FlakyLog) -> bool:
        return all(len(values(log, f"s{number}")) >= 10 for number in range(len(sources)))

    log = drive(tmp_path, sources, say, done)
    for number in range(len(sources) - 1):
        found = values(log, f"s{number}")
        assert found == list(np.arange(found[0], found[0] + len(found)))
    assert set(values(log, "s5")) <= set(map(float, range(100_000)))
    # records without ends may be torn by a busy machine, and one that is very busy stands still for seconds
    lost = [gap for gap in log.gaps() if gap.stream != "s5" and gap.reason != "stalled"]
    assert lost == []  # also where a port was opened a moment after another stream began


def test_a_port_that_says_no_line_is_in_the_log_as_a_loss_and_told(tmp_path: Path) -> None:
    told: set[str] = set()

    def say(ports: list[SerialPort]) -> None:
        ports[0].playing([b"+00012.5" * 100])

    def done(agent: Agent, log: FlakyLog) -> bool:
        told.update(pipeline.source.trouble for pipeline in agent.pipelines)
        return any(gap.reason in ("too_long", "no_line") for gap in log.gaps())  # whichever is first

    log = drive(tmp_path, ("",), say, done)
    assert {gap.samples for gap in log.gaps()} <= {-1, 1}
    assert not log.chunks()
    assert any("such as" in text and "+00012.5" in text for text in told)


def test_what_was_read_before_a_stop_is_in_the_log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(handover, "REST_S", 1000.0)  # so that all but the first arrival waits when it is stopped
    said = iter(range(100_000))
    last = 0

    def say(ports: list[SerialPort]) -> None:
        nonlocal last
        last = next(said)
        ports[0].write(b"%d\n" % last)

    def done(agent: Agent, log: FlakyLog) -> bool:
        handed = [pipeline.source._handover for pipeline in agent.pipelines]  # type: ignore[attr-defined]
        return last >= 20 and all(handed) and sum(item.data.count(b"\n") for item in handed[0]._items) >= 10

    log = drive(tmp_path, ("",), say, done)
    found = values(log, "s0")
    assert found == list(range(int(found[0]), int(found[0]) + len(found)))
    assert len(found) >= 11
