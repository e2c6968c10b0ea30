"""Runs in the guest, as root, before its state is kept: imports what is no part of this project, and waits for a word.

The word is what the second disk begins with. By the first one the project's modules are imported, from the third disk,
and another word is waited for: each boot goes on from there, with disks of its own. What must not be the same in two
boots comes with that word: the time, and chance. Of the standard library alone.
"""

from __future__ import annotations

import fcntl
import gc
import importlib
import json
import mmap
import os
import random
import struct
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

CARD, DISK = "/dev/vdb", "/dev/vdc"
BLOCK_BYTES = 4096
DISK_BYTES = 1 << 16
"""The kernel looks for partitions as far as that."""
READY = "ready and waiting"
WARM = "/warm"
JOIN = "/join"
BUSYBOX = "/bin/busybox"
HOST = "/host"
PROJECT = "/run/project"
"""There the project's folder is seen, whatever it is called on the host."""
RUNNER = "tests.kernel.runner"
PREPARE, RUN = "prepare", "run"
"""What the two words are about."""
LOOK_S = 0.02
_ADD_ENTROPY, _RESEED = 0x40085203, 0x5207  # RNDADDENTROPY and RNDRESEEDCRNG of linux/random.h


def main() -> None:
    """Import, wait, join the host's files, and run the scripts there."""
    for name in Path(WARM).read_text().split():
        try:
            importlib.import_module(name)
        except ImportError as error:
            print(f"not imported: {name}: {error}", flush=True)
    gc.collect()
    gc.freeze()
    _told(PREPARE)
    runner = _prepared()
    told = _told(RUN)
    time.clock_settime_ns(time.CLOCK_REALTIME, told["time_ns"])
    _shuffle(bytes.fromhex(told["seed"]))
    subprocess.run([BUSYBOX, "sh", JOIN, told["project"]], check=True)
    os.chroot(HOST)
    os.chdir("/run")
    os.environ["PYTHONPATH"] = f"{PROJECT}:{os.environ['PYTHONPATH']}"
    importlib.invalidate_caches()
    runner.main(Path(told["out"]), told["names"])


def _prepared() -> Any:
    """The module that runs scripts, once it has imported all that they need, and the disk with it is let go."""
    subprocess.run([BUSYBOX, "mount", "-t", "ext4", "-o", "ro", DISK, PROJECT], check=True)
    sys.path[0] = PROJECT  # in the place of this file's folder
    runner = importlib.import_module(RUNNER)
    runner.prepare()
    subprocess.run([BUSYBOX, "umount", PROJECT], check=True)
    gc.collect()
    gc.freeze()
    return runner


def _told(what: str) -> dict[str, Any]:
    """The word that is about that: read past the kernel's memory of the disk, which is another one then."""
    card, block = os.open(CARD, os.O_RDONLY | os.O_DIRECT), mmap.mmap(-1, BLOCK_BYTES)
    print(READY, flush=True)
    while True:
        os.preadv(card, [block], 0)
        if block[0]:
            told: dict[str, Any] = json.loads(block[:].rstrip(b"\0"))
            if told["what"] == what:
                return told
        time.sleep(LOOK_S)


def _shuffle(seed: bytes) -> None:
    """Two boots of one state would draw the same numbers."""
    with Path("/dev/urandom").open("wb", buffering=0) as device:
        fcntl.ioctl(device, _ADD_ENTROPY, struct.pack("<ii", len(seed) * 8, len(seed)) + seed)
        fcntl.ioctl(device, _RESEED)
    random.seed()


if __name__ == "__main__":
    main()
