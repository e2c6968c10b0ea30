"""An archive read with what came late in its place, against all samples in the order of time."""

from __future__ import annotations

import asyncio
import random
from pathlib import Path

import numpy as np
import pytest

from ingest.archive.log import ArchiveLog
from ingest.engine.rhythm import Limits
from ingest.log.protocol import READINGS, STREAMS, Bounds, Entry
from ingest.logtime import NEVER
from ingest.opening import open_log
from ingest.records import Channel, Chunk, Progress, Record, RecordingEnd, StreamDescription, schema_id
from ingest.times import sample_times
from ingest.wire import decode, encode
from tests.ingest.archive.test_log import archive, read

T0 = 1_700_000_000_000_000_000
PERIOD_NS = 10_000_000
STREAMS_OF = {name: StreamDescription(name, (Channel("x", "g"),), "int32") for name in ("acc", "gyr")}
BOOT = b"boot"


def chunk(stream: str, seq: int, first: int, count: int, *, step: int = 1, ticks: list[int] | None = None) -> Chunk:
    """Samples at `first`, `first + step` … periods, or at these ticks; each value is new."""
    deltas = b"" if ticks is None else np.array(ticks, "<i4").tobytes()
    values = (1000 * seq + np.arange(count)).astype("<i4").tobytes()
    t0_ns, schema = T0 + first * PERIOD_NS, schema_id(STREAMS_OF[stream])
    times = (step * PERIOD_NS, 1, 0, 0) if ticks is None else (0, 0, 0, PERIOD_NS)
    return Chunk("pump", "r", stream, BOOT, seq, schema, t0_ns, *times, deltas, count, values)


def mixed(rng: random.Random) -> list[Record]:
    """Two streams that go on, with chunks that come late, overlap others, turn back, or come after the end."""
    found: list[Record] = []
    at, numbers = {"acc": 0, "gyr": 0}, {"acc": 0, "gyr": 0}
    held: list[Chunk] = []
    for _ in range(60):
        stream = rng.choice(["acc", "gyr"])
        count = rng.randrange(1, 9)
        if rng.random() < 0.15:
            new = chunk(stream, numbers[stream], at[stream], count, ticks=rng.sample(range(2 * count), count))
            at[stream] += 2 * count
        elif rng.random() < 0.2:
            new = chunk(stream, numbers[stream], max(0, at[stream] - rng.randrange(30)), count, step=rng.choice([1, 3]))
        else:
            new = chunk(stream, numbers[stream], at[stream], count)
            at[stream] += count
        numbers[stream] += 1
        (held if rng.random() < 0.2 else found).append(new)
        if held and rng.random() < 0.2:
            found.append(held.pop(rng.randrange(len(held))))
        if rng.random() < 0.1:
            found.append(Progress("pump", "r", stream, BOOT, T0 + at[stream] * PERIOD_NS))
        if rng.random() < 0.1:
            found.append(found[rng.randrange(len(found))])
    return [*found, RecordingEnd("pump", "r", BOOT, T0, "end"), *held]


async def archived(folder: Path, records: list[Record]) -> Path:
    log = open_log(f"segments:{folder}/log", partitions=1)
    for topic in (READINGS, STREAMS):
        await log.ensure(topic)
    await log.append(STREAMS, [Entry(schema_id(each), encode(each)) for each in STREAMS_OF.values()])
    for begin in range(0, len(records), 25):
        await log.append(READINGS, [Entry(b"pump", encode(record)) for record in records[begin : begin + 25]])
        await archive(log, folder / "archive", READINGS, Limits())
    await archive(log, folder / "archive", STREAMS, Limits())
    await log.close()
    return folder / "archive"


def taken(values: list[bytes]) -> dict[str, dict[int, int]]:
    """What a stream would take: of each stream the samples that are newer than all before them, and none twice."""
    newest, seen = dict.fromkeys(STREAMS_OF, NEVER), set[tuple[str, bytes, int]]()
    found: dict[str, dict[int, int]] = {name: {} for name in STREAMS_OF}
    for record in map(decode, values):
        if isinstance(record, RecordingEnd):
            return found
        if isinstance(record, Progress):
            newest[record.stream] = max(newest[record.stream], record.complete_to_ns - 1)
        if not isinstance(record, Chunk) or (record.stream, record.boot, record.seq) in seen:
            continue
        seen.add((record.stream, record.boot, record.seq))
        for t_ns, value in zip(
            sample_times(record).tolist(), np.frombuffer(record.values, "<i4").tolist(), strict=True
        ):
            if t_ns > newest[record.stream]:
                found[record.stream][t_ns] = value
                newest[record.stream] = t_ns
    return found


@pytest.mark.parametrize("seed", range(12))
def test_every_sample_is_taken_as_if_it_had_come_in_time(tmp_path: Path, seed: int) -> None:
    records = mixed(random.Random(seed))
    everything: dict[str, set[int]] = {name: set() for name in STREAMS_OF}
    for record in records:
        if isinstance(record, Chunk):
            everything[record.stream] |= set(sample_times(record).tolist())
    in_time = taken([encode(record) for record in records])

    async def run() -> None:
        folder = await archived(tmp_path, records)
        complete = ArchiveLog(folder, complete=True)
        bounds = await complete.bounds(READINGS)
        whole = await read(complete, READINGS, bounds)
        offsets = [offset for _, offset, *_ in whole]
        assert len(set(offsets)) == len(offsets)
        found = taken([value for *_, value in whole])
        assert {name: set(samples) for name, samples in found.items()} == everything
        for name, samples in in_time.items():
            assert samples.items() <= found[name].items(), "what came in time is what it was"
        for begin in random.Random(seed).sample(offsets, 5):
            later = await read(complete, READINGS, {0: Bounds(begin, bounds[0].end)})
            assert later == [record for record in whole if record[1] >= begin], "wherever one begins"

    asyncio.run(run())


def test_what_came_in_time_is_left_as_it_was(tmp_path: Path) -> None:
    records: list[Record] = [chunk(name, seq, 9 * seq, 9) for seq in range(40) for name in STREAMS_OF]
    records.append(RecordingEnd("pump", "r", BOOT, T0, "end"))

    async def run() -> None:
        folder = await archived(tmp_path, records)
        plain, complete = ArchiveLog(folder), ArchiveLog(folder, complete=True)
        values = [value for *_, value in await read(complete, READINGS, await complete.bounds(READINGS))]
        assert values == [value for *_, value in await read(plain, READINGS, await plain.bounds(READINGS))]
        assert values == [encode(record) for record in records]

    asyncio.run(run())
