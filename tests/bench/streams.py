"""Made-up streams that several benchmarks send: 3-axis counts of a few devices, in chunks of one size."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from ingest.log.protocol import READINGS, STREAMS, Entry, Log
from ingest.records import Channel, Chunk, Clock, RecordingEnd, StreamDescription, schema_id
from ingest.wire import encode

START_NS = 1_700_000_000 * 10**9
PERIOD_NS = 10_000_000
STREAM = StreamDescription("acc", tuple(Channel(axis, "g", 0.001) for axis in "xyz"), "int16", rate_num=100)
SIX_AXES = StreamDescription("acc", tuple(Channel(axis, "g", 0.001) for axis in "xyzuvw"), "int16", rate_num=100)
CLOCK = Clock("ntp", 1200, 3.5, 80_000)
RECORDING = "2026-11-24T02:00:00Z-1"
WINDOW = """length = 256
hop = 256
rate = "100Hz"
anchor = "epoch"
channels = ["acc.x", "acc.y", "acc.z"]
"""


@dataclass(frozen=True)
class Load:
    """How much is sent, and in which pieces."""

    samples: int
    per_chunk: int
    devices: int = 8
    stream: StreamDescription = STREAM

    @property
    def chunks(self) -> int:
        """Per device."""
        return self.samples // self.devices // self.per_chunk

    def entries(self) -> Iterator[Entry]:
        """Every device's chunks in turn, then the ends of their recordings."""
        channels, schema = len(self.stream.channels), schema_id(self.stream)
        noise = np.random.default_rng(0).normal(0, 300, (self.samples, channels)).astype("<i2").tobytes()
        count, span, size = self.per_chunk, self.per_chunk * PERIOD_NS, self.per_chunk * channels * 2
        names = [f"pump-{number}" for number in range(self.devices)]
        for seq in range(self.chunks):
            t0_ns = START_NS + seq * span
            for number, name in enumerate(names):
                at = (seq * self.devices + number) * size
                head = (name, RECORDING, "acc", name.ljust(16).encode(), seq, schema, t0_ns, PERIOD_NS, 1, 0, 0, b"")
                yield Entry(name.encode(), encode(Chunk(*head, count, noise[at : at + size], clock=CLOCK)))
        for name in names:
            end = RecordingEnd(name, RECORDING, name.ljust(16).encode(), START_NS + self.chunks * span, "stop")
            yield Entry(name.encode(), encode(end))


async def send(log: Log, load: Load, per_call: int = 2000) -> None:
    """Append the load to `readings`, and its description to `streams`."""
    await log.append(STREAMS, [Entry(schema_id(load.stream), encode(load.stream))])
    batch: list[Entry] = []
    for entry in load.entries():
        batch.append(entry)
        if len(batch) == per_call:
            await log.append(READINGS, batch)
            batch = []
    if batch:
        await log.append(READINGS, batch)
