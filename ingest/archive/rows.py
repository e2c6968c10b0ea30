"""What the archive keeps of records, as rows, and the records in them again. Pure.

A chunk whose samples are understood is kept as columns; `Row.value` is empty then, for its bytes follow from them. Of
everything else, and of a chunk that another producer wrote in a way of its own, the bytes are kept as they came.
"""

from __future__ import annotations

from functools import cache
from typing import Final

import msgspec
import numpy as np

from ingest.records import Chunk, Clock, SampleType
from ingest.times import Times
from ingest.wire import encode

_INT64: Final = 1 << 63


class Row(msgspec.Struct, gc=False):
    """A record of a partition. What a kind of record has not is empty or 0."""

    offset: int
    append_ns: int
    key: bytes
    value: bytes
    kind: str
    """"chunk", "gap", "recording_end" …; "undecodable" for what is no record."""
    verdict: str = ""
    """Of a chunk: "counts", or why it does not: see `ingest.intake`; "forgotten", "quarantine", "undecodable"."""
    device: str = ""
    recording: str = ""
    stream: str = ""
    boot: bytes = b""
    seq: int = 0
    schema: bytes = b""
    t0_ns: int = 0
    period_num: int = 0
    period_den: int = 0
    phase: int = 0
    tick_ns: int = 0
    delta_bytes: int = 0
    """How wide each of the times was: 4 or 8 bytes, 0 where the chunk has a period."""
    count: int = 0
    missing: int = 0
    missing_reason: str = ""
    clock: str | None = None
    """The clock's source; None where the chunk says nothing of its clock."""
    clock_offset_ns: int = 0
    clock_ppm: float = 0.0
    uncertainty_ns: int = 0
    signature: bytes = b""
    start_ns: int = 0
    """The earliest of a chunk's times."""
    end_ns: int = 0
    """The latest one."""
    samples: str = ""
    """The file that its samples are in, "" of a record that has none."""
    at: int = 0
    """The row there where they begin."""


def chunk_row(offset: int, append_ns: int, key: bytes, value: bytes, chunk: Chunk, verdict: str) -> Row:
    """The row of a chunk that `ingest.wire.check_chunk` has passed; `value` are its bytes as they came."""
    clock = chunk.clock
    offset_ns, uncertainty_ns = (0, 0) if clock is None else (clock.offset_ns, clock.uncertainty_ns)
    numbers = (chunk.period_num, chunk.period_den, chunk.phase, chunk.tick_ns, offset_ns, uncertainty_ns)
    fits = max(numbers) < _INT64 and min(numbers) >= -_INT64
    period_num, period_den, phase, tick_ns, offset_ns, uncertainty_ns = numbers if fits else (0,) * len(numbers)
    follows = fits and not (chunk.period_den > 0 and chunk.deltas) and encode(chunk) == value
    return Row(
        offset,
        append_ns,
        key,
        b"" if follows else value,
        "chunk",
        verdict,
        chunk.device,
        chunk.recording,
        chunk.stream,
        chunk.boot,
        chunk.seq,
        chunk.schema,
        chunk.t0_ns,
        period_num,
        period_den,
        phase,
        tick_ns,
        0 if chunk.period_den > 0 else len(chunk.deltas) // chunk.count,
        chunk.count,
        chunk.missing,
        chunk.missing_reason,
        None if clock is None else clock.source,
        offset_ns,
        0.0 if clock is None else clock.ppm,
        uncertainty_ns,
        chunk.signature,
    )


def chunk_of(row: Row, times: Times, values: bytes) -> Chunk:
    """The chunk of a row; `times`, `(count,) int64` ns UTC, are those of its samples, `values` their bytes."""
    deltas = b""
    if row.delta_bytes:
        deltas = ((times - row.t0_ns) // row.tick_ns).astype(f"<i{row.delta_bytes}").tobytes()
    clock = None
    if row.clock is not None:
        clock = Clock(row.clock, row.clock_offset_ns, row.clock_ppm, row.uncertainty_ns)
    return Chunk(
        row.device,
        row.recording,
        row.stream,
        row.boot,
        row.seq,
        row.schema,
        row.t0_ns,
        row.period_num,
        row.period_den,
        row.phase,
        row.tick_ns,
        deltas,
        row.count,
        values,
        row.missing,
        row.missing_reason,
        clock,
        row.signature,
    )


@cache
def dtype_of(sample_type: SampleType) -> np.dtype[np.generic]:
    """A sample type as it lies in `Chunk.values`: little-endian."""
    return np.dtype(sample_type).newbyteorder("<")
