"""The windower as the service runs it: wire bytes in, finished windows out, on one core.

The fold (decode, deduplicate, window) is what the bar is for; encoding its output into files, which the engine asks
for at each seal, is measured beside it. The chunks are ideal ones, and such as an agent makes of a real sensor: off the
grid, at the rate that it found. The baseline is numpy's own limit: copying the same windows out of one array that lies
ready.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from fractions import Fraction
from functools import partial

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from edge.protocol import Frame, SourceConfig
from edge.recording.batching import describe
from edge.recording.recorder import Recorder
from edge.recording.terms import ClockState, Held, Previous, Rules
from ingest.log.protocol import LogBatch
from ingest.records import Channel, Chunk, Clock, StreamDescription, schema_id
from ingest.wire import decode, encode
from tests.bench.harness import Row, measure_in_turn, row
from windowing.fold.anchors import Layout
from windowing.fold.shards import encode_output
from windowing.fold.windower import Windower
from windowing.spec import StreamRule, WindowSpec

START_NS = 1_700_000_000 * 10**9
NOW_NS = 1_800_000_000 * 10**9
SAMPLES = 2_000_000
BATCH_BYTES = 1 << 20
SEAL_BYTES = 16 << 20
JITTER_NS = 2_000_000
READ = 16
"""Samples that arrive together at an agent."""
PPM = 180
"""By so much an agent's sensor is faster than its nominal rate."""


def _log(stream: str, period_ns: int, values: NDArray[np.float32], per_chunk: int) -> list[tuple[int, bytes]]:
    """(time, wire bytes) of the stream's chunks."""
    description = _description(stream, values.shape[1])
    schema, clock = schema_id(description), Clock("ntp", 1200, 3.5, 80_000)
    chunks = []
    for seq, at in enumerate(range(0, len(values), per_chunk)):
        part = values[at : at + per_chunk]
        t0 = START_NS + at * period_ns
        head = ("pump-7", "2026-11-24T02:00:00Z-1", stream, b"boot" * 4, seq, schema, t0, period_ns, 1, 0, 1, b"")
        chunks.append((t0, encode(Chunk(*head, len(part), part.tobytes(), clock=clock))))
    return chunks


def _agents_log(config: SourceConfig, values: NDArray[np.float32]) -> list[bytes]:
    """Wire bytes of what an agent's recorder makes of a sensor with jittered arrivals, one flush a second."""
    recorder = Recorder("pump-7", b"boot" * 4, [config], Rules(), Previous(), ClockState(True, "ntp"))
    return [encode(held.record) for held in _held(recorder, config, values)]


def _config(rate: int) -> SourceConfig:
    words = {"where": "bench", "base": ".", "name": "s", "type": "serial", "decoder": "csv"}
    return SourceConfig(
        **words,  # type: ignore[arg-type]
        device="pump-7",
        stream="acc",
        channels=dict.fromkeys("xyz", "g"),
        rate=Fraction(rate),
    )


def _held(recorder: Recorder, config: SourceConfig, values: NDArray[np.float32]) -> Iterator[Held]:
    assert config.rate is not None
    chance, period_ns, tick_ns = random.Random(3), 1e9 / float(config.rate) / (1 + PPM / 1e6), 10**9
    for first in range(0, len(values), READ):
        part = values[first : first + READ].astype(np.float64)
        at_ns = int((first + len(part)) * period_ns) + chance.randrange(JITTER_NS)
        if at_ns >= tick_ns:
            yield from recorder.flush(tick_ns)
            tick_ns += 10**9
        recorder.take("acc", len(part), [Frame(part, None, first + len(part))], at_ns, START_NS + at_ns)
    recorder.end("stopped", tick_ns)
    yield from recorder.flush(tick_ns)


def _description(stream: str, channels: int) -> StreamDescription:
    return StreamDescription(stream, tuple(Channel(name, "g") for name in "xyzuvw"[:channels]), "float32")


