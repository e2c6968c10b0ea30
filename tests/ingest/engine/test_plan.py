from __future__ import annotations

import pytest

from ingest.engine.plan import Fsync, Link, Op, Rename, SyncFolder, Unlink, Write, create_plan, delete_plan, put_plan

FILES = [("signal/s-1.npy", (b"ab", b"c")), ("index/i-1.parquet", (b"d",)), ("signal/s-2.npy", (b"",))]


def every_name_is_earned(plan: tuple[Op, ...]) -> None:
    """A name appears only for fsynced bytes, and its folder is fsynced after it."""
    synced: set[str] = set()
    owed: set[str] = set()
    for op in plan:
        match op:
            case Write(path, _):
                synced.discard(path)
            case Fsync(path):
                synced.add(path)
            case Rename(path, to) | Link(path, to):
                assert path in synced
                owed.add(to.rpartition("/")[0])
            case SyncFolder(path):
                owed.discard(path)
            case Unlink(_):
                pass
    assert not owed


@pytest.mark.parametrize("plan", [put_plan(FILES, "w1"), create_plan("manifest/readings-0/0.json", b"{}", "w1")])
def test_bytes_before_names_before_folders(plan: tuple[Op, ...]) -> None:
    every_name_is_earned(plan)


def test_each_folder_is_synced_once() -> None:
    plan = put_plan(FILES, "w1")
    assert [op.path for op in plan if isinstance(op, SyncFolder)] == ["signal", "index"]


def test_two_workers_never_write_the_same_temporary_file() -> None:
    written = [{op.path for op in put_plan(FILES, token) if isinstance(op, Write)} for token in ("w1", "w2")]
    assert not written[0] & written[1]


def test_only_a_link_commits() -> None:
    assert sum(isinstance(op, Link) for op in create_plan("a/b", b"", "t")) == 1
    assert not any(isinstance(op, Link) for op in put_plan(FILES, "t"))
    assert delete_plan(["a", "b"]) == (Unlink("a"), Unlink("b"))
