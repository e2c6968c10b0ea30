"""What can be found out of the machine on which an agent runs; `root` is where its files lie."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import time
from contextlib import suppress
from pathlib import Path
from typing import Final

from edge.agent.clock import system_clock
from edge.agent.doctor.remedies import ClockFacts, DiskFacts, PowerFacts
from edge.agent.startup import check_ground
from edge.config import AgentConfig
from edge.spool.spool import PLAUSIBLE_NS
from ingest.errors import UsageError

_DAEMONS: Final = ("chronyd", "systemd-timesyn", "ntpd", "ntpsec")
"""Who may set a clock, by the first 15 letters of its name (proc(5), comm); the likeliest first."""
_FULL_NAMES: Final = {"systemd-timesyn": "systemd-timesyncd"}
_SECTOR: Final = 512
"""Bytes of a sector in /sys/block/…/stat, whatever the disk's own are."""
_DAY_S: Final = 86_400.0
_UPTIME_LEAST_S: Final = 3600.0
"""What was written in less says nothing of a day."""
_LOW_NOW, _LOW_SINCE_BOOT = 1 << 0, 1 << 16
"""Of vcgencmd get_throttled."""


def clock_facts(trust: str, root: Path = Path("/")) -> ClockFacts:
    """How the clock is."""
    names = _running(root / "proc")
    daemon = next((name for name in _DAEMONS if name in names), "")
    return ClockFacts(
        trust,
        is_plausible=time.time_ns() >= PLAUSIBLE_NS,
        is_synchronised=system_clock("ntp").is_set,
        daemon=_FULL_NAMES.get(daemon, daemon),
        has_rtc=any((root / "sys/class/rtc").glob("rtc*")),
    )


def _running(proc: Path) -> set[str]:
    names: set[str] = set()
    for file in proc.glob("[0-9]*/comm"):
        with suppress(OSError):  # it ended
            names.add(file.read_text().strip())
    return names


def disk_facts(config: AgentConfig, root: Path = Path("/")) -> DiskFacts:
    """How the disk is that holds the spool, or will."""
    spool = config.spool_dir
    there = next(folder for folder in (spool, *spool.absolute().parents) if folder.is_dir())
    try:
        ground = check_ground(spool)
    except UsageError as error:
        ground = str(error)
    room, device = os.statvfs(there), _device_of(there, root)
    return DiskFacts(
        spool=str(spool),
        ground=ground,
        is_read_only=bool(room.f_flag & os.ST_RDONLY),
        free_bytes=room.f_bavail * room.f_frsize,
        used_bytes=_used(spool),
        max_bytes=config.spool.max_bytes,
        device="" if device is None else device.name,
        worn=None if device is None else _worn(device),
        written_a_day=None if device is None else _written_a_day(device, root),
    )


def _used(folder: Path) -> int:
    size = 0
    for path in folder.rglob("*"):
        with suppress(OSError):  # a segment was drained meanwhile
            size += path.stat().st_size
    return size


def _device_of(folder: Path, root: Path) -> Path | None:
    """The disk's folder in /sys/block; None where there is none (a file system in memory, or of several disks)."""
    number = folder.stat().st_dev
    try:
        found = (root / f"sys/dev/block/{os.major(number)}:{os.minor(number)}").resolve(strict=True)
    except OSError:
        return None
    return found.parent if (found / "partition").exists() else found


def _worn(device: Path) -> float | None:
    """What an eMMC says of its life, in tenths (JEDEC eMMC 5.0, DEVICE_LIFE_TIME_EST): of both kinds of its cells the
    more worn one."""
    try:
        tenths = max(int(word, 16) for word in (device / "device/life_time").read_text().split())
    except (OSError, ValueError):
        return None
    return tenths / 10 if tenths else None


def _written_a_day(device: Path, root: Path) -> float | None:
    try:
        sectors = int((device / "stat").read_text().split()[6])
        up_s = float((root / "proc/uptime").read_text().split()[0])
    except (OSError, ValueError, IndexError):
        return None
    return sectors * _SECTOR * _DAY_S / up_s if up_s >= _UPTIME_LEAST_S else None


def power_facts(root: Path = Path("/")) -> PowerFacts:
    """What a Raspberry Pi says of its supply: by the kernel (hwmon rpi_volt), or by vcgencmd where that is there."""
    for name in (root / "sys/class/hwmon").glob("hwmon*/name"):
        with suppress(OSError, ValueError):
            if name.read_text().strip() == "rpi_volt":
                return PowerFacts(is_low=bool(int((name.parent / "in0_lcrit_alarm").read_text())))
    program = shutil.which("vcgencmd")
    if program is None:
        return PowerFacts()
    with suppress(OSError, subprocess.SubprocessError):
        said = subprocess.run([program, "get_throttled"], capture_output=True, text=True, timeout=5, check=False).stdout
        found = re.search(r"0x([0-9a-fA-F]+)", said)
        if found is not None:
            bits = int(found[1], 16)
            return PowerFacts(bool(bits & _LOW_NOW), bool(bits & _LOW_SINCE_BOOT))
    return PowerFacts()
