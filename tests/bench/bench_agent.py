"""A whole agent in a process of its own: its CPU line by line, its memory, what it writes to the card, and what silence
and status cost.

CPU and memory are the kernel's figures of the process (`/proc/PID/stat`, `status`), bytes to the block device those of
`/proc/PID/io`, in a folder on the disk of this project: a file system that has no block device under it counts nothing.
"""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np

from edge.agent import status
from edge.agent.agent import Agent
from edge.config import load_config
from edge.protocol import Frame, SourceConfig
from edge.recording.recorder import Recorder
from edge.recording.terms import ClockState, Previous, Rules
from ingest.log.protocol import READINGS, STATUS
from ingest.records import Chunk, Heartbeat
from ingest.wire import decode, encode
from simulators.doubles.log import FlakyLog
from simulators.doubles.source import source_type
from simulators.terminal import Terminal
from tests.bench.harness import Row, row
from tests.support.kafka import KafkaBroker
from tests.support.logs import read_log

PROJECT: Final = Path(__file__).resolve().parents[2]
DISK: Final = PROJECT / ".cache"
WARM_S, WATCH_S = 6.0, 20.0
DEVICES: Final = 100
DAY_S: Final = 86_400
S: Final = 1_000_000_000
WALL: Final = 1_700_000_000 * S
CONFIG: Final = """device = "pump-7"
log = "{log}"
[spool]
dir = "spool"
[[source]]
name = "imu"
type = "serial"
port = "port"
decoder = "csv"
stream = "acc"
channels = {{ x = "g", y = "g", z = "g" }}
rate = "{rate}Hz"
"""


class Seen(NamedTuple):
    """Of a process over a time."""

    cpu_percent: float
    resident_mb: float
    written_bytes: int
    """To the block device."""
    begin_ns: int
    end_ns: int


def bench() -> list[Row]:
    """CPU, memory, wear of the card, and a day of nothing."""
    DISK.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="bench-", dir=DISK) as name, KafkaBroker() as broker:
        folders = [Path(name) / str(number) for number in range(3)]
        for folder in folders:
            folder.mkdir()
        slow = watch(folders[0], f"segments:{folders[0]}/log", 100)
        fast = watch(folders[1], f"segments:{folders[1]}/log", 1000)
        address = f"kafka://{broker.bootstrap}/bench"
        kafka = watch(folders[2], address, 100)
        payload = _payload_bytes(address, kafka)
    return [
        _row("agent, CPU at 100 Hz line by line", slow.cpu_percent, "% of a core", 3),
        _row("agent, CPU at 1 kHz line by line", fast.cpu_percent, "% of a core", 8),
        _row("agent, CPU at 100 Hz with Kafka", kafka.cpu_percent, "% of a core", None),
        _row("agent, resident memory at 1 kHz", fast.resident_mb, "MB", 64),
        _row("agent, resident memory at 100 Hz with Kafka", kafka.resident_mb, "MB", 64),
        _row("agent, bytes to the disk per payload byte, 100 Hz, Kafka", kafka.written_bytes / payload, "ratio", 3),
        _row(f"status of {DEVICES} devices", asyncio.run(_status_bytes()) / 1e6, "MB a day", 100),
        _row("a silent stream", _silence_bytes({}) / 1e6, "MB a day", 1),
        _row("an absent port", _silence_bytes({"acc": "port_lost"}) / 1e6, "MB a day", 1),
    ]


def _row(name: str, value: float, unit: str, bar: float | None) -> Row:
    return row(name, [value], unit, bar=bar, lower_is_better=True)


# --- a process


def watch(folder: Path, log: str, rate: int) -> Seen:
    """Run an agent whose port says one line at a time, and look at it when it has settled."""
    (folder / "agent.toml").write_text(CONFIG.format(log=log, rate=rate))
    with Terminal(folder / "port") as port, speaking(port, rate), (folder / "stderr.txt").open("wb") as err:
        words = [sys.executable, "-m", "sensorloom", "agent", "run", "-c", str(folder / "agent.toml")]
        agent = subprocess.Popen(words, cwd=PROJECT, stdout=subprocess.DEVNULL, stderr=err)
        try:
            time.sleep(WARM_S)
            begin = _figures(agent.pid)
            time.sleep(WATCH_S)
            end = _figures(agent.pid)
        finally:
            agent.send_signal(signal.SIGTERM)
            code = agent.wait(60)
        assert code == 0, (folder / "stderr.txt").read_text()
    ticks = os.sysconf("SC_CLK_TCK")
    percent = (end.ticks - begin.ticks) / ticks / ((end.at_ns - begin.at_ns) / S) * 100
    return Seen(percent, end.resident_kb / 1024, end.written - begin.written, begin.at_ns, end.at_ns)


