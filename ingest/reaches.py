"""From when to when a log has samples of each device: a light look at `readings`, values left out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, TypeAlias

import msgspec

from ingest.draining import drain
from ingest.log.protocol import READINGS, Bounds, Log
from ingest.wire import VERSION

RECORDS_MAX: Final = 2_000_000
"""So many of the newest records are looked at: some seconds of work."""
_MAX_NS: Final = 1 << 62


class _Chunk(msgspec.Struct, array_like=True, tag=3, gc=False):
    """The head of `ingest.records.Chunk`: where its samples lie."""

    device: str
    recording: str
    stream: str
    boot: bytes
    seq: int
    schema: bytes
    t0_ns: int
    period_num: int
    period_den: int
    phase: int
    tick_ns: int
    deltas: bytes
    count: int

    def end_ns(self) -> int:
        """Right behind its last sample."""
        if self.period_den > 0:
            return self.t0_ns + (self.phase + (self.count - 1) * self.period_num) // self.period_den + 1
        size = len(self.deltas) // max(self.count, 1)
        return (
            self.t0_ns + int.from_bytes(self.deltas[-size:] if size else b"", "little", signed=True) * self.tick_ns + 1
        )


Span: TypeAlias = tuple[int, int]
"""`[start_ns, end_ns)`, ns UTC."""


@dataclass(frozen=True, slots=True)
class Reaches:
    """What was seen of a log's devices."""

    spans: dict[str, Span]
    """From the first to behind the last sample, by device."""
    complete: bool
    """Whether all of the log was looked at, or only its newest records."""


async def read_reaches(log: Log, records_max: int = RECORDS_MAX) -> Reaches:
    """From when to when `log` has samples of each device, by its newest records; what is damaged is passed over.

    Raises:
        LogUnavailableError: the log's servers are away.
    """
    if READINGS not in await log.topics():
        return Reaches({}, complete=True)
    bounds = await log.bounds(READINGS)
    share = max(records_max // max(len(bounds), 1), 1)
    ranges = {partition: Bounds(max(begin, end - share), end) for partition, (begin, end) in bounds.items()}
    decoder = msgspec.msgpack.Decoder(_Chunk)
    spans: dict[str, Span] = {}
    async for batch in drain(log, READINGS, ranges, on_damage=lambda error: None):
        for value in batch.values:
            if value[:1] != bytes([VERSION]):
                continue
            try:
                chunk = decoder.decode(memoryview(value)[1:])
                start_ns, end_ns = chunk.t0_ns, chunk.end_ns()
            except (msgspec.MsgspecError, ValueError):
                continue  # another kind of record, or none
            if -_MAX_NS < start_ns <= end_ns < _MAX_NS:
                known = spans.get(chunk.device, (start_ns, end_ns))
                spans[chunk.device] = min(known[0], start_ns), max(known[1], end_ns)
    return Reaches(spans, complete=ranges == bounds)
