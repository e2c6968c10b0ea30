"""A device from nothing, as a script: Debian's smallest root, the offline bundle, an unknown accelerometer on a port,
installed, configured, labelled windows seen. Its steps and their seconds are printed."""

from __future__ import annotations

import itertools
import json
import os
import shutil
import signal
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

import pytest

import sensorloom
from simulators.terminal import Terminal
from tests.deploy.system import System, make_bundle, reseal
from tests.support.server import PROJECT

pytestmark = [
    pytest.mark.soak,
    pytest.mark.xdist_group("kernel"),
    pytest.mark.skipif(os.geteuid() != 0, reason="a root of its own is root's"),
]
T = TypeVar("T")
RATE_HZ = 50
SPEAKS_S = 20
CONFIG = "etc/sensorloom/agent.toml"
STATE = "var/lib/sensorloom"
DATASET = """name = "pi"
[window]
length = "1s"
hop = "1s"
rate = "50Hz"
channels = ["{stream}.x", "{stream}.y", "{stream}.z"]
min_coverage = 0.8
[labels]
policy = "majority"
min_share = 0.5
"""


class Steps:
    """What was done, and how long each took."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def __call__(self, name: str, do: Callable[[], T]) -> T:
        begin_s = time.monotonic()
        done = do()
        self.lines.append(f"{time.monotonic() - begin_s:8.1f} s  {name}")
        return done


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_bundle(tmp_path_factory.mktemp("made") / "bundle")


@pytest.fixture
def roots(tmp_path: Path) -> Iterator[Path]:
    """Where a root may be that is gone afterwards: pytest keeps what is in `tmp_path`, and a root is large."""
    yield tmp_path
    for path in tmp_path.glob("root*"):
        shutil.rmtree(path)


def speak(port: Terminal, stop: threading.Event) -> None:
    """As a sketch does that nobody has a manual of."""
    for number in itertools.count():
        if stop.wait(1 / RATE_HZ):
            return
        port.write(f"{(number % 40) / 40 - 0.5:.3f},{(number % 7) / 100:.3f},0.98\r\n".encode(), 60.0)


@pytest.mark.parametrize("suite", ["bookworm", "trixie"])
def test_a_device_from_nothing(suite: str, bundle: Path, roots: Path, capsys: pytest.CaptureFixture[str]) -> None:
    steps = Steps()
    system = steps(f"Debian {suite}, unpacked", lambda: System(suite, roots / "root"))
    steps("the bundle, copied", lambda: shutil.copytree(bundle, system.root / "root/bundle"))
    installed = steps("install.sh", lambda: system.run("sh", "/root/bundle/install.sh"))
    assert (installed.returncode, installed.stderr) == (0, ""), installed
    assert "systemd does not run here" in installed.stdout
    before = system.state("etc", "opt", "usr/local", STATE)
    again = steps("install.sh, again", lambda: system.run("sh", "/root/bundle/install.sh"))
    assert (again.returncode, again.stderr) == (0, "")
    assert again.stdout.endswith("is installed; nothing to change\n")
    assert system.state("etc", "opt", "usr/local", STATE) == before

    stop = threading.Event()
    with Terminal(system.root / "dev/ttyUSB0") as port:
        udev(system)
        speaking = threading.Thread(target=speak, args=(port, stop), daemon=True)
        speaking.start()
        try:
            words = ["sensorloom", "agent", "init", "/dev/ttyUSB0", "--yes", "--device", "pi", "--unit", "g"]
            found = steps("agent init", lambda: system.run(*words, "--channels", "x,y,z"))
            assert found.returncode == 0, found
            assert found.stdout.endswith("next: sudo systemctl restart sensorloom\n")
            assert stat.S_IMODE((system.root / CONFIG).stat().st_mode) == 0o640
            began_s, ended_s = steps(f"agent run, for {SPEAKS_S} s", lambda: run_agent(system))
        finally:
            stop.set()
            speaking.join()
    windows = steps("marks, windows", lambda: labelled(system, began_s, ended_s, roots))
    assert windows >= SPEAKS_S // 2
    with capsys.disabled():
        print("", *steps.lines, f"{windows} labelled windows", sep="\n")

    removed = system.run("sh", "/opt/sensorloom/current/deploy/install.sh", "--uninstall")
    assert (removed.returncode, removed.stderr) == (0, ""), removed
    assert not (system.root / "opt/sensorloom").exists()
    assert (system.root / CONFIG).exists()
    assert (system.root / STATE / "spool/readings").exists()


def udev(system: System) -> None:
    """What the rules do where a udev runs."""
    group = system.run("getent", "group", "dialout").stdout.split(":")[2]
    link = system.root / "dev/ttyUSB0"
    os.chown(link.readlink(), 0, int(group))
    link.readlink().chmod(0o660)


def run_agent(system: System) -> tuple[float, float]:
    """As the unit does, as its user; when, in seconds since 1970."""
    number, group = (system.run("id", option, "sensorloom").stdout.strip() for option in ("-u", "-g"))
    words = ["/opt/sensorloom/current/bin/sensorloom", "agent", "run", "-c", f"/{CONFIG}"]
    command = system.command(words, user=f"{number}:{group}", groups=system.groups_of("sensorloom"))
    began_s = time.time()
    agent = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    time.sleep(SPEAKS_S)  # so long somebody walks
    agent.send_signal(signal.SIGTERM)
    said, _ = agent.communicate(timeout=200)
    assert agent.returncode == 0, said
    return began_s, time.time()


def labelled(system: System, began_s: float, ended_s: float, folder: Path) -> int:
    """How many labelled windows are made of what the device recorded, here: the device has no server's packages."""
    marks, spec, out = folder / "marks.csv", folder / "dataset.toml", folder / "out"
    marks.write_text(f"device,start,end,label\npi,{int(began_s * 1e9)},{int(ended_s * 1e9)},walk\n")
    stream = next(line for line in (system.root / CONFIG).read_text().splitlines() if line.startswith("stream"))
    spec.write_text(DATASET.format(stream=stream.split('"')[1]))
    log = f"segments:{system.root / STATE / 'log'}"
    for words in (
        ["import", "marks", str(marks), "--log", log],
        ["window", "run", "-c", str(spec), "--log", log, "--out", str(out), "--until-idle"],
    ):
        subprocess.run([sys.executable, "-m", "sensorloom", *words], cwd=PROJECT, check=True, timeout=300)
    dataset = sensorloom.open(out)
    assert dataset.classes == ("walk",) or list(dataset.classes) == ["walk"]
    return int((dataset.arrays().y == 0).sum())


