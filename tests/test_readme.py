"""The commands of README's part on files run as they stand there."""

from __future__ import annotations

import gzip
import re
import shlex
from pathlib import Path

import numpy as np
import polars as pl
import pytest

import sensorloom
from curation.exports.places import load_places
from ingest.records import Chunk, MarkAdd
from tests.ingest.importers import making
from tests.support.logs import read_log
from tests.windowing.sample_dataset import CONFIG, Window, build, mark

PAGE = (Path(__file__).parents[1] / "README.md").read_text()


def section(title: str) -> tuple[list[str], dict[str, str]]:
    """The commands of a part, and its files by name."""
    part = re.split(r"\n##+ ", PAGE.split(f"### {title}\n")[1])[0]
    blocks = re.findall(r"^```(\w*)\n(.*?)^```", part, re.DOTALL | re.MULTILINE)
    commands = [line for kind, text in blocks if not kind for line in text.replace("\\\n", " ").splitlines() if line]
    files = {text.splitlines()[0].removeprefix("# "): text for kind, text in blocks if kind == "toml"}
    return commands, files


def make_files(folder: Path) -> None:
    """What somebody would have who runs these commands."""
    values = np.round(np.random.default_rng(0).normal(size=(400, 3)), 3)
    lines = [f"2026-01-01T00:00:{i / 50:09.6f}Z,{x},{y},{z}" for i, (x, y, z) in enumerate(values.tolist())]
    (folder / "run1.csv").write_text("\n".join(["t,x,y,z", *lines, ""]))
    (folder / "marks.csv").write_text("device,start,end,label\npump-7,2026-01-01T00:00:02Z,2026-01-01T00:00:06Z,run\n")
    for name in ("potholes/a", "potholes/b", "smooth/c"):
        (folder / "roads" / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / "roads" / f"{name}.csv").write_text("acc_z\n" + "".join(f"{x}\n" for x in values[:, 0].tolist()))
    (folder / "raw").mkdir()
    for name in ("acc_exp01_u1", "gyro_exp01_u1", "acc_exp02_u2", "gyro_exp02_u2"):
        text = "\n".join(" ".join(map(str, row)) for row in values.tolist()) + "\n"
        (folder / "raw" / f"{name}.txt.gz").write_bytes(gzip.compress(text.encode()))
    (folder / "raw/labels.txt").write_text("1 5 1 200\n2 4 101 400\n")
    (folder / "raw/names.txt").write_text("4 calm\n5 run\n")
    (folder / "falls.csv").write_text("file,from,to\nexp01,1.5,2.5\n")
    times = pl.Series([1_767_225_600_000 + 20 * i for i in range(400)]).cast(pl.Datetime("ms", "UTC"))
    fleet = [
        pl.DataFrame(
            {"time": times, "device": [name] * 400, "state": ["on"] * 400, "x": values[:, 0], "y": values[:, 1]}
        )
        for name in ("pump-1", "pump-2")
    ]
    pl.concat(fleet).write_parquet(folder / "fleet.parquet")
    rows = [f"01.02.2026;10:00:{i:02};{20 + i},5;1,013;OK" for i in range(30)]
    head = ["Kessel 3", "Tag;Uhrzeit;Temperatur, innen;Druck;Status", ";;[°C];[bar];"]
    (folder / "sheet.csv").write_text("\n".join([*head, *rows, ""]))
    make_recordings(folder)


def make_recordings(folder: Path) -> None:
    """Files that describe themselves, and episodes of a robot."""
    night = making.edf_header([{"label": "Fp1", "unit": "uV", "low": -500, "high": 500, "samples": 100}], 3, "1")
    (folder / "night.edf").write_bytes(night + np.arange(300, dtype="<i2").tobytes())
    for label, name in (("saw", "a"), ("drill", "b")):
        (folder / "takes" / label).mkdir(parents=True, exist_ok=True)
        (folder / "takes" / label / f"{name}.wav").write_bytes(making.wav(np.arange(80).reshape(-1, 1), 8000, 16))
    messages = [
        ("/imu", 1_767_225_600 * 10**9 + k * 10**7, {"linear_acceleration": {"x": k, "y": 1.5}}) for k in range(9)
    ]
    (folder / "run.mcap").write_bytes(making.mcap_json(messages))
    state = [[float(k), 0.5] for k in range(60)]
    episodes = {"observation.state": state, "action": state, "episode_index": [0] * 30 + [1] * 30}
    pl.DataFrame(episodes).write_parquet(folder / "file-000.parquet")


def test_the_way_from_files_to_windows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    make_files(tmp_path)
    commands, files = section("From files to windows")
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    assert len(commands) > 8
    for command in commands:
        program, *words = shlex.split(command)
        assert program == "sensorloom"
        assert sensorloom.main(words) == 0, command
    assert "potholes" in capsys.readouterr().out
    url = "segments:site/log"
    chunks = [record for record in read_log(url) if isinstance(record, Chunk)]
    assert {(chunk.device, chunk.stream) for chunk in chunks} == {
        ("pump-7", "acc"), ("car", "road"), ("phone-u1", "acc"), ("phone-u1", "gyro"), ("phone-u2", "acc"),
        ("phone-u2", "gyro"), ("pump-1", "vib"), ("pump-2", "vib"), ("plant", "boiler"),
        ("p07", "edf"), ("mic", "audio"), ("robot", "imu"), ("arm", "joints"),
    }  # fmt: skip
    marks = [(mark.device, mark.label) for mark in read_log(url, "marks") if isinstance(mark, MarkAdd)]
    assert sorted(marks) == [
        ("car", "potholes"), ("car", "potholes"), ("car", "smooth"), ("mic", "drill"), ("mic", "saw"),
        ("phone-u1", "fall"), ("phone-u1", "run"),
        ("phone-u2", "calm"), ("pump-1", "on"), ("pump-2", "on"), ("pump-7", "run"),
    ]  # fmt: skip
    assert len(sensorloom.open("site/dataset")) > 0


def test_the_way_from_windows_to_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    commands, files = section("From windows to others")
    said = files.pop("[plan]")
    devices = ("pump-1", "pump-2", "pump-3", "pump-4")
    windows = [[Window(device, "r", k) for k in range(3)] for device in devices]
    build(tmp_path / "site/dataset", windows, [mark("run", 0, 12, device=device) for device in devices], CONFIG + said)
    (tmp_path / "key.txt").write_text("0123456789abcdef" * 4)
    (tmp_path / "places.toml").write_text(files["places.toml"])
    load_places("places.toml", ("gps.lat", "gps.lon"))
    for command in commands:
        program, *words = shlex.split(command, comments=True)
        assert program == "sensorloom"
        assert sensorloom.main(words) == 0, command
