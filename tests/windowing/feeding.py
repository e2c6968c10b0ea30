"""Records in, windows out: what the windower's tests share."""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from ingest.engine.operator import Output
from ingest.log.protocol import LogBatch
from ingest.records import Channel, Chunk, Clock, Record, RecordingEnd, StreamDescription, schema_id
from ingest.times import advance
from ingest.wire import encode
from windowing.fold.anchors import AnchorMark
from windowing.fold.operator import WindowOperator
from windowing.fold.windower import BOUND_BYTES
from windowing.spec import WindowSpec

START_NS = 1_700_000_000 * 10**9
NOW_NS = 1_800_000_000 * 10**9
BOOT = b"b" * 16


def describe(stream: str, channels: str, dtype: Any = "float32", **more: Any) -> StreamDescription:
    """A stream's description; `more` goes to every channel."""
    return StreamDescription(stream, tuple(Channel(name, "g", **more) for name in channels), dtype)


@dataclass
class Source:
    """Makes the chunks of one stream."""

    description: StreamDescription
    device: str = "d1"
    recording: str = "r1"
    boot: bytes = BOOT
    seq: int = 0
    clock: str = "ntp"
    uncertainty_ns: int = 0
    extra: dict[str, Any] = field(default_factory=dict)

    def chunk(self, times: Sequence[int] | NDArray[np.int64], values: Any) -> Chunk:
        """A chunk with its times one by one."""
        stamps = np.asarray(times, dtype=np.int64)
        return self._make(int(stamps[0]), 0, 0, 0, 1, (stamps - stamps[0]).astype("<i8").tobytes(), values)

    def regular(self, t0_ns: int, phase: int, period: Fraction, values: Any) -> Chunk:
        """A chunk with a period in nanoseconds."""
        return self._make(t0_ns, phase, period.numerator, period.denominator, 1, b"", values)

    def split(self, t0_ns: int, period: Fraction, values: NDArray[Any], sizes: Iterable[int]) -> Iterator[Chunk]:
        """Chunks of these sizes that follow each other exactly."""
        phase, at = 0, 0
        for size in sizes:
            yield self.regular(t0_ns, phase, period, values[at : at + size])
            t0_ns, phase = advance(t0_ns, phase, period.numerator, period.denominator, size)
            at += size

    def _make(self, t0: int, phase: int, num: int, den: int, tick: int, deltas: bytes, values: Any) -> Chunk:
        dtype = np.dtype(self.description.dtype).newbyteorder("<")
        rows = np.asarray(values).astype(dtype).reshape(-1, len(self.description.channels))
        chunk = Chunk(
            device=self.device,
            recording=self.recording,
            stream=self.description.stream,
            boot=self.boot,
            seq=self.seq,
            schema=schema_id(self.description),
            t0_ns=t0,
            period_num=num,
            period_den=den,
            phase=phase,
            tick_ns=tick,
            deltas=deltas,
            count=len(rows),
            values=rows.tobytes(),
            clock=Clock(self.clock, uncertainty_ns=self.uncertainty_ns),
            **self.extra,
        )
        self.seq += 1
        return chunk

    def end(self, t_ns: int = 0) -> RecordingEnd:
        """The end of the recording."""
        return RecordingEnd(self.device, self.recording, self.boot, t_ns, "stop")


def batches(
    records: Sequence[Record | bytes], sizes: Iterable[int] = (), append_ns: Sequence[int] | None = None
) -> Iterator[LogBatch]:
    """The records in batches of these sizes, the last one as large as need be."""
    values = [record if isinstance(record, bytes) else encode(record) for record in records]
    times = [NOW_NS] * len(values) if append_ns is None else list(append_ns)
    at = 0
    for size in [*sizes, len(values)]:
        stop = min(at + size, len(values))
        keys = [b"d1"] * (stop - at)
        yield LogBatch("readings", 0, range(at, stop), times[at:stop], keys, values[at:stop], stop)
        at = stop


