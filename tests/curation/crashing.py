"""A real folder beside its model on the simulated disk: operations fail at a given one, by a kill or a power cut."""

from __future__ import annotations

import random
from pathlib import Path

from ingest.engine.disk import DiskFiles
from ingest.engine.plan import Fsync, Link, Op, Rename, SyncFolder, Unlink, Write
from simulators.sim.files import SimDisk


class Killed(BaseException):
    """The process is gone."""


class DoomedFiles(DiskFiles):
    """`Files` whose process dies before the operation `at`; -1: never."""

    def __init__(self, root: Path, at: int, rng: random.Random) -> None:
        super().__init__(root)
        self._at, self.done = at, 0
        self._disk = SimDisk(rng)
        for path in sorted(root.rglob("*")):
            if path.is_file():
                self._disk.write(name := path.relative_to(root).as_posix(), path.read_bytes())
                self._disk.fsync(name)
        for folder in {path.parent.relative_to(root).as_posix() for path in root.rglob("*")}:
            self._disk.sync_folder("" if folder == "." else folder)

    def _do(self, op: Op, written: dict[str, int]) -> None:
        if self.done == self._at:
            raise Killed
        self.done += 1
        super()._do(op, written)
        self._model(op)

    def _model(self, op: Op) -> None:
        match op:
            case Write(path, parts):
                self._disk.write(path, b"".join(bytes(part) for part in parts))
            case Fsync(path):
                self._disk.fsync(path)
            case Rename(path, to):
                self._disk.rename(path, to)
            case Link(path, to):
                self._disk.link(path, to)
            case SyncFolder(path):
                self._disk.sync_folder(path)
            case Unlink(path):
                self._disk.unlink(path)

    def cut(self, to: Path) -> None:
        """What a power cut leaves, in another folder."""
        self._disk.power_cut()
        for name in list(self._disk.visible):
            (to / name).parent.mkdir(parents=True, exist_ok=True)
            (to / name).write_bytes(self._disk.read(name))
