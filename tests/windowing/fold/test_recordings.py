"""Real recordings through the windower, beside few-line oracles."""

from __future__ import annotations

import csv
import gzip
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from numpy.typing import NDArray

from ingest.records import Record
from tests.support.data import data_dir
from tests.windowing.feeding import START_NS, Source, describe, run
from windowing.fold.anchors import AnchorMark
from windowing.spec import StreamRule, WindowSpec

DAY_NS = 86_400 * 10**9


def _batches(records: list[Record], size: int = 50) -> list[int]:
    return [size] * (len(records) // size)


def _pieces(count: int, size: int) -> list[int]:
    return [min(size, count - at) for at in range(0, count, size)]


def test_hapt_windows_of_marks_are_raw_rows() -> None:
    raw = data_dir() / "hapt/raw"
    rows = np.loadtxt(raw / "acc_exp01_user01.txt.gz").astype(np.float32)
    labels = np.loadtxt(raw / "labels.txt", dtype=int)
    intervals = [(first - 1, last) for exp, _, _, first, last in labels.tolist() if exp == 1]
    step = 20_000_000
    marks = [
        AnchorMark(f"m{i}", "d1", START_NS + first * step, START_NS + last * step)
        for i, (first, last) in enumerate(intervals)
    ]
    spec = WindowSpec(128, 64, Fraction(50), ("acc.x", "acc.y", "acc.z"), anchor="mark")
    source = Source(describe("acc", "xyz"))
    records: list[Record] = [*source.split(START_NS, Fraction(step), rows, _pieces(len(rows), 100)), source.end()]
    found = run(spec, records, [source.description], marks=marks, sizes=_batches(records))
    expected = {
        (f"m{i}", k): rows[first + 64 * k : first + 64 * k + 128]
        for i, (first, last) in enumerate(intervals)
        for k in range((last - first - 128) // 64 + 1)
    }
    assert len(expected) > 100
    assert {(row["anchor"], row["k"]) for row in found.rows} == set(expected)
    assert all(row["signal"].tobytes() == expected[row["anchor"], row["k"]].tobytes() for row in found.rows)
    assert not found.dropped
    epoch = run(WindowSpec(128, 64, Fraction(50), spec.channels), records, [source.description])
    first_k = -(-START_NS // (64 * step))
    lead = first_k * 64 - START_NS // step
    assert sorted(epoch.by_k) == list(range(first_k, first_k + (len(rows) - lead - 128) // 64 + 1))
    for k, signal in epoch.by_k.items():
        at = lead + (k - first_k) * 64
        assert signal.tobytes() == rows[at : at + 128].tobytes()


@pytest.mark.parametrize("anchor", ["recording", "epoch"])
def test_bearing_vibration_at_twelve_kilohertz_is_exact_over_the_whole_file(anchor: Any) -> None:
    with np.load(data_dir() / "cwru_bearing/1797_B_28_DE12.npz") as file:
        rows = file["DE"]
    j = -(-START_NS * 3 // 250_000)
    start = j * 250_000 // 3
    source = Source(describe("vib", "x", "float64"))
    phase = (j * 250_000) % 3 if anchor == "epoch" else 0
    records: list[Record] = []
    for at in range(0, len(rows), 997):
        exact = phase + at * 250_000
        size = min(997, len(rows) - at)
        records.append(source.regular(start + exact // 3, exact % 3, Fraction(250_000, 3), rows[at : at + size]))
    spec = WindowSpec(2048, 2048, Fraction(12_000), ("vib.x",), anchor=anchor)
    found = run(spec, [*records, source.end()], [source.description], sizes=[7] * 10)
    lead = 0 if anchor == "recording" else -j % 2048
    expected = rows[lead : lead + (len(rows) - lead) // 2048 * 2048].astype(np.float32).reshape(-1, 2048, 1)
    assert len(expected) == len(found.rows)
    assert all(np.array_equal(row["signal"], expected[i]) for i, row in enumerate(found.rows))
    assert all(row["mask"] == b"" for row in found.rows)


def _empatica(name: str) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    table = pl.read_parquet(data_dir() / "empatica_e4" / f"{name}.parquet").head(20_000 if name == "acc" else 2_500)
    times = table["timestamp"].dt.epoch("ns").to_numpy()
    return times, table.drop("timestamp").to_numpy().astype(np.float64)


def test_a_wristbands_streams_meet_on_one_grid() -> None:
    """32 and 4 Hz; accelerometer by its scale, skin conductance linear, temperature held."""
    series = {name: _empatica(name) for name in ("acc", "gsr", "tmp")}
    descriptions = {
        "acc": describe("acc", "xyz", "int8", scale=1 / 64),
        "gsr": describe("gsr", "e", "float64"),
        "tmp": describe("tmp", "c"),
    }
    sources = {name: Source(description) for name, description in descriptions.items()}
    records: list[Record] = []
    for at in range(640):
        for name, (times, values) in series.items():
            size = 32 if name == "acc" else 4
            if at * size < len(times):
                piece = slice(at * size, (at + 1) * size)
                records.append(sources[name].chunk(times[piece], values[piece]))
    spec = WindowSpec(
        64,
        32,
        Fraction(32),
        ("acc.x", "acc.y", "acc.z", "gsr.e", "tmp.c"),
        overrides={"tmp": StreamRule("hold", 10**9)},
    )
    found = run(spec, [*records, sources["acc"].end()], descriptions.values(), sizes=_batches(records))
    low = max(times[0] for times, _ in series.values())
    high = min(times[-1] for times, _ in series.values())
    step = 31_250_000
    ks = [
        k
        for k in range(low // (32 * step), high // (32 * step) + 2)
        if low <= k * 32 * step and (k * 32 + 63) * step <= high
    ]
    assert len(ks) > 500
    assert set(ks) <= set(found.by_k)
    for k in ks:
        instants = np.arange(64) * step + k * 32 * step
        for column in range(3):
            times, values = series["acc"]
            expected = np.interp(instants - low, times - low, values[:, column] / 64)
            np.testing.assert_allclose(found.by_k[k][:, column], expected, rtol=1e-6, atol=1e-6)
        times, values = series["gsr"]
        np.testing.assert_allclose(found.by_k[k][:, 3], np.interp(instants - low, times - low, values[:, 0]), rtol=1e-6)
        times, values = series["tmp"]
        held = values[np.searchsorted(times, instants, side="right") - 1, 0]
        assert np.array_equal(found.by_k[k][:, 4], held.astype(np.float32))


def _trip(path: Path) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    with gzip.open(path, "rt") as file:
        rows = list(csv.DictReader(file))
    times = np.array([int(row["uptimeNanos"]) for row in rows], dtype=np.int64)
    return START_NS + times, np.array([[float(row[c]) for c in "xyz"] for row in rows])


def test_a_drives_jittering_stamps_are_laid_on_the_grid() -> None:
    folder = data_dir() / "driver_behavior/trip17"
    series = {"acc": _trip(folder / "acelerometro_terra.csv.gz"), "gyro": _trip(folder / "giroscopio_terra.csv.gz")}
    sources = {name: Source(describe(name, "xyz", "float64")) for name in series}
    kept = {name: np.concatenate(([True], np.diff(times) > 0)) for name, (times, _) in series.items()}
    records: list[Record] = []
    for at in range(0, 20_675, 51):
        for name, (times, values) in series.items():
            records.append(sources[name].chunk(times[at : at + 51], values[at : at + 51]))
    channels = tuple(f"{name}.{c}" for name in series for c in "xyz")
    spec = WindowSpec(100, 50, Fraction(50), channels, rule=StreamRule("linear", 100_000_000))
    descriptions = [source.description for source in sources.values()]
    found = run(spec, [*records, sources["acc"].end()], descriptions, sizes=_batches(records, 33))
    assert found.counts.get("late.samples", 0) == sum(int((~mask).sum()) for mask in kept.values())
    step, hop = 20_000_000, 50 * 20_000_000
    low = max(times[0] for times, _ in series.values())
    high = min(times[-1] for times, _ in series.values())
    ks = [k for k in range(low // hop, high // hop + 1) if low <= k * hop and k * hop + 99 * step <= high]
    assert len(ks) > 350
    assert set(ks) == set(found.by_k)
    for k in ks:
        instants = np.arange(100) * step + k * hop
        expected = [
            np.interp(instants - START_NS, times[kept[name]] - START_NS, values[kept[name], column])
            for name, (times, values) in series.items()
            for column in range(3)
        ]
        np.testing.assert_allclose(found.by_k[k], np.stack(expected, axis=1), rtol=2e-6, atol=1e-6)
