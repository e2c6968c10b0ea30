"""`sensorloom agent calibrate` on recorded files: what a person did with the sensor in the hand."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

import sensorloom
from edge.config import load_config
from edge.recording.correcting import Corrector

GAIN = np.array([[1.04, 0.02, -0.01], [0.0, 0.97, 0.03], [0.01, -0.02, 1.01]])
BIAS = np.array([0.05, -0.08, 0.11])


def configure(folder: Path, values: NDArray[np.float64], channels: str, unit: str, rate: str, more: str = "") -> Path:
    np.savetxt(folder / "said.csv", values, delimiter=",", fmt="%.5f")
    path = folder / "agent.toml"
    names = ", ".join(f'{name} = "{unit}"' for name in channels.split(","))
    path.write_text(
        f"""device = "pump"
log = "segments:log"
[spool]
dir = "spool"
[[source]]
name = "imu"
type = "replay"
file = "said.csv"
speed = "max"
decoder = "csv"
stream = "acc"
channels = {{ {names} }}
rate = "{rate}"
{more}
"""
    )
    return path


def turned(faces: list[list[float]], seconds: float = 4.0, rate: int = 50) -> NDArray[np.float64]:
    """Laid down on each face, with a turn between two of them."""
    random, parts = np.random.default_rng(3), []
    for face in faces:
        still = GAIN @ np.array(face) + BIAS
        parts += [random.normal(still, 0.003, (round(seconds * rate), 3)), random.uniform(-1, 1, (rate, 3))]
    return np.vstack(parts)


SIX: list[list[float]] = [[1, 0, 0], [0, -1, 0], [0, 0, 1], [-1, 0, 0], [0, 1, 0], [0, 0, -1]]


def test_six_positions_in_any_order_give_a_line_for_the_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = configure(tmp_path, turned([*SIX[:2], [0.7, 0.7, 0.1], *SIX[2:]]), "x,y,z", "g", "50Hz")
    assert sensorloom.main(["agent", "calibrate", "imu", "-c", str(path), "--json"]) == 0
    captured = capsys.readouterr()
    found = json.loads(captured.out)
    np.testing.assert_allclose(found["bias"], BIAS, atol=0.002)
    np.testing.assert_allclose(np.array(found["matrix"]) @ GAIN, np.eye(3), atol=0.002)
    assert max(found["residuals"].values()) < 0.01
    assert "put it down with one of +x, -x, +y, -y, +z, -z up" in captured.err
    assert "no axis points up or down" in captured.err
    path.write_text(path.read_text() + found["line"] + "\n")
    (source,) = load_config(path).sources
    assert source.correction is not None
    assert source.correction.reference == "gravity, six positions"
    corrected = Corrector(source).apply(np.array([GAIN @ face + BIAS for face in SIX]))
    np.testing.assert_allclose(corrected, SIX, atol=0.005)
    assert sensorloom.main(["agent", "calibrate", "imu", "-c", str(path)]) == 0
    page = capsys.readouterr().out
    assert "in the place of its calibration" in page
    again = next(text for text in page.splitlines() if text.startswith("calibration = "))
    assert again == found["line"], "what is measured is not calibrated already"


def test_what_is_missing_is_told_and_is_a_finding(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = configure(tmp_path, turned(SIX[:4]), "x,y,z", "g", "50Hz")
    assert sensorloom.main(["agent", "calibrate", "imu", "-c", str(path)]) == 1
    captured = capsys.readouterr()
    assert "no position with +y, -z up" in captured.err
    assert "calibration =" not in captured.out


def test_points_of_a_thermometer(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    random = np.random.default_rng(5)
    said = [random.normal(level, 0.02, 60) for level in (1.5, 1.6)]
    said += [np.linspace(1.5, 99.0, 50), random.normal(99.0, 0.02, 60)]
    values = np.hstack(said)[:, np.newaxis]
    path = configure(tmp_path, np.hstack([values, 0 * values]), "temp,other", "degC", "1Hz")
    words = ["agent", "calibrate", "imu", "-c", str(path), "--points", "0,100"]
    assert sensorloom.main([*words, "--channels", "temp", "--reference", "ice, steam"]) == 0
    page = capsys.readouterr().out
    assert "bring it to 100 degC" in page
    line = next(text for text in page.splitlines() if text.startswith("calibration = "))
    path.write_text(path.read_text() + line + "\n")
    (source,) = load_config(path).sources
    assert source.correction is not None
    assert source.correction.reference == "ice, steam"
    np.testing.assert_allclose(
        Corrector(source).apply(np.array([[1.5, 7.0], [99.0, 7.0]])), [[0, 7], [100, 7]], atol=0.05
    )
    assert sensorloom.main([*words, "--channels", "temp", "--points", "100,0"]) == 1
    assert "in the order in which they were measured" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["imus"], 'Did you mean "imu"'),
        (["imu", "--channels", "x,y"], "six positions need three channels"),
        (["imu", "--channels", "x,y,w"], 'no channel "w"'),
        (["imu", "--points", "0,100"], "--points are of one channel"),
        (["imu", "--channels", "x", "--points", "0,warm"], "expected two numbers or more"),
        (["imu", "--hold", "1ms"], "--hold: found"),
        (["imu", "--still", "-1"], "--still: found"),
    ],
)
def test_what_cannot_be_is_a_users_error(
    tmp_path: Path, words: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    path = configure(tmp_path, turned(SIX[:1]), "x,y,z", "g", "50Hz")
    assert sensorloom.main(["agent", "calibrate", *words, "-c", str(path)]) == 2
    assert message in capsys.readouterr().err


def test_gravity_in_another_unit_must_be_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = configure(tmp_path, 1000 * turned(SIX), "x,y,z", "{counts}", "50Hz")
    assert sensorloom.main(["agent", "calibrate", "imu", "-c", str(path)]) == 2
    assert "say --gravity" in capsys.readouterr().err
    assert sensorloom.main(["agent", "calibrate", "imu", "-c", str(path), "--gravity", "1000"]) == 0
