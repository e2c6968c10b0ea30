"""A small site that tests damage: a log with recordings and marks, the dataset that it gives, the command line."""

from __future__ import annotations

import asyncio
import contextlib
import io
import json
import resource
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Final

import numpy as np

import sensorloom
from ingest.log.protocol import MARKS, READINGS, STREAMS, Entry
from ingest.log.segments import SegmentLog
from ingest.log.segments.head import decode_head, write_head
from ingest.opening import open_log

PROJECT: Final = Path(__file__).resolve().parents[2]
START_NS: Final = 1_700_000_000 * 10**9
RATE: Final = 50
SECONDS: Final = 20
"""Of each recording."""
DEVICES: Final = ("pump-0", "pump-1", "pump-2")
FILES: Final = [(device, part) for part in (0, 1) for device in DEVICES]
"""Each device has two recordings, an hour apart."""
PARTITIONS: Final = 2
SEGMENT_BYTES: Final = 6000
"""So small that every partition has several segments."""
CONFIG: Final = """name = "site"

[window]
length = 100
hop = 50
rate = "50Hz"
anchor = "epoch"
channels = ["acc.x", "acc.y"]
"""

Windows = dict[str, bytes]


@dataclass(frozen=True)
class Done:
    """How a command ended."""

    code: int
    out: str
    err: str

    def refused(self, code: int, *words: str) -> None:
        """It failed with this code and one line that says these words."""
        assert (self.code, self.err.count("\n")) == (code, 1), self
        assert self.err.startswith("sensorloom: "), self
        for word in words:
            assert word in self.err


class Site:
    """A folder with a log, recordings and marks to import, a configuration and a dataset."""

    def __init__(self, folder: Path, log: str | None = None) -> None:
        self.folder = folder
        self.log_folder = folder / "log"
        self.log = log or f"segments:{self.log_folder}"
        self.out = folder / "dataset"
        self.config = folder / "dataset.toml"

    def prepare(self) -> Site:
        """The files to import, and the configuration."""
        self.config.write_text(CONFIG)
        for device, part in FILES:
            rng = np.random.default_rng([*device.encode(), part])
            np.save(self.file(device, part), rng.normal(size=(SECONDS * RATE, 2)).astype(np.float32))
        rows = [f"{device},{START_NS},{START_NS + 10 * 10**9},run" for device in DEVICES]
        (self.folder / "marks.csv").write_text("\n".join(["device,start,end,label", *rows, ""]))
        return self

    def file(self, device: str, part: int) -> Path:
        return self.folder / f"{device}-{part}.npy"

    def create_topics(self) -> Site:
        """Topics with few partitions and small segments; imports keep what they find."""

        async def run() -> None:
            log = SegmentLog(self.log_folder, partitions=PARTITIONS, segment_bytes=SEGMENT_BYTES)
            for topic in (READINGS, MARKS, STREAMS):
                await log.ensure(topic)
            await log.close()

        asyncio.run(run())
        return self

    def fill(self, between: Callable[[], object] = lambda: None) -> Site:
        """Import everything; `between` is called after each recording."""
        assert self("import", "marks", self.folder / "marks.csv", "--log", self.log).code == 0
        for device, part in FILES:
            assert self(*self.import_words(device, part)).code == 0
            between()
        return self

    def copy(self, folder: Path, *, dataset: bool = True) -> Site:
        """A site of one's own to damage: its log's heads are at home there, as those of a log that grew there."""
        leave = None if dataset else shutil.ignore_patterns("dataset")
        shutil.copytree(self.folder, folder, dirs_exist_ok=True, ignore=leave)
        for path in folder.glob("log/topics/*/*/head"):
            head = decode_head(path.read_bytes())
            assert head is not None
            write_head(path, head)
        return Site(folder)

    def import_words(self, device: str, part: int) -> list[str]:
        start_ns = START_NS + part * 3600 * 10**9
        return [
            *("import", "readings", str(self.file(device, part)), "--device", device, "--stream", "acc"),
            *("--columns", "x,y", "--unit", "g", "--rate", f"{RATE}Hz", "--start", str(start_ns)),
            *("--recording", f"r{part}", "--log", self.log),
        ]

    def window_words(self, *more: str) -> list[str]:
        return [*("window", "run", "-c", str(self.config), "--log", self.log, "--out", str(self.out)), *more]

    def __call__(self, *words: object) -> Done:
        """Run a command in this process."""
        out, err = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            code = sensorloom.main([str(word) for word in words])
        return Done(code, out.getvalue(), err.getvalue())

    def drain(self, *more: str) -> Done:
        return self(*self.window_words("--until-idle", *more))

    def start(self, *words: object) -> Running:
        return Running(self.folder, words)

    def append(self, topic: str, *entries: tuple[bytes, bytes]) -> None:
        """Write raw records."""

        async def run() -> None:
            log = open_log(self.log)
            await log.append(topic, [Entry(key, value) for key, value in entries])
            await log.close()

        asyncio.run(run())

    def records(self, topic: str) -> list[Any]:
        """A topic's records as `log cat --json` prints them."""
        return [
            json.loads(line)
            for line in self("log", "cat", topic, "--until-idle", "--json", "--log", self.log).out.splitlines()
        ]

    def status(self) -> Any:
        return json.loads(self("dataset", "status", self.out, "--json").out)

    def digest(self) -> str:
        done = self("dataset", "digest", self.out)
        assert done.code == 0, done.err
        return done.out

    def windows(self) -> Windows:
        """Every window's bytes by its id."""
        dataset = sensorloom.open(self.out)
        assert dataset.contents.again == 0
        X = dataset.arrays(unlabelled="keep").X  # noqa: N806
        return {window: row.tobytes() for window, row in zip(dataset.windows()["window"], X, strict=True)}