def test_a_full_disk_and_a_used_one(bundle: Path, roots: Path) -> None:
    system = System("bookworm", roots / "root")
    shutil.copytree(bundle, system.root / "root/bundle")
    (system.root / "opt").mkdir(exist_ok=True)
    small = "mount -t tmpfs -o size=20m none /opt && sh /root/bundle/install.sh"
    before = system.state("opt")
    done = system.run("sh", "-c", small)
    assert done.returncode == 2
    assert "MB free, and a release needs up to" in done.stderr
    assert system.state("opt") == before
    # Somebody fills it meanwhile: what was begun is taken away again.
    script = system.root / "root/bundle/install.sh"
    script.write_text(script.read_text().replace("\ncheck_room() {", "\ncheck_room() {\n    return 0"))
    reseal(system.root / "root/bundle")
    done = system.run("sh", "-c", f"{small}; code=$?; ls /opt/sensorloom; exit $code")
    assert done.returncode == 1
    assert "could not be installed, see above" in done.stderr
    assert "No space left on device" in done.stderr
    assert not [line for line in done.stdout.splitlines() if line.startswith("0.")]


def test_an_upgrade_that_was_cut_off_goes_on_where_it_was(bundle: Path, roots: Path) -> None:
    system = System("bookworm", roots / "root")
    shutil.copytree(bundle, system.root / "root/old")
    assert system.run("sh", "/root/old/install.sh").returncode == 0
    old = (system.root / "opt/sensorloom/current").readlink()
    shutil.copytree(bundle, system.root / "root/new")
    (system.root / "root/new/README.md").write_text("another release\n")
    reseal(system.root / "root/new")
    refused = system.run("sh", "/root/new/install.sh")
    assert refused.returncode == 2
    assert "--upgrade puts " in refused.stderr
    # The power goes right behind the switch.
    cut = "cd /root/new && sed 's/^    put_files \"$release\"$/&; kill -9 $$/' install.sh >cut.sh"
    assert system.run("sh", "-c", f"{cut} && sh ./cut.sh --upgrade").returncode != 0
    new = (system.root / "opt/sensorloom/current").readlink()
    assert new != old
    done = system.run("sh", "/root/new/install.sh", "--upgrade")
    assert done.returncode == 0, done
    assert f"the upgrade from {old} was cut off; going on with it" in done.stdout
    lines = [json.loads(line) for line in (system.root / "opt/sensorloom/releases.jsonl").read_text().splitlines()]
    assert [(line["old"], line["new"], line["outcome"]) for line in lines] == [(str(old), str(new), "taken")]
    assert "nothing to change" in system.run("sh", "/root/new/install.sh", "--upgrade").stdout
