"""The programs of npm that the page's tests run, at the versions that tests/timeline/page/package.json names."""

from __future__ import annotations

import fcntl
import hashlib
import shutil
import subprocess
from pathlib import Path
from typing import Final

from tests.support.server import PROJECT, ServerError

PACKAGE: Final = PROJECT / "tests" / "timeline" / "page" / "package.json"
NPM_S: Final = 100.0


def node_modules(cache: Path | None = None) -> Path:
    """The folder `node_modules` with what the package file asks for; npm fills it where it is not there yet.

    Safe when several processes ask at once: one installs, the others wait.
    """
    target = cache or PROJECT / ".cache" / f"page-{hashlib.sha256(PACKAGE.read_bytes()).hexdigest()[:12]}"
    target.parent.mkdir(parents=True, exist_ok=True)
    with target.with_name(target.name + ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not target.exists():
            partial = target.with_name(target.name + ".partial")
            shutil.rmtree(partial, ignore_errors=True)
            partial.mkdir()
            shutil.copy(PACKAGE, partial)
            _install(partial)
            partial.rename(target)
    return target / "node_modules"


def _install(folder: Path) -> None:
    npm = shutil.which("npm")
    if npm is None:
        raise ServerError("npm is not here; deploy/setup.sh servers installs it")
    command = [npm, "install", "--no-audit", "--no-fund", "--no-package-lock", "--ignore-scripts", "--silent"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=NPM_S, check=False)
    if done.returncode:
        raise ServerError(f"npm install ended with {done.returncode}:\n{done.stdout}{done.stderr}")
