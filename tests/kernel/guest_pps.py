"""Runs in the guest, as root: a timer's pulses in /dev/pps0, a driver that goes and comes back, and an agent.

The kernel's own timer is no receiver: its pulses come a little more than a second apart, by as much as the kernel's
tick makes it. What came of it the tests read.
"""

from __future__ import annotations

import fcntl
import os
import struct
import sys
from pathlib import Path

from tests.kernel.inside import Agent, load, unload

SOURCES = """
[clock]
pps = "/dev/pps0"
[[source]]
name = "lines"
type = "exec"
command = ["/bin/sh", "-c", "while :; do echo 1; sleep 0.2; done"]
decoder = "csv"
stream = "lines"
channels = { x = "1" }
"""
_FETCH = 0xC00870A4
"""PPS_FETCH of linux/pps.h: `_IOWR('p', 0xa4, struct pps_fdata *)`."""
_DATA = struct.Struct("=IIqiIqiIi4xqiI")
"""`struct pps_fdata`: two sequences, two times, the mode, and how long to wait."""


def fetched() -> tuple[int, int]:
    """Number and time (ns) of the newest pulse, asked as RFC 2783 has it."""
    device = os.open("/dev/pps0", os.O_RDWR)
    try:
        data = bytearray(_DATA.size)
        fcntl.ioctl(device, _FETCH, data)
        found = _DATA.unpack(data)
        return found[0], found[2] * 10**9 + found[3]
    finally:
        os.close(device)


def pulses(agent: Agent) -> float:
    """So many it has counted."""
    return float(agent.overview().get("figures", {}).get("pps.pulses", 0))


def main(out: Path) -> None:
    load("pps-ktimer")
    agent = Agent(out, SOURCES)
    agent.wait("pulses are counted", lambda: pulses(agent) >= 4)
    agent.wait("it is told", lambda: "no pulse a second" in agent.said() or "nothing says which" in agent.said())
    file = Path("/sys/class/pps/pps0/assert")
    both = [(file.read_text(), fetched(), file.read_text()) for _ in range(20)]
    unload("pps-ktimer")
    agent.wait("the loss is told", lambda: "is not there" in agent.said())
    load("pps-ktimer")
    before = pulses(agent)
    agent.wait("pulses are counted again", lambda: pulses(agent) >= before + 2)
    agent.wait("lines are read", lambda: agent.heard("lines", 3))
    agent.end({"both": both, "figures": agent.overview()["figures"], "said": agent.said()})
    unload("pps-ktimer")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
