"""Power cuts: an agent and a windowing worker on ext4, whose disk's cache is lost each time, start alone after each.

What runs in the guest says tests/kernel/guest_power.py, what a cut leaves on the disk tests/kernel/platter.py.
"""

from __future__ import annotations

import itertools
import random
import signal
import subprocess
import time
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

import sensorloom
from tests.integration.books import Said, read_book, wrongs
from tests.integration.recordings import command, digest_of
from tests.kernel import guest_power as guest
from tests.kernel.machine import ended, result, started
from tests.kernel.marks import BOOT_S, POWER
from tests.kernel.platter import Cut, cut, is_loose
from tests.kernel.sensor import RECORD, check_of
from tests.kernel.snapshot import DISK_BYTES
from tests.support.logs import read_log

pytestmark = POWER
GUEST_NAME = "power"
AT_WORK_S = 3.0
"""So long it is at work at most, until the power goes."""
LOST_NS = 1_000_000_000
LOOSE_S = 60.0
"""Within so long a write waits for its flush: the kernel writes back ten times a second, and flushes less often."""
LOOK_S = 0.2
LOOSE_LOOK_S = 0.02


class Disk:
    """A disk with an ext4, whose writes QEMU writes down."""

    def __init__(self, folder: Path) -> None:
        self._platter, self._seen, self._log = folder / "platter", folder / "seen", folder / "writes"
        with self._platter.open("wb") as file:
            file.truncate(DISK_BYTES)
        subprocess.run(["/sbin/mke2fs", "-q", "-F", "-t", "ext4", "-b", "4096", str(self._platter)], check=True)

    def words(self) -> list[str]:
        """QEMU's, for one boot."""
        subprocess.run(["cp", "--sparse=always", str(self._platter), str(self._seen)], check=True)
        self._log.write_bytes(b"")
        nodes = [
            f"driver=file,node-name=seen,filename={self._seen},cache.no-flush=on",
            f"driver=file,node-name=writes,filename={self._log},cache.no-flush=on",
            "driver=blklogwrites,node-name=disk,file=seen,log=writes",
        ]
        return [
            *(word for node in nodes for word in ("-blockdev", node)),
        ]

    def is_loose(self) -> bool:
        """Whether something is in its cache."""
        return is_loose(self._log)

    def lose_power(self, chance: random.Random) -> Cut:
        """What is in its cache is lost."""
        return cut(self._platter, self._log, chance)


class Site:
    """The guest's folder on the host, and its disk."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "shared"
        self.out = self.folder / GUEST_NAME
        self.out.mkdir(parents=True)
        self._disk = Disk(folder)

    def said(self) -> NDArray[np.int64]:
        """When each line was said, `(lines,)`, ns UTC."""
        book = self.out / "said.book"
        data = book.read_bytes() if book.exists() else b""
        return np.frombuffer(data[: len(data) // RECORD.size * RECORD.size], "<i8").astype(np.int64)

    def _booted(self) -> subprocess.Popen[bytes]:
        """Its clock begins behind all that was said: it counts instructions, and may have gone faster than ours."""
        said = self.said()
        behind_s = int(said[-1]) / 1e9 + 2 if len(said) else 0.0
        return started([GUEST_NAME], self.folder, self._disk.words(), behind_s)

    def run_until_cut(self, chance: random.Random) -> Cut:
        """Boot; once both are at work the power goes, at any moment at which a write waits for its flush."""
        (self.out / "at_work").unlink(missing_ok=True)
        with self._booted() as machine:
            try:
                self._wait_at_work(machine)
                time.sleep(AT_WORK_S * chance.random())
                self._stop_while_loose(machine)
            finally:
                machine.kill()
        return self._disk.lose_power(chance)

    def _wait_at_work(self, machine: subprocess.Popen[bytes]) -> None:
        end_s = time.monotonic() + BOOT_S
        while not (self.out / "at_work").exists():
            if machine.poll() is not None or time.monotonic() > end_s:
                result(GUEST_NAME, self.folder)
            time.sleep(LOOK_S)

    def _stop_while_loose(self, machine: subprocess.Popen[bytes]) -> None:
        """Stop the machine's process at a moment of that kind."""
        end_s = time.monotonic() + LOOSE_S
        machine.send_signal(signal.SIGSTOP)
        while not self._disk.is_loose() and time.monotonic() < end_s:
            machine.send_signal(signal.SIGCONT)
            time.sleep(LOOSE_LOOK_S)
            machine.send_signal(signal.SIGSTOP)

    def run_calmly(self) -> None:
        """Boot; once both are at work they are ended in order."""
        (self.out / "calm").touch()
        with self._booted() as machine:
            ended(machine, self.folder, BOOT_S)
        result(GUEST_NAME, self.folder)


@pytest.mark.parametrize("cuts", [2, pytest.param(25, marks=[pytest.mark.soak, pytest.mark.timeout(0)])])
def test_both_start_alone_after_power_cuts_with_a_second_lost_and_balanced_books(
    cuts: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    site, chance = Site(tmp_path), random.Random(cuts)
    ends, cut_off = [0], []
    for _ in range(cuts):
        cut_off.append(site.run_until_cut(chance))
        ends.append(len(site.said()))
    site.run_calmly()
    said = site.said()
    records = read_log(f"segments:{site.out / 'log'}")
    book = read_book(records, guest.DEVICE, guest.STREAM)
    lost_ns = [_lost_ns(said, book.numbers, begin, end) for begin, end in itertools.pairwise(ends)]
    sectors_lost, sectors_kept = sum(one.lost for one in cut_off), sum(one.kept for one in cut_off)
    with capsys.disabled():
        print(
            f"\n{cuts} power cuts, {len(said):,} lines said: lost at most {max(lost_ns) / 1e9:.3f} s at once; of "
            f"sectors that were never flushed {sectors_lost:,} were lost, {sectors_kept:,} kept"
        )
    assert wrongs(book, Said(said.tolist(), said.tolist()), check_of) == []
    assert max(lost_ns) <= LOST_NS
    assert all(one.durable for one in cut_off)
    boots = (site.out / "boots").read_text().split()
    assert len(boots) == len(set(boots)) == cuts + 1, "two boots drew the same numbers"
    assert all(one.lost for one in cut_off), "a cut did not come between a write and its flush"
    dataset = site.out / "dataset"
    words: list[str | Path] = ["-c", site.out / "dataset.toml", "--log", f"segments:{site.out / 'log'}", "--until-idle"]
    command("window", "run", *words, "--out", dataset, "--instance", guest.INSTANCE)
    command("dataset", "verify", dataset)
    assert sensorloom.open(dataset).contents.again == 0
    calm = tmp_path / "calm"
    command("window", "run", *words, "--out", calm)
    assert digest_of(dataset, capsys) == digest_of(calm, capsys)


def _lost_ns(said: NDArray[np.int64], kept: NDArray[np.int64], begin: int, end: int) -> int:
    """For how long what was said before a cut is lost: only the end of it may be."""
    lost = np.setdiff1d(np.arange(begin, end), kept)
    assert lost.tolist() == list(range(end - len(lost), end)), "lost within"
    return int(said[end - 1] - said[lost[0]]) if len(lost) else 0
