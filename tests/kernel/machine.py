"""A machine that runs a script of ours on Debian's kernel, over the host's own files."""

from __future__ import annotations

import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

from tests.kernel.build import HINT, guest
from tests.support.server import PROJECT, ServerError

RUN_S: Final = 1000.0
"""So long a guest may take from its boot to its end, on a machine that has much else to do."""
MEMORY_MB: Final = 768
_CONSOLE_BYTES: Final = 8000
_MACHINE: Final = ("-accel", "tcg", "-cpu", "max", "-m", str(MEMORY_MB), "-smp", "1", "-nic", "none", "-no-reboot")
"""TCG, as nested virtualisation is not to be had everywhere; numpy needs more than the default processor has."""
_KERNEL: Final = "console=ttyS0 quiet panic=-1 mitigations=off tsc=reliable nokaslr random.trust_cpu=on"
"""What it is told: whatever only costs time in a machine like this is off."""
DONE: Final = "done"


def run_guest(script: Path, folder: Path) -> str:
    """Boot, run `script` with this Python as root, and power off; what the console said.

    In the guest this machine's `/` is read-only, /run is in memory, and /run/out is `folder`, which keeps what is
    written there.

    Raises:
        ServerError: what is needed is not there, or the script did not come to a good end.
    """
    qemu = shutil.which("qemu-system-x86_64")
    if qemu is None:
        raise ServerError(f"qemu-system-x86_64: not found; {HINT}")
    files = guest()
    (folder / "start").write_text(_start(script))
    command = [
        *("setpriv", "--pdeathsig", "KILL"),  # it ends with the tests, whatever becomes of them
        *(qemu, *_MACHINE, "-nographic", "-kernel", str(files.kernel), "-initrd", str(files.initramfs)),
        *("-append", _KERNEL),
        *_shared("host", Path("/"), ",readonly=on"),
        *_shared("out", folder, ""),
    ]
    console = folder / "console"
    try:
        with console.open("wb") as file:
            subprocess.run(command, stdin=subprocess.DEVNULL, stdout=file, stderr=file, timeout=RUN_S, check=False)
    except subprocess.TimeoutExpired:
        raise ServerError(f"the guest took longer than {RUN_S:g} s; {_end_of(console)}") from None
    if not (folder / DONE).exists():
        raise ServerError(f"{script.name} did not come to its end; {_end_of(console)}")
    return console.read_text(errors="replace")


def _start(script: Path) -> str:
    """What the guest's `init` runs."""
    environment = {
        "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        "HOME": "/run",
        "TMPDIR": "/run",
        "LC_ALL": "C.UTF-8",
        "PYTHONPATH": str(PROJECT),
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    words = " ".join(f"{name}={shlex.quote(value)}" for name, value in environment.items())
    python = shlex.join([sys.executable, "-S", str(script)])
    return f"cd /run && env -i {words} {python} && : >/run/out/{DONE}\n"


def _shared(tag: str, folder: Path, more: str) -> list[str]:
    return [
        *("-fsdev", f"local,id={tag},path={folder},security_model=none,multidevs=remap{more}"),
        *("-device", f"virtio-9p-pci,fsdev={tag},mount_tag={tag}"),
    ]


def _end_of(console: Path) -> str:
    return f"the end of {console}:\n{console.read_bytes()[-_CONSOLE_BYTES:].decode(errors='replace')}"
