"""Many devices on one partition: what a chunk costs, what memory they take, and how much state is written.

Each size runs in a process of its own: the operator that the service uses is fed chunks of 100 samples, one of each
device in turn, and sealed as the engine seals it, without a disk. Beside it stand recordings that never ended: of them
a seal must not write again what it has written. The baseline is decoding the same chunks alone.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from fractions import Fraction

import numpy as np

from ingest.engine import partition as work
from ingest.engine.rhythm import Limits, due_bytes
from ingest.log.protocol import READINGS, LogBatch
from ingest.records import Chunk, schema_id
from ingest.wire import decode, encode
from tests.bench.harness import Row, row
from tests.bench.streams import CLOCK, PERIOD_NS, RECORDING, START_NS, STREAM
from windowing.fold.operator import WindowOperator
from windowing.spec import WindowSpec

PER_CHUNK = 100
BATCH = 4_000
LENGTH = 256
NOW_NS = START_NS + 10**9
RUNS = 3
SIZES = ((10, 100_000, 0), (1_000, 100_000, 0), (10_000, 200_000, 0), (50_000, 600_000, 0), (10, 100_000, 50_000))
"""Devices, chunks of all of them, and recordings beside them that never ended."""
BARS = {10_000: 15.0, 50_000: 20.0}
"""Microseconds a chunk."""


@dataclass
class Cost:
    """What a run took."""

    chunks: int = 0
    feed_s: float = 0.0
    take_s: float = 0.0
    snapshot_s: float = 0.0
    decode_s: float = 0.0
    output: int = 0
    state: int = 0
    seals: int = 0
    rss: int = 0

    @property
    def us(self) -> float:
        """A chunk."""
        return (self.feed_s + self.take_s + self.snapshot_s) / self.chunks * 1e6


def _batches(devices: int, chunks: int, kind: str = "pump") -> Iterator[LogBatch]:
    """One chunk of each device in turn."""
    noise = np.random.default_rng(0).normal(0, 300, (200_000, 3)).astype("<i2").tobytes()
    size, schema = PER_CHUNK * 6, schema_id(STREAM)
    values: list[bytes] = []
    for number in range(chunks):
        seq, device = divmod(number, devices)
        name, at = f"{kind}-{device}", number % 1_999 * size
        t0_ns = START_NS + (seq * PER_CHUNK + device) * PERIOD_NS
        head = (name, RECORDING, "acc", name.ljust(16).encode(), seq, schema, t0_ns, PERIOD_NS, 1, 0, 0, b"")
        values.append(encode(Chunk(*head, PER_CHUNK, noise[at : at + size], clock=CLOCK)))
        if len(values) == BATCH or number == chunks - 1:
            first = number + 1 - len(values)
            columns = range(first, number + 1), [NOW_NS + seq * 10**9] * len(values), [b""] * len(values), values
            yield LogBatch(READINGS, 0, *columns, number + 1)
            values = []


def _start() -> tuple[WindowOperator, work.Partition]:
    operator = WindowOperator(WindowSpec(LENGTH, LENGTH, Fraction(100), ("acc.x", "acc.y", "acc.z")))
    operator.learn(schema_id(STREAM), STREAM)
    return operator, work.Partition(READINGS, 0, operator.start(None), None, 0, 0)


def _seal(cost: Cost, operator: WindowOperator, part: work.Partition) -> None:
    begin = time.process_time()
    output = work.draw(part)
    drawn = time.process_time()
    seal = work.prepare(part, operator, output)
    work.move_on(part, seal)
    cost.take_s += drawn - begin
    cost.snapshot_s += time.process_time() - drawn
    cost.output += sum(draft.size for draft in output.drafts)
    cost.state += seal.entry.state.bytes
    cost.seals += 1


def run(devices: int, chunks: int, stale: int = 0) -> Cost:
    """What so many chunks of so many devices take, beside recordings of one chunk each that never ended."""
    operator, part = _start()
    for batch in _batches(stale, stale, "old"):
        part.running.feed(batch)
        part.position = batch.next_offset
    _seal(Cost(), operator, part)
    cost, limits = Cost(chunks), Limits()
    for batch in _batches(devices, chunks):
        begin = time.process_time()
        for data in batch.values:
            decode(data)
        cost.decode_s += time.process_time() - begin
        rest = batch
        while len(rest):
            begin = time.process_time()
            rest = rest.tail(part.running.feed(rest))
            cost.feed_s += time.process_time() - begin
            part.position = batch.next_offset - len(rest)
            written = part.head.entry.state.bytes if part.head else 0
            if len(rest) or part.running.pending_bytes >= due_bytes(limits, written):
                _seal(cost, operator, part)
    _seal(cost, operator, part)
    cost.rss = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return cost


def _child(devices: int, chunks: int, stale: int) -> Cost:
    command = [sys.executable, "-m", "tests.bench.bench_fleet", str(devices), str(chunks), str(stale)]
    return Cost(**json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout))


def bench() -> Iterator[Row]:
    """Microseconds of CPU a chunk, state written to output, and memory."""
    for devices, chunks, stale in SIZES:
        costs = [_child(devices, chunks, stale) for _ in range(RUNS)]
        name, bar = f"fleet of {devices}" + (f", beside {stale}" if stale else ""), BARS.get(devices)
        decoding = [cost.decode_s / cost.chunks * 1e6 for cost in costs]
        yield row(
            f"{name}, a chunk",
            [cost.us for cost in costs],
            "us",
            baseline="decoding alone",
            baseline_values=decoding,
            bar=bar,
            lower_is_better=True,
        )
        yield row(
            f"{name}, state written to output",
            [cost.state / cost.output for cost in costs],
            "ratio",
            bar=0.2 if bar or stale else None,
            lower_is_better=True,
        )
        rss = [cost.rss / 1e6 for cost in costs]
        yield row(f"{name}, memory", rss, "MB", bar=600.0 if bar else None, lower_is_better=True)


if __name__ == "__main__":
    print(json.dumps(asdict(run(*map(int, sys.argv[1:])))))
