"""A guest that has booted, and whose Python has imported all that its scripts need: kept in `.cache`.

Each boot goes on from there (QEMU's migration to a file). It is made in two steps: what seldom changes, the kernel's
start and the libraries', and from there, once for each content of the project's files, the import of its modules. What
that Python needs lies on disks of their own, as QEMU keeps no state of a guest that has files of the host open.
"""

from __future__ import annotations

import hashlib
import json
import os
import shlex
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from importlib.metadata import distributions
from pathlib import Path
from typing import Any, Final, NamedTuple

from tests.kernel.build import HERE, HINT, Guest, guest
from tests.kernel.image import environment, found_warm, make_image, make_project, python
from tests.kernel.marks import BOOT_S
from tests.kernel.waiting import DISK_BYTES as CARD_BYTES
from tests.kernel.waiting import PREPARE, READY
from tests.support.server import PROJECT, ServerError, locked

MEMORY_MB: Final = 768
DISK_BYTES: Final = 256 << 20
"""Of the disk that loses its power; a guest without has an empty one of that size."""
UNUSED_S: Final = 86_400.0
PROJECT_UNUSED_S: Final = 3600.0
"""Of a state with the project's modules, which is another one after each change."""
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
_OF_IT: Final = ("init", "join", "waiting.py", "image.py", "snapshot.py")
_STATE: Final = "state"
_IMAGE: Final = "image"
_WARM: Final = "warm.json"


class Snapshot(NamedTuple):
    """What each boot goes on from."""

    image: Path
    state: Path


def begun(words: Sequence[str], console: Path, files: Sequence[int] = ()) -> subprocess.Popen[bytes]:
    """A machine that ends with the tests, whatever becomes of them; it has these open files. Raises `ServerError`."""
    command = ["setpriv", "--pdeathsig", "KILL", _qemu(), *MACHINE, *words]
    with console.open("wb") as file:
        return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=file, stderr=file, pass_fds=files)


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


def going_on(state: Path) -> list[str]:
    """QEMU's words for a guest whose state is kept, behind those for its devices."""
    return ["-incoming", f"exec:cat {shlex.quote(str(state))}"]


def _shared(tag: str, folder: Path, more: str) -> list[str]:
    return [
        *("-fsdev", f"local,id={tag},path={folder},security_model=none,multidevs=remap{more}"),
        *("-device", f"virtio-9p-pci,fsdev={tag},mount_tag={tag}"),
    ]


def snapshot() -> Snapshot:
    """What each boot goes on from; made where it is not there. Raises `ServerError`."""
    made = guest()
    folder = made.kernel.parent
    with locked(folder / "ready.lock"):
        libraries = _libraries(made)
        project = digest(*libraries, *contents())
        with (kept(folder / f"warm-{project}", PROJECT_UNUSED_S, _make_warm) / _WARM).open("rb") as file:
            warm = json.load(file)
        words = (word.encode() for word in (*sorted(warm["names"]), *warm["files"]))
        ready = kept(folder / f"ready-{digest(*libraries, *words)}", UNUSED_S, lambda at: _make_ready(made, warm, at))
        begin = Snapshot(ready / _IMAGE, ready / _STATE)
        own = ready / f"project-{project}"
        own = kept(own, PROJECT_UNUSED_S, lambda at: _make_project(made, warm, begin, at))
    return begin._replace(state=own / _STATE)


def _qemu() -> str:
    found = shutil.which("qemu-system-x86_64")
    if found is None:
        raise ServerError(f"qemu-system-x86_64: not found; {HINT}")
    return found


def _libraries(made: Guest) -> list[bytes]:
    """Of what a snapshot is made, but for the project."""
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
    return [*((HERE / name).read_bytes() for name in _OF_IT), *(word.encode() for word in (*words, *libraries))]


def _project() -> Iterator[Path]:
    """All files of the project that a script may import, in the same order each time; and what lies beside them."""
    packages = [path.parent for path in PROJECT.glob("*/__init__.py") if path.parent.name != "tests"]
    yield from (PROJECT / "sensorloom.py", PROJECT / "tests/__init__.py")
    for folder in sorted((*packages, HERE)):
        for file in sorted(folder.rglob("*")):
            if file.is_file() and file.parent.name != "__pycache__":
                yield file


