"""The archive service over a real embedded log, and windows cut from what it wrote."""

from __future__ import annotations

import asyncio
import json
import random
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import polars as pl
import pytest

import sensorloom
from ingest.draining import drain
from ingest.engine.telling import Notice
from ingest.errors import UsageError
from ingest.forgetting import instead_of
from ingest.lifetimes import DAY_NS
from ingest.log.protocol import MARKS, READINGS, Entry
from ingest.opening import open_log
from ingest.records import Forget, RecordingEnd, RecordingStart
from ingest.wire import parse
from service.archiving import ArchiveOptions, run_archive
from service.limits import age_of
from tests.ingest.archive.test_log import Records
from tests.service.test_run import PROJECT, Site, append, at, mark, record
from windowing.dataset.digest import dataset_digest
from windowing.dataset.status import status_of

RULES = """version: 1
rules:
  - {label: high, when: acc.x > -100}
"""


@pytest.fixture
def site(tmp_path: Path) -> Site:
    """Three devices; duplicates, rubbish, a clock that is not set, a recording that goes on after its end."""
    site = Site(tmp_path)
    record(site.log, "a", 10)
    record(site.log, "b", 8)
    record(site.log, "b", 8)
    record(site.log, "gone", 6)
    append(site.log, READINGS, Forget("gone", "ann", at(0), "asked"))
    record(site.log, "gone", 9, first=6, end=False)
    append_rubbish(site.log)
    append(site.log, MARKS, mark("a", 0, 4, "run"), mark("b", 2, 3, "stop"))
    return site


def append_rubbish(log: str) -> None:
    async def run() -> None:
        opened = open_log(log)
        await opened.append(READINGS, [Entry(b"a", b"\x01rubbish"), Entry(b"b", b"\x09")])
        await opened.close()

    asyncio.run(run())


def archive(site: Site, *more: str) -> list[str]:
    return ["archive", "run", "--log", site.log, "--out", str(site.out.parent / "archive"), *more]


def batch(site: Site, out: str, *more: str) -> list[str]:
    root = site.out.parent
    words = ["window", "batch", "-c", str(site.config), "--archive", str(root / "archive"), "--out", str(root / out)]
    return [*words, *more]


def records(url: str) -> Records:
    async def run() -> Records:
        log = open_log(url)
        found: Records = []
        async for part in drain(log, READINGS, await log.bounds(READINGS)):
            columns = zip(part.offsets, part.append_ns, part.keys, part.values, strict=True)
            found += [(part.partition, *one) for one in columns]
        await log.close()
        return sorted(found)

    return asyncio.run(run())


def as_archived(found: Records) -> Records:
    """What came for a device after it was forgotten has left its place to the record that says so."""
    gone, expected = False, []
    for *place, key, value in found:
        value = instead_of("gone") if gone and key == b"gone" else value
        gone |= key == b"gone" and isinstance(parse(value), Forget)
        expected.append((*place, key, value))
    return expected  # type: ignore[return-value]


def counts(out: Path) -> dict[str, int]:
    return status_of(sensorloom.open(out)).counts


def but_for_forgotten(counted: dict[str, int]) -> dict[str, int]:
    """Of who is forgotten an archive keeps no samples to count."""
    assert counted.pop("forgotten.samples") > 0
    return counted


def test_windows_of_the_archive_are_those_of_the_log(site: Site, capsys: pytest.CaptureFixture[str]) -> None:
    root = site.out.parent
    assert site.drain() == 0
    assert sensorloom.main(archive(site, "--until-idle", "--seal-bytes", "2kB")) == 0
    capsys.readouterr()
    assert sensorloom.main(archive(site, "--until-idle", "--json")) == 0
    assert json.loads(capsys.readouterr().out)["records"] == 0, "nothing twice"
    shutil.rmtree(root / "log")
    assert sensorloom.main(batch(site, "batch")) == 0
    assert dataset_digest(root / "batch") == dataset_digest(site.out)
    assert counts(root / "batch") == but_for_forgotten(counts(site.out))
    stream, again = (sensorloom.open(out).windows() for out in (site.out, root / "batch"))
    assert again.select("window", "label").equals(stream.select("window", "label"))
    assert "run" in again["label"].to_list()


