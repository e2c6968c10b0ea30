"""Applying a mutant to a copy of the tree, and running the tests that must kill it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

PROJECT: Final = Path(__file__).resolve().parents[2]
_LEFT_OUT: Final = shutil.ignore_patterns("__pycache__", ".git", ".venv", ".cache", ".*_cache", ".hypothesis", "dist")
FAILED: Final = 1
"""pytest's exit code where tests ran and failed."""
LIMIT_S: Final = 3600.0
"""For all tests without a mutant, on a machine that is busy."""
MORE_S: Final = 300.0
"""A mutant whose tests take so much longer than all of them did without it hangs, and is seen."""


class StaleMutantError(Exception):
    """The code that a mutant changes is not there any more: write it anew, or remove it."""


@dataclass(frozen=True)
class Mutant:
    """One wrong version."""

    name: str
    """What is wrong about it."""
    file: str
    old: str
    """Stands once in `file`."""
    new: str
    tests: str
    """What must kill it: words for pytest."""


def mutated(text: str, mutant: Mutant) -> str:
    """The file's text with the mutant in it. Raises `StaleMutantError`."""
    found = text.count(mutant.old)
    if found != 1:
        raise StaleMutantError(f"{mutant.file}: {mutant.name}: its text stands there {found} times, not once")
    return text.replace(mutant.old, mutant.new)


class Copy:
    """A copy of the tree in which mutants live."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        shutil.copytree(PROJECT, folder, ignore=_LEFT_OUT)
        for name in (".cache", ".venv"):
            if (PROJECT / name).exists():
                (folder / name).symlink_to((PROJECT / name).resolve())

    @contextmanager
    def holding(self, mutant: Mutant) -> Iterator[None]:
        """The mutant is in the tree. Raises `StaleMutantError`."""
        path = self._folder / mutant.file
        text = path.read_text()
        path.write_text(mutated(text, mutant))
        try:
            yield
        finally:
            path.write_text(text)

    def test(self, words: str, limit_s: float = LIMIT_S) -> tuple[int, str]:
        """pytest's exit code (`FAILED` where it had to be ended) and the end of what it said."""
        command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", *words.split()]
        env = {**os.environ, "PYTHONPATH": str(self._folder), "PYTHONDONTWRITEBYTECODE": "1", "CI": "1"}
        env.setdefault("SENSORLOOM_DATA", str(PROJECT.parent / "shared" / "data"))  # beside the tree, not the copy
        try:
            done = subprocess.run(
                command, cwd=self._folder, env=env, capture_output=True, text=True, timeout=limit_s, check=False
            )
        except subprocess.TimeoutExpired:
            return FAILED, f"not over in {limit_s:.0f} s"
        return done.returncode, (done.stdout + done.stderr)[-1500:]