def contents() -> Iterator[bytes]:
    """Names and bytes of all that: where one of them is another one, no state is gone on from that was kept before."""
    for file in _project():
        yield str(file.relative_to(PROJECT)).encode()
        yield file.read_bytes()


def digest(*parts: bytes) -> str:
    """A name for them, whose borders count."""
    return hashlib.sha256(b"".join(b"%d:%b" % (len(part), part) for part in parts)).hexdigest()[:16]


def kept(folder: Path, unused_s: float, make: Callable[[Path], None]) -> Path:
    """A folder whose name says of what it is; made where it is not there, and those go that no run has asked for."""
    if folder.exists():
        os.utime(folder)
        return folder
    kind = folder.name.partition("-")[0]
    for old in folder.parent.glob(f"{kind}-*"):
        if time.time() - old.stat().st_mtime > unused_s:
            shutil.rmtree(old)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f"{kind}-") as scratch:
        made = Path(scratch) / "made"
        made.mkdir()
        make(made)
        made.rename(folder)
    return folder


def _make_warm(folder: Path) -> None:
    """What is imported, and from where."""
    warm = found_warm()
    known = {str(file) for file in _project()}
    if unknown := [name for name in warm["ours"] if not name.endswith(".pyc") and name not in known]:
        raise ServerError(f"{unknown[0]}: a guest's scripts import it, and nobody looks whether it changes")
    (folder / _WARM).write_text(json.dumps(warm))


def _make_ready(made: Guest, warm: Mapping[str, Any], folder: Path) -> None:
    """Boot, and import what is no part of this project."""
    make_image(folder.with_name("root"), folder / _IMAGE, warm)
    _write_ready(made, folder, devices(folder / _IMAGE, _card(folder, b""), _shared_folder(folder)))


def _make_project(made: Guest, warm: Mapping[str, Any], begin: Snapshot, folder: Path) -> None:
    """Go on from there, and import what is."""
    disk = folder.with_name("disk")
    make_project(folder.with_name("root"), disk, DISK_BYTES, warm)
    card = _card(folder, json.dumps({"what": PREPARE}).encode())
    node = ["-blockdev", f"driver=file,node-name=disk,filename={disk}"]
    words = devices(begin.image, card, _shared_folder(folder), node)
    _write_ready(made, folder, [*words, *going_on(begin.state)])


def _card(folder: Path, word: bytes) -> Path:
    card = folder.with_name("card")
    card.write_bytes(word.ljust(CARD_BYTES, b"\0"))
    return card


def _shared_folder(folder: Path) -> Path:
    folder.with_name("shared").mkdir()
    return folder.with_name("shared")


def _write_ready(made: Guest, folder: Path, words: Sequence[str]) -> None:
    """Wait until a machine is ready, and write down its state."""
    console = folder.with_name("console")
    ours, theirs = socket.socketpair()  # a socket in a folder has a short name, or none
    with ours:
        with theirs:
            control = ["-chardev", f"socket,id=control,fd={theirs.fileno()}", "-mon", "chardev=control,mode=control"]
            written = ["-global", "migration.store-global-state=off", *control]
            machine = begun([*booting(made), *words, *written], console, [theirs.fileno()])
        with machine:
            try:
                _wait_ready(machine, console)
                _write_state(ours, folder / _STATE)
            finally:
                machine.kill()


def _wait_ready(machine: subprocess.Popen[bytes], console: Path) -> None:
    end_s = time.monotonic() + BOOT_S
    while READY not in (said := console.read_text(errors="replace")):
        if machine.poll() is not None or time.monotonic() > end_s:
            raise ServerError(f"the guest did not come to where it waits; it said:\n{said[-8000:]}")
        time.sleep(0.05)


def _write_state(control: socket.socket, state: Path) -> None:
    """Write the guest's state into a file (QEMU Machine Protocol: migrate).

    It is stopped before: of what a running one writes meanwhile TCG may miss a page, and its kernel stumbled on from
    there. That it was stopped is left out of the state, or it would stay so.
    """
    with control.makefile("rw") as file:
        _ask(file, "qmp_capabilities")
        _ask(file, "migrate-set-parameters", **{"max-bandwidth": 1 << 40})
        _ask(file, "stop")
        _ask(file, "migrate", uri=f"exec:cat > {shlex.quote(str(state))}")
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
