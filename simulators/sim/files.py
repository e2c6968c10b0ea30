"""A file system that forgets what was not fsynced, and the handle by which one process sees it.

What running processes see is `SimDisk.visible`. Beside it the disk keeps what is durable: a file's bytes as of its last
fsync, a folder's names as of its last fsync, and the changes of names since. A power cut leaves the durable state
plus whatever the disk happened to have written back: any subset of the changed names (a rename is one change: the old
name or the new one), and of a file that was not fsynced any prefix, zeros or garbage.
See Pillai et al., "All File Systems Are Not Created Equal", OSDI 2014.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from ingest.engine.plan import Fsync, Link, Op, Rename, SyncFolder, Unlink, Write, folder_of
from ingest.errors import StoreFullError
from simulators.sim.faults import Phase, Process

FULL_S_MAX = 20.0


class _Inode:
    """A file's bytes: as they are, and as they were at its last fsync (None: never)."""

    __slots__ = ("bytes", "durable")

    def __init__(self) -> None:
        self.bytes = b""
        self.durable: bytes | None = None

    def after_power_cut(self, rng: random.Random) -> bytes:
        """What is left of the bytes."""
        if self.bytes == self.durable:
            return self.bytes
        size = len(self.bytes)
        match rng.randrange(6):
            case 0:
                return self.durable or b""
            case 1:
                return b""
            case 2:
                return self.bytes[: rng.randrange(size + 1)]
            case 3:
                kept = rng.randrange(size + 1)
                return self.bytes[:kept] + bytes(size - kept)
            case 4:
                kept = rng.randrange(size + 1)
                return self.bytes[:kept] + rng.randbytes(size - kept)
            case _:
                return self.bytes


@dataclass(slots=True)
class _Change:
    """A change of names in one folder that no fsync of it has made durable: these go, this one comes."""

    removed: tuple[tuple[str, _Inode], ...] = ()
    added: tuple[tuple[str, _Inode], ...] = ()

    def apply(self, names: dict[str, _Inode]) -> None:
        for name, inode in self.removed:
            if names.get(name) is inode:
                del names[name]
        names.update(self.added)


@dataclass(slots=True)
class _Folder:
    durable: dict[str, _Inode] = field(default_factory=dict)
    changes: list[_Change] = field(default_factory=list)

    def sync(self) -> None:
        for change in self.changes:
            change.apply(self.durable)
        self.changes.clear()


class SimDisk:
    """The disk of one simulated machine, shared by its processes.

    Folders are not modelled: `SyncFolder` is taken to make the folder's own name durable as well.
    """

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng
        self._folders: dict[str, _Folder] = {}
        self.visible: dict[str, _Inode] = {}
        self.full_until_s = 0.0
        self.power_cuts = 0

    def _change(self, folder: str, change: _Change) -> None:
        self._folders.setdefault(folder, _Folder()).changes.append(change)
        change.apply(self.visible)

    def write(self, path: str, data: bytes) -> None:
        """A new file under this name; an old one keeps its bytes under its other names."""
        inode = _Inode()
        inode.bytes = data
        self._change(folder_of(path), _Change(added=((path, inode),)))

    def fsync(self, path: str) -> None:
        """Make a file's bytes durable, its name not. Raises `FileNotFoundError`."""
        inode = self._inode(path)
        inode.durable = inode.bytes

    def rename(self, path: str, to: str) -> None:
        """Replace `to` by `path`, in one change. Raises `FileNotFoundError`."""
        if folder_of(path) != folder_of(to):
            raise ValueError(f"rename from {path} to {to}: across folders it is not atomic; use one folder")
        inode = self._inode(path)
        self._change(folder_of(to), _Change(removed=((path, inode),), added=((to, inode),)))

    def link(self, path: str, to: str) -> None:
        """One more name for a file. Raises `FileNotFoundError`, `FileExistsError`."""
        inode = self._inode(path)
        if to in self.visible:
            raise FileExistsError(to)
        self._change(folder_of(to), _Change(added=((to, inode),)))

    def unlink(self, path: str) -> None:
        """Remove a name, if it is there."""
        inode = self.visible.get(path)
        if inode is not None:
            self._change(folder_of(path), _Change(removed=((path, inode),)))

    def sync_folder(self, folder: str) -> None:
        """Make the names of a folder durable."""
        if folder in self._folders:
            self._folders[folder].sync()

    def read(self, path: str) -> bytes:
        """A file's bytes. Raises `FileNotFoundError`."""
        return self._inode(path).bytes

    def names(self, folder: str) -> list[str]:
        """The names of the files in a folder, sorted."""
        prefix = folder + "/" if folder else ""
        below = (path[len(prefix) :] for path in self.visible if path.startswith(prefix))
        return sorted(name for name in below if "/" not in name)

    def power_cut(self) -> None:
        """Forget: what stays is durable from now on. The processes must be killed by the caller."""
        rng = self._rng
        self.power_cuts += 1
        written_back = rng.choice((0.0, 0.5, 0.5, 1.0))
        self.visible = {}
        for folder in self._folders.values():
            for change in folder.changes:
                if rng.random() < written_back:
                    change.apply(folder.durable)
            folder.changes.clear()
            self.visible.update(folder.durable)
        for inode in _unique(self.visible.values()):
            inode.bytes = inode.durable = inode.after_power_cut(rng)

    def _inode(self, path: str) -> _Inode:
        try:
            return self.visible[path]
        except KeyError:
            raise FileNotFoundError(path) from None