def _batches(values: list[bytes]) -> list[LogBatch]:
    size = max(1, BATCH_BYTES // len(values[0]))
    batches = []
    for at in range(0, len(values), size):
        part = values[at : at + size]
        columns = (range(at, at + len(part)), [NOW_NS] * len(part), [b"pump-7"] * len(part), part)
        batches.append(LogBatch("readings", 0, *columns, at + len(part)))
    return batches


def _fold(
    spec: WindowSpec, batches: list[LogBatch], descriptions: list[StreamDescription], *, encoded: bool = False
) -> None:
    schemas = {schema_id(description): description for description in descriptions}
    windower = Windower(Layout.of(spec), (), schemas)
    for batch in batches:
        rest = batch
        while len(rest):
            rest = rest.tail(windower.feed(rest))
            if len(rest) or windower.pending_bytes > SEAL_BYTES:
                finished = windower.take()
                if encoded:
                    encode_output(finished)
    finished = windower.take()
    if encoded:
        encode_output(finished)


def _numpy_limit(values: NDArray[np.float32]) -> None:
    """The same windows, copied out of one array a seal's worth at a time."""
    step = SEAL_BYTES // (values.shape[1] * 4 * 2)
    for at in range(0, len(values) - 128, step):
        view = sliding_window_view(values[at : at + step + 64], 128, axis=0)[::64]
        np.ascontiguousarray(view.transpose(0, 2, 1))


def _decode(messages: list[bytes]) -> None:
    for data in messages:
        decode(data)


def _row(
    name: str, seconds: list[float], baseline: str, beside: list[float], samples: int, bar: float | None = None
) -> Row:
    rates, others = ([samples / s / 1e6 for s in taken] for taken in (seconds, beside))
    return row(name, rates, "Msamples/s", baseline=baseline, baseline_values=others, bar=bar)


def bench() -> list[Row]:
    """Million samples a second on one core; 3 channels, windows of 128 with hop 64."""
    values = np.random.default_rng(0).normal(size=(SAMPLES, 3)).astype("<f4")
    spec = WindowSpec(128, 64, Fraction(50), ("acc.x", "acc.y", "acc.z"))
    descriptions, rows = [_description("acc", 3)], []
    for per_chunk, bar in ((100, 10.0), (1000, 50.0)):
        messages = [data for _, data in _log("acc", 20_000_000, values, per_chunk)]
        batches = _batches(messages)
        limit = "numpy copy of the same windows"
        fold, beside = measure_in_turn(partial(_fold, spec, batches, descriptions), partial(_numpy_limit, values))
        name = f"windower, {per_chunk}-sample chunks"
        rows.append(_row(name, fold, limit, beside, SAMPLES, bar))
        sealed, alone = measure_in_turn(
            partial(_fold, spec, batches, descriptions, encoded=True), partial(_decode, messages), 3
        )
        rows.append(_row(f"{name}, with files encoded", sealed, "decoding alone", alone, SAMPLES))
    return [*rows, *_bench_agents(values), _bench_aligned()]


def _bench_agents(values: NDArray[np.float32]) -> Iterator[Row]:
    """The same fold over what agents send: about 100 and 1000 samples a chunk, on a grid of the nominal rate."""
    for rate, bar in ((100, 10.0), (1000, 40.0)):
        config, spec = _config(rate), WindowSpec(128, 64, Fraction(rate), ("acc.x", "acc.y", "acc.z"))
        job = partial(_fold, spec, _batches(_agents_log(config, values)), [describe(config)])
        fold, beside = measure_in_turn(job, partial(_numpy_limit, values))
        name = f"windower, an agent's chunks of a second at {rate} Hz"
        yield _row(name, fold, "numpy copy of the same windows", beside, SAMPLES, bar)


def _bench_aligned() -> Row:
    """Two streams of 100 and 25 Hz, off the grid, laid on 50 Hz."""
    count = SAMPLES // 5
    fast = np.random.default_rng(1).normal(size=(4 * count // 2, 3)).astype("<f4")
    slow = np.random.default_rng(2).normal(size=(count // 2, 3)).astype("<f4")
    both = [*_log("acc", 10_300_000, fast, 100), *_log("gyro", 41_200_000, slow, 100)]
    batches = _batches([data for _, data in sorted(both)])
    channels = ("acc.x", "acc.y", "acc.z", "gyro.x", "gyro.y", "gyro.z")
    spec = WindowSpec(128, 64, Fraction(50), channels, rule=StreamRule("linear", 500_000_000))
    descriptions = [_description("acc", 3), _description("gyro", 3)]
    samples = len(fast) + len(slow)

    def interp() -> None:
        for values, period in ((fast, 10_300_000), (slow, 41_200_000)):
            times = np.arange(len(values)) * float(period)
            grid = np.arange(0, times[-1], 20_000_000.0)
            for column in range(3):
                np.interp(grid, times, values[:, column])

    taken, beside = measure_in_turn(partial(_fold, spec, batches, descriptions), interp, 5)
    name = "windower, two streams aligned, 100-sample chunks"
    return _row(name, taken, "np.interp alone", beside, samples, 5.0)
