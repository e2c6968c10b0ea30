"""Named states on the whole way: a file, the log, the archive, windows, what a dataset says of them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import sensorloom
from tests.service.test_run import Site
from windowing.dataset.digest import dataset_digest
from windowing.dataset.reader import open_dataset
from windowing.dataset.verify import Verification

CONFIG = """name = "gates"

[window]
length = 40
hop = 20
rate = "20Hz"
interpolation = "linear"
channels = ["gate.position", "gate.flow"]
max_gap = "1s"
min_coverage = 0.5
"""
START = "2026-01-01T00:00:00Z"
CODES, FLOWS = np.array([0, 1, 1, 0, 2, 1, 0, 0, 2, 0] * 10), np.arange(100) / 8


@pytest.fixture
def site(tmp_path: Path) -> Site:
    site = Site(tmp_path)
    site.config.write_text(CONFIG)
    return site


def imported(site: Site, device: str, states: str, codes: np.ndarray[tuple[int], np.dtype[np.int64]] = CODES) -> None:
    """100 samples at 3 Hz, a rate that meets the grid now and then only."""
    file = site.config.with_name(f"{device}.csv")
    file.write_text("position,flow\n" + "".join(f"{code},{flow}\n" for code, flow in zip(codes, FLOWS, strict=True)))
    words = ["import", "readings", str(file), "--device", device, "--stream", "gate", "--log", site.log]
    words += ["--columns", "position,flow", "--unit", "1", "--rate", "3Hz", "--start", START]
    assert sensorloom.main([*words, *(["--values", f"position:{states}"] if states else [])]) == 0


def test_states_are_held_and_named_and_quantities_are_interpolated(
    site: Site, capsys: pytest.CaptureFixture[str]
) -> None:
    imported(site, "a", "0=raised,1=down,2=moving")
    assert site.drain() == 0
    dataset = open_dataset(site.out)
    assert dataset.states == {"gate.position": {0: "raised", 1: "down", 2: "moving"}}
    signal = dataset.arrays("keep").X
    assert len(signal) > 10
    # instant i of the grid lies at i / 20 s, sample j at the floor of j / 3 s
    begins = (dataset.windows()["t0_ns"].to_numpy() - dataset.windows()["t0_ns"].min()) // 50_000_000
    first = int(np.flatnonzero(~np.isnan(signal[0, :, 0]))[0])
    for begin, window in zip(begins.tolist(), signal, strict=True):
        steps = np.arange(40) + begin - first
        inside = (steps >= 0) & (steps * 3 / 20 <= 99)
        samples = steps[inside] * 3 // 20
        np.testing.assert_array_equal(window[inside, 0], CODES[samples])
        np.testing.assert_allclose(window[inside, 1], steps[inside] * 3 / 20 / 8, atol=1e-6)
    capsys.readouterr()
    assert sensorloom.main(["dataset", "status", str(site.out)]) == 0
    assert "gate.position: 0 raised, 1 down, 2 moving" in capsys.readouterr().out
    assert Verification(site.out).run(lambda count: None).problems == []


def test_an_archive_keeps_the_names_and_gives_the_same_windows(site: Site) -> None:
    imported(site, "a", "0=raised,1=down,2=moving")
    assert site.drain() == 0
    archive, batch = site.out.with_name("archive"), site.out.with_name("batch")
    assert sensorloom.main(["archive", "run", "--log", site.log, "--out", str(archive), "--until-idle"]) == 0
    words = ["window", "batch", "-c", str(site.config), "--archive", str(archive), "--out", str(batch)]
    assert sensorloom.main(words) == 0
    assert dataset_digest(batch) == dataset_digest(site.out)
    assert open_dataset(batch).states == open_dataset(site.out).states != {}


def test_codes_that_recordings_name_otherwise_have_all_their_names(site: Site) -> None:
    """Seal after seal, some of which know of no states, as those of before there were any."""
    imported(site, "a", "")
    assert site.drain() == 0
    assert open_dataset(site.out).states == {}
    imported(site, "b", "0=raised,1=down,2=moving")
    assert site.drain() == 0
    imported(site, "c", "0=raised,1=closed,3=stuck", np.where(CODES == 2, 3, CODES))
    assert site.drain() == 0
    named = {0: "raised", 1: "closed / down", 2: "moving", 3: "stuck"}
    assert open_dataset(site.out).states == {"gate.position": named}