def _unique(inodes: Iterable[_Inode]) -> list[_Inode]:
    return list({id(inode): inode for inode in inodes}.values())


class SimFiles:
    """One process's handle on the disk: an `ingest.engine.store.Files` that can be slow, full, paused and killed."""

    def __init__(self, disk: SimDisk, process: Process) -> None:
        self._disk = disk
        self._process = process
        self.done: list[Op] = []
        """The operations that this process has done, in order."""

    async def run(self, plan: Sequence[Op]) -> None:
        """See `Files`; before each operation others may act, and the process may die before, in or after it."""
        for op in plan:
            await self._process.step()
            crash = self._process.next_crash()
            if crash is None:
                self._apply(op)
                continue
            phase, power = crash
            if phase is Phase.AFTER:
                self._apply(op)
            elif phase is Phase.TORN and isinstance(op, Write):
                self._tear(op)
            self._process.die(power=power)

    def _apply(self, op: Op) -> None:
        disk = self._disk
        match op:
            case Write(path, parts):
                self._refuse_when_full(op)
                disk.write(path, b"".join(parts))
            case Fsync(path):
                self._refuse_when_full(op)
                disk.fsync(path)
            case Rename(path, to):
                disk.rename(path, to)
            case Link(path, to):
                disk.link(path, to)
            case SyncFolder(path):
                self._refuse_when_full(op)
                disk.sync_folder(path)
            case Unlink(path):
                disk.unlink(path)
        self.done.append(op)

    def _tear(self, op: Write) -> None:
        data = b"".join(op.parts)
        self._disk.write(op.path, data[: self._process.chance.rng.randrange(len(data) + 1)])

    def _refuse_when_full(self, op: Write | Fsync | SyncFolder) -> None:
        """A full disk refuses writes, and at times only the fsync says so (delayed allocation)."""
        chance, now_s = self._process.chance, asyncio.get_running_loop().time()
        if chance.hits(chance.faults.disk_full):
            self._disk.full_until_s = now_s + chance.rng.uniform(0.0, FULL_S_MAX)
        if now_s >= self._disk.full_until_s or (not isinstance(op, Write) and chance.rng.random() < 0.5):
            return
        if isinstance(op, Write):
            self._tear(op)
        raise StoreFullError(f"{op.path}: no space left on the simulated disk; free some")

    async def read(self, path: str) -> bytes:
        """See `Files`."""
        await self._process.step()
        return self._disk.read(path)

    async def exists(self, path: str) -> bool:
        """See `Files`."""
        await self._process.step()
        return path in self._disk.visible

    async def names(self, folder: str) -> list[str]:
        """See `Files`."""
        await self._process.step()
        return self._disk.names(folder)