@contextmanager
def speaking(port: Terminal, rate: int) -> Iterator[None]:
    """A sensor that writes line by line."""
    over = threading.Event()

    def speak() -> None:
        due, number = time.monotonic(), 0
        while not over.is_set():
            due += 1 / rate
            time.sleep(max(0.0, due - time.monotonic()))
            port.offer(b"%.3f,%.3f,%.3f\n" % (number % 977 / 300, number % 613 / 200, number % 389 / 100))
            number += 1

    thread = threading.Thread(target=speak, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


class _Figures(NamedTuple):
    ticks: int
    resident_kb: int
    written: int
    at_ns: int


def _figures(pid: int) -> _Figures:
    process = Path(f"/proc/{pid}")
    fields = (process / "stat").read_text().rpartition(")")[2].split()
    status = dict(line.split(":", 1) for line in (process / "status").read_text().splitlines())
    io = dict(line.split(": ") for line in (process / "io").read_text().splitlines())
    ticks = int(fields[11]) + int(fields[12])
    return _Figures(ticks, int(status["VmRSS"].split()[0]), int(io["write_bytes"]), time.time_ns())


def _payload_bytes(log: str, seen: Seen) -> int:
    """What of the log's readings was made while it was looked at."""
    return sum(
        len(encode(record))
        for record in read_log(log, READINGS)
        if isinstance(record, Chunk) and seen.begin_ns <= record.t0_ns < seen.end_ns
    )


# --- a day


async def _status_bytes() -> float:
    """What a day of heartbeats of an agent with many devices takes in the log, from a round of them: one of each has
    figures, the others say that the agent is alive."""
    with tempfile.TemporaryDirectory(prefix="sensorloom-bench-") as name, source_type("fed"):
        path = Path(name) / "agent.toml"
        source = '[[source]]\nname = "s{0}"\ndevice = "pump-{0}"\ntype = "fed"\ndecoder = "csv"\n'
        source += 'stream = "acc"\nchannels = {{ x = "g", y = "g", z = "g" }}\nrate = "100Hz"\n'
        head = 'log = "segments:log"\n[spool]\ndir = "spool"\n'
        path.write_text(head + "".join(source.format(number) for number in range(DEVICES)))
        log, stop = FlakyLog(), asyncio.Event()
        agent = Agent(load_config(path), log, os.urandom(16), "bench", lambda line: None)
        task = asyncio.create_task(agent.run(stop))
        beats: list[tuple[int, int]] = []
        every_s, status.HEARTBEAT_S = status.HEARTBEAT_S, 0.2  # type: ignore[misc]
        while len(beats) < status.FIGURES_BEATS * DEVICES:
            await asyncio.sleep(0.2)
            entries = [entry for part in log.content.get(STATUS, []) for entry in part]
            beats = [
                (record.time_ns, len(entry.key) + len(entry.value))
                for entry in entries
                if isinstance(record := decode(entry.value), Heartbeat)
            ]
        stop.set()
        await task
        status.HEARTBEAT_S = every_s  # type: ignore[misc]
    a_round = beats[: status.FIGURES_BEATS * DEVICES]
    return sum(size for _, size in a_round) / (every_s * status.FIGURES_BEATS) * DAY_S


def _silence_bytes(missing: dict[str, str]) -> float:
    """A day of a stream that said something once, a flush a second."""
    words = {"where": "bench", "base": ".", "name": "s", "type": "serial", "decoder": "csv", "device": "pump-7"}
    config = SourceConfig(**words, stream="acc", channels={"x": "g"}, rate=Fraction(100))  # type: ignore[arg-type]
    rules = Rules(silence_ns=2 * DAY_S * S)
    recorder = Recorder("pump-7", os.urandom(16), [config], rules, Previous(), ClockState(True, "ntp"))
    recorder.take("acc", 1, [Frame(np.ones((1, 1)), None, 1)], S, WALL + S)
    size = 0
    for second in range(2, DAY_S + 2):
        size += sum(len(encode(held.record)) for held in recorder.flush(second * S, missing))
    return size


if __name__ == "__main__":
    with tempfile.TemporaryDirectory(prefix="bench-", dir=DISK) as name:
        print(watch(Path(name), f"segments:{name}/log", int(sys.argv[1])))
