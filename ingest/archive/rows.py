"""A record of the archive as a row of its files, and the record again. Pure.

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


NOBODY: Final = Chunk("", "", "", b"", 0, b"", 0, 0, 0, 0, 0, b"", 0, b"")
"""A chunk that says nothing."""


FORGOTTEN: Final = "forget"
"""The kind of a record whose place is kept, and nothing else: see `ingest.forgetting.instead_of`."""


def follows(chunk: Chunk, value: bytes) -> bool:
    """Whether a chunk's bytes follow from what columns can hold of it; `ingest.wire.check_chunk` has passed it."""
    clock = chunk.clock
    if clock is not None and not (-_INT64 <= clock.offset_ns < _INT64 and -_INT64 <= clock.uncertainty_ns < _INT64):
        return False
    if chunk.period_den > 0:
        if chunk.deltas or not -_INT64 <= chunk.tick_ns < _INT64:
            return False
    elif not all(-_INT64 <= number < _INT64 for number in (chunk.period_num, chunk.period_den, chunk.phase)):
        return False
    return encode(chunk) == value


def held(chunk: Chunk) -> Chunk:
    """The chunk with numbers that columns can hold, 0 for others: its bytes are kept beside it."""
    clock = chunk.clock
    if clock is not None:
        clock = Clock(clock.source, _held(clock.offset_ns), clock.ppm, _held(clock.uncertainty_ns))
    return msgspec.structs.replace(
        chunk,
        period_num=_held(chunk.period_num),
        period_den=_held(chunk.period_den),
        phase=_held(chunk.phase),
        tick_ns=_held(chunk.tick_ns),
        clock=clock,
    )


def _held(number: int) -> int:
    return number if -_INT64 <= number < _INT64 else 0


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
