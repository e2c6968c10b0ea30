"""What a command leaves on a disk is its user's and its group's: nobody else reads it, and no group writes it."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

import sensorloom

PROJECT = Path(__file__).resolve().parents[1]
AGENT = """device = "pump"
log = "segments:log"
[spool]
dir = "spool"
[[source]]
name = "s"
type = "replay"
file = "a.csv"
speed = "max"
decoder = "csv"
stream = "acc"
channels = { x = "g" }
rate = "100Hz"
"""
DATASET = """name = "d"
[window]
length = "1s"
hop = "1s"
rate = "10Hz"
channels = ["acc.x"]
"""


@pytest.mark.parametrize("umask", [0o000, 0o077])
def test_a_spool_a_log_and_a_dataset_are_for_user_and_group(tmp_path: Path, umask: int) -> None:
    given = {"a.csv": "".join(f"{n}\n" for n in range(500)), "agent.toml": AGENT, "dataset.toml": DATASET}
    for name, text in given.items():
        (tmp_path / name).write_text(text)
    log = f"segments:{tmp_path / 'log'}"
    for words in (
        ["agent", "run", "-c", "agent.toml"],
        ["window", "run", "-c", "dataset.toml", "--log", log, "--out", "out", "--until-idle"],
    ):
        subprocess.run(
            [sys.executable, "-m", "sensorloom", *words],
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": str(PROJECT)},
            umask=umask,
            check=True,
            capture_output=True,
            timeout=200,
        )
    made = [path for path in tmp_path.rglob("*") if path.name not in given and not path.is_symlink()]
    assert {path.relative_to(tmp_path).parts[0] for path in made} >= {"spool", "log", "out"}
    for path in made:
        mode = stat.S_IMODE(path.lstat().st_mode)
        wanted = (0o750 if path.is_dir() else 0o640) & ~umask
        assert mode == wanted, f"{path.relative_to(tmp_path)}: {mode:o}, expected {wanted:o}"


def test_a_command_that_is_called_leaves_its_callers_umask_as_it_was(capsys: pytest.CaptureFixture[str]) -> None:
    before = os.umask(0o022)
    try:
        assert sensorloom.main(["agent", "keys", "spool"]) == 0
        assert os.umask(0o022) == 0o022
    finally:
        os.umask(before)
