"""Import into an embedded log and read everything back."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ingest.importers.readings import ReadingsOptions, Summary, import_readings
from ingest.importers.source import Wanted
from ingest.log.protocol import STREAMS
from ingest.opening import open_log
from ingest.records import Chunk, Record, StreamDescription
from ingest.times import sample_times
from tests.support.logs import read_log

START = 1_795_485_600_000_000_000
"""2026-11-24T02:00:00Z."""


def want(columns: str, time: str | None = None, array: str | None = None, **more: Any) -> Wanted:
    return Wanted(tuple(columns.split(",")), () if time is None else (time,), array=array, **more)


def options(columns: str, unit: str = "g", **changes: Any) -> ReadingsOptions:
    given: dict[str, Any] = {"device": "d-1", "stream": "acc", "columns": tuple(columns.split(",")), "units": (unit,)}
    return ReadingsOptions(**(given | changes))


def at_rate(columns: str, rate: int = 50, **changes: Any) -> ReadingsOptions:
    return options(columns, **({"rate": Fraction(rate), "start_ns": START} | changes))


def bring_in(folder: Path, *imports: tuple[Path, ReadingsOptions]) -> list[Summary]:
    async def run() -> list[Summary]:
        log = open_log(f"segments:{folder}", partitions=2)
        try:
            return [await import_readings(log, path, given) for path, given in imports]
        finally:
            await log.close()

    return asyncio.run(run())


def samples(folder: Path, records: Iterable[Record], stream: str = "acc") -> tuple[NDArray[np.int64], NDArray[Any]]:
    """Times and raw values of a stream's chunks, in the order of the log."""
    schemas = {d.stream: d for d in read_log(f"segments:{folder}", STREAMS) if isinstance(d, StreamDescription)}
    chunks = [r for r in records if isinstance(r, Chunk) and r.stream == stream]
    schema = schemas[stream]
    values = [np.frombuffer(c.values, schema.dtype).reshape(c.count, len(schema.channels)) for c in chunks]
    return np.concatenate([sample_times(c) for c in chunks]), np.concatenate(values)
