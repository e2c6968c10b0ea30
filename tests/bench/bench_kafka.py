"""Kafka to shards on disk by the whole service, one worker, fsynced, on a real broker.

The baseline is a bare aiokafka consumer that polls the same messages and does nothing with them, in turn with the
service.
"""

from __future__ import annotations

import asyncio
import tempfile
import time
from pathlib import Path

from aiokafka import AIOKafkaConsumer, TopicPartition

from ingest.engine.service import Limits
from ingest.log.kafka import KafkaLog
from tests.bench.harness import Row, row
from tests.bench.streams import WINDOW, Load, send
from tests.support.kafka import KafkaBroker
from windowing.run import RunOptions, run_service

RUNS = 3
PARTITIONS = 4
CASES = ((Load(6_000_000, 100), 3.0), (Load(12_000_000, 1000), None))


def bench() -> list[Row]:
    """Million samples a second."""
    rows = []
    with KafkaBroker() as broker:
        for load, bar in CASES:
            address = f"{broker.bootstrap}/bench-{load.per_chunk}"
            asyncio.run(_send(address, load))
            services, bare = [], []
            for _ in range(RUNS + 1):
                services.append(load.samples / asyncio.run(_serve(address)) / 1e6)
                bare.append(load.samples / asyncio.run(_consume(address)) / 1e6)
            rows.append(
                row(
                    f"Kafka to shards, one worker, {load.per_chunk}-sample chunks",
                    services[1:],
                    "Msamples/s",
                    baseline="bare aiokafka consumer",
                    baseline_values=bare[1:],
                    bar=bar,
                )
            )
    return rows


async def _send(address: str, load: Load) -> None:
    log = KafkaLog(address, partitions=PARTITIONS)
    await send(log, load)
    await log.close()


async def _serve(address: str) -> float:
    with tempfile.TemporaryDirectory(prefix="sensorloom-bench-") as folder:
        config = Path(folder) / "dataset.toml"
        config.write_text(f'name = "bench"\n\n[window]\n{WINDOW}')
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
