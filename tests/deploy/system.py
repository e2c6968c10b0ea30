"""A Debian of its own: a root that debootstrap makes once, unpacked where a test wants it, and commands in it.

Nothing of it is seen outside: each command has its own mounts, and no network.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from tests.support.server import PROJECT, ServerError, locked

HINT: Final = "install what is missing (Debian: sudo deploy/setup.sh kernel)"
PACKAGES: Final = "python3,systemd-sysv,udev,kmod"
"""Of Raspberry Pi OS Lite and a Debian server, what the agent needs and what boots."""
MIRROR: Final = "http://deb.debian.org/debian"
MAKING_S: Final = 3000.0
COMMAND_S: Final = 600.0
_ENTER: Final = """
mount -t proc proc "$0/proc" && mount --bind /dev/pts "$0/dev/pts" && exec chroot --userspec="$1" --groups="$2" "$0" \
    env -i PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/ "${@:3}"
"""


class System:
    """A root in a folder."""

    def __init__(self, suite: str, folder: Path) -> None:
        self.root: Final = folder
        folder.mkdir()
        _run(["tar", "-C", str(folder), "-xf", str(base(suite))])

    def command(self, words: Sequence[str], *, user: str = "0:0", groups: str = "") -> list[str]:
        """What runs `words` in it."""
        enter = ["unshare", "--mount", "--net", "bash", "-c", _ENTER, str(self.root), user, groups]
        return [*enter, *words]

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        """As root; whatever the exit code."""
        return subprocess.run(
            self.command(words), stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=COMMAND_S
        )

    def groups_of(self, user: str) -> str:
        """Their numbers, as chroot(1) takes them."""
        return ",".join(self.run("id", "-G", user).stdout.split())

    def state(self, *folders: str) -> set[tuple[str, int, int, int, int, int]]:
        """Every file there, with all of it that a change would change."""
        found = [path for folder in folders for path in (self.root / folder).rglob("*")]
        stats = [(str(path), path.lstat()) for path in found]
        return {
            (path, s.st_mode, s.st_uid, s.st_gid, s.st_size, max(s.st_ctime_ns, s.st_mtime_ns)) for path, s in stats
        }


def base(suite: str) -> Path:
    """A root of Debian's smallest, packed; made where it is not there yet. Raises `ServerError`."""
    cache = PROJECT.resolve() / ".cache"
    cache.mkdir(exist_ok=True)
    packed = cache / f"debian-{suite}.tar"
    with locked(cache / f"debian-{suite}.lock"):
        if not packed.exists():
            with tempfile.TemporaryDirectory(dir=cache) as scratch:
                root = str(Path(scratch) / "root")
                _run(["debootstrap", "--variant=minbase", f"--include={PACKAGES}", suite, root, MIRROR], MAKING_S)
                partial = packed.with_suffix(".partial")
                _run(["tar", "-C", root, "-cf", str(partial), "."])
                partial.rename(packed)
    return packed


def make_bundle(folder: Path) -> Path:
    """What `make bundle` packs, of this checkout, for this machine's architecture."""
    architecture = {"x86_64": "amd64", "aarch64": "arm64"}[os.uname().machine]
    _run(["sh", str(PROJECT / "deploy/bundle.sh"), sys.executable, str(folder), architecture])
    return folder


def reseal(folder: Path) -> None:
    """A bundle's list of hashes, made anew."""
    (folder / "SHA256SUMS").unlink(missing_ok=True)
    names = sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())
    sums = [f"{hashlib.sha256((folder / name).read_bytes()).hexdigest()}  {name}\n" for name in names]
    (folder / "SHA256SUMS").write_text("".join(sums))


def make_image(root: Path, image: Path, size: str) -> Path:
    """A disk with an ext4 of what is in `root`."""
    _run(["mke2fs", "-q", "-t", "ext4", "-d", str(root), str(image), size])
    return image


def _run(command: Sequence[str], timeout_s: float = COMMAND_S) -> None:
    path = os.environ["PATH"] + ":/usr/sbin:/sbin"
    program = shutil.which(command[0], path=path)
    if program is None:
        raise ServerError(f"{command[0]}: not found; {HINT}")
    done = subprocess.run(
        [program, *command[1:]],
        env={**os.environ, "PATH": path},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=timeout_s,
    )
    if done.returncode:
        raise ServerError(f"{' '.join(command)}: exit code {done.returncode}\n{(done.stdout + done.stderr)[-3000:]}")
