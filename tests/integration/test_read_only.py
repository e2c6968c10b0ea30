"""Who may only read a log looks into it and makes datasets of it; it stays as it is, byte for byte."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

import sensorloom
from ingest.log.segments import head, partition
from tests.support.readonly import as_a_stranger, read_only_mount

_DATASET = """\
name = "d"
[window]
length = "1s"
hop = "1s"
rate = "10Hz"
channels = ["acc.x"]
"""


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """A log with 100 samples of a device; it has no topic `marks`."""
    (tmp_path / "acc.csv").write_text("x\n" + "".join(f"{i}\n" for i in range(100)))
    (tmp_path / "dataset.toml").write_text(_DATASET)
    words = "--device p --stream acc --columns x --unit g --rate 10Hz --chunk 1s --start 2026-01-01T00:00:00Z"
    log = f"segments:{tmp_path / 'log'}"
    assert sensorloom.main(["import", "readings", str(tmp_path / "acc.csv"), *words.split(), "--log", log]) == 0
    return tmp_path


def bytes_of(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def run(site: Path, log: Path, out: str) -> list[str]:
    return ["window", "run", "-c", f"{site}/dataset.toml", "--log", f"segments:{log}", "--out", out, "--until-idle"]


def digest(out: Path, capsys: pytest.CaptureFixture[str]) -> str:
    capsys.readouterr()
    assert sensorloom.main(["dataset", "digest", str(out)]) == 0
    return capsys.readouterr().out


def test_a_read_only_mount_is_looked_into_and_windowed(site: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = bytes_of(site / "log")
    with read_only_mount(site / "log", site / "mount") as log:
        for words in ("stats", "topics", "cat readings --until-idle", "stats --device p"):
            assert sensorloom.main(["log", *words.split(), "--log", f"segments:{log}"]) == 0
        assert capsys.readouterr().out.count("count=10") == 10
        assert sensorloom.main(run(site, log, str(site / "from-mount"))) == 0
        assert "can only be read from here" in capsys.readouterr().err
        assert sensorloom.main(run(site, log, str(site / "from-mount"))) == 0  # a second run goes on
    assert bytes_of(site / "log") == before
    assert sensorloom.main(run(site, site / "log", str(site / "dataset"))) == 0
    assert digest(site / "from-mount", capsys) == digest(site / "dataset", capsys)
    assert sensorloom.main(run(site, site / "log", str(site / "from-mount"))) == 0  # now that it can be written


def test_a_log_that_can_only_be_read_refuses_what_writes(site: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (site / "marks.csv").write_text("device,start,end,label\np,2026-01-01T00:00:01Z,2026-01-01T00:00:02Z,hot\n")
    with read_only_mount(site / "log", site / "mount") as log:
        assert sensorloom.main(["import", "marks", str(site / "marks.csv"), "--log", f"segments:{log}"]) == 1
        assert "mount this one so" in capsys.readouterr().err


def test_another_user_reads_what_he_may_not_write(site: Path) -> None:
    before = bytes_of(site / "log")
    stats = as_a_stranger(site / "log", "log", "stats", "--log", f"segments:{site / 'log'}")
    assert (stats.returncode, stats.stderr) == (0, "")
    windowed = as_a_stranger(site / "log", *run(site, site / "log", str(site / "dataset")))
    assert windowed.returncode == 0, windowed.stderr
    assert "windows" in windowed.stdout
    assert bytes_of(site / "log") == before


def test_a_snapshot_with_a_torn_tail_is_read_to_its_last_whole_record(
    site: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a log whose machine lost its power: nobody has mended it, and nobody here may."""
    [segment] = [path for path in (site / "log/topics/readings").glob("*/*.log") if path.stat().st_size]
    whole = segment.read_bytes()
    shutil.copytree(site / "log", site / "snapshot")
    (site / "snapshot" / segment.relative_to(site / "log")).write_bytes(whole[:-3])
    monkeypatch.setattr(partition, "boot_id", lambda: b"another boot id.")
    capsys.readouterr()
    with read_only_mount(site / "snapshot", site / "mount") as log:
        assert sensorloom.main(["log", "cat", "readings", "--until-idle", "--log", f"segments:{log}"]) == 0
        told = capsys.readouterr()
    assert told.err == ""
    assert (told.out.count("count=10"), told.out.count("recording_end")) == (10, 0)
    assert head.boot_id() != b"another boot id."