def test_what_the_archive_says(site: Site, capsys: pytest.CaptureFixture[str]) -> None:
    assert sensorloom.main(archive(site, "--until-idle")) == 0
    said = capsys.readouterr().out
    assert "this run:" in said
    assert "bytes a sample" in said
    tables = (site.out.parent / "archive/readings/records").glob("*.parquet")
    rows = pl.concat([pl.read_parquet(path) for path in tables])
    chunks = rows.filter(kind="chunk").group_by("device", "verdict").len().sort("device", "verdict").rows()
    assert chunks == [("a", "counts", 10), ("b", "counts", 8), ("b", "duplicate", 8), ("gone", "counts", 6)]
    assert rows.filter(kind="forget").height == 1 + 3, "what says so, and in the places of what came afterwards"
    assert rows.filter(kind="undecodable").height == 2


def test_the_log_goes_on_where_the_archive_ends(site: Site) -> None:
    root = site.out.parent
    assert sensorloom.main(archive(site, "--until-idle")) == 0
    assert sensorloom.main(batch(site, "dataset")) == 0
    record(site.log, "c", 7)
    assert site.drain() == 0
    (root / "whole").mkdir()
    words = [str(root / "whole" / "dataset") if word == str(site.out) else word for word in site.words("--until-idle")]
    assert sensorloom.main(words) == 0
    assert dataset_digest(site.out) == dataset_digest(root / "whole" / "dataset")


