"""`window batch --complete`: the windows of an archive as they were, had everything come in time."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest

import sensorloom
from ingest.chunker import Limits, Origin, periodic_chunks
from ingest.log.protocol import READINGS
from ingest.records import Chunk, Record, RecordingEnd, RecordingStart, schema_id
from tests.service.test_archiving import archive, batch, counts
from tests.service.test_run import START_NS, STREAM, Site, append, at, signal_of
from windowing.dataset.digest import dataset_digest

SECONDS = 12


def recording(device: str) -> tuple[RecordingStart, list[Chunk], RecordingEnd]:
    boot = device.encode().ljust(16, b"-")
    origin = Origin(device, "r", "acc", boot, schema_id(STREAM))
    chunks = list(periodic_chunks(origin, START_NS, (20_000_000, 1), signal_of(device, SECONDS), Limits()))
    start, end = RecordingStart(device, "r", boot, START_NS, "t"), RecordingEnd(device, "r", boot, at(SECONDS), "t")
    return start, chunks, end


def late(device: str, order: list[int], behind: int) -> list[Record]:
    """A recording whose chunks come in this order, the last `behind` of them behind its end."""
    start, chunks, end = recording(device)
    came = [chunks[number] for number in order]
    return [start, *came[: len(came) - behind], end, *came[len(came) - behind :]]


def site_of(folder: Path, *records: list[Record]) -> Site:
    folder.mkdir()
    site = Site(folder)
    for few in records:
        append(site.log, READINGS, *few)
    return site


def windows(out: Path) -> tuple[pl.DataFrame, np.ndarray[tuple[int, ...], np.dtype[np.float32]]]:
    dataset = sensorloom.open(out)
    arrays = dataset.arrays(unlabelled="keep")
    return dataset.windows().select("device", "recording", "t0_ns", "coverage"), arrays.X


def same(one: Path, other: Path) -> None:
    (table, signal), (wanted, expected) = windows(one), windows(other)
    assert table.equals(wanted)
    np.testing.assert_array_equal(signal, expected)


def test_what_came_late_is_in_and_nothing_else_differs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    order = [0, 1, 4, 2, 3, 5, 8, 9, 7, 6, 10, 11]
    in_time = list(range(SECONDS))
    site = site_of(tmp_path / "late", late("a", order, 0), late("b", in_time, 3), late("c", in_time, 0))
    truth = site_of(tmp_path / "truth", *(late(device, in_time, 0) for device in "abc"))
    assert sensorloom.main(archive(site, "--until-idle", "--seal-bytes", "2kB")) == 0
    assert sensorloom.main(batch(site, "plain")) == 0
    assert sensorloom.main(batch(site, "complete", "--complete")) == 0
    root = site.out.parent
    assert truth.drain() == 0
    same(root / "complete", truth.out)
    assert counts(root / "plain")["late.samples"] > 0
    assert "late.samples" not in counts(root / "complete")
    plain, complete = (sensorloom.open(root / name).windows() for name in ("plain", "complete"))
    assert 0 < len(plain) < len(complete)
    assert plain.select("device", "t0_ns").join(complete, on=["device", "t0_ns"]).height == len(plain)
    assert sensorloom.main(batch(site, "complete")) == 2, "the one is not gone on with as the other"
    assert "window" in capsys.readouterr().err


def test_without_late_samples_the_windows_are_those_of_the_stream(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    site = site_of(tmp_path / "site", *(late(device, list(range(SECONDS)), 0) for device in "ab"))
    assert sensorloom.main(archive(site, "--until-idle")) == 0
    root = site.out.parent
    assert sensorloom.main(batch(site, "plain")) == 0
    assert sensorloom.main(batch(site, "complete", "--complete")) == 0
    same(root / "complete", root / "plain")
    assert counts(root / "complete") == counts(root / "plain")
    assert dataset_digest(root / "complete") != dataset_digest(root / "plain"), "windows of another specification"
    assert sensorloom.main(batch(site, "complete", "--complete")) == 0, "it is gone on with"
    same(root / "complete", root / "plain")
    capsys.readouterr()
    sensorloom.main(["status", str(root), "--json"])
    status = json.loads(capsys.readouterr().out)
    assert {figures["dataset"]: figures["behind"] for figures in status["datasets"]}["complete"] is None
    assert not [text for text in status["trouble"] if "complete" in text]


def test_a_stream_cannot_be_complete(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    site = site_of(tmp_path / "site", late("a", list(range(SECONDS)), 0))
    site.write("epoch", "complete = true\n")
    assert site.drain() == 2
    assert "window batch" in capsys.readouterr().err
    site.config.write_text(site.config.read_text().replace("complete = true", 'complete = "yes"'))
    assert site.drain() == 2
    assert "expected true or false" in capsys.readouterr().err
