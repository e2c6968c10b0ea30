"""Other people's libraries that ours are compared with: each set has a Python of its own, as they bring much along."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.support.server import PROJECT, locked


def peer_python(*requirements: str) -> Path:
    """A Python that has what is asked for and what that needs; made once, kept in `.cache`."""
    cache = PROJECT.resolve() / ".cache"
    folder = cache / f"peers-{hashlib.sha256(' '.join(requirements).encode()).hexdigest()[:8]}"
    with locked(folder.with_suffix(".lock")):
        if not (folder / "ready").exists():
            subprocess.run([sys.executable, "-m", "venv", "--clear", str(folder)], check=True)
            subprocess.run([str(folder / "bin/python"), "-m", "pip", "install", "--quiet", *requirements], check=True)
            (folder / "ready").touch()
    return folder / "bin/python"


def run_peer(python: Path, script: Path, *words: object) -> Any:
    """What a script prints as JSON."""
    run = subprocess.run([python, script, *map(str, words)], check=True, stdout=subprocess.PIPE)
    return json.loads(run.stdout)
