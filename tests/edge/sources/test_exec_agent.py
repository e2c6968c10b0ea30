"""An agent on a program that says packed records: what is in the log, and what is announced as lost."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import numpy as np

from edge.agent.agent import Agent
from edge.config import load_config
from ingest.records import Gap
from simulators.doubles.log import FlakyLog

SENSOR = """
import struct, sys, time
from binascii import crc_hqx

for number in range(300):
    packed = struct.pack("<Hh", number, -number)
    record = b"\\xaa\\x55" + packed + crc_hqx(packed, 0xFFFF).to_bytes(2, "little")
    if number in (100, 101):
        continue
    if number == 200:
        record = record[:5] + record[6:]
    sys.stdout.buffer.write(record)
sys.stdout.flush()
time.sleep(1000)
"""
CONFIG = """
device = "pump"
log = "segments:log"
[spool]
dir = "spool"
fsync_interval = "50ms"
[[source]]
name = "counts"
type = "exec"
command = ["PYTHON", "sensor.py"]
decoder = "binary"
frame = "fixed"
sync = "AA 55"
checksum = "crc16-ccitt"
fields = [{ name = "n", type = "u16" }, { name = "x", type = "i16", scale = 0.5, offset = 1 }]
counter = "n"
stream = "counts"
channels = { x = "g" }
"""


def test_records_of_a_program_are_in_the_log_and_what_is_missing_is_counted(tmp_path: Path) -> None:
    (tmp_path / "sensor.py").write_text(SENSOR)
    (tmp_path / "agent.toml").write_text(CONFIG.replace("PYTHON", sys.executable))
    log = FlakyLog()

    def values() -> list[float]:
        chunks = {chunk.seq: chunk for chunk in log.chunks()}
        return [value for chunk in chunks.values() for value in np.frombuffer(chunk.values, "<f4").tolist()]

    async def main() -> None:
        agent = Agent(load_config(tmp_path / "agent.toml"), log, b"1" * 16, "0", lambda text: None)
        stop = asyncio.Event()
        running = asyncio.create_task(agent.run(stop))
        async with asyncio.timeout(100):
            while len(values()) < 297:  # noqa: ASYNC110
                await asyncio.sleep(0.05)
            stop.set()
            await running

    asyncio.run(main())
    assert values() == [1 - number / 2 for number in range(300) if number not in (100, 101, 200)]
    lost = {(gap.start_ns, gap.reason): gap.samples for gap in log.records() if isinstance(gap, Gap)}
    assert {reason for _, reason in lost} == {"missed"}
    assert sum(lost.values()) == 3
