"""What is tried in the guest, by a unit of its own, as root, with Debian's python3 and its standard library.

Each finding is a line `PROOF {…}` on the console; `s` is when, in the guest's seconds since it was booted. /root/mute,
/root/deaf and /root/good are bundles of other releases.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

T = TypeVar("T")
STATE = "/var/lib/sensorloom"
LOG = f"segments:{STATE}/log"
UNIT = "/etc/systemd/system/sensorloom.service"
PORT = "/dev/ttyS0"
PATIENCE_S = 600.0
HEALTH_S = "90"
ENOUGH = 10
"""Samples that are heard before something is tried on who takes them."""
SHOWN = ("ActiveState", "StatusText", "MainPID", "NRestarts", "Result", "User")
_STATUS, _MAX_ERROR = 0x10, 0x04
"""adjtimex(2): what is to be set."""


def told(step: str, **found: Any) -> None:
    print("PROOF " + json.dumps({"step": step, "s": round(time.monotonic(), 1), **found}), flush=True)


def ran(*words: str, **environment: str) -> dict[str, Any]:
    done = subprocess.run(words, env={**os.environ, **environment}, capture_output=True, text=True)
    return {"code": done.returncode, "out": done.stdout, "err": done.stderr}


def said(*words: str) -> str:
    return str(ran(*words)["out"]).strip()


def shown() -> dict[str, str]:
    """What systemd says of the agent."""
    lines = said("systemctl", "show", "sensorloom", *(f"--property={name}" for name in SHOWN)).splitlines()
    return dict(line.split("=", 1) for line in lines)


def view() -> Any:
    """What the agent says of itself; nothing while it does not answer. A command for it takes seconds to begin here."""
    received = b""
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as link:
        link.settimeout(PATIENCE_S)
        link.connect(f"{STATE}/spool/agent.sock")
        while data := link.recv(65_536):
            received += data
    return json.loads(received) if received else None


def until(what: str, look: Callable[[], T]) -> T:
    deadline = time.monotonic() + PATIENCE_S
    while not (found := look()):
        if time.monotonic() > deadline:
            told(f"gave up: {what}", unit=shown(), view=view(), journal=said("journalctl", "-n", "40", "-o", "cat"))
            sys.exit(1)
        time.sleep(1)
    return found


def is_active() -> bool:
    return shown()["ActiveState"] == "active"


def heard() -> Any:
    found = view()
    return found if found and found["sources"][0]["samples"] > ENOUGH else None


def logged(topic: str) -> list[dict[str, Any]]:
    """The records of a topic, one after the other."""
    return [
        json.loads(line)
        for line in said(*f"sensorloom log cat {topic} --log {LOG} --until-idle --json".split()).splitlines()
    ]


def synchronise() -> None:
    """Tell the kernel what chrony tells it once it follows a server: that the clock is right."""
    timex = (ctypes.c_long * 64)()
    timex[0], timex[3], timex[5] = _STATUS | _MAX_ERROR, 1000, 0  # modes, maxerror, status: no STA_UNSYNC
    if ctypes.CDLL(None, use_errno=True).adjtimex(ctypes.byref(timex)) < 0:
        raise OSError(ctypes.get_errno(), "adjtimex")


def clocks() -> list[str]:
    """Whose word for the time the chunks of the log have."""
    return [record["clock"]["source"] for record in logged("readings") if "clock" in record]


def upgraded(bundle: str) -> None:
    """To the release of this bundle, whatever comes of it; then the agent that is there is heard again."""
    done = ran("sh", f"/root/{bundle}/install.sh", "--upgrade", HEALTH_S=HEALTH_S)
    current = str(Path("/opt/sensorloom/current").readlink())
    told(bundle, **done, current=current, version=said("sensorloom", "--version"))
    told(f"after {bundle}", view=until("it is heard again", heard), unit=shown())


def begun() -> None:
    """Ready, with its secret, though one sensor is not there and the clock is not set; then it is."""
    until("it is active", is_active)
    told("ready", unit=shown(), view=view())
    rules = said("journalctl", "-b", "-o", "cat", "-g", "60-sensorloom")
    told("udev", said=rules, port=said("stat", "-c", "%G %a", PORT))
    told("heard", view=until("it is heard", heard), readings=len(logged("readings")))
    synchronise()
    told("synchronised", clocks=until("there are readings with a time", clocks))


def judged() -> None:
    """The unit, by systemd as it runs."""
    told("verify", **ran("systemd-analyze", "--man=no", "verify", UNIT))
    told("security", **ran("systemd-analyze", "--no-pager", "security", "sensorloom.service"))


def bitten() -> None:
    """It stands still: all of it, as by a debugger."""
    before = shown()
    os.kill(int(before["MainPID"]), signal.SIGSTOP)
    until("it began anew", lambda: shown()["NRestarts"] != before["NRestarts"] and is_active())
    told("bitten", unit=shown(), journal=said("journalctl", "-u", "sensorloom", "-o", "cat", "-g", "[Ww]atchdog"))
    told("after bitten", view=until("it is heard again", heard))


def removed() -> None:
    done = ran("sh", "/opt/sensorloom/current/deploy/install.sh", "--uninstall")
    told(
        "removed",
        **done,
        unit=shown(),
        failed=said("systemctl", "--failed", "--plain", "--no-legend"),
        there=[path for path in (UNIT, "/opt/sensorloom", "/usr/local/bin/sensorloom") if os.path.lexists(path)],
        spool=sum(file.stat().st_size for file in Path(STATE, "spool").rglob("*") if file.is_file()),
        log=sum(file.stat().st_size for file in Path(STATE, "log").rglob("*") if file.is_file()),
        config=Path("/etc/sensorloom/agent.toml").exists(),
    )


def main() -> None:
    begun()
    judged()
    bitten()
    for bundle in ("mute", "deaf", "good"):
        upgraded(bundle)
    told("changes", changes=until("all is told", lambda: found if len(found := changes()) > 2 else None))
    removed()


def changes() -> list[dict[str, Any]]:
    """What status says became of upgrades."""
    return [record for record in logged("status") if record.get("outcome")]


if __name__ == "__main__":
    try:
        main()
    finally:
        subprocess.run(["sync"], check=False)
        subprocess.run(["poweroff", "-f"], check=False)
