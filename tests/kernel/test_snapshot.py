"""What a kept guest is known by, and how long it is kept. The guests themselves are asked by the other tests."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.kernel import snapshot
from tests.support.server import ServerError

UNUSED_S = 3600.0


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """One of a few files, in the place of this one."""
    for name in (
        "sensorloom.py",
        "tests/__init__.py",
        "tests/kernel/inside.py",
        "edge/__init__.py",
        "edge/deep/x.toml",
    ):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("x = 1\n")
    monkeypatch.setattr(snapshot, "PROJECT", tmp_path)
    monkeypatch.setattr(snapshot, "HERE", tmp_path / "tests/kernel")
    return tmp_path


def test_another_content_of_any_file_is_another_state(project: Path) -> None:
    known = {snapshot.digest(*snapshot.contents())}
    for name in (
        "sensorloom.py",
        "tests/__init__.py",
        "tests/kernel/inside.py",
        "edge/__init__.py",
        "edge/deep/x.toml",
    ):
        (project / name).write_text("x = 2\n")
        found = snapshot.digest(*snapshot.contents())
        assert found not in known, name
        known.add(found)
    (project / "edge/new.py").touch()
    assert (new := snapshot.digest(*snapshot.contents())) not in known
    (project / "edge/new.py").rename(project / "edge/newer.py")
    assert snapshot.digest(*snapshot.contents()) not in {*known, new}


def test_what_python_keeps_beside_the_files_and_their_times_say_nothing(project: Path) -> None:
    before = snapshot.digest(*snapshot.contents())
    (project / "edge/__pycache__").mkdir()
    (project / "edge/__pycache__/__init__.cpython-311.pyc").write_bytes(b"compiled")
    os.utime(project / "edge/__init__.py", (1, 1))
    assert snapshot.digest(*snapshot.contents()) == before


def test_a_state_is_made_once_and_goes_when_nobody_asks_for_it(tmp_path: Path) -> None:
    made: list[Path] = []
    old, asked, other = tmp_path / "state-old", tmp_path / "state-asked", tmp_path / "disk-old"
    for folder in (old, asked, other):
        folder.mkdir()
        os.utime(folder, (1, 1))
    assert snapshot.kept(asked, UNUSED_S, made.append) == asked
    assert not made
    for _ in range(2):
        assert snapshot.kept(tmp_path / "state-new", UNUSED_S, made.append).is_dir()
    assert len(made) == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["disk-old", "state-asked", "state-new"]


def test_what_was_not_made_to_its_end_is_not_there(tmp_path: Path) -> None:
    def fail(folder: Path) -> None:
        (folder / "half").touch()
        raise ServerError("the guest has ended")

    with pytest.raises(ServerError, match="has ended"):
        snapshot.kept(tmp_path / "state-new", UNUSED_S, fail)
    assert list(tmp_path.iterdir()) == []
