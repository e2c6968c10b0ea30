"""A guest that has booted, and whose Python has imported all that is no part of this project: kept in `.cache`.

Each boot goes on from there (QEMU's migration to a file): what does not change from one run to the next, the kernel's
start and the libraries', is done once. What that Python needs lies on a disk of its own (the image), as QEMU keeps no
state of a guest that has files of the host open.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from importlib.metadata import distributions
from pathlib import Path
from typing import Any, Final, NamedTuple

from tests.kernel.build import HERE, HINT, Guest, guest
from tests.kernel.image import environment, make_image, python
from tests.kernel.marks import BOOT_S
from tests.kernel.waiting import DISK_BYTES as CARD_BYTES
from tests.kernel.waiting import READY
from tests.support.server import ServerError, locked

MEMORY_MB: Final = 768
DISK_BYTES: Final = 256 << 20
"""Of the disk that loses its power; a guest without has an empty one of that size."""
UNUSED_S: Final = 86_400.0
MACHINE: Final = (
    *("-accel", "tcg", "-icount", "shift=2", "-cpu", "max,-smap,-smep,-umip,-pku,-la57,-erms"),
    *("-m", str(MEMORY_MB), "-smp", "1", "-nodefaults", "-no-reboot", "-display", "none", "-serial", "stdio"),
)
"""TCG, as nested virtualisation is not to be had everywhere; numpy needs more than the default processor has, and
nobody the guards of its pages, which TCG looks after at each system call. Without ERMS (a fast `rep movsb`) pages are
copied and cleared by eight bytes at once: a byte costs TCG as much as eight do.

The guest's clock goes on by 4 ns with each instruction, and as the world's while it waits for something: on a busy host
all of it comes later, and nothing in it is slower. It would see stalls of half a minute else."""
KERNEL_WORDS: Final = (
    "console=ttyS0 quiet panic=-1 mitigations=off tsc=reliable nokaslr rodata=off random.trust_cpu=on init_on_alloc=0 "
    "cryptomgr.notests apparmor=0 selinux=0 audit=0 nowatchdog acpi=noirq"
)
"""What the kernel is told: whatever only costs time in a machine like this is off."""
_OF_IT: Final = ("init", "join", "waiting.py", "warm.py", "image.py", "snapshot.py")


class Snapshot(NamedTuple):
    """What each boot goes on from."""

    image: Path
    state: Path


def begun(words: Sequence[str], console: Path) -> subprocess.Popen[bytes]:
    """A machine that ends with the tests, whatever becomes of them. Raises `ServerError`."""
    command = ["setpriv", "--pdeathsig", "KILL", _qemu(), *MACHINE, *words]
    with console.open("wb") as file:
        return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=file, stderr=file)


def booting(made: Guest, more: str = "") -> list[str]:
    """QEMU's words for a kernel and its initramfs; `more` the kernel is told."""
    return ["-kernel", str(made.kernel), "-initrd", str(made.initramfs), "-append", f"{KERNEL_WORDS} {more}".strip()]


def devices(image: Path, card: Path, folder: Path, disk: Sequence[str] = ()) -> list[str]:
    """QEMU's words for what each such guest has, in this order; `disk` describes a block device named `disk`."""
    empty = ["-blockdev", f"driver=null-co,node-name=disk,size={DISK_BYTES},read-zeroes=on"]
    return [
        *("-blockdev", f"driver=file,node-name=image,filename={image},read-only=on"),
        *("-device", "virtio-blk-pci,drive=image"),
        *("-blockdev", f"driver=file,node-name=card,filename={card},read-only=on"),
        *("-device", "virtio-blk-pci,drive=card"),
        *_shared("host", Path("/"), ",readonly=on"),
        *_shared("out", folder, ""),
        *(disk or empty),
        *("-device", "virtio-blk-pci,drive=disk"),
    ]


def _shared(tag: str, folder: Path, more: str) -> list[str]:
    return [
        *("-fsdev", f"local,id={tag},path={folder},security_model=none,multidevs=remap{more}"),
        *("-device", f"virtio-9p-pci,fsdev={tag},mount_tag={tag}"),
    ]


