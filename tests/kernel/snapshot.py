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
import sysconfig
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import contextmanager
from collections.abc import Iterator
from importlib.metadata import distributions
from pathlib import Path
from typing import Any, Final, NamedTuple

from tests.kernel.build import HERE, HINT, Guest, guest
from tests.kernel.libraries import polars
from tests.kernel.waiting import CARD_BYTES, HOST, JOIN, READY, WARM
from tests.support.server import PROJECT, ServerError, locked

MEMORY_MB: Final = 768
DISK_BYTES: Final = 256 << 20
"""Of the disk that loses its power; a guest without has an empty one of that size."""
BOOT_S: Final = 600.0
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
_OF_IT: Final = ("init", "join", "waiting.py", "warm.py", "snapshot.py")
LOADER: Final = "/lib64/ld-linux-x86-64.so.2"
_LINKS: Final = ("bin", "lib", "lib32", "lib64", "sbin")
_FREE_BYTES: Final = 8 << 20


class Snapshot(NamedTuple):
    """What each boot goes on from."""

    image: Path
    state: Path


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


def qemu() -> str:
    """Its path. Raises `ServerError`."""
    found = shutil.which("qemu-system-x86_64")
    if found is None:
        raise ServerError(f"qemu-system-x86_64: not found; {HINT}")
    return found


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
            with tempfile.TemporaryDirectory(dir=folder.parent) as scratch:
                _make(made, Path(scratch))
                (Path(scratch) / "kept").rename(folder)
    return Snapshot(folder / "image", folder / "state")


def _digest(made: Guest) -> str:
    """Of all that a snapshot is made of."""
    emulator = Path(qemu()).resolve().stat()
    libraries = sorted(f"{found.name}=={found.version}" for found in distributions())
    words = [str(made), sys.version, python(), *environment().values(), str(emulator.st_size), str(emulator.st_mtime_ns)]
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
    _make_image(scratch / "root", kept / "image")
    console = scratch / "console"
    command = [qemu(), *MACHINE, *booting(made), *devices(kept / "image", card, shared)]
    control = ["-qmp", f"unix:{scratch}/qmp,server=on,wait=off"]
    with console.open("wb") as file, _running([*command, *control], file) as machine:
        _wait_ready(machine, console)
        _write_state(scratch / "qmp", kept / "state")


def _make_image(root: Path, image: Path) -> None:
    """A disk with the files that the waiting Python needs, under their own names."""
    warm = _warm()
    for name in ("proc", "sys", "dev", "run", "tmp", "modules", HOST[1:], "bin" if not Path("/bin").is_symlink() else "usr/bin"):
        (root / name).mkdir(parents=True)
    for name in _LINKS:
        if Path("/", name).is_symlink():
            (root / name).symlink_to(Path("/", name).readlink())
    busybox = shutil.which("busybox")
    if busybox is None:
        raise ServerError(f"busybox: not found; {HINT}")
    shutil.copy(busybox, root / "bin/busybox")
    shutil.copy(HERE / "join", root / JOIN[1:])
    shutil.copy(HERE / "waiting.py", root / "waiting.py")
    (root / WARM[1:]).write_text("\n".join(warm["names"]))
    words = " ".join(f"'{name}={value}'" for name, value in environment().items())
    (root / "start").write_text(f"exec /bin/busybox env -i {words} {python()} -S /waiting.py\n")
    for file in (*map(Path, warm["files"]), Path("/etc/ld.so.cache")):
        _copy(file, root)
    (root / LOADER[1:]).parent.resolve().mkdir(parents=True, exist_ok=True)
    shutil.copy(LOADER, root / LOADER[1:])
    size = sum(path.lstat().st_size for path in root.rglob("*"))
    blocks = f"{(size * 5 // 4 + _FREE_BYTES) >> 10}k"
    command = ["/sbin/mke2fs", "-q", "-t", "ext4", "-O", "^has_journal", "-m", "0", "-d", str(root), str(image), blocks]
    subprocess.run(command, check=True, capture_output=True)
    shutil.rmtree(root)


def _warm() -> Any:
    """What `warm.py` says, of the same Python and the same libraries."""
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


@contextmanager
def _running(command: Sequence[str], said: Any) -> Iterator[subprocess.Popen[bytes]]:
    guarded = ["setpriv", "--pdeathsig", "KILL", *command]
    with subprocess.Popen(guarded, stdin=subprocess.DEVNULL, stdout=said, stderr=said) as machine:
        try:
            yield machine
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
