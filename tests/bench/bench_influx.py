"""The sink into InfluxDB: wire bytes into points on one core, and points into a real server."""

from __future__ import annotations

import time

import numpy as np
from influxdb_client.client.write.point import Point

from ingest.log.protocol import READINGS, LogBatch
from ingest.records import Chunk, schema_id
from ingest.times import sample_times
from ingest.units import parse_duration
from ingest.wire import decode
from sinks.influx.config import Target
from sinks.influx.database import Database
from sinks.influx.operators import InfluxOperator
from tests.bench.harness import Row, measure_in_turn, row
from tests.bench.streams import START_NS, STREAM, Load
from tests.support.influx import Influx

SAMPLES, BESIDE, RUNS = 200_000, 10_000, 5


def bench() -> list[Row]:
    """Thousand points a second: what the sink makes of chunks, beside the library's points; and what InfluxDB takes."""
    batch = _batch([entry.value for entry in Load(SAMPLES, 100).entries()])
    few = [entry.value for entry in Load(BESIDE, 100).entries()]
    mine, library = measure_in_turn(lambda: _fold(batch), lambda: _points(few), RUNS)
    rows = [
        row(
            "influx, samples into points",
            [SAMPLES / seconds / 1000 for seconds in mine],
            "k points/s",
            baseline="influxdb-client's Point",
            baseline_values=[BESIDE / seconds / 1000 for seconds in library],
        )
    ]
    thinned, _ = measure_in_turn(lambda: _fold(batch, "1s"), None, RUNS)
    rows.append(row("influx, samples thinned to 1 s", [SAMPLES / it / 1000 for it in thinned], "k samples/s"))
    rows.append(row("influx, points into a real server", _written(_fold(batch)), "k points/s"))
    return rows


def _batch(values: list[bytes]) -> LogBatch:
    offsets = range(len(values))
    return LogBatch(
        READINGS, 0, offsets, [START_NS + 86_400 * 10**9] * len(values), [b""] * len(values), values, offsets.stop
    )


def _fold(batch: LogBatch, thin: str = "") -> list[bytes]:
    """The lines of a batch, as drafts have them."""
    operator = InfluxOperator(READINGS, "bench", parse_duration(thin) if thin else 0)
    operator.learn(schema_id(STREAM), STREAM)
    running, drafts = operator.start(None), list[bytes]()
    while len(batch):
        batch = batch.tail(running.feed(batch))
        output = running.take("0-0")
        assert thin or output.counts["points"] == output.counts["samples"] > 0, output.counts
        drafts += [bytes(draft.parts[0]) for draft in output.drafts]
    return drafts


def _points(values: list[bytes]) -> int:
    """The same by the library's own points."""
    size = 0
    for chunk in (record for value in values if isinstance(record := decode(value), Chunk)):
        raw = np.frombuffer(chunk.values, STREAM.dtype).reshape(chunk.count, -1).astype(np.float64)
        for t_ns, numbers in zip(sample_times(chunk).tolist(), raw.tolist(), strict=True):
            point = Point("acc").tag("device", chunk.device).time(t_ns)  # type: ignore[no-untyped-call]
            for channel, number in zip(STREAM.channels, numbers, strict=True):
                point.field(channel.name, number)
            size += len(point.to_line_protocol())
    return size


def _written(drafts: list[bytes]) -> list[float]:
    """Thousand points a second into databases of their own, one request at a time."""
    rates: list[float] = []
    with Influx() as influx:
        for number in range(RUNS):
            influx.create(f"d{number}")
            database = Database(Target(url=influx.url, database=f"d{number}"), "")
            start = time.perf_counter()
            for draft in drafts:
                assert not database.write(draft).counts
            rates.append(SAMPLES / (time.perf_counter() - start) / 1000)
            database.close()
            counted = influx.query("SELECT count(x) FROM acc", f"d{number}")
            assert counted[0]["values"][0][1] == SAMPLES, counted
    return rates
