"""The wheel as who installs it has it: with its types, and no source tree beside it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import sysconfig
import venv
from importlib import metadata
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parents[1]
CONSUMER = """
import sensorloom
from sensorloom import Arrays, CorruptLogError, Dataset, RuleError, SpoolBusyError

dataset = sensorloom.open("pump-states")
reveal_type(dataset)
reveal_type(dataset.arrays())
reveal_type(dataset.arrays().X)
try:
    print(sensorloom.main(["log", "topics"]))
except CorruptLogError as error:
    reveal_type(error.next_offset)
except SpoolBusyError as busy:
    reveal_type(busy)
except (RuleError, sensorloom.SensorloomError) as other:
    reveal_type(other)


def of(found: Dataset) -> Arrays:
    return found.arrays(unlabelled="keep")
"""
REVEALED = [
    "windowing.dataset.reader.Dataset",
    "tuple[.*ndarray.*fallback=windowing.dataset.answers.Arrays]",
    "numpy.ndarray[.*float.*32.*]",
    "int",
    "edge.errors.SpoolBusyError",
    "ingest.errors.SensorloomError",
]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(build, cwd=PROJECT, check=True, capture_output=True, timeout=300)
    (found,) = folder.glob("*.whl")
    return found


@pytest.fixture(scope="module")
def python(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of an environment of its own that has the wheel and what it needs."""
    folder = tmp_path_factory.mktemp("installed")
    venv.create(folder / "venv", with_pip=False, symlinks=True)
    site = next((folder / "venv/lib").glob("python*")) / "site-packages"
    # With a prefix alone pip takes away what is installed here: `make demo` had no command after `make test`.
    install = ["install", "--quiet", "--no-deps", "--no-index", "--ignore-installed"]
    install += ["--prefix", str(folder / "venv"), str(wheel)]
    subprocess.run([sys.executable, "-m", "pip", *install], check=True, capture_output=True, timeout=300)
    libraries = sysconfig.get_path("purelib")  # numpy and the like; the link to the source tree there is not followed
    (site / "libraries.pth").write_text(libraries)
    return folder / "venv/bin/python"


def test_what_is_installed_here_stays(python: Path) -> None:
    assert metadata.version("sensorloom")


def test_who_installs_the_wheel_has_its_command(python: Path, tmp_path: Path) -> None:
    apart = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    for words, said in (
        (["-V"], "sensorloom 0"),
        (["agent", "keys", "csv"], "columns"),
        (["label", "--help"], "serve"),
    ):
        command = [str(python), str(python.parent / "sensorloom"), *words]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120, env=apart)
        assert (done.returncode, done.stderr) == (0, "")
        assert said in done.stdout


@pytest.mark.timeout(400)
def test_who_installs_the_wheel_has_its_types(python: Path, tmp_path: Path) -> None:
    """mypy --strict over a small program."""
    (tmp_path / "consumer.py").write_text(CONSUMER)
    words = [
        sys.executable,
        "-m",
        "mypy",
        "--strict",
        "--no-incremental",
        "--python-executable",
        str(python),
        "consumer.py",
    ]
    apart = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "MYPYPATH")}
    done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, timeout=300, env=apart)
    assert "Success" in done.stdout, done.stdout + done.stderr
    revealed = re.findall(r'Revealed type is "(.*)"', done.stdout)
    assert len(revealed) == len(REVEALED)
    for found, expected in zip(revealed, REVEALED, strict=True):
        pattern = re.escape(expected).replace(r"\.\*", ".*")
        assert re.fullmatch(pattern, found.replace("builtins.", "")), (found, expected)


def test_the_wheel_says_that_it_is_typed_and_has_no_tests(wheel: Path) -> None:
    import zipfile

    names = zipfile.ZipFile(wheel).namelist()
    for package in ("ingest", "labeling", "edge", "windowing", "timeline", "simulators"):
        assert f"{package}/py.typed" in names
    assert {"sensorloom.py", "sensorloom-stubs/__init__.pyi", "timeline/static/index.html"} <= {*names}
    assert not any(name.startswith("tests/") for name in names)