@dataclass
class Collected:
    """All that an operator gave out."""

    windows: dict[str, tuple[bytes, bytes]] = field(default_factory=dict)
    """Window id → (signal bytes, mask)."""
    rows: list[dict[str, Any]] = field(default_factory=list)
    dropped: list[tuple[str, str, int, int, str]] = field(default_factory=list)
    """(recording, anchor, k, t0_ns where known, reason), one a window."""
    late: list[dict[str, Any]] = field(default_factory=list)
    publications: list[Any] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    shapes: set[tuple[int, ...]] = field(default_factory=set)

    def add(self, output: Output) -> None:
        """Read an output's files back."""
        files = {draft.name: b"".join(draft.parts) for draft in output.drafts}
        assert all(draft.size == len(files[draft.name]) for draft in output.drafts)
        shards = {name.rpartition("/")[2]: np.load(io.BytesIO(data)) for name, data in files.items() if ".npy" in name}
        self.shapes |= {shard.shape[1:] for shard in shards.values()}
        for name, data in files.items():
            if name.startswith("index/"):
                self._add_rows(pl.read_parquet(data).to_dicts(), shards)
            elif name.startswith("dropped/"):
                for row in pl.read_parquet(data).to_dicts():
                    for i in range(row["windows"]):
                        t0 = row["t0_ns"] if i == 0 else -1
                        self.dropped.append((row["recording"], row["anchor"], row["k"] + i, t0, row["reason"]))
            elif name.startswith("late/"):
                self.late += pl.read_parquet(data).to_dicts()
        self.publications += output.publications
        self.counts.update(output.counts)

    def _add_rows(self, rows: list[dict[str, Any]], shards: dict[str, NDArray[np.float32]]) -> None:
        for row in rows:
            signal = shards[row["shard"]][row["row"]]
            assert row["window"] not in self.windows
            self.windows[row["window"]] = (signal.tobytes(), row["mask"])
            self.rows.append({**row, "signal": signal})

    @property
    def by_k(self) -> dict[int, NDArray[np.float32]]:
        """Signals by window number, for tests of one recording and one anchor."""
        assert len({(row["recording"], row["anchor"]) for row in self.rows}) <= 1
        return {row["k"]: row["signal"] for row in self.rows}

    @property
    def drops(self) -> set[tuple[str, str, int, str]]:
        """(recording, anchor, k, reason)."""
        return {(recording, anchor, k, reason) for recording, anchor, k, _, reason in self.dropped}

    def same_as(self, other: Collected) -> None:
        """Assert that both are the same, whatever the batches were."""
        assert self.windows == other.windows
        assert self.drops == other.drops
        assert len(self.dropped) == len(self.drops)
        assert {k: n for k, n in self.counts.items() if n} == {k: n for k, n in other.counts.items() if n}
        assert sorted(map(repr, self.late)) == sorted(map(repr, other.late))


def run(
    spec: WindowSpec,
    records: Sequence[Record | bytes],
    descriptions: Iterable[StreamDescription],
    *,
    marks: Iterable[AnchorMark] = (),
    sizes: Iterable[int] = (),
    restart: Sequence[bool] = (),
    append_ns: Sequence[int] | None = None,
    bound_bytes: int = BOUND_BYTES,
) -> Collected:
    """Feed the records in batches; where `restart` says so, save the state after a batch and go on from it.

    Where there is output of `bound_bytes` it is taken, and the state saved, as the engine does.
    """
    operator = WindowOperator(spec, marks, bound_bytes)
    for description in descriptions:
        operator.learn(schema_id(description), description)
    running, collected = operator.start(None), Collected()
    for index, batch in enumerate(batches(records, sizes, append_ns)):
        rest, save = batch, index < len(restart) and restart[index]
        while len(rest):
            taken = running.feed(rest)
            assert running.missing_schema is None
            rest = rest.tail(taken)
            if save or len(rest):
                assert save or running.pending_bytes >= bound_bytes
                collected.add(running.take())
                running = operator.start(running.snapshot())
    collected.add(running.take())
    while running.pending_bytes:
        running = operator.start(running.snapshot())
        collected.add(running.take())
    return collected
