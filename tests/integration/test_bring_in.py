"""Files as people have them, brought in by a command or two, without a script; windows and labels against oracles."""

from __future__ import annotations

import csv
import io
import json
import tarfile
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from numpy.typing import NDArray

import sensorloom
from tests.integration.recordings import command, hapt_activities, hapt_config, hapt_intervals, hapt_recordings
from tests.support.data import data_dir
from windowing.dataset.reader import Dataset

START = ("--start", "2026-01-01T00:00Z")


def windows(folder: Path, log: str, table: str) -> Dataset:
    """Run the windowing service over the whole log with this `[window]` table."""
    config = folder / "dataset.toml"
    config.write_text(f'name = "real"\n\n[window]\n{table}')
    command("window", "run", "-c", config, "--log", log, "--out", folder / "dataset", "--until-idle")
    return sensorloom.open(folder / "dataset")


def signals(dataset: Dataset) -> NDArray[np.float32]:
    return dataset.arrays(unlabelled="keep")[0]


def unpacked(archive: Path, folder: Path) -> Path:
    with tarfile.open(archive) as file:
        file.extractall(folder, filter="data")
    return folder


def by_window(dataset: Dataset) -> Iterator[tuple[tuple[str, int], str | None, NDArray[np.float32]]]:
    """Recording and number, label and signal of each window."""
    table = dataset.windows()
    keys = zip(table["recording"].to_list(), table["k"].to_list(), strict=True)
    yield from zip(keys, table["label"].to_list(), signals(dataset), strict=True)


