"""What the guest imports in the place of what is installed here: got once, kept in `.cache`."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path

from tests.support.server import PROJECT, ServerError, locked

GET_S = 600.0


def polars() -> Path:
    """A folder with Polars' machine code for processors without AVX2, which Polars takes where it finds it.

    QEMU 7.2 reads `vpgatherqq` wrongly where its index is in ymm4 and there is no base: Polars, compiled for AVX2, then
    ends with SIGSEGV as it reads sixteen files of Parquet or more by one call. Raises `ServerError`.
    """
    wanted = f"polars-runtime-compat=={version('polars')}"
    cache = PROJECT.resolve() / ".cache"
    folder = cache / wanted
    with locked(cache / f"{wanted}.lock"):
        if not folder.exists():
            with tempfile.TemporaryDirectory(dir=cache) as scratch:
                _get(wanted, Path(scratch) / "got")
                (Path(scratch) / "got").rename(folder)
    return folder


def _get(wanted: str, folder: Path) -> None:
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "install", "--quiet", "--no-deps"]
    command = [*pip, "--only-binary=:all:", "--target", str(folder), wanted]
    done = subprocess.run(command, capture_output=True, text=True, timeout=GET_S)
    if done.returncode:
        raise ServerError(f"{' '.join(command)}: exit code {done.returncode}\n{done.stderr[-2000:]}")
