"""Kills real processes at random moments while a producer writes, and says whether anything was lost or doubled."""

from __future__ import annotations

import asyncio
import contextlib
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

import sensorloom
from tests.integration.forks import Forks, Process
from tests.integration.producer import DEVICES, PER_CHUNK, PERIOD_NS, START_NS, counts_of, found, produce_calmly
from tests.integration.recordings import command

PROJECT = Path(__file__).resolve().parents[2]
LENGTH, HOP = 256, 128
DOOMED = "tests.integration.doomed_worker"
WORKER = (DOOMED, "service.commands", "service.run", "ingest.log.kafka", "ingest.log.segments")
"""What a worker imports: most of what its start costs."""
PATIENCE_S = 240.0
"""How long anything may take that must happen, on a machine that has other work."""
CONFIG = f"""name = "storm"

[window]
length = {LENGTH}
hop = {HOP}
rate = "100Hz"
anchor = "recording"
channels = ["acc.x", "acc.y", "acc.z"]
"""


@dataclass
class Storm:
    """A producer and two windowing workers over one log; `kill_log` ends and restarts the log's server, if any."""

    url: str
    folder: Path
    seed: int
    kill_log: Callable[[], None] | None = None
    workers: dict[int, Process] = field(default_factory=dict)
    happened: list[str] = field(default_factory=list)
    _forks: dict[int, Forks] = field(default_factory=dict)
    """Of each worker."""

    @property
    def dataset(self) -> Path:
        return self.folder / "dataset"

    @property
    def _told(self) -> Path:
        return self.folder / "processes.log"

    def _python(self, *words: str) -> subprocess.Popen[bytes]:
        with self._told.open("ab") as log:
            return subprocess.Popen([sys.executable, "-m", *words], cwd=PROJECT, stdout=log, stderr=log)

    def _window_words(self, instance: str) -> list[str]:
        config = self.folder / "dataset.toml"
        config.write_text(CONFIG)
        return [
            *("window", "run", "-c", str(config), "--log", self.url, "--out", str(self.dataset)),
            *("--instance", instance, "--seal-seconds", "0.2"),
        ]

    def start_worker(self, number: int, dies_at_seal: int = 0) -> None:
        words, forks = self._window_words(f"worker-{number}"), self._forks[number]
        if dies_at_seal:
            self.workers[number] = forks.begin([str(dies_at_seal), *words], self._told, DOOMED)
        else:
            self.workers[number] = forks.begin(words, self._told)

    def entries(self) -> int:
        return sum(1 for _ in self.dataset.glob("windows/*/manifest/*/0*.json"))

    def await_seals(self, more: int, patience_s: float = PATIENCE_S) -> None:
        """Wait until `more` entries have come: a kill counts only while work is under way."""
        wanted, deadline = self.entries() + more, time.monotonic() + patience_s
        while self.entries() < wanted:
            assert time.monotonic() < deadline, f"no new entry in {patience_s} s after {self.happened}: {self.tail()}"
            time.sleep(0.1)  # to count them is work

    @property
    def said(self) -> str:
        """What all processes have said."""
        return self._told.read_text()

    def tail(self) -> str:
        return self.said[-3000:]

    def assert_alive(self) -> None:
        """Nobody has given up: a worker waits for whatever passes."""
        ended = {number: code for number, worker in self.workers.items() if (code := worker.poll()) is not None}
        assert not ended, f"{ended}, {self.happened}: {self.tail()}"

    def round(self, chance: random.Random, number: int) -> None:
        self.assert_alive()
        self.await_seals(chance.randint(1, 4))
        time.sleep(chance.random() * 0.3)
        if self.kill_log is not None and number % 5 == 4:
            self.happened.append("broker")
            self.kill_log()
            return
        victim = chance.choice(sorted(self.workers))
        self.workers[victim].kill()
        assert self.workers[victim].wait() == -signal.SIGKILL, self.tail()
        self.happened.append(f"worker-{victim}")
        if chance.random() < 0.5:
            self.start_worker(victim, dies_at_seal=chance.randint(1, 3))
            assert self.workers[victim].wait(timeout=PATIENCE_S) == -signal.SIGKILL, self.tail()
            self.happened.append(f"worker-{victim} after link()")
        self.start_worker(victim)

    def run(self, rounds: int) -> int:
        """The storm, then calm: everything in the log is sealed. The number of acknowledged chunks a device."""
        chance = random.Random(self.seed)
        with self.raging(2):
            for number in range(rounds):
                self.round(chance, number)
        return self.acknowledged()

    @property
    def _notes(self) -> Path:
        return self.folder / "acknowledged"

    def acknowledged(self) -> int:
        """How many chunks of each device are surely in the log."""
        return len(self._notes.read_text().split())

    @contextlib.contextmanager
    def raging(self, workers: int) -> Iterator[None]:
        """A producer and so many workers run until the end of the block; then all that is in the log is sealed."""
        asyncio.run(found(self.url))
        with contextlib.ExitStack() as stack:
            producer = self._python("tests.integration.producer", self.url, str(self._notes), str(self.seed))
            stack.callback(self._end, producer)
            self._forks = {number: stack.enter_context(Forks(WORKER)) for number in range(workers)}
            for number in range(workers):
                self.start_worker(number)
                stack.callback(lambda number=number: self._end(self.workers[number]))  # type: ignore[misc]
            yield
            producer.terminate()
            assert producer.wait(timeout=PATIENCE_S) == 0, self.tail()
            for worker in self.workers.values():
                worker.send_signal(signal.SIGTERM)
            for worker in self.workers.values():
                # 0 from a worker that serves; one that has only just been started dies of the signal.
                assert worker.wait(timeout=PATIENCE_S) in (0, -signal.SIGTERM), self.tail()
        command(*self._window_words("calm"), "--until-idle")

    @staticmethod
    def _end(process: Process) -> None:
        process.kill()
        process.wait()

    def check(self, chunks: int) -> None:
        """Every acknowledged sample is in, once, in the windows that NumPy cuts."""
        dataset = sensorloom.open(self.dataset)
        assert dataset.contents.again == 0, self.happened
        X, _, _ = dataset.arrays(unlabelled="keep")  # noqa: N806
        table = dataset.windows()
        samples = chunks * PER_CHUNK
        starts = range(0, samples - LENGTH + 1, HOP)
        assert table["device"].to_list() == [device for device in DEVICES for _ in starts], self.happened
        assert table["t0_ns"].to_list() == [START_NS + s * PERIOD_NS for _ in DEVICES for s in starts], self.happened
        at = 0
        for device in DEVICES:
            values = (counts_of(device, 0, samples) * 0.001).astype(np.float32)
            for start in starts:
                np.testing.assert_array_equal(X[at], values[start : start + LENGTH])
                at += 1
        command("dataset", "verify", self.dataset)

    def calm(self, chunks: int) -> Path:
        """The dataset that the same chunks give on an undisturbed embedded log."""
        log = f"segments:{self.folder}/calm-log"
        asyncio.run(produce_calmly(log, chunks))
        words = self._window_words("calm")
        words[words.index("--log") + 1] = log
        words[words.index("--out") + 1] = str(self.folder / "calm")
        command(*words, "--until-idle")
        return self.folder / "calm"