def snapshot() -> Snapshot:
    """What each boot goes on from; made where it is not there. Raises `ServerError`."""
    made = guest()
    folder = made.kernel.parent / f"ready-{_digest(made)}"
    with locked(folder.with_name("ready.lock")):
        if folder.exists():
            os.utime(folder)
        else:
            _remove_unused(folder.parent)
            with tempfile.TemporaryDirectory(dir=folder.parent, prefix="ready-") as scratch:
                _make(made, Path(scratch))
                (Path(scratch) / "kept").rename(folder)
    return Snapshot(folder / "image", folder / "state")


def _qemu() -> str:
    found = shutil.which("qemu-system-x86_64")
    if found is None:
        raise ServerError(f"qemu-system-x86_64: not found; {HINT}")
    return found


def _digest(made: Guest) -> str:
    """Of all that a snapshot is made of."""
    emulator = Path(_qemu()).resolve().stat()
    libraries = sorted(f"{found.name}=={found.version}" for found in distributions())
    words = [
        *(path.name for path in (made.kernel.parent, made.initramfs)),
        sys.version,
        python(),
        *environment().values(),
        str(emulator.st_size),
        str(emulator.st_mtime_ns),
    ]
    parts = [*((HERE / name).read_bytes() for name in _OF_IT), *(word.encode() for word in (*words, *libraries))]
    return hashlib.sha256(b"\0".join(parts)).hexdigest()[:16]


def _remove_unused(folder: Path) -> None:
    """Snapshots that no run has asked for since a day."""
    for old in folder.glob("ready-*"):
        if time.time() - old.stat().st_mtime > UNUSED_S:
            shutil.rmtree(old)


def _make(made: Guest, scratch: Path) -> None:
    """Boot, wait until it is ready, and write down its state."""
    kept, shared, card = scratch / "kept", scratch / "shared", scratch / "card"
    for path in (kept, shared):
        path.mkdir()
    card.write_bytes(bytes(CARD_BYTES))
    make_image(scratch / "root", kept / "image")
    console = scratch / "console"
    control = ["-qmp", f"unix:{scratch}/qmp,server=on,wait=off"]
    with begun([*booting(made), *devices(kept / "image", card, shared), *control], console) as machine:
        try:
            _wait_ready(machine, console)
            _write_state(scratch / "qmp", kept / "state")
        finally:
            machine.kill()


def _wait_ready(machine: subprocess.Popen[bytes], console: Path) -> None:
    end_s = time.monotonic() + BOOT_S
    while READY not in (said := console.read_text(errors="replace")):
        if machine.poll() is not None or time.monotonic() > end_s:
            raise ServerError(f"the guest did not come to where it waits; it said:\n{said[-8000:]}")
        time.sleep(0.05)


def _write_state(link: Path, state: Path) -> None:
    """Write the guest's state into a file (QEMU Machine Protocol: migrate); one that was stopped would stay so."""
    with socket.socket(socket.AF_UNIX) as control:
        control.connect(str(link))
        with control.makefile("rw") as file:
            _ask(file, "qmp_capabilities")
            _ask(file, "migrate-set-parameters", **{"max-bandwidth": 1 << 40})
            _ask(file, "migrate", uri=f"exec:cat > {state}")
            end_s = time.monotonic() + BOOT_S
            while (found := _ask(file, "query-migrate"))["status"] != "completed":
                if found["status"] == "failed" or time.monotonic() > end_s:
                    raise ServerError(f"the guest's state is not written: {found}")
                time.sleep(0.05)
            _ask(file, "quit")


def _ask(file: Any, command: str, **arguments: Any) -> Any:
    file.write(json.dumps({"execute": command, "arguments": arguments}) + "\n")
    file.flush()
    for line in file:
        answer = json.loads(line)
        if "error" in answer:
            raise ServerError(f"QEMU: {command}: {answer['error']['desc']}")
        if "return" in answer:
            return answer["return"]
    raise ServerError(f"QEMU: {command}: it has ended")
