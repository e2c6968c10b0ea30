"""The installed agent under a real systemd, booted in QEMU on Debian's kernel: ready, with its secret and the kernel's
word on the clock; the watchdog bites a stopped process; releases that do not get ready, or hear nothing, are taken
back, a good one is kept; removed, its spool stays. `proof.py` says what is tried."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

import sensorloom
from tests.deploy.system import System, make_bundle, make_image, reseal
from tests.deploy.test_install import EXPOSURE
from tests.kernel.machine import run_disk
from tests.kernel.marks import GUESTS
from tests.support.server import PROJECT

pytestmark = [
    *GUESTS,
    pytest.mark.skipif(os.geteuid() != 0 or os.uname().machine != "x86_64", reason="needs root, on amd64"),
]
HERE = Path(__file__).parent
BOOT_S = 10_000.0
NEXT = "0.1.1"
AGENT = """device = "pi"
log = "segments:/var/lib/sensorloom/log"
[spool]
dir = "/var/lib/sensorloom/spool"
[clock]
trust = "ntp"
[[source]]
name = "clock"
type = "exec"
command = [
  "/bin/sh", "-c", 'n=$(wc -c <$0); while :; do echo "1,$n"; sleep 0.2; done',
  "${SECRETS:-secrets/}word",
]
decoder = "csv"
stream = "tick"
channels = { x = "1", secret = "1" }
[[source]]
name = "imu"
type = "serial"
port = "/dev/serial/by-id/usb-nobody"
decoder = "csv"
stream = "acc"
channels = { x = "g" }
"""
UNIT = """[Unit]
After=sensorloom.service
[Service]
Type=oneshot
ExecStart=/usr/bin/python3 /root/proof.py
Environment=HOME=/root PATH=/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
StandardOutput=tty
TTYPath=/dev/ttyS0
TimeoutStartSec=infinity
[Install]
WantedBy=multi-user.target
"""
MUTE = ("edge/agent/service.py", "    manager.ready(service_line(overview()), commit_ns)\n", "")
"""It never says that it is ready."""
DEAF = ("edge/recording/recorder.py", "", "\n\nRecorder.take = lambda *found, **more: None\n")
"""What it decodes is no sample."""


def of_another_release(bundle: Path, folder: Path, version: str, *changes: tuple[str, str, str]) -> None:
    """A bundle of this version, which is made of sources that differ: in a file, one text in the place of another (of
    none: behind its end)."""
    shutil.copytree(bundle, folder)
    source = folder / "source"
    (old,) = (folder / "wheels").glob("sensorloom-*.whl")
    old.unlink()
    not_ours = shutil.ignore_patterns(".*", "__pycache__", "dist", "notebooks", "tests")
    shutil.copytree(PROJECT, source, symlinks=True, ignore=not_ours)
    is_now = f'"{sensorloom.__version__}"', f'"{version}"'
    for name, before, after in (("pyproject.toml", *is_now), ("sensorloom.py", *is_now), *changes):
        text = (source / name).read_text()
        assert before in text, name
        (source / name).write_text(text.replace(before, after, 1) if before else text + after)
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "wheel", "--quiet", "--no-deps"]
    subprocess.run([*pip, "--no-build-isolation", "--wheel-dir", str(folder / "wheels"), str(source)], check=True)
    shutil.rmtree(source)
    described = folder / "bundle"
    described.write_text(described.read_text().replace(f"version={sensorloom.__version__}", f"version={version}"))
    reseal(folder)


def installed(folder: Path) -> Path:
    """A disk with a system in which the agent is installed, and bundles of other releases lie."""
    system = System("bookworm", folder / "root")
    home = system.root / "root"
    own = make_bundle(home / "own")
    of_another_release(own, home / "mute", sensorloom.__version__, MUTE)
    of_another_release(own, home / "deaf", sensorloom.__version__, DEAF)
    of_another_release(own, home / "good", NEXT)
    # Made here, since a guest takes minutes for each: there they are there already. The first one is what runs.
    done = system.run("sh", "/root/own/install.sh")
    assert (done.returncode, done.stderr) == (0, ""), done
    own_files = (system.root / "opt/sensorloom/current").readlink()
    for bundle in ("mute", "deaf", "good"):
        done = system.run("sh", f"/root/{bundle}/install.sh", "--upgrade")
        assert (done.returncode, done.stderr) == (0, ""), done
    done = system.run("sh", "/root/own/install.sh", "--upgrade")
    assert (done.returncode, done.stderr) == (0, ""), done
    assert (system.root / "opt/sensorloom/current").readlink() == own_files
    (system.root / "opt/sensorloom/releases.jsonl").unlink()
    (system.root / "etc/sensorloom/agent.toml").write_text(AGENT)
    secret = system.root / "etc/sensorloom/secrets/word"
    secret.write_text("12345")
    secret.chmod(0o600)
    shutil.copy(HERE / "proof.py", home)
    (system.root / "etc/systemd/system/proof.service").write_text(UNIT)
    for words in (
        "chgrp sensorloom /etc/sensorloom/agent.toml",
        "systemctl enable proof.service",
        "systemctl mask serial-getty@ttyS0.service",  # the port is where findings are told
    ):
        done = system.run(*words.split())
        assert done.returncode == 0, done
    image = make_image(system.root, folder / "disk", "3G")
    shutil.rmtree(system.root)
    return image


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory, pytestconfig: pytest.Config) -> dict[str, Any]:
    """What each step told, by its name."""
    folder = tmp_path_factory.mktemp("booted")
    begun_s = time.monotonic()
    image = installed(folder)
    made_s = time.monotonic() - begun_s
    try:
        console = run_disk(image, HERE / "switch", folder, BOOT_S)
    finally:
        image.unlink()
    lines = [line.partition("PROOF ")[2] for line in console.splitlines() if "PROOF " in line]
    steps = [json.loads(line) for line in lines]
    with pytestconfig.pluginmanager.getplugin("capturemanager").global_and_fixture_disabled():
        print("", *_lines(steps, made_s, time.monotonic() - begun_s), sep="\n")
    print(*lines, sep="\n")
    assert steps, console[-4000:]
    assert steps[-1]["step"] == "removed", console[-4000:]
    return {step["step"]: step for step in steps}


def _lines(steps: Sequence[dict[str, Any]], made_s: float, whole_s: float) -> list[str]:
    """The steps and how long each took: in the guest by its own clock."""
    ends = [0.0, *(step["s"] for step in steps)]
    taken = [f"{step['s'] - before:8.1f} s  {step['step']}" for step, before in zip(steps, ends, strict=False)]
    return [f"{made_s:8.1f} s  a disk with four releases, made here", *taken, f"{whole_s:8.1f} s  all of it, here"]


def test_the_agent_is_ready_with_its_secret_as_its_user_though_a_sensor_is_not_there(found: dict[str, Any]) -> None:
    unit = found["ready"]["unit"]
    assert (unit["ActiveState"], unit["User"], unit["NRestarts"]) == ("active", "sensorloom", "0")
    assert unit["StatusText"].startswith("imu waits for /dev/serial/by-id/usb-nobody")
    tick, imu = found["heard"]["view"]["sources"]
    assert imu["waiting_for"]
    assert {one["channel"]: one["value"] for one in tick["values"]} == {"x": 1, "secret": 5}


def test_udev_takes_the_rules(found: dict[str, Any]) -> None:
    assert found["udev"]["said"] in ("", "-- No entries --")
    assert found["udev"]["port"] == "dialout 660"


def test_the_kernel_is_asked_whether_the_clock_is_synchronised(found: dict[str, Any]) -> None:
    assert found["heard"]["readings"] == 0  # they wait for the clock
    assert found["synchronised"]["clocks"][-1] == "ntp"


def test_systemd_finds_nothing_to_say_of_the_unit_where_it_runs(found: dict[str, Any]) -> None:
    assert (found["verify"]["code"], found["verify"]["err"]) == (0, "")
    exposure = re.search(r"Overall exposure level for sensorloom.service: ([0-9.]+)", found["security"]["out"])
    assert exposure is not None
    assert float(exposure[1]) <= EXPOSURE


def test_a_process_that_stands_still_is_begun_anew(found: dict[str, Any]) -> None:
    assert found["bitten"]["unit"]["NRestarts"] == "1"
    assert "Watchdog timeout" in found["bitten"]["journal"]


@pytest.mark.parametrize(
    ("bundle", "reason"),
    [("mute", "it is not ready within 90 s"), ("deaf", "clock: gives no sample, and did before")],
)
def test_a_release_that_is_not_well_is_taken_back(found: dict[str, Any], bundle: str, reason: str) -> None:
    tried, after = found[bundle], found[f"after {bundle}"]
    assert tried["code"] == 1
    assert tried["err"].endswith("runs again\n")
    assert reason in tried["err"]
    assert tried["version"] == f"sensorloom {sensorloom.__version__}"
    assert after["unit"]["ActiveState"] == "active"
    told = found["changes"]["changes"][("mute", "deaf").index(bundle)]
    assert (told["what"], told["outcome"], told["old"]) == ("release", "rolled_back", tried["current"])
    assert told["new"] != told["old"]
    assert told["reason"].startswith(reason)


def test_a_good_release_is_kept(found: dict[str, Any]) -> None:
    tried = found["good"]
    assert tried["code"] == 0
    assert tried["out"].endswith(", and well\n")
    assert tried["version"] == f"sensorloom {NEXT}"
    told = found["changes"]["changes"][2]
    assert (told["outcome"], told["old"], told["new"]) == ("taken", found["deaf"]["current"], tried["current"])
    assert found["after good"]["view"]["version"] == NEXT


def test_removed_it_leaves_its_spool_and_nothing_that_failed(found: dict[str, Any]) -> None:
    removed = found["removed"]
    assert (removed["code"], removed["err"]) == (0, "")
    assert removed["there"] == []
    assert removed["config"]
    assert removed["spool"] > 0
    assert removed["log"] > 0
    assert removed["unit"]["ActiveState"] == "inactive"
    assert "sensorloom" not in removed["failed"]
