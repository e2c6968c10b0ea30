"""The page's modules: their types hold, their pure parts do what they say (by Node), and all of them are small."""

from __future__ import annotations

import gzip
import re
import shutil
import subprocess
from pathlib import Path
from typing import Final

import pytest

from tests.support.npm import node_modules
from tests.support.server import PROJECT
from timeline.server.pagefiles import page_files

HERE: Final = Path(__file__).parent
STATIC: Final = PROJECT / "timeline" / "static"
SCRIPT_BYTES_MAX: Final = 120_000


def node(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    program = shutil.which("node")
    assert program is not None, "node is not here; deploy/setup.sh servers installs it"
    return subprocess.run([program, *map(str, arguments)], capture_output=True, text=True, timeout=200, check=False)


@pytest.mark.parametrize("config", ["jsconfig.json", "jsconfig.worker.json"])
def test_types_hold(config: str) -> None:
    checked = node(node_modules() / "typescript" / "bin" / "tsc", "-p", HERE / config)
    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_pure_modules() -> None:
    files = sorted(HERE.glob("*.test.mjs"))
    assert files
    ran = node("--test", *files)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert re.search(r"^# fail 0$", ran.stdout, re.MULTILINE), ran.stdout


def test_script_is_small_and_asks_nobody_else() -> None:
    scripts = sorted(STATIC.rglob("*.js"))
    assert scripts
    served = page_files(STATIC)
    packed = (file.packed for path, file in served.files.items() if path.endswith(".js"))
    assert sum(map(len, (*packed, gzip.compress(served.worker)))) <= SCRIPT_BYTES_MAX
    for path in (*scripts, *STATIC.glob("*.css"), *STATIC.glob("*.html")):
        assert not re.search(r"(?:https?|wss?):?//(?!www\.w3\.org)", path.read_text().replace('"ws:"', "")), path


@pytest.mark.parametrize("path", sorted(STATIC.glob("*.html")), ids=lambda path: path.name)
def test_nothing_is_inline(path: Path) -> None:
    """What a strict content security policy would refuse."""
    text = path.read_text()
    assert not re.search(r"<script(?![^>]*\bsrc=)|<style|\sstyle=|\son[a-z]+=", text)
