"""What a piece of code asks of the disk, in its order: which files it makes durable, and which names it changes."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest


class Syncs:
    """Records from its making on: `("fsync", name)`, `("replace", from, to)`, `("link", to, from)`,
    `("unlink", name)`."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.done: list[tuple[str, ...]] = []
        for name in ("fsync", "fdatasync"):
            monkeypatch.setattr(os, name, self._synced(getattr(os, name)))
        for word, name in (("replace", "replace"), ("link", "hardlink_to"), ("unlink", "unlink")):
            monkeypatch.setattr(Path, name, self._named(word, getattr(Path, name)))

    def _synced(self, real: Any) -> Any:
        def synced(fd: int) -> None:
            real(fd)
            self.done.append(("fsync", Path(f"/proc/self/fd/{fd}").readlink().name))

        return synced

    def _named(self, word: str, real: Any) -> Any:
        def named(path: Path, *args: Any, **more: Any) -> Any:
            found = real(path, *args, **more)
            self.done.append((word, path.name, *(Path(str(arg)).name for arg in args)))
            return found

        return named

    def take(self) -> list[tuple[str, ...]]:
        """What was asked since the last call."""
        done, self.done = self.done, []
        return done
