"""Debian's kernel, the modules that it leaves out and the initramfs of the guest: made once, kept in `.cache`.

The kernel is the one that the installed headers belong to; apt brings its image. Modules are built of Debian's own
source package. Nothing of the kernel's source is part of this project.
"""

from __future__ import annotations

import hashlib
import lzma
import os
import re
import shutil
import struct
import subprocess
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Final, NamedTuple

from tests.kernel.archive import Archive
from tests.support.server import PROJECT, ServerError, locked

HERE: Final = Path(__file__).parent
SOURCES: Final = Path("/usr/src")
COMMAND_S: Final = 300.0
HINT: Final = "install what is missing (Debian on amd64: sudo deploy/setup.sh kernel)"
KERNEL: Final = "vmlinux"
BUILT: Final = (
    "drivers/gpio/gpio-sim.c",
    "drivers/gpio/gpiolib.h",
    "kernel/irq/irq_sim.c",
    "drivers/iio/industrialio-configfs.c",
    "drivers/iio/industrialio-sw-device.c",
    "drivers/iio/industrialio-sw-trigger.c",
    "drivers/iio/dummy/iio_simple_dummy.c",
    "drivers/iio/dummy/iio_simple_dummy.h",
    "drivers/iio/dummy/iio_simple_dummy_buffer.c",
    "drivers/iio/trigger/iio-trig-hrtimer.c",
    "drivers/power/supply/test_power.c",
    "drivers/pps/clients/pps-ktimer.c",
)
"""Of the kernel's source: what `modules.mk` builds."""
GIVEN: Final = (
    *("virtio_pci", "9pnet_virtio", "9p", "configfs"),  # the guest itself; `init` loads them
    *("virtio_blk", "ext4", "crc32c_generic"),  # a disk that loses its power
    *("i2c-dev", "i2c-stub", "lm75"),  # a bus of chips that are memory, and a thermometer's driver for one
    *("industrialio", "industrialio-triggered-buffer", "kfifo_buf"),
    *("uhid", "hid-sensor-hub", "hid-sensor-accel-3d"),  # an accelerometer whose reports a program writes
    *("dummy_hcd", "libcomposite", "usb_f_acm", "cdc-acm"),  # a USB port with both of its ends
)
"""Of the kernel's own modules: what the guest's scripts load, beside what those need."""
CHANGED: Final[Mapping[str, Sequence[tuple[str, str]]]] = {
    # A call that only the kernel itself may make, and the one that modules may make in its place.
    "irq_sim.c": [("handle_simple_irq(irq_to_desc(irqnum));", "generic_handle_irq_safe(irqnum);")],
    # A chip that goes while its lines are watched takes its interrupts along, and the kernel stumbles over them as the
    # lines are let go: general protection fault, now and then. Here they stay, for as long as the guest runs.
    "gpio-sim.c": [
        ("devm_irq_domain_create_sim(dev, swnode, num_lines);", "irq_domain_create_sim(NULL, num_lines);"),
        ("irq_dispose_mapping(irq_find_mapping(chip->irq_sim, i));", "(void)chip;"),
    ],
}
"""Of the sources that are built: what is put in the place of what."""
_LICENSE: Final = '#include <linux/module.h>\nMODULE_LICENSE("GPL");\n'


class Guest(NamedTuple):
    """What QEMU boots."""

    kernel: Path
    initramfs: Path


def guest() -> Guest:
    """The kernel and the initramfs; what is not there yet is made. Raises `ServerError`."""
    version = _version()
    cache = PROJECT.resolve() / ".cache"
    folder = cache / f"kernel-{version}-{_digest([HERE / 'modules.mk', HERE / 'archive.py', Path(__file__)])}"
    with locked(cache / f"kernel-{version}.lock"):
        if not folder.exists():
            with tempfile.TemporaryDirectory(dir=cache) as scratch:
                _make(version, Path(scratch)).rename(folder)
        initramfs = folder / f"initramfs-{_digest([HERE / 'init'])}"
        if not initramfs.exists():
            _pack(version, folder, initramfs)
    return Guest(folder / KERNEL, initramfs)


def _version() -> str:
    """The newest kernel whose headers are installed."""
    found = [path.name.removeprefix("linux-headers-") for path in SOURCES.glob("linux-headers-*-amd64")]
    if not found:
        raise ServerError(f"{SOURCES}: no linux-headers-*-amd64; {HINT}")
    return max(found, key=lambda version: [int(part) for part in re.findall(r"\d+", version)])


def _digest(files: Iterable[Path]) -> str:
    return hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()[:16]


