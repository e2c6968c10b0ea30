"""Runs in the guest, as root: a USB sensor that is unplugged and plugged in again, and an agent that reads it.

What came of it the tests read.
"""

from __future__ import annotations

import os
import sys
import time
import tty
from functools import partial
from pathlib import Path

from tests.kernel.inside import Agent, load, wait

PORT = "usb:1d6b:0104:BENCH-0001"
LINES = 100
"""Said by each plugging in, numbered."""
PLUGS = 3
SOURCES = f"""
[[source]]
name = "all"
type = "serial"
port = "{PORT}"
first_line = "keep"
decoder = "csv"
stream = "all"
channels = {{ plug = "1", number = "1" }}
"""
GADGET = Path("/sys/kernel/config/usb_gadget/bench")


def make() -> None:
    (GADGET / "strings/0x409").mkdir(parents=True)
    (GADGET / "configs/c.1").mkdir()
    (GADGET / "functions/acm.usb0").mkdir()
    for name, text in (
        ("idVendor", "0x1d6b"),
        ("idProduct", "0x0104"),
        ("strings/0x409/serialnumber", "BENCH-0001"),
        ("strings/0x409/product", "bench sensor"),
        ("strings/0x409/manufacturer", "bench"),
    ):
        (GADGET / name).write_text(text)
    (GADGET / "configs/c.1/acm.usb0").symlink_to(GADGET / "functions/acm.usb0")


def plug(controller: str) -> None:
    """With a name of a controller; without one unplug."""
    (GADGET / "UDC").write_text(f"{controller}\n")


def say(device: int, text: str) -> None:
    """All of it: the port takes what its buffer has room for."""
    data = text.encode()
    while data:
        try:
            data = data[os.write(device, data) :]
        except BlockingIOError:
            time.sleep(0.01)


def main(out: Path) -> None:
    for module in ("dummy_hcd", "libcomposite", "usb_f_acm", "cdc-acm"):
        load(module)
    make()
    controller = next(path.name for path in Path("/sys/class/udc").iterdir())
    agent = Agent(out, SOURCES)
    agent.wait("its absence is told", lambda: agent.waits("all"))
    told = [agent.ask()["all"]["waiting_for"]]
    for number in range(PLUGS):
        plug(controller)
        agent.wait("the port is open", lambda: bool(agent.ask()) and not agent.waits("all"))
        device = os.open("/dev/ttyGS0", os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
        tty.setraw(device)
        for line in range(LINES):
            say(device, f"{number},{line}\n")
        agent.wait("its lines are read", partial(agent.heard, "all", LINES * (number + 1)))
        os.close(device)
        plug("")
        wait("the port is gone", lambda: not list(Path("/dev").glob("ttyACM*")))
        agent.wait("its absence is told", lambda: agent.waits("all"))
        told.append(agent.ask()["all"]["waiting_for"])
    agent.end({"told": told, "state": agent.ask()})


if __name__ == "__main__":
    main(Path(sys.argv[1]))
