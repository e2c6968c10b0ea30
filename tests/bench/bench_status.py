"""`sensorloom status` of a site with 1 GB of log and 10,000 entries, as a command from its start to its end."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Final

import msgspec

from ingest.engine.history import entry, newest_entry
from ingest.engine.manifest import chain_folder, encode_document, entry_name, sha256_of
from ingest.log.protocol import READINGS, STREAMS, Entry
from ingest.log.segments import SegmentLog
from ingest.records import Channel, Chunk, Clock, StreamDescription, schema_id
from ingest.wire import encode
from service.run import RunOptions, run_service
from service.site import find_site, operator_folders
from tests.bench.harness import Row, row

LOG_BYTES: Final = 1_000_000_000
ENTRIES: Final = 10_000
DEVICES: Final = 10
PARTITIONS: Final = 4
RUNS: Final = 5
BAR_S: Final = 1.0
_SAMPLES: Final = 100
_VALUES: Final = bytes(range(250)) * 2 + bytes(100)
_STREAM: Final = StreamDescription("acc", tuple(Channel(axis, "g") for axis in "xyz"), "int16", rate_num=100)
_CONFIG: Final = """name = "bench"
[window]
length = 100
hop = 100
rate = "100Hz"
anchor = "epoch"
channels = ["acc.x", "acc.y", "acc.z"]
"""


def bench() -> list[Row]:
    """Seconds of a command, CPU and wall; a device in two has been silent for an hour."""
    with tempfile.TemporaryDirectory(prefix="sensorloom-bench-") as name:
        site = Path(name)
        build(site, LOG_BYTES, ENTRIES)
        wall, cpu = [], []
        for _ in range(RUNS):
            before, start = os.times(), time.perf_counter()
            subprocess.run([sys.executable, "-m", "sensorloom", "status", site], capture_output=True, check=False)
            after = os.times()
            wall.append(time.perf_counter() - start)
            cpu.append(sum(after[2:4]) - sum(before[2:4]))
    what = f"status of {LOG_BYTES / 1e9:g} GB of log and {ENTRIES:,} entries"
    return [
        row(what, wall, "s", bar=BAR_S, lower_is_better=True),
        row(f"{what}, CPU", cpu, "s", bar=BAR_S, lower_is_better=True),
    ]


def build(site: Path, log_bytes: int, entries: int) -> None:
    """A site with so much in its log and so many entries, the older ones without files of their own."""
    (site / "dataset.toml").write_text(_CONFIG)
    asyncio.run(_fill(site, 0, 200_000))
    options = RunOptions(site / "dataset.toml", f"segments:{site}/log", site / "dataset", "bench", until_idle=True)
    asyncio.run(run_service(options, lambda event, topic: None, asyncio.Event()))
    for operator in operator_folders(find_site(site).datasets[0]):
        if operator.parent.name == "windows":
            for partition in range(PARTITIONS):
                _lengthen(operator, chain_folder(READINGS, partition), entries // PARTITIONS)
    asyncio.run(_fill(site, 10_000, log_bytes))


async def _fill(site: Path, seq: int, size: int) -> None:
    log = SegmentLog(site / "log", partitions=PARTITIONS)
    schema, now_ns, written = schema_id(_STREAM), time.time_ns(), 0
    await log.append(STREAMS, [Entry(schema, encode(_STREAM))])
    while written < size:
        batch = []
        live = DEVICES if written < size // 2 else DEVICES // 2
        for number in range(1000):
            device, index = f"pump-{number % live}", seq + number // live
            times = (now_ns - 10**12 + index * 10**7, 10**7, 1, 0, 0, b"")
            chunk = Chunk(device, "r", "acc", b"b" * 16, index, schema, *times, _SAMPLES, _VALUES, clock=Clock("ntp"))
            batch.append(Entry(device.encode(), encode(chunk)))
        seq += 1000 // live + 1
        written += sum(len(key) + len(value) + 34 for key, value in batch)
        await log.append(READINGS, batch)
    await log.close()


def _lengthen(operator: Path, chain: str, count: int) -> None:
    """More entries behind the newest one, a minute apart."""
    newest = newest_entry(operator, chain)
    if newest < 0:
        return
    path, now_s = operator / entry_name(chain, newest), time.time()
    last, document = entry(operator, chain, newest), path.read_bytes()
    for seq in range(newest + 1, count):
        last = msgspec.structs.replace(last, seq=seq, begin=last.through, files=(), previous=sha256_of(document))
        document = encode_document(last)
        path = operator / entry_name(chain, seq)
        path.write_bytes(document)
        sealed_s = now_s - 60 * (count - seq)
        os.utime(path, (sealed_s, sealed_s))
