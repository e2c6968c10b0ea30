"""An agent in a process that a test kills. Its source delivers numbered lines, as MQTT delivers with QoS 1: what was
not acknowledged comes again, with its identity. `<upstream>.acknowledged` has a byte for each acknowledgement.

It takes configurations through its log.

`python -m tests.integration.doomed_agent FOLDER UPSTREAM [LOG]`
"""

from __future__ import annotations

import asyncio
import os
import secrets
import signal
import sys
from collections.abc import AsyncIterator, Hashable, Mapping
from pathlib import Path
from typing import ClassVar, Self

from edge.agent.agent import Agent
from edge.agent.remote.kept import last_good
from edge.protocol import Arrival, Interruption, Key, Settled, SourceConfig
from edge.sources import SOURCES
from edge.sources.clock import now
from ingest.opening import open_log


class NumberedSource:
    """Lines 0, 1, 2 …, from the first that was not acknowledged on."""

    keys: ClassVar[Mapping[str, Key]] = {"upstream": Key("text", "The file.", '"numbers"')}

    def __init__(self, path: Path) -> None:
        self.waiting_for = self.trouble = self.missing = ""
        self.heard_ns: int | None = None
        self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND)
        self._next = self._first_new = 0
        self._is_closed = False

    @classmethod
    def from_config(cls, config: SourceConfig) -> Self:
        return cls(Path(config.option("upstream", str)).with_suffix(".acknowledged"))

    async def open(self) -> None:
        self._next = self._acknowledged()
        self._first_new = self._next + 1000

    def _acknowledged(self) -> int:
        return os.fstat(self._fd).st_size

    async def arrivals(self) -> AsyncIterator[Arrival | Interruption]:
        while True:
            number = self._next
            self._next += 1
            identity = number.to_bytes(8, "little")
            again = number < self._first_new  # no more than that was ever under way
            yield Arrival(b"%d\n" % number, *now(), number, identity, again)
            await asyncio.sleep(0.0005)

    def ack(self, token: Hashable) -> None:
        # nothing is said on a connection that is over; and once of a line that was delivered twice
        if not self._is_closed and token == self._acknowledged():
            os.write(self._fd, b".")

    def settled(self) -> Settled:
        return Settled()

    def left(self) -> tuple[Arrival, ...]:
        return ()

    def again(self) -> None:
        return None

    async def close(self) -> None:
        self._is_closed = True


async def main(folder: Path, upstream: Path, url: str) -> None:
    SOURCES["numbered"] = "tests.integration.doomed_agent:NumberedSource"
    config = folder / "agent.toml"
    config.write_text(
        f"""device = "pump"
log = "{url}"
[spool]
dir = "spool"
fsync_interval = "30ms"
[remote]
allow = ["change"]
patience = "1s"
[[source]]
name = "numbers"
type = "numbered"
upstream = "{upstream}"
decoder = "csv"
stream = "acc"
channels = {{ x = "g" }}
dtype = "float64"
"""
    )
    log = open_log(url)
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    agent = Agent(last_good(config)[0], log, secrets.token_bytes(16), "0", lambda line: print(line, file=sys.stderr))
    await agent.run(stop)
    await log.close()


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), Path(sys.argv[2]), (sys.argv[3:] or [f"segments:{sys.argv[1]}/log"])[0]))
