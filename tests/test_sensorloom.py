from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import sensorloom

PROJECT = Path(__file__).resolve().parents[1]


def run(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "sensorloom", *words], cwd=PROJECT, capture_output=True, text=True, timeout=60
    )


def test_an_unknown_command_is_wrong_usage_and_names_the_nearest(capsys: pytest.CaptureFixture[str]) -> None:
    assert sensorloom.main(["improt", "readings"]) == 2
    assert 'unknown command "improt"' in (error := capsys.readouterr().err)
    assert error.endswith('Did you mean "import"?\n')
    assert error.count("\n") == 1


def test_help_lists_every_command_without_importing_any() -> None:
    done = run("--help")
    assert done.returncode == 0
    for command in ("demo", "import", "log", "window", "dataset"):
        assert command in done.stdout
    heavy = "{'polars', 'rich', 'numpy'}"
    loaded = f"import sys, sensorloom; sensorloom._parser(None); print(sorted({heavy} & set(sys.modules)))"
    assert subprocess.check_output([sys.executable, "-c", loaded], cwd=PROJECT, text=True) == "[]\n"


@pytest.mark.parametrize("command", [["import", "readings"], ["window", "run"], ["dataset", "verify"], ["demo"]])
def test_every_command_helps_with_an_example(command: list[str]) -> None:
    done = run(*command, "--help")
    assert done.returncode == 0
    assert "example" in done.stdout


def test_a_log_that_is_none_is_wrong_usage(capsys: pytest.CaptureFixture[str]) -> None:
    assert sensorloom.main(["log", "topics", "--log", "kafkaa://x"]) == 2
    assert "use segments:DIR or kafka://host:9092" in capsys.readouterr().err


def test_what_the_system_refuses_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").write_text("")
    assert sensorloom.main(["log", "topics", "--log", f"segments:{tmp_path}/file/log"]) in (1, 2)
    error = capsys.readouterr().err
    assert error.startswith("sensorloom: ")
    assert error.count("\n") == 1


def test_a_reader_that_goes_away_is_no_error(tmp_path: Path) -> None:
    script = f"{sys.executable} -m sensorloom --help | head -1"
    done = subprocess.run(["sh", "-c", script], cwd=PROJECT, capture_output=True, text=True, timeout=60)
    assert done.stderr == ""
