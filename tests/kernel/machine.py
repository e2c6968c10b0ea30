"""A machine that runs scripts of ours on Debian's kernel, over the host's own files."""

from __future__ import annotations

import compileall
import shlex
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from tests.kernel.build import HERE, HINT, guest
from tests.kernel.libraries import polars
from tests.kernel.marks import BOOT_S
from tests.kernel.runner import DONE, OUT, SAID
from tests.support.server import PROJECT, ServerError

RUNNER: Final = "tests.kernel.runner"
MEMORY_MB: Final = 768
_CONSOLE_BYTES: Final = 8000
_MACHINE: Final = (
    *("-accel", "tcg", "-icount", "shift=2", "-cpu", "max,-smap,-smep,-umip,-pku,-la57,-erms"),
    *("-m", str(MEMORY_MB), "-smp", "1", "-nodefaults", "-no-reboot", "-display", "none", "-serial", "stdio"),
)
"""TCG, as nested virtualisation is not to be had everywhere; numpy needs more than the default processor has, and
nobody the guards of its pages, which TCG looks after at each system call. Without ERMS (a fast `rep movsb`) pages are
copied and cleared by eight bytes at once: a byte costs TCG as much as eight do.

The guest's clock goes on by 4 ns with each instruction, and as the world's while it waits for something: on a busy host
all of it comes later, and nothing in it is slower. It would see stalls of half a minute else."""
_KERNEL: Final = (
    "console=ttyS0 quiet panic=-1 mitigations=off tsc=reliable nokaslr rodata=off random.trust_cpu=on init_on_alloc=0 "
    "cryptomgr.notests apparmor=0 selinux=0 audit=0 nowatchdog acpi=noirq"
)
"""What it is told: whatever only costs time in a machine like this is off."""
CONSOLE: Final = "console"


def run_guests(names: Sequence[str], folder: Path) -> None:
    """Boot once, run each `guest_NAME.py` as root, one after the other in one Python (this one), and power off.

    In the guest this machine's `/` is read-only, /run is in memory, and /run/out is `folder`, which keeps what is
    written there: each script's own folder (its argument), and what it said there. One that fails leaves the others
    alone: `result` says of each how it ended.

    Raises:
        ServerError: what is needed is not there, or the machine did not come to its end.
    """
    with started(names, folder) as machine:
        ended(machine, folder, BOOT_S)


def started(names: Sequence[str], folder: Path, *more: str) -> subprocess.Popen[bytes]:
    """Begin what `run_guests` does; `more` words are QEMU's. Raises `ServerError`."""
    _compile()
    for name in names:
        (folder / name).mkdir(exist_ok=True)
    (folder / "start").write_text(_start(names))
    shared = [*_shared("host", Path("/"), ",readonly=on"), *_shared("out", folder, "")]
    return _begun(folder, ["-initrd", str(guest().initramfs), "-append", _KERNEL, *shared, *more])


def run_disk(image: Path, init: Path, folder: Path, run_s: float) -> str:
    """Boot a system from its disk, by `init` as the first process of the initramfs, until it powers off; what it said.

    Raises:
        ServerError: what is needed is not there, or the machine did not come to its end.
    """
    both = folder / "initramfs"
    both.write_bytes(guest().initramfs.read_bytes() + packed(init))
    words = ["-initrd", str(both), "-append", f"{_KERNEL} rdinit=/{init.name}"]
    with _begun(folder, [*words, "-drive", f"file={image},format=raw,if=virtio,cache=unsafe"]) as machine:
        ended(machine, folder, run_s)
    return (folder / CONSOLE).read_text(errors="replace")


def packed(program: Path) -> bytes:
    """An archive of one program, as a kernel unpacks it behind its initramfs (cpio's format `newc`)."""
    with tempfile.TemporaryDirectory() as scratch:
        shutil.copy(program, scratch)
        (Path(scratch) / program.name).chmod(0o755)
        command = ["cpio", "-o", "-H", "newc", "--quiet", "-R", "0:0"]
        return subprocess.run(command, cwd=scratch, input=program.name.encode(), capture_output=True, check=True).stdout


def _begun(folder: Path, words: Sequence[str]) -> subprocess.Popen[bytes]:
    qemu = shutil.which("qemu-system-x86_64")
    if qemu is None:
        raise ServerError(f"qemu-system-x86_64: not found; {HINT}")
    command = [
        *("setpriv", "--pdeathsig", "KILL"),  # it ends with the tests, whatever becomes of them
        *(qemu, *_MACHINE, "-kernel", str(guest().kernel), *words),
    ]
    with (folder / CONSOLE).open("wb") as file:
        return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=file, stderr=file)


def ended(machine: subprocess.Popen[bytes], folder: Path, run_s: float) -> None:
    """Wait until it powers off. Raises `ServerError` where it does not in that time."""
    try:
        machine.wait(run_s)
    except subprocess.TimeoutExpired:
        raise ServerError(f"the guest took longer than {run_s:g} s; {_end_of(folder / CONSOLE)}") from None
    finally:
        machine.kill()


def result(name: str, folder: Path) -> Path:
    """The folder of a script that came to a good end. Raises `ServerError` where it did not."""
    own = folder / name
    if not (own / DONE).exists():
        said = _end_of(own / SAID) if (own / SAID).exists() else "it did not begin"
        raise ServerError(f"guest_{name}.py did not come to its end; {said}\n{_end_of(folder / CONSOLE)}")
    return own


def _compile() -> None:
    """What the guest will import: it cannot keep what it compiles, and takes twenty times as long for it."""
    for package in (*(file.parent for file in PROJECT.glob("*/__init__.py") if file.parent.name != "tests"), HERE):
        compileall.compile_dir(package, quiet=2)


def _start(names: Sequence[str]) -> str:
    """What the guest's `init` runs."""
    environment = {
        "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        "HOME": "/run",
        "TMPDIR": "/run",
        "LC_ALL": "C.UTF-8",
        "PYTHONPATH": f"{PROJECT}:{polars()}:{sysconfig.get_path('purelib')}",
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    words = " ".join(f"{name}={shlex.quote(value)}" for name, value in environment.items())
    return f"cd /run && exec env -i {words} {shlex.join([sys.executable, '-S', '-m', RUNNER, OUT, *names])}\n"


def _shared(tag: str, folder: Path, more: str) -> list[str]:
    return [
        *("-fsdev", f"local,id={tag},path={folder},security_model=none,multidevs=remap{more}"),
        *("-device", f"virtio-9p-pci,fsdev={tag},mount_tag={tag}"),
    ]


def _end_of(console: Path) -> str:
    return f"the end of {console}:\n{console.read_bytes()[-_CONSOLE_BYTES:].decode(errors='replace')}"
