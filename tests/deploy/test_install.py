"""deploy/: its scripts and its unit, as far as they can be tried without installing anything. What refuses does so
before it writes; the whole way, into a system of its own, is in `test_from_nothing.py`."""

from __future__ import annotations

import os
import re
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.deploy.system import reseal
from tests.support.server import PROJECT

DEPLOY = PROJECT / "deploy"
UNIT = DEPLOY / "device/sensorloom.service"
EXPOSURE = 3.0


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    """As far as it is looked at before anything is written."""
    folder = tmp_path / "bundle"
    (folder / "wheels").mkdir(parents=True)
    (folder / "wheels/sensorloom-9-py3-none-any.whl").write_bytes(b"a wheel")
    (folder / "bundle").write_text(f"version=9\narch={architecture()}\npythons=0.1\n")
    (folder / "install.sh").write_bytes((DEPLOY / "install.sh").read_bytes())
    reseal(folder)
    return folder


def architecture() -> str:
    return {"x86_64": "amd64", "aarch64": "arm64"}[os.uname().machine]


def refused(folder: Path, *words: str, before: Sequence[str] = (), path: Path | None = None) -> str:
    """What the installer says while it refuses, with exit code 2. `path`: a folder of commands that come first."""
    script = folder / "install.sh"
    if path is not None:  # the script trusts no PATH that it is given
        script.write_text(script.read_text().replace("\nPATH=", f"\nPATH={path}:", 1))
        reseal(folder)
    done = subprocess.run(
        [*before, "sh", str(script), *words], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=200
    )
    assert (done.returncode, done.stdout) == (2, ""), done
    return done.stderr.removeprefix("install: ").rstrip("\n")


def commands(folder: Path, **said: str) -> Path:
    """Commands of these names, each of which says a line."""
    folder.mkdir()
    for name, text in said.items():
        command = folder / name
        command.write_text(f'#!/bin/sh\necho "{text}"\n')
        command.chmod(0o755)
    return folder


def test_who_is_not_root_is_told_the_command(bundle: Path) -> None:
    user = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
    for folder in (bundle, *bundle.parents):
        if folder.stat().st_uid == os.geteuid() and folder.is_relative_to(tempfile.gettempdir()):
            folder.chmod(folder.stat().st_mode | 0o555)
    said = refused(bundle, "--upgrade", before=user if os.geteuid() == 0 else [])
    assert said == f"this has to be done as root: sudo sh {bundle}/install.sh --upgrade"


def test_an_unknown_word_is_told_those_that_are_known(bundle: Path) -> None:
    assert refused(bundle, "--update") == 'unknown word "--update"; known: --upgrade, --uninstall'


@pytest.mark.skipif(os.geteuid() != 0, reason="the installer asks for root first")
class TestOfRoot:
    def test_a_damaged_file_is_named(self, bundle: Path) -> None:
        wheel = bundle / "wheels/sensorloom-9-py3-none-any.whl"
        wheel.write_bytes(b"a whee1")
        said = refused(bundle)
        assert said == f"{bundle}: the bundle is damaged: wheels/{wheel.name}: FAILED; copy it anew"
        wheel.unlink()
        assert f"wheels/{wheel.name}: FAILED open or read" in refused(bundle)

    def test_a_file_that_is_not_of_the_bundle_is_not_installed(self, bundle: Path) -> None:
        (bundle / "wheels/numpy-99-py3-none-any.whl").write_bytes(b"?")
        assert "numpy-99-py3-none-any.whl: is not of this bundle" in refused(bundle)

    def test_half_of_a_bundle_is_none(self, bundle: Path) -> None:
        (bundle / "SHA256SUMS").unlink()
        assert "neither an unpacked bundle (no SHA256SUMS) nor a checkout" in refused(bundle)

    def test_another_architecture_and_another_python_are_named(self, bundle: Path, tmp_path: Path) -> None:
        assert "this bundle is for Python 0.1 (Debian 12 and 13)" in refused(bundle)
        other = commands(tmp_path / "other", dpkg="amd64" if architecture() == "arm64" else "arm64")
        assert f"this is the bundle for {architecture()}, and this machine is" in refused(bundle, path=other)

    @pytest.mark.parametrize(
        ("said", "words"),
        [("armhf", "this is a 32-bit system (armhf)"), ("riscv64", "this is riscv64; there are bundles for amd64")],
    )
    def test_a_system_that_nothing_is_built_for_is_told(
        self, bundle: Path, tmp_path: Path, said: str, words: str
    ) -> None:
        """Also where a 64-bit kernel runs it."""
        assert refused(bundle, path=commands(tmp_path / "said", dpkg=said)).startswith(words)


def test_the_scripts_pass_shellcheck() -> None:
    done = subprocess.run(
        ["shellcheck", *map(str, sorted(DEPLOY.glob("*.sh")))], capture_output=True, text=True, timeout=200
    )
    assert (done.returncode, done.stdout) == (0, "")


def test_the_unit_says_nothing_that_systemd_does_not_know(tmp_path: Path) -> None:
    program = tmp_path / "sensorloom"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    unit = tmp_path / UNIT.name
    unit.write_text(re.sub(r"(?m)^ExecStart=\S+", f"ExecStart={program}", UNIT.read_text()))
    done = subprocess.run(
        ["systemd-analyze", "--man=no", "verify", str(unit)], capture_output=True, text=True, timeout=200
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_the_unit_is_shut_off_from_what_an_agent_does_not_need() -> None:
    command = ["systemd-analyze", "--no-pager", "security", "--offline=true", f"--threshold={EXPOSURE * 10:.0f}"]
    done = subprocess.run([*command, str(UNIT)], capture_output=True, text=True, timeout=200)
    assert done.returncode == 0, done.stdout + done.stderr
    found = re.search(r"Overall exposure level for sensorloom.service: ([0-9.]+)", done.stdout)
    assert found is not None
    assert float(found[1]) <= EXPOSURE


def test_the_unit_lets_the_agent_ask_how_the_clock_is() -> None:
    """adjtimex(2), which glibc asks as clock_adjtime(2), is among the privileged calls."""
    lines = UNIT.read_text().splitlines()
    assert "ProtectClock=yes" not in lines
    allowed = set[str]()
    for line in lines:
        if line.startswith("SystemCallFilter="):
            words = line.removeprefix("SystemCallFilter=")
            named = {call for word in words.removeprefix("~").split() for call in calls(word)}
            allowed = allowed - named if words.startswith("~") else allowed | named
    assert {"adjtimex", "clock_adjtime"} <= allowed
    assert not {"settimeofday", "clock_settime"} & allowed


def calls(name: str) -> set[str]:
    """The system calls of a set, and of those in it; a call is one."""
    if not name.startswith("@"):
        return {name}
    words = ["systemd-analyze", "--no-pager", "syscall-filter", name]
    lines = subprocess.run(words, capture_output=True, text=True, timeout=200, check=True).stdout.splitlines()[1:]
    return {call for line in lines if not line.strip().startswith("#") for call in calls(line.strip())}
