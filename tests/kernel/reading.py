"""What the log of an agent in the guest holds."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from ingest.records import Chunk, Gap, Record
from ingest.times import sample_times


def samples(
    records: Iterable[Record], stream: str, channels: int = 1, dtype: str = "<f4"
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Times `(samples,)` and values `(samples, channels)` of a stream, in their order."""
    chunks = {chunk.seq: chunk for chunk in records if isinstance(chunk, Chunk) and chunk.stream == stream}
    ordered = [chunk for _, chunk in sorted(chunks.items())]
    values = b"".join(chunk.values for chunk in ordered)
    times = [np.asarray(sample_times(chunk), dtype=np.int64) for chunk in ordered]
    return np.concatenate(times), np.frombuffer(values, dtype).astype(np.float64).reshape(-1, channels)


def gaps(records: Iterable[Record], stream: str, reason: str) -> list[Gap]:
    """A stream's gaps of that reason; each once."""
    found = {
        (gap.start_ns, gap.end_ns): gap
        for gap in records
        if isinstance(gap, Gap) and (gap.stream, gap.reason) == (stream, reason)
    }
    return list(found.values())
