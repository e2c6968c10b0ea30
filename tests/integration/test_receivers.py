"""25 recorded GPS receivers on pseudo-terminals, on bad lines, through the agent: the positions that gpsd found."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import numpy as np

from ingest.records import Chunk
from tests.edge.decoders.receivers import LOGS, around, near, positions, read
from tests.integration.site import PROJECT, wait_for
from tests.support.logs import read_log
from tests.support.pty import SerialPort

NOISE = b"\x00\xff noise 4807.038,N\r\n"
SOURCE = """
[[source]]
name = "{name}"
device = "{name}"
type = "serial"
port = "{name}"
decoder = "nmea"
clock = "arrival"
stream = "gps"
channels = {{ lat = "deg", lon = "deg" }}
dtype = "float64"
"""


def on_a_bad_line(data: bytes, added: Counter[str]) -> Iterator[bytes]:
    """The lines, and between them noise, and sentences one digit of which is another. The last line is whole."""
    yield b"\n"  # what comes before a port's first line feed is the rest of a line
    for number, line in enumerate(data.splitlines(keepends=True)):
        if number % 10 == 3:
            added["garbage"] += 1
            yield NOISE
        if number % 3 == 2 and line.startswith(b"$") and (digit := next((c for c in line[7:] if 48 <= c < 57), 0)):
            at = line.index(digit, 7)
            star = line.rfind(b"*")
            if at < star:
                added["checksum"] += 1
                yield line[:at] + bytes([digit + 1]) + line[at + 1 :]
        yield line


def test_positions_of_receivers_on_bad_serial_lines_are_those_that_gpsd_found(tmp_path: Path) -> None:
    names = {path.stem: path for path in LOGS}
    assert len(names) == 25
    config = f'device = "nobody"\nlog = "segments:{tmp_path}/log"\n[spool]\ndir = "spool"\n'
    (tmp_path / "agent.toml").write_text(config + "".join(SOURCE.format(name=name) for name in names))
    added: dict[str, Counter[str]] = {name: Counter() for name in names}
    with ExitStack() as stack:
        ports = {name: stack.enter_context(SerialPort(tmp_path / name)) for name in names}
        words = [sys.executable, "-m", "sensorloom", "agent", "run", "--json", "-c", str(tmp_path / "agent.toml")]
        agent = stack.enter_context(subprocess.Popen(words, cwd=PROJECT, stdout=subprocess.PIPE, text=True))
        stack.callback(agent.kill)
        wait_for(lambda: all(port.is_read for port in ports.values()), "the agent at every port")
        playing = [
            port.playing(on_a_bad_line(read(names[name]).removesuffix(b"\r\n") + b"\r\n", added[name]))
            for name, port in ports.items()
        ]
        for thread in playing:
            thread.join(120)
        wait_for(lambda: not any(port.unread for port in ports.values()), "the agent to read everything")
        agent.send_signal(signal.SIGTERM)
        figures = json.loads(agent.communicate(timeout=200)[0])
        assert agent.returncode == 0
    found: dict[str, set[tuple[float, float]]] = {name: set() for name in names}
    for record in read_log(f"segments:{tmp_path}/log"):
        if isinstance(record, Chunk):
            found[record.device] |= near(np.frombuffer(record.values, "<f8").reshape(-1, 2).tolist())
    for name, path in names.items():
        wanted = positions(path.with_suffix(".log.chk"))
        extra = found[name] - {*around(wanted)}
        missing = wanted - {*around(found[name])}
        # The end of a log cuts an epoch, of which gpsd waits for the rest; gpsd believes a sentence without a checksum.
        assert len(extra) <= 1, (name, extra)
        assert len(missing) == (1 if name == "mtk-3301" else 0), (name, missing)
        for reason, count in added[name].items():
            assert figures[f"{name}/gps.lost.{reason}"] >= count, (name, reason)
    assert sum(count["checksum"] for count in added.values()) > 1000
    assert sum(map(len, found.values())) > 250
