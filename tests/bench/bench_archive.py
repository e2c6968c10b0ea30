"""The archive as its service runs it: wire bytes in, Parquet and tiles out, on one core; and its windows again."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import msgspec
import numpy as np
from numpy.typing import NDArray

from ingest.archive.operator import ArchiveOperator
from ingest.archive.tables import RECORDS, read_table, record_values, rows_in
from ingest.chunker import Limits, Origin, periodic_chunks
from ingest.engine.operator import Operator, Output
from ingest.log.protocol import READINGS, Entry, LogBatch
from ingest.records import schema_id
from ingest.wire import encode
from tests.bench.harness import Row, measure_in_turn, row
from tests.bench.streams import CLOCK, PERIOD_NS, START_NS, STREAM, Load
from tests.integration.recordings import hapt_recordings
from windowing.fold.operator import WindowOperator
from windowing.spec import WindowSpec

SAMPLES, RUNS = 1_000_000, 5
RATE_BAR, SIZE_BAR = 5.0, 4.0
SPEC = WindowSpec(256, 256, Fraction(100), ("acc.x", "acc.y", "acc.z"))


def bench() -> list[Row]:
    """Million samples a second, and bytes a sample of three int16: of noise, and of what people wore on the waist."""
    worn = _worn()
    rows: list[Row] = []
    for per_chunk in (100, 1000):
        noise = _batch(list(Load(SAMPLES, per_chunk).entries()))
        name = f"archive, {per_chunk}-sample chunks"
        output, rate = _rate(name, noise, RATE_BAR if per_chunk == 100 else None)
        rows += [rate, _size(f"{name} of noise", output, SAMPLES, None)]
        rows.append(_read_back(name, output))
        people = _batch(_chunks(worn, per_chunk))
        rows.append(_size(f"{name} of HAPT at 1 mg", _fold(ArchiveOperator(READINGS), people), len(worn), SIZE_BAR))
    return rows


def _worn() -> NDArray[np.int16]:
    """Acceleration of the HAPT recordings one after the other, as a sensor of 1 mg gives it."""
    arrays = [np.loadtxt(recording.file("acc")) for recording in hapt_recordings()]
    return np.concatenate([np.round(array * 1000).astype("<i2") for array in arrays])


def _chunks(values: NDArray[np.int16], per_chunk: int) -> list[Entry]:
    origin = Origin("worn", "r", "acc", b"boot", schema_id(STREAM))
    chunks = periodic_chunks(origin, START_NS, (PERIOD_NS, 1), values, Limits(span_ns=per_chunk * PERIOD_NS))
    return [Entry(b"worn", encode(msgspec.structs.replace(chunk, clock=CLOCK))) for chunk in chunks]


def _rate(name: str, batch: LogBatch, bar: float | None) -> tuple[Output, Row]:
    outputs: list[Output] = []
    seconds, bare = measure_in_turn(
        lambda: outputs.append(_fold(ArchiveOperator(READINGS), batch)),
        lambda: _fold(WindowOperator(SPEC), batch),
        RUNS,
        time.process_time,  # the bar is a core's
    )
    rates, others = ([SAMPLES / taken / 1e6 for taken in each] for each in (seconds, bare))
    beside = "the windows operator, files encoded"
    return outputs[-1], row(name, rates, "Msamples/s", baseline=beside, baseline_values=others, bar=bar)


def _size(name: str, output: Output, samples: int, bar: float | None) -> Row:
    size = sum(draft.size for draft in output.drafts) / samples
    return row(f"{name}, on disk", [size], "bytes/sample", bar=bar, lower_is_better=True)


def _batch(entries: Sequence[Entry]) -> LogBatch:
    keys, values = [entry.key for entry in entries], [entry.value for entry in entries]
    return LogBatch(READINGS, 0, range(len(keys)), [1 << 61] * len(keys), keys, values, len(keys))


def _fold(operator: Operator, batch: LogBatch) -> Output:
    operator.learn(schema_id(STREAM), STREAM)
    running = operator.start(None)
    while len(batch):
        batch = batch.tail(running.feed(batch))
    return running.take()


def _read_back(name: str, output: Output) -> Row:
    """The records of an output, from its files on a disk."""
    with tempfile.TemporaryDirectory(prefix="sensorloom-bench-") as folder:
        for draft in output.drafts:
            path = Path(folder) / draft.name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(b"".join(bytes(part) for part in draft.parts))
        (records,) = (draft.name for draft in output.drafts if draft.name.startswith(RECORDS))
        rates = []
        for _ in range(RUNS):
            start = time.perf_counter()
            rows = rows_in(read_table((Path(folder) / records).read_bytes()))
            values = record_values(rows, lambda file: (Path(folder) / file).read_bytes())
            rates.append(SAMPLES / (time.perf_counter() - start) / 1e6)
            assert len(values) == len(rows)
    return row(f"{name}, read as a log", rates, "Msamples/s")