def test_a_site_has_its_archive(site: Site, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`status` tells how far it is behind, and `backup` takes it along."""
    assert sensorloom.main(archive(site, "--until-idle")) == 0
    record(site.log, "z", 5)
    capsys.readouterr()
    sensorloom.main(["status", str(tmp_path), "--json"])
    (figures,) = json.loads(capsys.readouterr().out)["datasets"]
    assert (figures["dataset"], figures["kind"], figures["behind"]) == ("archive", "archive", 7)
    sensorloom.main(["status", str(tmp_path)])
    assert "archive" in capsys.readouterr().out
    with tempfile.TemporaryDirectory() as elsewhere:
        copy = Path(elsewhere) / "copy"
        assert sensorloom.main(["backup", str(tmp_path), str(copy)]) == 0
        assert "archive: " in capsys.readouterr().out
        assert records(f"archive:{copy}/archive") == records(f"archive:{tmp_path}/archive")
        words = [word.replace(str(tmp_path), str(copy)) for word in archive(site, "--until-idle")]
        assert sensorloom.main(words) == 0
        assert records(f"archive:{copy}/archive") == as_archived(records(site.log))


def test_rules_mark_in_the_log(site: Site, capsys: pytest.CaptureFixture[str]) -> None:
    root = site.out.parent
    (root / "rules.yaml").write_text(RULES)
    site.config.write_text('rules = "rules.yaml"\n' + site.config.read_text())
    assert sensorloom.main(archive(site, "--until-idle")) == 0
    assert sensorloom.main(batch(site, "batch")) == 2
    assert "say where it is (--log)" in capsys.readouterr().err
    assert sensorloom.main(batch(site, "batch", "--log", site.log)) == 0
    assert site.drain() == 0
    stream, again = (sensorloom.open(out).windows() for out in (site.out, root / "batch"))
    assert "high" in again["label"].to_list()
    assert again.select("window", "label").equals(stream.select("window", "label"))


def test_another_logs_archive_is_refused(site: Site, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert sensorloom.main(archive(site, "--until-idle")) == 0
    (tmp_path / "other").mkdir()
    other = Site(tmp_path / "other")
    record(other.log, "a", 3)
    words = [other.log if word == site.log else word for word in archive(site, "--until-idle")]
    assert sensorloom.main(words) == 2
    assert "began with the log" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["archive", "run", "--log", "segments:none", "--out", "x", "--until-idle"], "there is no log"),
        (["window", "batch", "-c", "none.toml", "--archive", "none", "--out", "x"], "archive:none: there is no log"),
        (["archive", "run", "--log", "segments:none", "--out", "x", "--seal-seconds", "0"], "--seal-seconds"),
        (["archive", "run", "--log", "segments:none", "--out", "README.md"], "is a file"),
    ],
)
def test_wrong_usage(
    words: list[str], said: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "README.md").write_text("")
    (tmp_path / "none").mkdir()
    monkeypatch.chdir(tmp_path)
    if "README.md" not in words:
        (tmp_path / "none").rmdir()
    assert sensorloom.main(words) == 2
    assert said in capsys.readouterr().err


def test_a_missing_archive_is_told(site: Site, capsys: pytest.CaptureFixture[str]) -> None:
    assert sensorloom.main(batch(site, "batch")) == 2
    assert "there is no" in capsys.readouterr().err


def test_kills_leave_every_record_once(tmp_path: Path) -> None:
    """kill -9 at whatever it does, six times; then to the end: the archive has the log's records, each at its place."""
    site, rng, known = Site(tmp_path), random.Random(7), 0
    for number in range(6):
        record(site.log, f"d{number}", 40)
        words = archive(site, "--seal-bytes", "1kB", "--seal-seconds", "0.05", "--instance", f"w{number}")
        with subprocess.Popen([sys.executable, "-m", "sensorloom", *words], cwd=PROJECT) as worker:
            try:
                known = wait_for_entries(tmp_path / "archive", worker, known + 1)
                record(site.log, f"e{number}", 20)
                time.sleep(rng.random() * 0.2)
            finally:
                worker.kill()
    assert sensorloom.main(archive(site, "--until-idle", "--seal-bytes", "5kB")) == 0
    assert records(f"archive:{tmp_path}/archive") == as_archived(records(site.log))


AGED = """
import asyncio, sys, time
from pathlib import Path
from ingest.engine.rhythm import Limits
from ingest.wire import parse
from service.archiving import ArchiveOptions, run_archive

two_days = 2 * 86_400 * 10**9
options = ArchiveOptions(sys.argv[1], Path(sys.argv[2]), sys.argv[3], limits=Limits(1000, 0.05), keep_ns=two_days // 2,
                         now_ns=lambda: time.time_ns() + two_days)
asyncio.run(run_archive(options, lambda notice, topic: None))
"""


def test_kills_while_what_is_old_goes(tmp_path: Path) -> None:
    """kill -9 at whatever it does, for a clock by which all is old at once: what is left is the log's end, in order."""
    site, rng, known = Site(tmp_path), random.Random(3), 0
    for number in range(3):
        record(site.log, f"d{number}", 30)
        words = [sys.executable, "-c", AGED, site.log, str(tmp_path / "archive"), f"w{number}"]
        with subprocess.Popen(words, cwd=PROJECT) as worker:
            try:
                known = wait_for_entries(tmp_path / "archive", worker, known + 2)
                time.sleep(rng.random() * 0.2)
            finally:
                worker.kill()
    record(site.log, "last", 5)
    assert sensorloom.main(archive(site, "--until-idle")) == 0
    whole, left = as_archived(records(site.log)), records(f"archive:{tmp_path}/archive")
    for partition in (0, 1):
        of_log, of_archive = ([one for one in each if one[0] == partition] for each in (whole, left))
        assert of_archive == of_log[len(of_log) - len(of_archive) :]
    assert 0 < len(left) < len(whole)
    assert sensorloom.main(["archive", "verify", str(tmp_path / "archive")]) == 0


def wait_for_entries(archive: Path, worker: subprocess.Popen[bytes], at_least: int) -> int:
    deadline_s = time.monotonic() + 60
    while (found := len(list(archive.glob("readings/manifest/*/*.json")))) < at_least:
        assert worker.poll() is None, "the worker has ended"
        assert time.monotonic() < deadline_s, "no entry came"
        time.sleep(0.01)
    return found


def test_what_is_old_goes(site: Site, capsys: pytest.CaptureFixture[str]) -> None:
    """Whole outputs, by an entry that counts them; what is left is read as ever, and says where it begins."""
    root, told = site.out.parent, list[str]()

    def observe(notice: object, topic: str) -> None:
        if isinstance(notice, Notice) and notice.kind == "noted":
            told.append(notice.text)

    def run(now_ns: int) -> None:
        options = ArchiveOptions(site.log, root / "archive", "w", True, keep_ns=DAY_NS, now_ns=lambda: now_ns)
        asyncio.run(run_archive(options, observe))

    run(time.time_ns())
    assert records(f"archive:{root}/archive") == as_archived(records(site.log)), "all is young"
    assert told == []
    marks = len(list((root / "archive/marks/records").iterdir()))
    run(time.time_ns() + 2 * DAY_NS)
    whole = records(site.log)
    assert records(f"archive:{root}/archive") == []
    assert sum(int(found) for found in re.findall(r"([0-9]+) records of before", " ".join(told))) == len(whole)
    assert len(list((root / "archive/marks/records").iterdir())) == marks, "marks stay"
    record(site.log, "a", 7, first=3)
    run(time.time_ns())
    assert records(f"archive:{root}/archive") == [one for one in records(site.log) if one not in whole]
    assert sensorloom.main(["archive", "verify", str(root / "archive")]) == 0
    capsys.readouterr()
    assert (
        sensorloom.main(["archive", "show", str(root / "archive"), "a", "acc", "--from", "2001-01-01T00:00:00Z"]) == 1
    )
    assert "of what was appended before 20" in capsys.readouterr().err
    assert sensorloom.main(batch(site, "young")) == 0
    assert set(sensorloom.open(root / "young").windows()["device"]) == {"a"}
    run(time.time_ns() + 3 * DAY_NS)
    left = {path.name for path in (root / "archive/readings/records").iterdir()}
    assert len(left) == 1, "what went is deleted an hour later"


def test_who_was_behind_is_told_what_it_missed(site: Site, capsys: pytest.CaptureFixture[str]) -> None:
    root = site.out.parent
    assert sensorloom.main(archive(site, "--until-idle")) == 0
    assert sensorloom.main(batch(site, "dataset")) == 0
    record(site.log, "late", 5)
    assert sensorloom.main(archive(site, "--until-idle")) == 0
    old = ArchiveOptions(
        site.log, root / "archive", "w", True, keep_ns=DAY_NS, now_ns=lambda: time.time_ns() + 2 * DAY_NS
    )
    asyncio.run(run_archive(old, lambda notice, topic: None))
    record(site.log, "late", 9, first=5)
    record(site.log, "a", 9, first=1)
    assert sensorloom.main(archive(site, "--until-idle")) == 0
    assert sensorloom.main(batch(site, "dataset")) == 0
    assert counts(root / "dataset")["lost.offsets"] == 7


@pytest.mark.parametrize(("keep", "hours"), [("90d", 2160), ("36h", 36), ("1h", 1)])
def test_ages(keep: str, hours: int) -> None:
    assert age_of(keep) == hours * 3_600 * 10**9


@pytest.mark.parametrize("keep", ["", "d", "59min", "-3d", "1y"])
def test_impossible_ages(keep: str) -> None:
    with pytest.raises(UsageError):
        age_of(keep)


def test_chunks_out_of_the_ordinary_come_through(site: Site) -> None:
    """What has no clock, what comes after its recording's end: decided in the archive's windows as in the log's."""
    end = RecordingEnd("odd", "r", b"boot", at(5), "end")
    append(site.log, READINGS, RecordingStart("odd", "r", b"boot", at(0), "start"))
    record(site.log, "odd", 4, first=1, end=False)
    append(site.log, READINGS, end)
    record(site.log, "odd", 6, first=4, end=False)
    assert site.drain() == 0
    assert sensorloom.main(archive(site, "--until-idle")) == 0
    assert sensorloom.main(batch(site, "batch")) == 0
    assert dataset_digest(site.out.parent / "batch") == dataset_digest(site.out)
    assert counts(site.out.parent / "batch") == but_for_forgotten(counts(site.out))
