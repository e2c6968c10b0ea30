"""Disks with what the Python needs that waits in the guest: they are there before the host's files are."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from tests.kernel.build import HERE, HINT
from tests.kernel.libraries import polars
from tests.kernel.waiting import HOST, JOIN, WARM
from tests.kernel.waiting import PROJECT as SEEN
from tests.support.server import PROJECT, ServerError

_PROGRAM: Final = "waiting.py"
_LOADER: Final = "/lib64/ld-linux-x86-64.so.2"
_FOLDERS: Final = ("proc", "sys", "dev", "run", "tmp", "etc", "modules", HOST[1:], SEEN[1:])
_LINKS: Final = ("bin", "lib", "lib64")
"""Debian has them as links to folders below /usr, or as folders."""
_FREE_BYTES: Final = 8 << 20


def python() -> str:
    """The interpreter, as it is known to every checkout."""
    return os.path.realpath(sys.executable)


def environment() -> Mapping[str, str]:
    """Of the Python in the guest, but for the project's own folder."""
    return {
        "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        "HOME": "/run",
        "TMPDIR": "/run",
        "LC_ALL": "C.UTF-8",
        "PYTHONPATH": f"{polars().resolve()}:{os.path.realpath(sysconfig.get_path('purelib'))}",
        "PYTHONDONTWRITEBYTECODE": "1",
    }


def make_image(root: Path, image: Path, warm: Mapping[str, Any]) -> None:
    """A disk with the files of no part of this project that the waiting Python needs, under their own names."""
    for name in _FOLDERS:
        (root / name).mkdir(parents=True)
    for name in _LINKS:
        if Path("/", name).is_symlink():
            (root / name).symlink_to(Path("/", name).readlink())
        (root / name).resolve().mkdir(parents=True, exist_ok=True)
    busybox = shutil.which("busybox")
    if busybox is None:
        raise ServerError(f"busybox: not found; {HINT}")
    shutil.copy(busybox, root / "bin/busybox")
    shutil.copy(HERE / "join", root / JOIN[1:])
    shutil.copy(HERE / _PROGRAM, root / _PROGRAM)
    (root / WARM[1:]).write_text("\n".join(warm["names"]))
    words = " ".join(f"'{name}={value}'" for name, value in environment().items())
    (root / "start").write_text(f"exec /bin/busybox env -i {words} {python()} -S /{_PROGRAM}\n")
    for file in (*map(Path, warm["files"]), Path("/etc/ld.so.cache")):
        _copy(file, root)
    shutil.copy(_LOADER, root / _LOADER[1:])
    size = sum(path.lstat().st_size for path in root.rglob("*"))
    _write(root, image, size * 5 // 4 + _FREE_BYTES)


def make_project(root: Path, image: Path, size: int, warm: Mapping[str, Any]) -> None:
    """A disk of that size with the files of this project that its scripts import, as they lie in its folder."""
    for file in map(Path, warm["ours"]):
        target = root / file.relative_to(PROJECT)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(file, target)
    _write(root, image, size)


def _write(root: Path, image: Path, size: int) -> None:
    """A folder as a disk."""
    words = ["-q", "-t", "ext4", "-O", "^has_journal", "-m", "0", "-d", str(root), str(image), f"{size >> 10}k"]
    subprocess.run(["/sbin/mke2fs", *words], check=True, capture_output=True)
    shutil.rmtree(root)


def found_warm() -> Any:
    """What `warm.py` says, of the same Python and the same libraries. Raises `ServerError`."""
    given = {**environment(), "PYTHONPATH": f"{PROJECT}:{environment()['PYTHONPATH']}"}
    command = [python(), "-S", "-m", "tests.kernel.warm"]
    done = subprocess.run(command, env=given, cwd=PROJECT, capture_output=True, text=True, check=False)
    if done.returncode:
        raise ServerError(f"{' '.join(command)}: exit code {done.returncode}\n{done.stderr[-2000:]}")
    return json.loads(done.stdout)


def _copy(file: Path, root: Path) -> None:
    """A file, and the links to it beside it: a library is asked for by the name of one."""
    target = root / str(file.resolve().parent)[1:] / file.resolve().name
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy2(file, target)
    if ".so" in file.name:
        for link in file.resolve().parent.iterdir():
            if link.is_symlink() and link.resolve() == file.resolve() and not (target.parent / link.name).exists():
                (target.parent / link.name).symlink_to(target.name)
