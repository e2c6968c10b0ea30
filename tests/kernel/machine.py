"""A machine that runs scripts of ours on Debian's kernel, over the host's own files."""

from __future__ import annotations

import shlex
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from tests.kernel.build import HERE, HINT, guest
from tests.support.server import PROJECT, ServerError

SCRIPT_S: Final = 1000.0
"""So long each script may take, on a machine that has much else to do."""
MEMORY_MB: Final = 768
_CONSOLE_BYTES: Final = 8000
_MACHINE: Final = ("-accel", "tcg", "-cpu", "max", "-m", str(MEMORY_MB), "-smp", "1", "-nic", "none", "-no-reboot")
"""TCG, as nested virtualisation is not to be had everywhere; numpy needs more than the default processor has."""
_KERNEL: Final = "console=ttyS0 quiet panic=-1 mitigations=off tsc=reliable nokaslr random.trust_cpu=on"
"""What it is told: whatever only costs time in a machine like this is off."""
DONE: Final = "done"
SAID: Final = "said"


def run_guests(names: Sequence[str], folder: Path) -> None:
    """Boot once, run each `guest_NAME.py` with this Python as root, one after the other, and power off.

    In the guest this machine's `/` is read-only, /run is in memory, and /run/out is `folder`, which keeps what is
    written there: each script's own folder (its argument), and what it said there. One that fails leaves the others
    alone: `result` says of each how it ended.

    Raises:
        ServerError: what is needed is not there, or the machine did not come to its end.
    """
    qemu = shutil.which("qemu-system-x86_64")
    if qemu is None:
        raise ServerError(f"qemu-system-x86_64: not found; {HINT}")
    files = guest()
    for name in names:
        (folder / name).mkdir()
    (folder / "start").write_text("".join(_start(name) for name in names))
    command = [
        *("setpriv", "--pdeathsig", "KILL"),  # it ends with the tests, whatever becomes of them
        *(qemu, *_MACHINE, "-nographic", "-kernel", str(files.kernel), "-initrd", str(files.initramfs)),
        *("-append", _KERNEL),
        *_shared("host", Path("/"), ",readonly=on"),
        *_shared("out", folder, ""),
    ]
    console, run_s = folder / "console", SCRIPT_S * len(names)
    try:
        with console.open("wb") as file:
            subprocess.run(command, stdin=subprocess.DEVNULL, stdout=file, stderr=file, timeout=run_s, check=False)
    except subprocess.TimeoutExpired:
        raise ServerError(f"the guest took longer than {run_s:g} s; {_end_of(console)}") from None


def result(name: str, folder: Path) -> Path:
    """The folder of a script that came to a good end. Raises `ServerError` where it did not."""
    own = folder / name
    if not (own / DONE).exists():
        said = _end_of(own / SAID) if (own / SAID).exists() else "it did not begin"
        raise ServerError(f"guest_{name}.py did not come to its end; {said}\n{_end_of(folder / 'console')}")
    return own


def _start(name: str) -> str:
    """A part of what the guest's `init` runs."""
    environment = {
        "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        "HOME": "/run",
        "TMPDIR": "/run",
        "LC_ALL": "C.UTF-8",
        "PYTHONPATH": str(PROJECT),
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    words = " ".join(f"{name}={shlex.quote(value)}" for name, value in environment.items())
    out = f"/run/out/{name}"
    python = shlex.join([sys.executable, "-S", str(HERE / f"guest_{name}.py"), out])
    return f"cd /run && env -i {words} {python} >{out}/{SAID} 2>&1 && : >{out}/{DONE}\n"


def _shared(tag: str, folder: Path, more: str) -> list[str]:
    return [
        *("-fsdev", f"local,id={tag},path={folder},security_model=none,multidevs=remap{more}"),
        *("-device", f"virtio-9p-pci,fsdev={tag},mount_tag={tag}"),
    ]


def _end_of(console: Path) -> str:
    return f"the end of {console}:\n{console.read_bytes()[-_CONSOLE_BYTES:].decode(errors='replace')}"
