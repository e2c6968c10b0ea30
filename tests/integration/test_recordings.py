"""Real recordings with real faults, through the command line, against independent few-line oracles."""

from __future__ import annotations

import asyncio
import csv
import gzip
import json
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from numpy.typing import NDArray

import sensorloom
from ingest.log.protocol import READINGS
from ingest.opening import open_log
from ingest.records import Chunk
from ingest.times import sample_times
from ingest.wire import decode
from tests.integration.recordings import check_archived, command
from tests.support.data import data_dir
from windowing.dataset.reader import Dataset


def windows(folder: Path, log: str, table: str) -> Dataset:
    """Run the windowing service over the whole log with this `[window]` table."""
    config = folder / "dataset.toml"
    config.write_text(f'name = "real"\n\n[window]\n{table}')
    command("window", "run", "-c", config, "--log", log, "--out", folder / "dataset", "--until-idle")
    return sensorloom.open(folder / "dataset")


def signals(dataset: Dataset) -> NDArray[np.float32]:
    return dataset.arrays(unlabelled="keep")[0]


@pytest.mark.timeout(300)
def test_empatica_streams_of_32_and_4_hz_in_one_window(tmp_path: Path) -> None:
    log, folder = f"segments:{tmp_path}/log", data_dir() / "empatica_e4"
    files = {"acc": ("ACC_x,ACC_y,ACC_z", "x,y,z", "{count}"), "gsr": ("EDA", "eda", "{uS}")}
    files["tmp"] = ("TMP", "tmp", "degC")
    for stream, (wanted_columns, names, unit) in files.items():
        command(
            "import", "readings", folder / f"{stream}.parquet", "--device", "wrist", "--stream", stream,
            "--recording", "session", "--time-column", "timestamp", "--timezone", "UTC", "--columns", wanted_columns,
            "--channel-names", names, "--unit", unit, "--log", log, *(["--open"] if stream != "tmp" else []),
        )  # fmt: skip
    dataset = windows(
        tmp_path,
        log,
        """length = "10s"
hop = "5s"
rate = "32Hz"
channels = ["acc.x", "acc.y", "acc.z", "gsr.eda", "tmp.tmp"]

[window.streams.tmp]
interpolation = "hold"
max_gap = "1s"
""",
    )
    frames = {stream: pl.read_parquet(folder / f"{stream}.parquet") for stream in files}
    times = {stream: frame["timestamp"].dt.epoch("ns").to_numpy() for stream, frame in frames.items()}
    last = min(times["acc"][-1], times["gsr"][-1], times["tmp"][-1] + 10**9)
    wanted, starts, hop = [], [], 5 * 10**9
    for t0 in range(-(-int(times["acc"][0]) // hop) * hop, int(last), hop):
        grid = t0 + np.arange(320) * 31_250_000
        if grid[-1] > last:
            break
        columns = [interpolate(grid, times["acc"], frames["acc"][f"ACC_{axis}"].to_numpy()) for axis in "xyz"]
        columns.append(interpolate(grid, times["gsr"], frames["gsr"]["EDA"].to_numpy()))
        columns.append(frames["tmp"]["TMP"].to_numpy()[np.searchsorted(times["tmp"], grid, side="right") - 1])
        wanted.append(np.stack(columns, axis=1).astype(np.float32))
        starts.append(t0)
    assert dataset.windows()["t0_ns"].to_list() == starts
    np.testing.assert_array_max_ulp(signals(dataset), np.stack(wanted), maxulp=1)
    check_archived(tmp_path, log, tmp_path / "dataset.toml", tmp_path / "dataset")


def test_driver_behavior_with_jittering_stamps_on_one_grid(tmp_path: Path) -> None:
    log, folder = f"segments:{tmp_path}/log", data_dir() / "driver_behavior/trip17"
    trip = json.loads((folder / "viagem.json").read_text())
    boot_ns = int(trip["firstCollectionUptimeNanos"])
    base_ns = int(datetime(2016, 5, 14, 14, 17, 8, tzinfo=UTC).timestamp()) * 10**9 + 871_000_000
    samples = {}
    for stream, name, unit in (("acc", "acelerometro", "m/s2"), ("gyro", "giroscopio", "rad/s")):
        path = folder / f"{name}_terra.csv.gz"
        with gzip.open(path, "rt") as file:
            rows = [(int(row["uptimeNanos"]), *(float(row[axis]) for axis in "xyz")) for row in csv.DictReader(file)]
        start_ns = base_ns + rows[0][0] - boot_ns
        samples[stream] = (np.array([base_ns + row[0] - boot_ns for row in rows]), np.array([row[1:] for row in rows]))
        command(
            "import", "readings", path, "--device", "car", "--stream", stream, "--recording", "trip17",
            "--time-column", "uptimeNanos", "--time-unit", "ns", "--start", str(start_ns),
            "--columns", "x,y,z", "--unit", unit, "--log", log, *(["--open"] if stream == "acc" else []),
        )  # fmt: skip
    dataset = windows(
        tmp_path,
        log,
        """length = "2s"
hop = "1s"
rate = "50Hz"
channels = ["gyro.z", "acc.x", "acc.y"]
""",
    )
    first = max(times[0] for times, _ in samples.values())
    last = min(times[-1] for times, _ in samples.values())
    wanted = []
    for t0 in range(-(-int(first) // 10**9) * 10**9, int(last) - 1_980_000_000 + 1, 10**9):
        grid = t0 + np.arange(100) * 20_000_000
        picked = [("gyro", 2), ("acc", 0), ("acc", 1)]
        columns = [interpolate(grid, samples[stream][0], samples[stream][1][:, axis]) for stream, axis in picked]
        wanted.append(np.stack(columns, axis=1).astype(np.float32))
    np.testing.assert_array_max_ulp(signals(dataset), np.stack(wanted), maxulp=1)
    check_archived(tmp_path, log, tmp_path / "dataset.toml", tmp_path / "dataset")


def interpolate(grid: NDArray[np.int64], times: NDArray[np.int64], values: NDArray[np.float64]) -> NDArray[np.float64]:
    """`np.interp` relative to the grid's start: ns since 1970 do not fit a float64."""
    result: NDArray[np.float64] = np.interp((grid - grid[0]).astype(float), (times - grid[0]).astype(float), values)
    return result


def test_nab_machine_temperature_steps_back_into_a_second_recording(tmp_path: Path) -> None:
    log = f"segments:{tmp_path}/log"
    path = data_dir() / "nab/data/realKnownCause/machine_temperature_system_failure.csv.gz"
    command(
        "import", "readings", path, "--device", "machine", "--stream", "temp", "--recording", "run",
        "--time-column", "timestamp", "--timezone", "UTC", "--columns", "value", "--channel-names", "motor",
        "--unit", "degF", "--log", log,
    )  # fmt: skip
    dataset = windows(
        tmp_path,
        log,
        """length = "1h"
hop = "1h"
rate = "1/300Hz"
anchor = "recording"
channels = ["temp.motor"]
max_gap = "5min"
""",
    )
    with gzip.open(path, "rt") as file:
        rows = [(datetime.fromisoformat(row["timestamp"]), float(row["value"])) for row in csv.DictReader(file)]
    step = next(i for i in range(1, len(rows)) if rows[i][0] < rows[i - 1][0])
    wanted, recordings = [], []
    for name, part in (("run", rows[:step]), ("run-2", rows[step:])):
        values = np.array([value for _, value in part], dtype=np.float32)
        for start in range(0, len(values) - 11, 12):
            wanted.append(values[start : start + 12, None])
            recordings.append(name)
    assert len({row[0] for row in rows}) == len(rows) - 12
    table = dataset.windows()
    assert sorted(table["recording"].to_list()) == recordings
    order = np.lexsort((table["t0_ns"].to_numpy(), table["recording"].to_numpy()))
    np.testing.assert_array_equal(signals(dataset)[order], np.stack(wanted))


async def _times_of(log_url: str) -> NDArray[np.int64]:
    log = open_log(log_url)
    bounds = await log.bounds(READINGS)
    reader = log.reader(READINGS, {partition: bound.begin for partition, bound in bounds.items()})
    left, times = sum(bound.end - bound.begin for bound in bounds.values()), []
    while left:
        for batch in await reader.fetch(1.0):
            left -= len(batch)
            records = [decode(bytes(value)) for value in batch.values]
            times += [sample_times(record) for record in records if isinstance(record, Chunk)]
    await reader.close()
    await log.close()
    return np.concatenate(times)


def test_cwru_at_12_khz_keeps_exact_times_over_the_whole_file(tmp_path: Path) -> None:
    log, path = f"segments:{tmp_path}/log", data_dir() / "cwru_bearing/1797_B_28_DE12.npz"
    start_ns = 1_700_000_000_123_456_789
    command(
        "import", "readings", path, "--array", "DE", "--device", "motor", "--stream", "acc", "--recording", "run",
        "--rate", "12kHz", "--start", str(start_ns), "--columns", "de", "--unit", "g", "--log", log,
    )  # fmt: skip
    raw = np.load(path)["DE"]
    times = asyncio.run(_times_of(log))
    assert times.tolist() == [start_ns + index * 250_000 // 3 for index in range(len(raw))]

    dataset = windows(
        tmp_path, log, 'length = "100ms"\nhop = "50ms"\nrate = "12kHz"\nanchor = "recording"\nchannels = ["acc.de"]\n'
    )
    starts = range(0, len(raw) - 1199, 600)
    assert dataset.windows()["t0_ns"].to_list() == [start_ns + start * 250_000 // 3 for start in starts]
    wanted = np.stack([raw[start : start + 1200] for start in starts]).astype(np.float32)
    np.testing.assert_array_equal(signals(dataset), wanted)
