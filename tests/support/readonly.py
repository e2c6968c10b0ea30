"""Folders that can only be read: on a mount that is so, or another user's."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

PROJECT = Path(__file__).parents[2]
_OTHER_ID = 65_534
_POWERLESS = ["setpriv", "--bounding-set", "-dac_override,-dac_read_search,-fowner", "--inh-caps", "-all"]
"""Root, but not above permissions."""


@contextmanager
def read_only_mount(folder: Path, at: Path) -> Iterator[Path]:
    """The folder, seen through a mount that is read-only; without root, a folder whose permissions say so."""
    if os.geteuid() != 0:
        with _chmodded(folder):
            yield folder
        return
    at.mkdir()
    subprocess.run(["mount", "--bind", folder, at], check=True, capture_output=True)
    try:
        subprocess.run(["mount", "-o", "remount,bind,ro", at], check=True, capture_output=True)
        yield at
    finally:
        subprocess.run(["umount", "--lazy", at], check=True, capture_output=True)


@contextmanager
def _chmodded(folder: Path) -> Iterator[None]:
    modes = {path: path.stat().st_mode for path in [folder, *folder.rglob("*")]}
    for path, mode in modes.items():
        path.chmod(mode & ~0o222)
    try:
        yield
    finally:
        for path, mode in modes.items():
            path.chmod(mode)


def as_a_stranger(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Run `sensorloom` as one to whom a folder, which others may read, does not belong."""
    command = [sys.executable, "-m", "sensorloom", *words]
    env = {**os.environ, "PYTHONPATH": str(PROJECT)}
    if os.geteuid() != 0:
        with _chmodded(folder):
            return subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    owners = {path: path.stat() for path in [folder, *folder.rglob("*")]}
    for path, found in owners.items():
        os.chown(path, _OTHER_ID, _OTHER_ID)
        path.chmod(found.st_mode | (0o055 if path.is_dir() else 0o044))
    try:
        return subprocess.run([*_POWERLESS, *command], env=env, capture_output=True, text=True, check=False)
    finally:
        for path, found in owners.items():
            os.chown(path, found.st_uid, found.st_gid)
            path.chmod(found.st_mode)