def _make(version: str, scratch: Path) -> Path:
    """A folder with the kernel and with all modules, as `depmod` wants them."""
    made, package = scratch / "made", _download(version, scratch)
    modules = made / "lib/modules" / version
    modules.mkdir(parents=True)
    unpacked = scratch / "image"
    _run(["dpkg-deb", "-x", str(package), str(unpacked)])
    (made / KERNEL).write_bytes(_unpacked((unpacked / f"boot/vmlinuz-{version}").read_bytes()))
    for module in (*_needed(unpacked / "lib/modules" / version), *_build(version, scratch / "build")):
        shutil.copy(module, modules)
    # Their signatures and types would be looked through as they are loaded: nobody in the guest asks for either.
    _run(["strip", "--strip-debug", "--remove-section=.BTF", *map(str, modules.glob("*.ko"))])
    for name in ("modules.order", "modules.builtin", "modules.builtin.modinfo"):
        shutil.copy(unpacked / "lib/modules" / version / name, modules)
    _run(["depmod", "-b", str(made), version])
    return made


def _unpacked(image: bytes) -> bytes:
    """The kernel that is packed in its image (the kernel's Documentation/x86/boot.rst: setup_sects, payload_offset).

    A guest would need seconds for that in each boot; QEMU boots it as it is.
    """
    setup_bytes = (image[0x1F1] + 1) * 512
    offset, size = struct.unpack_from("<II", image, 0x248)
    begin = setup_bytes + offset
    return lzma.LZMADecompressor().decompress(image[begin : begin + size])


def _download(version: str, folder: Path) -> Path:
    """The package of the kernel's image."""
    command = ["apt-get", "download", "-q", f"linux-image-{version}"]
    try:
        _run(command, folder)
    except ServerError:  # apt may never have been asked for its lists here
        _run(["apt-get", "update", "-q"])
        _run(command, folder)
    return next(folder.glob("linux-image-*.deb"))


def _needed(root: Path) -> set[Path]:
    """The files of the `GIVEN` modules and of those that they need; what is built in has none."""
    files = {path.stem.replace("-", "_"): path for path in (root / "kernel").rglob("*.ko")}
    found, wanted = set[Path](), {name.replace("-", "_") for name in GIVEN}
    while wanted:
        new = {files[name] for name in wanted} - found
        found |= new
        said = _run(["modinfo", "-F", "depends", *map(str, new)]) if new else ""
        wanted = {name.replace("-", "_") for name in said.replace("\n", ",").split(",") if name}
    return found


def _build(version: str, folder: Path) -> list[Path]:
    """The modules that the kernel's package leaves out."""
    archive = max(SOURCES.glob("linux-source-*.tar.xz"), default=None)
    if archive is None:
        raise ServerError(f"{SOURCES}: no linux-source-*.tar.xz; {HINT}")
    folder.mkdir()
    top, source = archive.name.removesuffix(".tar.xz"), Archive(archive)
    for name in BUILT:
        (folder / Path(name).name).write_bytes(source.read(f"{top}/{name}"))
    for name, changes in CHANGED.items():
        text = (folder / name).read_text()
        for before, after in changes:
            if before not in text:
                raise ServerError(f"{archive}: {name} has no {before!r}: this is another kernel than 6.1")
            text = text.replace(before, after)
        (folder / name).write_text(text)
    (folder / "irq_sim_license.c").write_text(_LICENSE)
    shutil.copy(HERE / "modules.mk", folder / "Kbuild")
    _run(["make", "-C", str(SOURCES / f"linux-headers-{version}"), f"M={folder}", "modules"])
    return list(folder.glob("*.ko"))


def _pack(version: str, folder: Path, target: Path) -> None:
    """The initramfs: busybox, the modules, and `init`."""
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        root = Path(scratch)
        for name in ("bin", "proc", "sys", "dev", "host", "lib/modules"):
            (root / name).mkdir(parents=True)
        busybox = shutil.which("busybox")
        if busybox is None:
            raise ServerError(f"busybox: not found; {HINT}")
        shutil.copy(busybox, root / "bin/busybox")
        shutil.copytree(folder / "lib/modules" / version, root / "lib/modules" / version)
        shutil.copy(HERE / "init", root / "init")
        (root / "init").chmod(0o755)
        names = "\n".join(str(path.relative_to(root)) for path in [root, *root.rglob("*")])
        partial = folder / "initramfs.partial"
        _run(["cpio", "-o", "-H", "newc", "--quiet", "-R", "0:0", "-F", str(partial)], root, names)
        partial.rename(target)


def _run(command: Sequence[str], folder: Path | None = None, said: str = "") -> str:
    """What a command writes. Raises `ServerError`."""
    path = os.environ["PATH"] + ":/usr/sbin:/sbin"
    program = shutil.which(command[0], path=path)
    if program is None:
        raise ServerError(f"{command[0]}: not found; {HINT}")
    done = subprocess.run(
        [program, *command[1:]],
        cwd=folder,
        input=said,
        env={**os.environ, "PATH": path, "LC_ALL": "C"},
        capture_output=True,
        text=True,
        timeout=COMMAND_S,
        check=False,
    )
    if done.returncode:
        output = f"{done.stdout[-2000:]}{done.stderr[-2000:]}"
        raise ServerError(f"{' '.join(command)}: exit code {done.returncode}\n{output}")
    return done.stdout
