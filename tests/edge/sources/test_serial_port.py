"""A port as the system has it: its names, who has it open, why it cannot be opened, what is listed of it."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import termios
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from edge.sources.serial.listing import described, list_ports
from edge.sources.serial.port import (
    OTHERS_NS,
    RATES,
    Line,
    check_baud,
    group_of,
    identity,
    who_has,
    who_reads,
    why_closed,
    why_lost,
)
from ingest.errors import UsageError
from tests.support.pty import SerialPort

HOLDING = "import os, sys; os.open(sys.argv[1], os.O_RDWR | os.O_NOCTTY); print(flush=True); sys.stdin.read()"
LOCKING = HOLDING.replace("import os", "import fcntl, os").replace("; print", "; fcntl.flock(3, fcntl.LOCK_EX); print")


@contextmanager
def other(path: Path, code: str = HOLDING) -> Iterator[int]:
    """Another program that has a port open; its process."""
    with subprocess.Popen([sys.executable, "-c", code, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as it:
        assert it.stdout is not None
        assert it.stdout.readline() == b"\n"
        yield it.pid


def error_of(line: Line) -> str:
    try:
        with line.open():
            pass
    except Exception as error:
        return why_closed(line, error)
    return ""


def test_names_of_one_port_have_one_identity(tmp_path: Path) -> None:
    with SerialPort(tmp_path / "tty") as port, SerialPort(tmp_path / "another") as second:
        (tmp_path / "by-id").symlink_to("tty")
        real = os.path.realpath(port.path)
        assert identity(str(tmp_path / "by-id")) == identity(str(port.path)) == identity(real)
        assert identity(str(second.path)) != identity(real)
    (tmp_path / "nowhere").symlink_to("away")  # plugged out now
    assert identity(str(tmp_path / "nowhere")) == identity(str(tmp_path / "away"))


def test_who_else_has_it_open_is_named(tmp_path: Path) -> None:
    with SerialPort(tmp_path / "tty") as port:
        assert who_has(str(port.path)) == []
        with other(port.path) as process:
            assert who_has(str(port.path)) == [
                f"{Path(f'/proc/{process}/comm').read_text().strip()} (process {process})"
            ]


def test_who_made_a_pseudo_terminal_is_not_suspected_of_reading_it() -> None:
    code = "import os, sys; print(os.ttyname(os.openpty()[1]), flush=True); sys.stdin.read()"
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as maker:
        assert maker.stdout is not None
        port = maker.stdout.readline().strip()
        assert len(who_has(port)) == 1
        assert who_reads(port, 0) == []
        with other(Path(port)) as process:
            assert who_reads(port, OTHERS_NS)[0].endswith(f"(process {process})")


def test_why_a_port_cannot_be_opened_is_said_with_what_to_do(tmp_path: Path) -> None:
    assert error_of(Line(str(tmp_path / "away"))) == "no such port; is it plugged in?"
    (tmp_path / "file").write_text("")
    assert error_of(Line(str(tmp_path / "file"))).startswith("is no serial port; sensorloom agent ports lists")
    assert error_of(Line(str(tmp_path))).startswith("is no serial port")
    with SerialPort(tmp_path / "tty") as port:
        assert error_of(Line(str(port.path))) == ""
        with other(port.path, LOCKING) as process:
            said = error_of(Line(str(port.path)))
            assert said.startswith("another program has it open: ")
            assert said.endswith(f"(process {process})")


def test_a_port_of_a_group_that_this_user_is_not_in_names_the_group(tmp_path: Path) -> None:
    with SerialPort(tmp_path / "tty") as port:
        real = os.path.realpath(port.path)
        if os.geteuid() == 0:
            os.chown(real, 0, 20)
        Path(real).chmod(0o060)
        code = (
            "import os, sys\n"
            "from edge.sources.serial.port import Line, why_closed\n"
            "if os.geteuid() == 0: os.setgroups([]); os.setgid(65534); os.setuid(65534)\n"
            "line = Line(sys.argv[1])\n"
            "try: line.open()\n"
            "except OSError as error: print(why_closed(line, error))\n"
        )
        script = tmp_path / "script.py"
        script.write_text(code)

        def said() -> str:
            return subprocess.run(
                [sys.executable, str(script), real], capture_output=True, text=True, check=True
            ).stdout

        group = group_of(real)
        assert said() == f"not permitted; join the group {group} (sudo usermod -aG {group} $USER) and log in again\n"
        Path(real).chmod(0o000)
        assert said() == f"not permitted; its mode is --------- {group}: a udev rule can give it to a group\n"


def test_errors_that_the_library_hides_are_found() -> None:
    line = Line("/dev/ttyS9", 31_250)
    assert why_closed(line, termios.error(errno.EIO, "Input/output error")).startswith("does not answer as a serial")
    hidden = OSError("Could not configure port")
    hidden.__context__ = termios.error(errno.EIO, "Input/output error")
    assert why_closed(line, hidden).startswith("does not answer as a serial port")
    assert (
        why_closed(line, termios.error(errno.EINVAL, ""))
        == 'its driver does not take baud = 31250 with framing = "8N1"'
    )
    assert why_lost(OSError(errno.EIO, "")) == why_lost(OSError()) == "vanished; waiting for it to come back"
    assert why_lost(KeyError("x")) == "KeyError: 'x'"


def test_real_baud_rates_are_taken_and_others_named() -> None:
    for rate in (300, 1200, 9600, 31_250, 57_600, 74_880, 115_200, 250_000, 500_000, 921_600, 1_000_000, 4_000_000):
        check_baud(rate, "x", any_rate=False)
    assert list(RATES) == sorted(set(RATES))
    check_baud(11_500, "x", any_rate=True)
    for rate in (0, -9600, 13_000_000):
        with pytest.raises(UsageError, match="is no usual rate; the nearest are? "):
            check_baud(rate, "x", any_rate=False)


def test_ports_are_listed_with_what_a_person_needs(tmp_path: Path) -> None:
    (tmp_path / "by-id").mkdir()
    with SerialPort(tmp_path / "tty") as port, other(port.path) as process:
        real = os.path.realpath(port.path)
        (tmp_path / "by-id" / "usb-FTDI_FT232R-if00-port0").symlink_to(real)
        sources = {str(port.path): "imu", str(tmp_path / "away"): "gps"}
        found = {entry.source: entry for entry in list_ports(sources, str(tmp_path / "by-id")) if entry.source}
        assert found["imu"].port == str(port.path)
        assert found["imu"].by_id == str(tmp_path / "by-id" / "usb-FTDI_FT232R-if00-port0")
        assert (found["imu"].description, found["imu"].readable) == ("pseudo-terminal", True)
        assert found["imu"].open_by[0].endswith(f"(process {process})")
        assert found["gps"].problem == "no such port; is it plugged in?"
        text = "\n".join(described(found.values()))
        assert f"access          readable (group {group_of(real)})" in text
        assert "access          no such port; is it plugged in?" in text
        assert "source          imu" in text
