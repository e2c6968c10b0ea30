"""Backups of a site at work, by the command and by plain tools in any order: what they hold goes on, exactly."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
from pathlib import Path
from typing import Final

import pytest

import sensorloom
from tests.integration.site import Done, Running, Site, wait_for

_CONFIG: Final = """name = "site"
[window]
length = 100
hop = 100
rate = "100Hz"
anchor = "epoch"
channels = ["acc.x", "acc.y", "acc.z"]
"""


class Busy:
    """A site with a producer and a worker at work; seals come several times a second."""

    def __init__(self, folder: Path) -> None:
        self.site = Site(folder / "site")
        self.site.folder.mkdir()
        self.site.config.write_text(_CONFIG)
        producing = [self.site.log, folder / "acknowledged", 1]
        (folder / "producer").mkdir()
        self.producer = Running(folder / "producer", producing, module="tests.integration.producer")
        self.worker = self.site.start(*self.site.window_words("--seal-seconds", "0.3"))
        self.entries(3)

    def entries(self, count: int) -> None:
        """Wait until the longest chain has so many entries more."""
        there = self._entries()
        wait_for(lambda: self._entries() >= there + count or not self.alive, "entries")
        assert self.alive, (self.producer.err, self.worker.err)

    @property
    def alive(self) -> bool:
        return self.producer.process.poll() is None and self.worker.process.poll() is None

    def _entries(self) -> int:
        return max((len(list(path.iterdir())) for path in self.site.out.glob("windows/*/manifest/*")), default=0)

    def end(self) -> None:
        assert self.producer.ends(signal.SIGTERM) == 0
        assert self.worker.ends(signal.SIGTERM) == 0


def plainly(source: Site, to: Path, tool: str, order: tuple[str, str]) -> None:
    """As people do: one folder after the other, file by file."""
    to.mkdir()
    shutil.copy(source.config, to)
    for name in order:
        if tool == "tar":
            tar = to / "copy.tar"
            done = subprocess.run(["tar", "cf", tar, "-C", source.folder, name], capture_output=True, check=False)
            assert done.returncode in (0, 1), done.stderr  # 1: a file changed while it was read
            subprocess.run(["tar", "xf", tar, "-C", to], check=True)
            tar.unlink()
        else:  # what vanishes meanwhile is an error of cp's, and no harm
            subprocess.run(["cp", "-a", source.folder / name, to], capture_output=True, check=False)


def goes_on(copy: Site, *, plain: bool) -> Done:
    """The copied dataset on the copied log, to the end; where that works it is what the log alone gives.

    A plain copy may have an entry whose files came into being after their folder was copied: they are named.
    """
    done = copy.drain()
    if done.code == 0 and not (plain and lacks_files(copy)):
        fresh = Site(copy.folder)
        fresh.out = copy.folder / "fresh"
        assert fresh.drain().code == 0
        assert copy.digest() == fresh.digest()
        assert copy("dataset", "verify", copy.out).code == 0
    for topic in ("readings", "streams"):
        assert copy("log", "cat", topic, "--until-idle", "--log", copy.log).err == ""
    return done


def lacks_files(copy: Site) -> bool:
    opened = copy("dataset", "digest", copy.out)
    assert opened.code == 0 or "is missing" in opened.err, opened
    return opened.code != 0


@pytest.mark.timeout(300)
def test_copies_of_a_site_at_work(tmp_path: Path) -> None:
    busy = Busy(tmp_path)
    site, orders = busy.site, (("dataset", "log"), ("log", "dataset"))
    try:
        for tool in ("tar", "cp"):
            for order in orders:
                plainly(site, tmp_path / f"{tool}-{order[0]}", tool, order)
            done = site("backup", site.folder, tmp_path / "backup")  # the second time, what is new
            assert done.code == 0, done.err
            busy.entries(2)
    finally:
        busy.end()
    assert site.drain().code == 0
    assert sensorloom.main(["dataset", "verify", str(tmp_path / "backup" / "dataset")]) == 0
    record = json.loads((tmp_path / "backup" / "backup.json").read_text())
    assert record["logs"]["log"]["readings"] > 0
    _goes_on_with_both_logs(Site(tmp_path / "backup"), site, plain=False)
    for tool in ("tar", "cp"):
        _goes_on_with_both_logs(Site(tmp_path / f"{tool}-dataset"), site, plain=True)
        done = goes_on(Site(tmp_path / f"{tool}-log"), plain=True)
        if done.code:  # the log's copy is older than the dataset's
            assert any(words in done.err for words in ("the log ends at offset", "restored from", "is missing")), done


def _goes_on_with_both_logs(copy: Site, site: Site, *, plain: bool) -> None:
    """A copied dataset goes on with the log of then and with the one of now; a plain copy says what it lacks."""
    then = copy.folder.with_name(f"{copy.folder.name}-then")
    shutil.copytree(copy.folder, then)  # whose heads stay those of copies: they may be newer than the segments
    done = goes_on(Site(then), plain=plain)
    copy.log = site.log
    now = copy.drain()
    if plain and done.code:
        assert "is missing" in done.err, done
        assert "is missing" in now.err, now
        return
    assert (done.code, now.code) == (0, 0), (done, now)
    if not (plain and lacks_files(copy)):
        assert copy.digest() == site.digest()


def test_a_backup_is_refused_where_it_would_take_something_back(tmp_path: Path) -> None:
    site = Site(tmp_path / "site")
    site.folder.mkdir()
    site.prepare().fill()
    assert site.drain().code == 0
    assert site("backup", site.folder, tmp_path / "backup").code == 0
    again = json.loads(site("backup", site.folder, tmp_path / "backup", "--json").out)
    assert (again["copied_files"], again["copied_bytes"]) == (0, 0)
    older = site.copy(tmp_path / "older", dataset=False)
    site.append("readings", (b"pump-0", b"one more"))
    assert site("backup", site.folder, tmp_path / "backup").code == 0
    older("backup", older.folder, tmp_path / "backup").refused(2, "lost its end", "another folder")
    assert not (tmp_path / "backup" / "backup.json").exists()  # it was begun, and is not whole
    other = Site(tmp_path / "other")
    other.folder.mkdir()
    other.prepare().fill()
    other("backup", other.folder, tmp_path / "backup").refused(2, "is a copy of the log", "another folder")
    site("backup", site.folder, site.folder / "backup").refused(2, "outside of its site")
    site("backup", tmp_path / "nowhere", tmp_path / "b").refused(2, "there is no such folder")


def test_a_damaged_file_is_not_copied(tmp_path: Path) -> None:
    site = Site(tmp_path / "site")
    site.folder.mkdir()
    site.prepare().fill()
    assert site.drain().code == 0
    shard = next(site.out.glob("windows/*/signal/*"))
    data = bytearray(shard.read_bytes())
    data[-1] ^= 1
    shard.write_bytes(data)
    site("backup", site.folder, tmp_path / "backup").refused(1, shard.name, "other bytes than were written")
