"""Runs in the guest, as root: an agent and a windowing worker on a disk, until the power goes.

Each boot starts both by the same words, whatever the power cut before has left. Where the host has put a file `calm`,
both are ended in order instead, and what they made is copied to where the host finds it: there, where it costs a
twentieth, the worker goes on to the log's end.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

from tests.kernel.inside import Agent, Command, wait

PLACE = Path("/run/disk")
DEVICE, STREAM, INSTANCE = "bench", "line", "one"
BOOT = Path("/proc/sys/kernel/random/boot_id")
"""By it the log tells whether what it had begun has met a power cut."""
SAMPLES = 300
"""So many are heard before the power may go."""
SEALS = 2
WRITEBACK_CS = "10"
"""The kernel writes what nobody has flushed as soon as this, in hundredths of a second: all of it is under way when the
power goes. It would keep it in memory for half a minute else, where no cut gets at it."""
SOURCES = """
[[source]]
name = "line"
type = "exec"
command = ["{python}", "-S", "{sensor}", "{book}"]
decoder = "csv"
stream = "line"
channels = {{ number = "1", check = "1" }}
dtype = "int32"
"""
DATASET = """name = "cuts"
[window]
length = 50
hop = 25
rate = "100Hz"
anchor = "recording"
channels = ["line.number"]
"""


def mount() -> None:
    for name in ("dirty_writeback_centisecs", "dirty_expire_centisecs"):
        Path("/proc/sys/vm", name).write_text(WRITEBACK_CS)
    PLACE.mkdir()
    subprocess.run(["mount", "-t", "ext4", "/dev/vdc", str(PLACE)], check=True)


class Worker:
    """The windowing service beside the agent."""

    def __init__(self, out: Path) -> None:
        self._out = out
        (out / "dataset.toml").write_text(DATASET)
        words = ["-c", str(out / "dataset.toml"), "--log", f"segments:{PLACE}/log", "--out", f"{PLACE}/dataset"]
        words = ["window", "run", *words, "--instance", INSTANCE, "--seal-seconds", "0.5"]
        self._process = Command(words, out / "worker.txt")

    def seals(self) -> int:
        """How many there are; ends the script where the worker has given up."""
        if (code := self._process.poll()) is not None:
            sys.exit(f"the worker has ended, with {code}\n{(self._out / 'worker.txt').read_text()[-4000:]}")
        return sum(1 for _ in (PLACE / "dataset").glob("windows/*/manifest/*/0*.json"))

    def end(self) -> int:
        """In order; its exit code."""
        self._process.send(signal.SIGTERM)
        return self._process.wait()


def main(out: Path) -> None:
    mount()
    with (out / "boots").open("a") as file:
        file.write(BOOT.read_text())
    sensor = Path(__file__).with_name("sensor.py")
    agent = Agent(out, SOURCES.format(python=sys.executable, sensor=sensor, book=out / "said.book"), PLACE, "1s")
    wait("there is a log", lambda: (PLACE / "log").exists())
    worker = Worker(out)
    before = worker.seals()
    agent.wait("samples are heard", lambda: agent.heard("line", SAMPLES))
    agent.wait("windows are sealed", lambda: worker.seals() >= before + SEALS)
    (out / "at_work").touch()
    if not (out / "calm").exists():
        signal.pause()
    agent.end({})
    if code := worker.end():
        sys.exit(f"the worker ended with {code}\n{(out / 'worker.txt').read_text()[-4000:]}")
    shutil.copytree(PLACE / "dataset", out / "dataset")
    os.sync()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