def test_road_anomalies_with_classes_from_their_folders(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    roads = unpacked(data_dir() / "road_anomalies/road_40_per_class.tar.gz", tmp_path / "roads")
    log = f"segments:{tmp_path}/log"
    bring_in = (
        "import", "readings", roads, "--path", "{label}/{recording}.csv", "--device", "car", "--stream", "acc",
        "--columns", "acc_z", "--unit", "m/s2", "--rate", "50Hz", *START, "--log", log, "--json",
    )  # fmt: skip
    command(*bring_in)
    told = json.loads(capsys.readouterr().out)
    assert (told["files"], told["imported"], told["marks"], told["failed"]) == (200, 200, 200, [])
    spans = sorted((it["start_ns"], it["end_ns"]) for it in told["recordings"])
    assert all(end < start for (_, end), (start, _) in pairwise(spans))

    command(*bring_in)
    again = json.loads(capsys.readouterr().out)
    assert (again["imported"], again["there_already"], again["chunks"]) == (0, 200, 0)
    assert again["recordings"] == told["recordings"]

    dataset = windows(
        tmp_path,
        log,
        'length = "1s"\nhop = "500ms"\nrate = "50Hz"\nanchor = "recording"\nchannels = ["acc.acc_z"]\n',
    )
    left = {
        (path.stem, number): (path.parent.name, values[25 * number : 25 * number + 50])
        for path in roads.glob("*/*.csv")
        for values in [np.loadtxt(path, skiprows=1).astype(np.float32)]
        for number in range((len(values) - 50) // 25 + 1)
    }
    assert len(left) == 1187
    for key, label, signal in by_window(dataset):
        name, values = left.pop(key)
        assert label == name
        np.testing.assert_array_equal(signal[:, 0], values)
    assert not left


def test_hapt_with_labels_by_index(tmp_path: Path) -> None:
    raw, log = data_dir() / "hapt/raw", f"segments:{tmp_path}/log"
    command(
        "import", "readings", f"{raw}/*_exp*.txt.gz", "--path", "{stream}_{recording}_{device}.txt.gz",
        "--columns", "x,y,z", "--unit", "acc=g", "--unit", "gyro=rad/s", "--rate", "50Hz", *START, "--log", log,
    )  # fmt: skip
    command(
        "import", "marks", raw / "labels.txt", "--columns", "exp,user,label,start,end",
        "--field", "device=user{user:02}", "--field", "recording=exp{exp:02}",
        "--label-names", raw.parent / "activity_labels.txt", "--index-base", "1", "--end", "inclusive", "--log", log,
    )  # fmt: skip
    config = hapt_config(tmp_path / "mark.toml", "mark")
    command("window", "run", "-c", config, "--log", log, "--out", tmp_path / "mark", "--until-idle")
    dataset = sensorloom.open(tmp_path / "mark")
    X, y, groups = dataset.arrays(groups="recording")  # noqa: N806 - as everyone calls it
    got = [(str(group), dataset.classes[label]) for group, label in zip(groups, y, strict=True)]
    names, user_of = hapt_activities(), {recording.name: recording.user for recording in hapt_recordings()}
    with (data_dir() / "hapt/published_windows.csv").open() as file:
        published = [(int(row["subject"]), names[int(row["activity"])]) for row in csv.DictReader(file)]
    assert sorted((user_of[group], label) for group, label in got) == sorted(published)
    assert len(got) == 2029
    rows = {recording: recording.rows() for recording in hapt_recordings()}
    wanted = [
        rows[recording][start : start + 128]
        for recording, _, first, behind in hapt_intervals()
        for start in range(first, behind - 127, 64)
    ]
    np.testing.assert_array_equal(X, np.stack(wanted))


def strictly_rising(table: NDArray[np.float64]) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """The rows whose time lies behind all before it, and these times, ns."""
    times = np.round(table[:, 0] * 1e9).astype(np.int64)
    newest = np.concatenate(([-1], np.maximum.accumulate(times)[:-1]))
    return times[times > newest], table[times > newest, 1:]


@pytest.mark.parametrize(("which", "count"), [("[DF]01", 14), pytest.param("*", 128, marks=pytest.mark.soak)])
def test_weda_fall_with_fall_times_in_seconds_of_each_file(tmp_path: Path, which: str, count: int) -> None:
    archive = data_dir() / "weda_fall/weda_50hz_U01_U02_U21.tar.gz"
    trials, log = unpacked(archive, tmp_path / "weda"), f"segments:{tmp_path}/log"
    falls = data_dir() / "weda_fall/fall_timestamps.csv"
    command(
        "import", "readings", f"{trials}/{which}/*", "--path", "{activity}/{subject}_{trial}_{stream}.csv",
        "--device", "{subject}", "--recording", "{activity}/{subject}_{trial}",
        "--columns", "{stream}_x_list,{stream}_y_list,{stream}_z_list", "--channel-names", "x,y,z",
        "--time-column", "{stream}_time_list", "--time-unit", "s", *START,
        "--unit", "accel=m/s2", "--unit", "gyro=rad/s", "--log", log,
    )  # fmt: skip
    command(
        "import", "marks", falls, "--field", "recording={filename}", "--field", "label=fall",
        "--field", "start={start_time}", "--field", "end={end_time}", "--time-unit", "s", "--origin", "0=recording",
        "--log", log, *(() if which == "*" else ("--skip-unknown",)),
    )  # fmt: skip
    dataset = windows(
        tmp_path,
        log,
        'length = "1s"\nhop = "500ms"\nrate = "50Hz"\nanchor = "recording"\nmax_gap = "500ms"\n'
        'channels = ["accel.x", "accel.y", "accel.z", "gyro.x", "gyro.y", "gyro.z"]\n\n[labels]\nbackground = "adl"\n',
    )
    with falls.open() as file:
        fall_of = {row["filename"]: (float(row["start_time"]), float(row["end_time"])) for row in csv.DictReader(file)}
    left = {key: (label, signal) for key, label, signal in by_window(dataset)}
    assert len({key[0] for key in left}) == count
    for path in trials.glob(f"{which}/*_accel.csv"):
        name = f"{path.parent.name}/{path.name.removesuffix('_accel.csv')}"
        tables = [
            np.loadtxt(it, delimiter=",", skiprows=1)
            for it in (path, path.with_name(path.name.replace("accel", "gyro")))
        ]
        (ta, a), (tg, g) = map(strictly_rising, tables)
        start = min(ta[0], tg[0])
        number = 0
        while (grid := ta[0] + number * 500_000_000 + np.arange(50) * 20_000_000)[-1] <= min(ta[-1], tg[-1]):
            found = left.pop((name, number), None)
            holes = []
            for times in (ta, tg):
                before = np.searchsorted(times, grid, "right") - 1
                behind = np.minimum(before + 1, len(times) - 1)
                holes.append(((times[before] != grid) & (times[behind] - times[before] > 500_000_000)) | (before < 0))
            if np.any(holes):
                assert found is None
            else:
                assert found is not None
                columns = [np.interp(grid, ta, a[:, k]) for k in range(3)] + [
                    np.interp(grid, tg, g[:, k]) for k in range(3)
                ]
                np.testing.assert_allclose(found[1], np.column_stack(columns).astype(np.float32), rtol=1e-6, atol=1e-12)
                t0 = int(grid[0] - start)
                begin, end = (round(second * 1e9) for second in fall_of.get(name, (0.0, 0.0)))
                covered = max(0, min(end, t0 + 10**9) - max(begin, t0))
                assert found[0] == ("fall" if covered >= 5 * 10**8 else None if covered else "adl")
            number += 1
    assert not left


def test_a_messy_sheet_of_a_german_spreadsheet(tmp_path: Path) -> None:
    rows = [(20 + i / 100, 1013 + (i * 37 % 101) / 8, i % 50 >= 40) for i in range(600)]
    lines = ["Anlage 7, Halle B", "Zeit;Temperatur, innen;Druck;Status;Ort", "[s];[°C];[bar];[-];"]
    for i, (temperature, pressure, alarm) in enumerate(rows):
        cells = (f"{temperature:.2f}".replace(".", ","), f"{pressure:.3f}".replace(".", ","), "Alarm" if alarm else "")
        lines.append(
            f"29.03.2026 01:{55 + i // 60:02}:{i % 60:02};"
            if i < 300
            else f"29.03.2026 02:{i // 60 - 5:02}:{i % 60:02};"
        )
        lines[-1] += ";".join(cells) + ";Halle B, Nord"
    sheet = tmp_path / "sheet.csv"
    sheet.write_bytes(b"\xef\xbb\xbf" + "\r\n".join(lines).encode() + b"\r\n")
    preset = tmp_path / "sheet.toml"
    preset.write_text(
        'stream = "s"\ncolumns = ["Temperatur, innen", "Dru*"]\nchannel-names = ["innen", "druck"]\n'
        'time-column = "Zeit"\ntime-format = "%d.%m.%Y %H:%M:%S"\ntimezone = "+01:00"\ndecimal = "comma"\n'
        'skip-rows = 1\nunits-row = true\nlabel-column = "Status"\n'
    )
    log = f"segments:{tmp_path}/log"
    command("import", "readings", sheet, "--device", "plant", "--preset", preset, "--log", log)
    dataset = windows(
        tmp_path,
        log,
        'length = "10s"\nhop = "10s"\nrate = "1Hz"\nanchor = "recording"\nchannels = ["s.innen", "s.druck"]\n\n'
        '[labels]\nbackground = "calm"\n',
    )
    wanted = np.array([[round(t, 2), round(p, 3)] for t, p, _ in rows]).astype(np.float32).reshape(60, 10, 2)
    np.testing.assert_array_equal(signals(dataset), wanted)
    assert dataset.windows()["label"].to_list() == (["calm"] * 4 + ["Alarm"]) * 12
    first = dataset.windows()["t0_ns"][0]
    assert first == 1_774_745_700 * 10**9  # 2026-03-29T00:55:00Z


@pytest.mark.parametrize("jitter_ms", [0, 7])
def test_parquet_of_many_devices(tmp_path: Path, jitter_ms: int) -> None:
    rng = np.random.default_rng(jitter_ms)
    frames = []
    for number in range(3):
        times = 1_777_622_400_000 + 20 * np.arange(1500) + number * jitter_ms
        values = {"x": rng.normal(size=1500), "y": rng.normal(size=1500)}
        frames.append(pl.DataFrame({"time": times, "device": [f"pump-{number}"] * 1500, **values}))
    frame = pl.concat(frames).sort("time") if jitter_ms else pl.concat(frames)
    frame = frame.with_columns(pl.col("time").cast(pl.Datetime("ms", "UTC")).dt.convert_time_zone("Europe/Berlin"))
    frame.write_parquet(tmp_path / "fleet.parquet")
    log = f"segments:{tmp_path}/log"
    command(
        "import", "readings", tmp_path / "fleet.parquet", "--device-column", "device", "--stream", "vib",
        "--columns", "*", "--unit", "g", "--time-column", "time", "--log", log,
    )  # fmt: skip
    dataset = windows(
        tmp_path, log, 'length = 100\nhop = 100\nrate = "50Hz"\nanchor = "recording"\nchannels = ["vib.x", "vib.y"]\n'
    )
    assert dataset.windows()["device"].to_list() == [f"pump-{number}" for number in range(3) for _ in range(15)]
    wanted = np.concatenate([one.select("x", "y").to_numpy().astype(np.float32).reshape(15, 100, 2) for one in frames])
    np.testing.assert_array_equal(signals(dataset), wanted)


def test_forty_columns_with_holes(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    values = np.round(rng.normal(size=(600, 40)), 4)
    values[:, :20][rng.random((600, 20)) < 0.02] = np.nan
    values[:, 20:][np.arange(600) % 10 != 0] = np.nan
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(["ts", *(f"tag {number:02}" for number in range(40))])
    for i, row in enumerate(values.tolist()):
        writer.writerow(
            [f"2026-05-01T00:{i // 600:02}:{i // 10 % 60:02}.{i % 10}00+00:00", *("" if v != v else v for v in row)]
        )
    (tmp_path / "wide.csv").write_text(text.getvalue())
    log = f"segments:{tmp_path}/log"
    command(
        "import", "readings", tmp_path / "wide.csv", "--device", "plant", "--stream", "tags",
        "--columns", "tag 00..tag 39", "--unit", "1", "--time-column", "ts", "--log", log,
    )  # fmt: skip
    channels = ", ".join(f'"tags.tag {number:02}"' for number in range(40))
    dataset = windows(
        tmp_path,
        log,
        'length = "2s"\nhop = "1s"\nrate = "10Hz"\nanchor = "recording"\nmax_gap = "1s"\nmin_coverage = 0.5\n'
        f"channels = [{channels}]\n",
    )
    t = np.arange(600)
    bridged = np.column_stack(
        [np.interp(t, t[known], column[known]) for column in values.T for known in [~np.isnan(column)]]
    )
    ends = [np.flatnonzero(~np.isnan(column))[[0, -1]] for column in values.T]
    got = signals(dataset)
    assert len(got) == 59
    for number in range(40):
        between = (ends[number][0] <= t) & (t <= ends[number][1])
        column = np.where(between, bridged[:, number], np.nan).astype(np.float32)
        wanted = np.stack([column[k * 10 : k * 10 + 20] for k in range(59)])
        np.testing.assert_allclose(got[:, :, number], wanted, rtol=1e-6, atol=1e-7)
