from __future__ import annotations

import os
from pathlib import Path

import pytest

from simulators.terminal import Terminal


def test_bytes_reach_the_port_as_they_are(tmp_path: Path) -> None:
    with Terminal(tmp_path / "port") as terminal:
        assert not terminal.is_read
        port = os.open(terminal.path, os.O_RDWR | os.O_NOCTTY)
        assert terminal.is_read
        assert terminal.unread == 0
        every_byte = bytes(range(256))
        terminal.write(every_byte)
        while terminal.unread < 256:  # the kernel carries it over in its own time
            pass
        assert os.read(port, 1000) == every_byte
        assert terminal.unread == 0
        os.close(port)
        assert not terminal.is_read


def test_who_writes_waits_for_the_reader_but_not_for_ever(tmp_path: Path) -> None:
    with Terminal(tmp_path / "port") as terminal:
        port = os.open(terminal.path, os.O_RDWR | os.O_NOCTTY)
        with pytest.raises(TimeoutError, match=r"port: nobody read for 0.05 s; \d+ bytes are left"):
            terminal.write(bytes(1_000_000), timeout_s=0.05)
        assert terminal.offer(b"more") == 0
        os.close(port)


def test_unplugging_ends_what_reads_and_takes_the_path_away(tmp_path: Path) -> None:
    terminal = Terminal(tmp_path / "port")
    port = os.open(terminal.path, os.O_RDWR | os.O_NOCTTY)
    terminal.unplug()
    terminal.unplug()
    assert os.read(port, 10) == b""
    os.close(port)
    assert not terminal.path.is_symlink()
    with pytest.raises(BrokenPipeError):
        terminal.write(b"x")
    terminal.plug()
    terminal.plug()
    port = os.open(terminal.path, os.O_RDWR | os.O_NOCTTY)
    terminal.write(b"again")
    assert os.read(port, 10) == b"again"
    os.close(port)
    terminal.unplug()


def test_a_link_that_was_left_behind_is_replaced_and_a_file_is_not(tmp_path: Path) -> None:
    path = tmp_path / "port"
    path.symlink_to("/dev/pts/no-longer-there")
    with Terminal(path) as terminal:
        port = os.open(terminal.path, os.O_RDWR | os.O_NOCTTY)
        assert os.ttyname(port) == str(path.readlink())
        os.close(port)
    path.write_text("somebody's notes")
    with pytest.raises(FileExistsError, match="exists and is no link"):
        Terminal(path)
    assert path.read_text() == "somebody's notes"
