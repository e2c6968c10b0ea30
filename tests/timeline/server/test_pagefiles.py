"""The page's files under addresses that name all of them together."""

from __future__ import annotations

import gzip
import hashlib
import json
import re
import shutil
from pathlib import Path

import pytest

from tests.timeline.site import PROJECT
from timeline.server.pagefiles import page_files


@pytest.fixture
def static(tmp_path: Path) -> Path:
    return Path(shutil.copytree(PROJECT / "timeline" / "static", tmp_path / "static"))


def test_a_page_names_files_of_its_own_version_alone_and_its_worker_knows_their_hashes(static: Path) -> None:
    files = page_files(static)
    named = re.findall(r'(?:src|href)="(/static/[^"]+)"', files.page.decode())
    assert set(named) == set(files.files)
    assert all(path.startswith(f"/static/{files.version}/") for path in named)
    told = json.loads(files.worker.decode().partition("\n")[0].removeprefix("self.page = ").removesuffix(";"))
    contents = {path: file.content for path, file in files.files.items()} | {"/": files.page}
    assert all(gzip.decompress(file.packed) == file.content for file in files.files.values())
    assert told == {
        "version": files.version,
        "files": {path: hashlib.sha256(content).hexdigest() for path, content in contents.items()},
    }


@pytest.mark.parametrize("name", ["index.html", "app.css", "js/words.js"])
def test_one_byte_makes_another_version(static: Path, name: str) -> None:
    before = page_files(static)
    with (static / name).open("a") as file:
        file.write("\n")
    after = page_files(static)
    assert after.version != before.version
    assert not set(after.files) & set(before.files)
