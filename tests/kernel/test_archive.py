"""Files out of the middle of a packed tar."""

from __future__ import annotations

import random
import subprocess
from pathlib import Path

import pytest

from tests.kernel.archive import Archive

SIZES = (0, 1, 511, 512, 513, 5_000, 40_000, 0, 70_000, 3)


def test_each_file_is_found_wherever_its_block_ends(tmp_path: Path) -> None:
    chance, files = random.Random(1), dict[str, bytes]()
    for folder in ("a", "a.b", "a/b", "c/d-e", "c/d", "z"):
        (tmp_path / "top" / folder).mkdir(parents=True, exist_ok=True)
        for number, size in enumerate(SIZES):
            files[f"top/{folder}/{number}.c"] = chance.randbytes(size)
    for name, data in files.items():
        (tmp_path / name).write_bytes(data)
    packed = tmp_path / "top.tar.xz"
    subprocess.run(["tar", "--sort=name", "-cf", "top.tar", "top"], cwd=tmp_path, check=True)
    subprocess.run(["xz", "--block-size=16384", "top.tar"], cwd=tmp_path, check=True)
    archive = Archive(packed)
    assert {name: archive.read(name) for name in files} == files
    for name in ("top/a/10.c", "top/a", "zz", "0"):
        with pytest.raises(KeyError):
            archive.read(name)
