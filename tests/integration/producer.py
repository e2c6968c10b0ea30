"""A producer for the kill tests: chunks with known values, every acknowledged one noted in a file.

`python -m tests.integration.producer LOG_URL ACK_FILE SEED` writes until SIGTERM, then ends its recordings. What is not
acknowledged is sent again until it is, as an agent would; now and then something acknowledged is sent twice.
"""

from __future__ import annotations

import asyncio
import itertools
import random
import signal
import sys
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ingest.errors import LogUnavailableError
from ingest.log.protocol import READINGS, STREAMS, Entry, Log, partition_of
from ingest.opening import open_log
from ingest.records import Channel, Chunk, RecordingEnd, RecordingStart, StreamDescription, schema_id
from ingest.wire import encode

PARTITIONS: Final = 6
IDLE: Final = 2
"""Partitions whose only device says the same for ever: their shards are equal, byte for byte."""
PER_CHUNK: Final = 100
PERIOD_NS: Final = 10_000_000
START_NS: Final = 1_700_000_000 * 10**9
BOOT: Final = bytes(range(16))
STREAM: Final = StreamDescription(
    "acc", tuple(Channel(name, "g", scale=0.001) for name in "xyz"), "int16", rate_num=100
)
SCHEMA: Final = schema_id(STREAM)


def _named(stem: str, partitions: range, count: int) -> list[str]:
    """So many names, in turn of each of these partitions."""
    names = (f"{stem}-{number}" for number in itertools.count())
    wanted = [partitions[number % len(partitions)] for number in range(count)]
    return [next(name for name in names if partition_of(name.encode(), PARTITIONS) == number) for number in wanted]


IDLERS: Final = _named("idle", range(IDLE), IDLE)
DEVICES: Final = (*sorted(IDLERS), *sorted(_named("pump", range(IDLE, PARTITIONS), 6)))


def counts_of(device: str, start: int, stop: int) -> NDArray[np.int16]:
    """The raw counts of samples `[start, stop)`: `(samples, 3) int16`, another sequence for each pump."""
    if device in IDLERS:
        return np.full((stop - start, 3), 5, "<i2")
    index = np.arange(start, stop)[:, None] * np.array([7, 11, 13]) + DEVICES.index(device) * 1000
    counts: NDArray[np.int16] = (index % 32749 - 16000).astype("<i2")
    return counts


def chunk_of(device: str, seq: int) -> Entry:
    values = counts_of(device, seq * PER_CHUNK, (seq + 1) * PER_CHUNK)
    t0_ns = START_NS + seq * PER_CHUNK * PERIOD_NS
    chunk = Chunk(device, "run", "acc", BOOT, seq, SCHEMA, t0_ns, PERIOD_NS, 1, 0, 0, b"", PER_CHUNK, values.tobytes())
    return Entry(device.encode(), encode(chunk))


async def insist(log: Log, topic: str, entries: list[Entry]) -> None:
    while True:
        try:
            await log.append(topic, entries)
        except LogUnavailableError:
            await asyncio.sleep(0.1)
        else:
            return


def bookends(device: str, chunks: int) -> tuple[Entry, Entry]:
    """The start and the end of a device's recording of so many chunks."""
    end_ns = START_NS + chunks * PER_CHUNK * PERIOD_NS
    start = RecordingStart(device, "run", BOOT, START_NS, "start")
    end = RecordingEnd(device, "run", BOOT, end_ns, "stop")
    return Entry(device.encode(), encode(start)), Entry(device.encode(), encode(end))


async def found(url: str) -> None:
    """Create the topics with the producer's number of partitions, before a worker does so with another."""
    log = open_log(url, partitions=PARTITIONS)
    for topic in (STREAMS, READINGS):
        await log.ensure(topic)
    await log.close()


async def produce(url: str, acknowledged: Path, seed: int) -> None:
    """Until SIGTERM: see the module."""
    chance, over = random.Random(seed), asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, over.set)
    log = open_log(url, partitions=PARTITIONS)
    await insist(log, STREAMS, [Entry(SCHEMA, encode(STREAM))])
    await insist(log, READINGS, [bookends(device, 0)[0] for device in DEVICES])
    seq = 0
    with acknowledged.open("w") as file:
        while not over.is_set():
            await insist(log, READINGS, [chunk_of(device, seq) for device in DEVICES])
            file.write(f"{seq}\n")
            file.flush()
            if chance.random() < 0.1:
                await insist(log, READINGS, [chunk_of(device, chance.randint(0, seq)) for device in DEVICES])
            seq += 1
            await asyncio.sleep(0.05)
    await insist(log, READINGS, [bookends(device, seq)[1] for device in DEVICES])
    await log.close()


async def produce_calmly(url: str, chunks: int) -> None:
    """The same chunks, each once, device after device."""
    log = open_log(url, partitions=PARTITIONS)
    await log.append(STREAMS, [Entry(SCHEMA, encode(STREAM))])
    for device in DEVICES:
        start, end = bookends(device, chunks)
        await log.append(READINGS, [start, *(chunk_of(device, seq) for seq in range(chunks)), end])
    await log.close()


if __name__ == "__main__":
    asyncio.run(produce(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])))
