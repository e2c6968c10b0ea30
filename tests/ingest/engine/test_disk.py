from __future__ import annotations

import asyncio
import errno
import fcntl
import os
import subprocess
import sys
from pathlib import Path

import pytest

from ingest.engine.disk import DiskFiles
from ingest.engine.plan import SyncFolder
from ingest.engine.store import Exists, FileStore
from ingest.errors import StoreFullError, StoreUnavailableError
from ingest.files import explained


def test_what_is_put_is_read_back_and_no_temporary_file_stays(tmp_path: Path) -> None:
    async def scenario() -> None:
        store = FileStore(DiskFiles(tmp_path), "w1")
        await store.put([("signal/s-1.npy", (b"ab", memoryview(b"cd"))), ("index/i-1", (b"",))])
        assert await store.read("signal/s-1.npy") == b"abcd"
        assert await store.exists("index/i-1")
        assert await store.names("signal") == ["s-1.npy"]
        assert await store.names("nowhere") == []
        await store.delete(["signal/s-1.npy", "signal/s-1.npy"])
        assert not await store.exists("signal/s-1.npy")

    asyncio.run(scenario())


def test_two_puts_of_one_file_at_once_do_not_touch_each_other(tmp_path: Path) -> None:
    async def scenario() -> None:
        store, parts = FileStore(DiskFiles(tmp_path), "w1"), [bytes(1 << 20)] * 8
        for attempt in range(5):
            await asyncio.gather(*(store.put([(f"signal/{attempt}.npy", parts)]) for _ in range(4)))
            assert (tmp_path / f"signal/{attempt}.npy").stat().st_size == 8 << 20
        assert await store.names("signal") == [f"{attempt}.npy" for attempt in range(5)]

    asyncio.run(scenario())


def test_what_could_not_be_put_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where only the fsync says so: the next attempt has a temporary file of its own."""

    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    store = FileStore(DiskFiles(tmp_path), "w1")
    asyncio.run(store.put([("a/kept", (b"kept",))]))
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(StoreFullError):
            asyncio.run(store.put([("a/big", (b"x",))]))
    assert [path.name for path in (tmp_path / "a").iterdir()] == ["kept"]


def test_no_name_comes_before_its_bytes_and_none_counts_before_its_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is fsynced is the descriptor that wrote: who opens the file anew may not hear what went wrong."""
    done: list[tuple[str, bool]] = []
    fsync = os.fsync

    def recording(descriptor: int) -> None:
        name = Path(f"/proc/self/fd/{descriptor}").readlink().name
        writes = os.O_ACCMODE & fcntl.fcntl(descriptor, fcntl.F_GETFL) == os.O_WRONLY
        assert writes == name.endswith(".tmp")
        done.append((name.partition(".w1")[0], (tmp_path / "a/b.npy").exists()))
        fsync(descriptor)

    store = FileStore(DiskFiles(tmp_path), "w1")
    asyncio.run(store.put([("a/first", (b"",))]))
    monkeypatch.setattr(os, "fsync", recording)
    asyncio.run(store.put([("a/b.npy", (b"bytes",))]))
    assert done == [("b.npy", False), ("a", True)]
    asyncio.run(store.create("a/entry", b"entry"))
    assert done[2:] == [("entry", True), ("a", True)]


@pytest.mark.parametrize("number", [1, 2])
def test_a_failed_fsync_is_never_acknowledged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    calls = 0
    fsync = os.fsync

    def failing(descriptor: int) -> None:
        nonlocal calls
        calls += 1
        if calls == number:
            raise OSError(errno.EIO, "Input/output error")
        fsync(descriptor)

    store = FileStore(DiskFiles(tmp_path), "w1")
    asyncio.run(store.put([("a/kept", (b"kept",))]))
    for act in (store.put([("a/new", (b"x",))]), store.create("a/entry", b"x")):
        calls = 0
        with monkeypatch.context() as patch:
            patch.setattr(os, "fsync", failing)
            with pytest.raises(OSError, match="Input/output error") as caught:
                asyncio.run(act)
        assert caught.value.filename
    assert not [path for path in (tmp_path / "a").iterdir() if path.name.endswith(".tmp")]
    assert number == 2 or [path.name for path in (tmp_path / "a").iterdir()] == ["kept"]


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (errno.EROFS, r"Read-only file system; .*\(mount -o remount,rw\); then it goes on by itself"),
        (errno.EMFILE, r"this process may have \d+ files open at once; allow it \d{4,} \(ulimit -n, LimitNOFILE="),
        (errno.ENFILE, "no process of this machine can open another file"),
    ],
)
def test_what_passes_is_waited_for_and_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, words: str
) -> None:
    store = FileStore(DiskFiles(tmp_path), "w1")
    asyncio.run(store.put([("a/kept", (b"kept",))]))

    def refuse(*args: object, **more: object) -> int:
        raise OSError(number, os.strerror(number), str(args[0]))

    with monkeypatch.context() as patch:
        patch.setattr(os, "open", refuse)
        with pytest.raises(StoreUnavailableError, match=words):
            asyncio.run(store.put([("a/new", (b"x",))]))


