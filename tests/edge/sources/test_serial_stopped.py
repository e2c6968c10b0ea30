"""A process that is stopped while its sensor goes on: what waited in the kernel is not taken for fresh."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.support.pty import SerialPort

READING = """
import asyncio, json, sys
from edge.protocol import Arrival
from edge.sources.serial.port import Line
from edge.sources.serial.source import SerialSource

async def main():
    source = SerialSource(Line(sys.argv[1]))
    await source.open()
    print("open", flush=True)
    async for item in source.arrivals():
        if not isinstance(item, Arrival):
            print(json.dumps([item.reason, item.since_ns, item.goes_on, []]), flush=True)
            continue
        reads = [(read.end, read.monotonic_ns) for read in item.reads]
        print(json.dumps([item.data.decode(), item.monotonic_ns, item.waited_ns, reads]), flush=True)

asyncio.run(main())
"""
TIMEOUT_S = 60.0


def boottime_ns() -> int:
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME)


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + TIMEOUT_S
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_what_waited_while_it_was_stopped_says_how_long(tmp_path: Path) -> None:
    with SerialPort(tmp_path / "tty") as port:
        command = [sys.executable, "-c", READING, str(port.path)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as reading:
            try:
                assert reading.stdout is not None
                assert reading.stdout.readline() == "open\n"
                port.write(b"x\nbefore\n")
                found: list[Any] = [json.loads(reading.stdout.readline())]
                stopped_ns = boottime_ns()
                reading.send_signal(signal.SIGSTOP)
                until(lambda: " T " in Path(f"/proc/{reading.pid}/stat").read_text())
                for number in range(1000):
                    port.write(b"waits %d\n" % number)
                time.sleep(2.5)  # longer than what is a stall
                resumed_ns = boottime_ns()
                reading.send_signal(signal.SIGCONT)
                until(lambda: port.unread == 0)
                for number in range(10):  # the first of them may still be taken for what waited
                    time.sleep(0.2)
                    port.write(b"fresh %d\n" % number)
                while not found[-1][0].endswith("fresh 9\n"):
                    found.append(json.loads(reading.stdout.readline()))
            finally:
                reading.send_signal(signal.SIGCONT)
                reading.kill()
    lost = [
        item for item in found if item[0] == "stalled"
    ]  # its buffer was full: nobody knows how much it did not keep
    assert [item[2] for item in lost] == [True]
    assert found[0][1] <= lost[0][1] <= stopped_ns + 1_000_000_000
    found.remove(lost[0])
    said = ["before"] + [f"waits {number}" for number in range(1000)] + [f"fresh {number}" for number in range(10)]
    assert "".join(item[0] for item in found).splitlines() == said
    waited = [item for item in found if "waits" in item[0]]
    assert not any("before" in item[0] for item in waited)
    for _, at_ns, waited_ns, reads in waited:
        assert at_ns >= resumed_ns
        assert 0 < at_ns - waited_ns <= stopped_ns + 1_000_000_000  # the last look before it was stopped
        assert all(resumed_ns <= read_ns <= at_ns for _, read_ns in reads)
    _, at_ns, waited_ns, _ = found[-1]
    assert at_ns - waited_ns > resumed_ns
