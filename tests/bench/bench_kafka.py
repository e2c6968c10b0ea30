"""Kafka to shards on disk by the whole service, one worker, fsynced, on a real broker.

The baseline is a bare aiokafka consumer that polls the same messages and does nothing with them, in turn with the
service; the bar is four fifths of its rate in the same run. Memory is that of the command, run as people run it.
"""

from __future__ import annotations

import asyncio
import re
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from aiokafka import AIOKafkaConsumer, TopicPartition

from ingest.engine.rhythm import Limits
from ingest.log.kafka import KafkaLog
from service.run import RunOptions, run_service
from tests.bench.harness import Row, row
from tests.bench.streams import WINDOW, Load, send
from tests.support.kafka import KafkaBroker

RUNS = 3
PARTITIONS = 4
CASES = ((Load(20_000_000, 100), 0.15), (Load(20_000_000, 1000), 0.10))
"""With the CPU seconds that a million samples may cost; so many samples that joining the broker is a small part."""
RSS_MB = 400.0
OF_BARE = 0.8


def bench() -> list[Row]:
    """Million samples a second, and CPU seconds a million."""
    rows: list[Row] = []
    with KafkaBroker() as broker:
        for load, cpu_bar in CASES:
            address = f"{broker.bootstrap}/bench-{load.per_chunk}"
            asyncio.run(_send(address, load))
            services, bare, cpu = [], [], []
            for _ in range(RUNS + 1):
                begin = time.process_time()
                services.append(load.samples / asyncio.run(_serve(address)) / 1e6)
                cpu.append((time.process_time() - begin) / load.samples * 1e6)
                bare.append(load.samples / asyncio.run(_consume(address)) / 1e6)
            name = f"Kafka to shards, one worker, {load.per_chunk}-sample chunks"
            peer, rate = "bare aiokafka consumer", OF_BARE * statistics.median(bare[1:])
            rows += [
                row(name, services[1:], "Msamples/s", baseline=peer, baseline_values=bare[1:], bar=rate),
                row(f"{name}, CPU", cpu[1:], "s a million", bar=cpu_bar, lower_is_better=True),
                row(f"{name}, memory", [_rss_mb(address)], "MB", bar=RSS_MB, lower_is_better=True),
            ]
    return rows


async def _send(address: str, load: Load) -> None:
    log = KafkaLog(address, partitions=PARTITIONS)
    await send(log, load)
    await log.close()


def _config(folder: str) -> Path:
    config = Path(folder) / "dataset.toml"
    config.write_text(f'name = "bench"\n\n[window]\n{WINDOW}')
    return config


def _rss_mb(address: str) -> float:
    """The most memory that `sensorloom window run --until-idle` had."""
    with tempfile.TemporaryDirectory(prefix="sensorloom-bench-") as folder:
        words = ["-c", str(_config(folder)), "--log", f"kafka://{address}", "--out", f"{folder}/out", "--until-idle"]
        command = [sys.executable, "-m", "sensorloom", "window", "run", *words]
        with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
            most_kb = 0
            while process.poll() is None:  # what the system counts of a child begins with what its parent had
                status = Path(f"/proc/{process.pid}/status").read_text()
                most_kb = max(most_kb, *(int(kb) for kb in re.findall(r"VmHWM:\s+(\d+)", status)), 0)
                time.sleep(0.1)
        assert process.returncode == 0
        return most_kb / 1024


async def _serve(address: str) -> float:
    with tempfile.TemporaryDirectory(prefix="sensorloom-bench-") as folder:
        config = _config(folder)
        out = Path(folder) / "out"
        options = RunOptions(config, f"kafka://{address}", out, "bench", until_idle=True, limits=Limits())
        start = time.perf_counter()
        await run_service(options, lambda *_: None)
        return time.perf_counter() - start


async def _consume(address: str) -> float:
    bootstrap, _, site = address.partition("/")
    parts = [TopicPartition(f"{site}.readings", number) for number in range(PARTITIONS)]
    start = time.perf_counter()
    consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap, enable_auto_commit=False, auto_offset_reset="earliest")
    await consumer.start()
    consumer.assign(parts)
    left = sum((await consumer.end_offsets(parts)).values())
    while left:
        left -= sum(len(records) for records in (await consumer.getmany(timeout_ms=1000)).values())
    taken = time.perf_counter() - start
    await consumer.stop()
    return taken