class Undisturbed(Site):
    """One that nobody changes any more: what its dataset holds is worked out once."""

    @cached_property
    def _windows(self) -> Windows:
        return super().windows()

    @cached_property
    def _digest(self) -> str:
        return super().digest()

    def windows(self) -> Windows:
        return self._windows

    def digest(self) -> str:
        return self._digest


class Running:
    """A command in a process of its own; `module` is another program that takes its words."""

    def __init__(self, folder: Path, words: Sequence[object], module: str = "sensorloom") -> None:
        self._err = folder / "stderr.txt"
        with self._err.open("w") as err:
            self.process = subprocess.Popen(
                [sys.executable, "-m", module, *map(str, words)],
                cwd=PROJECT,
                stdout=subprocess.DEVNULL,
                stderr=err,
            )

    @property
    def err(self) -> str:
        return self._err.read_text()

    def says(self, text: str) -> None:
        """Wait until it has said so, and see that it goes on."""
        wait_for(lambda: text in self.err or self.process.poll() is not None, text)
        assert self.process.poll() is None, self.err
        assert text in self.err, self.err

    def ends(self, signal: int | None = None) -> int:
        """Its exit code; sends a signal before, if one is given."""
        if signal is not None:
            self.process.send_signal(signal)
        try:
            return self.process.wait(timeout=200)
        finally:
            self.kill()

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()
        assert "Traceback" not in self.err, self.err


class SmallDisk:
    """A folder with too little room: a tmpfs where one may be mounted, else a limit on the size of files."""

    def __init__(self, folder: Path, options: str, file_bytes: int) -> None:
        folder.mkdir(exist_ok=True)
        self._folder = folder
        self._file_bytes = file_bytes
        mount = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)]
        self.mounted = subprocess.run(mount, capture_output=True, check=False).returncode == 0

    @contextlib.contextmanager
    def limit(self) -> Iterator[None]:
        """Processes that start within have too little room."""
        before = resource.getrlimit(resource.RLIMIT_FSIZE)
        if not self.mounted:
            resource.setrlimit(resource.RLIMIT_FSIZE, (self._file_bytes, before[1]))
        try:
            yield
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)

    def grow(self, running: Running | None = None) -> None:
        """There is room now, also for a process that runs already."""
        if self.mounted:
            more = "remount,size=64m,nr_inodes=10000"
            subprocess.run(["mount", "-o", more, str(self._folder)], check=True, capture_output=True)
        elif running is not None:
            resource.prlimit(running.process.pid, resource.RLIMIT_FSIZE, resource.getrlimit(resource.RLIMIT_FSIZE))

    def __enter__(self) -> SmallDisk:
        return self

    def __exit__(self, *_: object) -> None:
        if self.mounted:
            subprocess.run(["umount", str(self._folder)], check=True, capture_output=True)


def flip(path: Path, place: int, bit: int = 0) -> None:
    """Flip a bit of a file; a negative place counts from the end."""
    data = bytearray(path.read_bytes())
    data[place] ^= 1 << bit
    path.write_bytes(data)


def wait_for(happened: Callable[[], bool], what: str, patience_s: float = 60.0) -> None:
    """Look again and again, a fifth of the time at most: who reads a whole log to see has no core to himself."""
    began = time.monotonic()
    deadline = began + patience_s
    while not happened():
        looked = time.monotonic()
        assert looked < deadline, f"{what}: not in {patience_s} s"
        time.sleep(min(1.0, max(0.02, 4 * (looked - began))))
        began = time.monotonic()
