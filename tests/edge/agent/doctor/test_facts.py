"""Facts of a machine: of files as a Raspberry Pi has them, and of this one."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from edge.agent.doctor.facts import clock_facts, disk_facts, power_facts
from edge.agent.doctor.remedies import PowerFacts
from edge.config import AgentConfig, load_config


def put(root: Path, **files: str) -> None:
    for name, text in files.items():
        path = root / name.replace("__", "/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def configure(folder: Path) -> AgentConfig:
    (folder / "agent.toml").write_text(
        'log = "segments:log"\n[spool]\ndir = "spool"\nmax_bytes = "1GB"\n[[source]]\nname = "s"\ntype = "serial"\n'
        'port = "p"\ndecoder = "csv"\nstream = "s"\nchannels = { x = "g" }\n'
    )
    return load_config(folder / "agent.toml")


def test_who_sets_the_clock_and_whether_it_goes_on_without_power(tmp_path: Path) -> None:
    put(tmp_path, proc__1__comm="systemd\n", proc__77__comm="systemd-timesyn\n", proc__self__comm="chronyd\n")
    found = clock_facts("ntp", tmp_path)
    assert (found.daemon, found.has_rtc, found.trust, found.is_plausible) == ("systemd-timesyncd", False, "ntp", True)
    put(tmp_path, proc__78__comm="chronyd\n", sys__class__rtc__rtc0__name="rtc-ds1307\n")
    found = clock_facts("system", tmp_path)
    assert (found.daemon, found.has_rtc) == ("chronyd", True)
    clock_facts("system")  # of this machine: whatever it is, it is found without an error


def test_a_card_says_how_worn_it_is(tmp_path: Path) -> None:
    config, root = configure(tmp_path), tmp_path / "root"
    number = tmp_path.stat().st_dev
    disk, part = root / "sys/block/mmcblk0", root / "sys/block/mmcblk0/mmcblk0p2"
    put(root, sys__block__mmcblk0__device__life_time="0x02 0x0a\n", proc__uptime="86400.0 1.0\n")
    put(
        root,
        sys__block__mmcblk0__stat="1 2 3 4 5 6 2000000 8 9 10 11\n",
        sys__block__mmcblk0__mmcblk0p2__partition="2\n",
    )
    links = root / "sys/dev/block"
    links.mkdir(parents=True)
    (links / f"{os.major(number)}:{os.minor(number)}").symlink_to(part)
    found = disk_facts(config, root)
    assert (found.device, found.worn, found.written_a_day) == (disk.name, 1.0, 2_000_000 * 512)
    put(root, proc__uptime="60.0 1.0\n", sys__block__mmcblk0__device__life_time="0x00 0x00\n")
    found = disk_facts(config, root)
    assert (found.worn, found.written_a_day) == (None, None)


def test_the_spools_room_is_this_disks(tmp_path: Path) -> None:
    config = configure(tmp_path)
    found = disk_facts(config)
    assert (found.used_bytes, found.max_bytes, found.is_read_only) == (0, 1_000_000_000, False)
    assert found.free_bytes > 0
    config.spool_dir.mkdir()
    (config.spool_dir / "a").write_bytes(bytes(1000))
    assert disk_facts(config).used_bytes == 1000


def test_a_pi_says_that_its_supply_is_low(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(tmp_path, sys__class__hwmon__hwmon0__name="cpu_thermal\n", sys__class__hwmon__hwmon1__name="rpi_volt\n")
    put(tmp_path, sys__class__hwmon__hwmon1__in0_lcrit_alarm="1\n")
    assert power_facts(tmp_path) == PowerFacts(is_low=True)
    program = tmp_path / "bin/vcgencmd"
    program.parent.mkdir()
    program.write_text("#!/bin/sh\necho throttled=0x50000\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
    assert power_facts(tmp_path / "other") == PowerFacts(is_low=False, was_low=True)
    program.write_text("#!/bin/sh\necho what?\n")
    assert power_facts(tmp_path / "other") == PowerFacts()
