"""Flags of a dataset's windows: found by name in real recordings, told by a command, selected by, never dropped."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec
import numpy as np
import polars as pl
import pytest

import sensorloom
from curation.cleaning.flags import flags_of
from ingest.chunker import Limits, Origin, periodic_chunks
from ingest.errors import UsageError
from ingest.log.protocol import READINGS
from ingest.records import Clock, RecordingEnd, RecordingStart, schema_id
from preparing.cleaning import Bounds
from tests.service.test_run import START_NS, STREAM, Site, append, at, signal_of
from tests.support.data import data_dir


@pytest.fixture
def site(tmp_path: Path) -> Site:
    """A recording of ten seconds whose clock is unsure by 5 ms in the seventh, which repeats its second and third, and
    in which the axis y stands still behind its eighth."""
    site = Site(tmp_path)
    signal = signal_of("a", 10).copy()
    signal[250:350] = signal[50:150]
    signal[400:, 1] = 1.0
    origin = Origin("a", "r", "acc", b"a".ljust(16), schema_id(STREAM))
    chunks = list(periodic_chunks(origin, START_NS, (20_000_000, 1), signal, Limits()))
    sure = [
        msgspec.structs.replace(it, clock=Clock("ntp", uncertainty_ns=5_000_000 if it.t0_ns == at(6) else 1_000))
        for it in chunks
    ]
    start, end = RecordingStart("a", "r", b"a".ljust(16), START_NS, "test"), RecordingEnd("a", "r", b"", at(10), "test")
    append(site.log, READINGS, start, *sure, end)
    site.write("recording")
    site.config.write_text(site.config.read_text().replace("hop = 25", "hop = 50"))
    assert site.drain() == 0
    return site


def test_windows_are_flagged_and_stay(site: Site, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    dataset = sensorloom.open(site.out)
    found = flags_of(dataset, max_clock=1_000_000)
    assert found.windows_by_rule() == {
        "duplicate": 2, "flat": 2, "stuck": 0, "out_of_range": 0, "outlier": 0, "clipped": 0, "spike": 0,
        "clock_unsure": 1,
    }  # fmt: skip
    assert found.places("duplicate").tolist() == [5, 6]
    assert found.places("clock_unsure").tolist() == [6]
    (flat, _) = found.table.filter(rule="flat").to_dicts()
    assert (flat["place"], flat["channel"], flat["steps"], flat["t0_ns"]) == (8, "acc.y", 50, at(8))
    assert len(dataset) == len(found.clean()) + len(found.flagged()) == 10
    assert found.clean("flat").windows()["t0_ns"].to_list() == [at(second) for second in range(8)]
    with pytest.raises(UsageError, match='found "flatt"'):
        found.places("flatt")
    unasked = flags_of(dataset, Bounds(ranges={"acc.x": (-1, 1)}))
    low = np.abs(dataset.arrays("keep").X[..., 0]).max(axis=1) > 1
    assert unasked.places("out_of_range").tolist() == np.flatnonzero(low).tolist()
    with pytest.raises(UsageError, match="no largest uncertainty was given"):
        unasked.places("clock_unsure")

    capsys.readouterr()
    words = ["dataset", "flags", str(site.out), "--max-clock", "1ms"]
    assert sensorloom.main([*words, "--out", str(tmp_path / "flags.parquet")]) == 1
    text = capsys.readouterr().out
    assert "duplicate             2  whole windows" in text
    assert "flat                  2  acc.y 2" in text
    assert "4 of 10 windows are flagged; none was taken out" in text
    assert pl.read_parquet(tmp_path / "flags.parquet").equals(found.table)
    assert sensorloom.main([*words, "--json"]) == 1
    assert json.loads(capsys.readouterr().out)["by_rule"] == found.windows_by_rule()
    assert sensorloom.main([*words, "--rule", "clock_unsure"]) == 1
    (line,) = capsys.readouterr().out.splitlines()
    assert line.endswith("  all  50 steps")
    assert sensorloom.main(["dataset", "flags", str(site.out), "--range", "acc.x=low"]) == 2
    assert "expected CHANNEL=LOW..HIGH" in capsys.readouterr().err


def test_a_wristbands_start_is_found(tmp_path: Path) -> None:
    """The first samples of an Empatica E4's thermometer say 382.21 °C."""
    log, config = f"segments:{tmp_path}/log", tmp_path / "dataset.toml"
    source = str(data_dir() / "empatica_e4/tmp.parquet")
    said = ["--device", "e4", "--stream", "skin", "--time-column", "timestamp", "--columns", "TMP", "--unit", "degC"]
    where = ["--timezone", "Europe/Brussels", "--log", log]
    assert sensorloom.main(["import", "readings", source, *said, *where]) == 0
    config.write_text(
        'name = "e4"\n[window]\nlength = "10s"\nrate = "4Hz"\nanchor = "recording"\nchannels = ["skin.TMP"]\n'
    )
    words = ["window", "run", "-c", str(config), "--log", log, "--out", str(tmp_path / "d"), "--until-idle"]
    assert sensorloom.main(words) == 0
    dataset = sensorloom.open(tmp_path / "d")
    found = flags_of(dataset)
    hot = np.flatnonzero((dataset.arrays("keep").X > 100).any(axis=(1, 2)))
    assert len(hot)
    assert found.places("outlier").tolist() == hot.tolist()
    assert float(found.clean("outlier").arrays("keep").X.max()) < 45
