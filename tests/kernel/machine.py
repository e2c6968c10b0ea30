"""A machine that runs scripts of ours on Debian's kernel, over the host's own files."""

from __future__ import annotations

import compileall
import json
import secrets
import shutil
import subprocess
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Final

from tests.kernel.build import HERE, guest
from tests.kernel.marks import BOOT_S
from tests.kernel.runner import DONE, OUT, SAID
from tests.kernel.snapshot import begun, booting, devices, going_on, snapshot
from tests.kernel.waiting import BLOCK_BYTES, DISK_BYTES, RUN
from tests.support.server import PROJECT, ServerError

_CONSOLE_BYTES: Final = 8000
_SEED_BYTES: Final = 64
CONSOLE: Final = "console"


def run_guests(names: Sequence[str], folder: Path) -> None:
    """Run each `guest_NAME.py` as root, those of a guest one after the other in one Python (this one), and power off.

    Two guests at once share them: one computes while the other one waits. In a guest this machine's `/` is read-only,
    /run is in memory, and /run/out is a folder of `folder`, which keeps what is written there: each script's own folder
    (its argument), and what it said there. One that fails leaves the others alone: `result` says of each how it ended.

    Raises:
        ServerError: what is needed is not there, or a machine did not come to its end.
    """
    with ExitStack() as stack:
        running = []
        for share, place in _shares(names, folder):
            place.mkdir(exist_ok=True)
            machine = stack.enter_context(started(share, place))
            stack.callback(machine.kill)
            running.append((machine, place))
        for machine, place in running:
            ended(machine, place, BOOT_S)


def _shares(names: Sequence[str], folder: Path) -> list[tuple[Sequence[str], Path]]:
    """Which scripts run in which guest, and its folder."""
    half = (len(names) + 1) // 2
    halves = [share for share in (names[:half], names[half:]) if share]
    return [(share, folder / f"guest{number}") for number, share in enumerate(halves)]


def started(
    names: Sequence[str], folder: Path, disk: Sequence[str] = (), behind_s: float = 0.0
) -> subprocess.Popen[bytes]:
    """Begin what `run_guests` does, in a guest that has booted (`snapshot`). Raises `ServerError`.

    `disk` is what QEMU is told of a block device named `disk`; the guest's clock begins at `behind_s` (s UTC), or now
    where that is later.
    """
    _compile()
    ready = snapshot()
    for name in names:
        (folder / name).mkdir(exist_ok=True)
    card = folder / "card"
    told = _told(names, max(time.time(), behind_s))
    if len(told) > BLOCK_BYTES:
        raise ServerError(f"{card}: {len(told)} bytes are more than the {BLOCK_BYTES} that the guest reads")
    card.write_bytes(told.ljust(DISK_BYTES, b"\0"))
    words = [*booting(guest()), *devices(ready.image, card, folder, disk), *going_on(ready.state)]
    return begun(words, folder / CONSOLE)


def _told(names: Sequence[str], time_s: float) -> bytes:
    """What the guest that waits reads (see `waiting.py`)."""
    seed = secrets.token_hex(_SEED_BYTES)
    told = {"what": RUN, "names": list(names), "out": OUT, "project": str(PROJECT), "seed": seed}
    return json.dumps({**told, "time_ns": int(time_s * 1e9)}).encode()


def run_disk(image: Path, init: Path, folder: Path, run_s: float) -> str:
    """Boot a system from its disk, by `init` as the first process of the initramfs, until it powers off; what it said.

    Raises:
        ServerError: what is needed is not there, or the machine did not come to its end.
    """
    both = folder / "initramfs"
    both.write_bytes(guest().initramfs.read_bytes() + packed(init))
    words = booting(guest()._replace(initramfs=both), f"rdinit=/{init.name}")
    drive = ["-drive", f"file={image},format=raw,if=virtio,cache=unsafe"]
    with begun([*words, *drive], folder / CONSOLE) as machine:
        ended(machine, folder, run_s)
    return (folder / CONSOLE).read_text(errors="replace")


def packed(program: Path) -> bytes:
    """An archive of one program, as a kernel unpacks it behind its initramfs (cpio's format `newc`)."""
    with tempfile.TemporaryDirectory() as scratch:
        shutil.copy(program, scratch)
        (Path(scratch) / program.name).chmod(0o755)
        command = ["cpio", "-o", "-H", "newc", "--quiet", "-R", "0:0"]
        return subprocess.run(command, cwd=scratch, input=program.name.encode(), capture_output=True, check=True).stdout


def ended(machine: subprocess.Popen[bytes], folder: Path, run_s: float) -> None:
    """Wait until it powers off. Raises `ServerError` where it does not in that time."""
    try:
        machine.wait(run_s)
    except subprocess.TimeoutExpired:
        raise ServerError(f"the guest took longer than {run_s:g} s; {_end_of(folder / CONSOLE)}") from None
    finally:
        machine.kill()


def result(name: str, folder: Path) -> Path:
    """The folder of a script that came to a good end in the guest of that folder, or in one of `run_guests`.

    Raises `ServerError` where it did not.
    """
    own = next(iter(folder.glob(f"guest*/{name}")), folder / name)
    if not (own / DONE).exists():
        said = _end_of(own / SAID) if (own / SAID).exists() else "it did not begin"
        raise ServerError(f"guest_{name}.py did not come to its end; {said}\n{_end_of(own.parent / CONSOLE)}")
    return own


def _compile() -> None:
    """What the guest will import: it cannot keep what it compiles, and takes twenty times as long for it."""
    for package in (*(file.parent for file in PROJECT.glob("*/__init__.py") if file.parent.name != "tests"), HERE):
        compileall.compile_dir(package, quiet=2)


def _end_of(console: Path) -> str:
    return f"the end of {console}:\n{console.read_bytes()[-_CONSOLE_BYTES:].decode(errors='replace')}"
