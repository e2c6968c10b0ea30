"""The wire codec on chunks of 100 samples, beside JSON of the same record."""

from __future__ import annotations

from functools import partial

import msgspec

from ingest.records import Chunk
from ingest.wire import decode, encode
from tests.bench.harness import Job, Row, measure_in_turn, row
from tests.bench.streams import Load

REPEATS = 20_000
PER_CHUNK = 100
WIRE_BYTES_MAX = 8.0


def bench() -> list[Row]:
    """Microseconds a record, and bytes a sample."""
    data = next(iter(Load(PER_CHUNK * 8, PER_CHUNK).entries())).value
    record = decode(data)
    assert isinstance(record, Chunk)
    text = msgspec.json.encode(record)
    rows = []
    for name, ours, theirs in (
        ("encode", partial(encode, record), partial(msgspec.json.encode, record)),
        ("decode", partial(decode, data), partial(msgspec.json.decode, text, type=Chunk)),
    ):

        def repeat(job: Job) -> None:
            for _ in range(REPEATS):
                job()

        taken, beside = measure_in_turn(partial(repeat, ours), partial(repeat, theirs))
        micros, others = ([s / REPEATS * 1e6 for s in seconds] for seconds in (taken, beside))
        rows.append(
            row(f"codec, {name} a 100-sample chunk", micros, "µs", baseline="msgspec JSON", baseline_values=others)
        )
    size = row(
        "wire, 3-axis int16 at 100 Hz in 1 s chunks",
        [len(data) / PER_CHUNK],
        "bytes/sample",
        baseline="JSON of the same record",
        baseline_values=[len(text) / PER_CHUNK],
        bar=WIRE_BYTES_MAX,
        lower_is_better=True,
    )
    return [*rows, size]