def test_used_up_inodes_are_not_called_space(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = os.statvfs(tmp_path)
    none_left = os.statvfs_result((*found[:5], 1000, 0, 0, *found[8:]))
    monkeypatch.setattr(os, "statvfs", lambda path: none_left)
    error = OSError(errno.ENOSPC, "No space left on device")
    text = explained(error, tmp_path / "windows/not/there")
    assert "has no inode left, though " in text
    assert "df -i" in text


def test_the_name_of_a_temporary_file_is_not_told(tmp_path: Path) -> None:
    error = OSError(errno.EROFS, "Read-only file system")
    text = explained(error, tmp_path / "manifest/readings-0/000000000000.json.e294232507bd2b46-85.tmp")
    assert f"{tmp_path}/manifest/readings-0/000000000000.json: Read-only file system" in text


def test_of_sixteen_creators_one_wins_and_the_others_leave_nothing(tmp_path: Path) -> None:
    async def attempt(worker: int) -> bool:
        try:
            await FileStore(DiskFiles(tmp_path), f"w{worker}").create("manifest/0.json", b"%d" % worker)
        except Exists:
            return False
        return True

    async def scenario() -> None:
        won = await asyncio.gather(*(attempt(worker) for worker in range(16)))
        assert sum(won) == 1
        assert (tmp_path / "manifest/0.json").read_bytes() == b"%d" % won.index(True)
        assert [path.name for path in (tmp_path / "manifest").iterdir()] == ["0.json"]

    asyncio.run(scenario())


def test_a_folder_that_another_process_made_is_made_durable_up_to_the_root(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "windows/manifest").mkdir(parents=True)
    synced: list[Path] = []
    fsync = os.fsync

    def recording(descriptor: int) -> None:
        synced.append(Path(f"/proc/self/fd/{descriptor}").readlink())
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", recording)
    files = DiskFiles(tmp_path)
    files.run_now([SyncFolder("windows/manifest")])
    assert synced == [tmp_path / "windows/manifest", tmp_path / "windows", tmp_path]
    files.run_now([SyncFolder("windows/manifest")])
    assert synced[3:] == [tmp_path / "windows/manifest"]


FILL = """
import asyncio, resource, sys
from ingest.engine.disk import DiskFiles
from ingest.engine.store import FileStore
from ingest.errors import StoreFullError

async def main():
    store = FileStore(DiskFiles(sys.argv[1]), "w1")
    await store.put([("a/kept", (b"kept",))])
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, resource.RLIM_INFINITY))
    try:
        await store.put([("a/big", (b"x" * 700, b"y" * 700))])
    except StoreFullError as error:
        print(error)
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    print(await store.names("a"))
    await store.put([("a/big", (b"x" * 700, b"y" * 700))])
    print(await store.names("a"))

asyncio.run(main())
"""


def test_a_full_disk_leaves_nothing_half_written_and_passes(tmp_path: Path) -> None:
    run = subprocess.run([sys.executable, "-c", FILL, str(tmp_path)], capture_output=True, text=True, timeout=200)
    lines = run.stdout.splitlines()
    assert "File too large; make room" in lines[0], run.stderr
    assert lines[1:] == ["['kept']", "['big', 'kept']"]


def test_a_network_file_system_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ingest.engine.disk.network_filesystem", lambda path: "nfs4")
    with pytest.raises(Exception, match="is on nfs4, a network file system; use a folder on a local disk"):
        DiskFiles(tmp_path)
