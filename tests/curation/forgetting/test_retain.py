"""What is older than it may be kept goes, whole where it has ended; what is younger stays as it was."""

from __future__ import annotations

import asyncio
from pathlib import Path

import numpy as np
import polars as pl
import pytest

import sensorloom
from curation.forgetting.erasure import Proof
from curation.forgetting.retention import retain
from ingest.errors import UsageError
from ingest.log.protocol import MARKS
from ingest.records import MarkEdit
from tests.curation.forgetting.test_forget import Made, brought, left_of, values_of
from tests.service.test_run import Site, append, at
from windowing.dataset.reader import open_dataset
from windowing.dataset.versions import read_versions

OLD, NEW = ("pump-old", "rec-old"), ("pump-new", "rec-new")
NOW_S = 1000


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    """At 0 s somebody's recordings, one of which has not ended and is cut in the middle by the age; at 900 s others."""
    folder = tmp_path_factory.mktemp("retain")
    site = Site(folder)
    brought(site, *OLD, "anna-old", 0)
    brought(site, "pump-open", "rec-open", "cleo-open", 97, ends=False)
    brought(site, *NEW, "bert-new", 900)
    edit = MarkEdit("pump-old", "m-rec-old", "ann", "operator", label="edited-old")
    append(site.log, MARKS, edit)
    assert site.drain() == 0
    archive = folder / "archive"
    assert sensorloom.main(["archive", "run", "--log", site.log, "--out", str(archive), "--until-idle"]) == 0
    assert sensorloom.main(["dataset", "version", str(site.out), "--split", "a=0.5,b=0.5", "--by", "subject"]) == 0
    return Made(site, folder, archive)


def retained(here: Made, older_than: str | None = "900s", *, dry: bool = False) -> Proof:
    asked = retain(here.site.out, [here.archive], older_than=older_than, dry=dry, time_ns=at(NOW_S), author="ann")
    return asyncio.run(asked)


def windows(here: Made, version: str | None = None) -> pl.DataFrame:
    return open_dataset(here.site.out, version=version).windows().drop("shard", "row")


def test_what_is_old_goes_and_what_is_young_stays(made: Made, tmp_path: Path) -> None:
    here = made.copied(tmp_path / "s")
    before, young = windows(here), pl.col("t1_ns") > at(100)
    old = values_of(*OLD)
    assert left_of(here.site.out, *old)
    assert left_of(here.archive, *old)
    told = retained(here, dry=True)
    assert windows(here).equals(before), "a dry run only counts"
    proof = retained(here)
    assert proof.clean
    assert {
        place.place: place.what.replace("erased", "to be erased") for place in proof.places if "rows" in place.what
    } == {place.place: place.what for place in told.places if "rows" in place.what}
    after = windows(here)
    assert after.equals(before.filter(young))
    assert 0 < len(after.filter(device="pump-open")) < len(before.filter(device="pump-open"))
    assert windows(here, "1.0.0").equals(before.filter(young))
    (version,) = read_versions(here.site.out)
    assert version.erased == len(before) - len(after)
    for folder in (here.site.out, here.archive):
        assert left_of(folder, *old, b"anna-old", b"m-rec-old") == set()
        assert left_of(folder, *values_of(*NEW))
    here.whole()
    assert retained(here).rows == {}, "again: nothing is left to do"


def test_what_is_open_goes_on(made: Made, tmp_path: Path) -> None:
    here = made.copied(tmp_path / "s")
    assert retained(here, "10s").clean
    assert len(windows(here)) == 0
    brought(here.site, "pump-open", "rec-open", "cleo-open", 103, first=6)
    assert here.site.drain() == 0
    found = open_dataset(here.site.out).windows()
    assert set(found["recording"]) == {"rec-open"}
    assert found["subject"].null_count() == 0, "who it was of is known, as it had not ended"
    here.whole()


def test_dataset_toml_says_how_long(
    made: Made, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    here = made.copied(tmp_path / "s")
    with pytest.raises(UsageError, match=r"does not say \[privacy\] retention"):
        retained(here, None)
    with pytest.raises(UsageError, match="expected more than nothing"):
        retained(here, "0s")
    here.site.write("epoch", '\n[privacy]\nretention = "900s"\n')
    assert here.site.drain() == 0
    monkeypatch.setattr("time.time_ns", lambda: at(NOW_S))
    words = ["dataset", "retain", str(here.site.out), "--archive", str(here.archive)]
    capsys.readouterr()
    assert sensorloom.main([*words, "--dry-run"]) == 0
    out = capsys.readouterr().out
    assert out.startswith("older than 900s: ended by ")
    assert "would be " in out
    assert "rows to be erased" in out
    assert sensorloom.main(words) == 0
    assert set(windows(here)["device"]) == {"pump-open", "pump-new"}


def test_tiles_are_those_of_what_stays(made: Made, tmp_path: Path) -> None:
    here = made.copied(tmp_path / "s")
    assert retained(here).clean
    samples = pl.concat([pl.read_parquet(path) for path in here.archive.glob("readings/samples/*/*")])
    tiles = pl.concat([pl.read_parquet(path) for path in here.archive.glob("readings/tiles/*")])
    for level in tiles["level"].unique():
        counted = tiles.filter(level=level, channel=0).group_by("device").agg(pl.col("samples").sum()).sort("device")
        there = samples.group_by("device").len("samples").sort("device")
        assert counted.rows() == [(device, np.int64(count)) for device, count in there.rows()], level
