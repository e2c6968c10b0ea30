"""How sure the times of samples are: what devices said of their clocks stands in the log's chunks, in no shard."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Collection
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ingest.draining import drain
from ingest.errors import WireError
from ingest.log.protocol import READINGS
from ingest.opening import open_log
from ingest.records import Chunk
from ingest.times import newest_time
from ingest.wire import parse
from windowing.dataset.reader import Dataset
from windowing.dataset.sampling import Origin, find_origin, log_of

Spans = dict[str, list[tuple[int, int]]]
"""By device, from the first to the last sample of chunks."""


def unsure_windows(dataset: Dataset, max_ns: int, source: str | Path | None) -> NDArray[np.int64]:
    """The places of the windows that chunks touch whose clock is less sure than `max_ns`: their devices' streams that
    the windows have. Raises as `Dataset.samples`."""
    origin = find_origin(dataset.contents.root, log_of(dataset), source)
    streams = {plan.name for plan in dataset.contents.config.window.streams}
    with ThreadPoolExecutor(1) as thread:  # a notebook has a loop at work in the thread that asks
        spans = thread.submit(asyncio.run, _unsure(origin, streams, max_ns)).result()
    table = dataset.columns(("device", "t0_ns", "t1_ns"))
    t0_ns, t1_ns = table["t0_ns"].to_numpy(), table["t1_ns"].to_numpy()
    touched = np.zeros(len(table), np.bool_)
    for device, found in spans.items():
        own = (table["device"] == device).to_numpy()
        begins, ends = (np.sort(np.array(column, np.int64)) for column in zip(*found, strict=True))
        touched |= own & (np.searchsorted(begins, t1_ns) > np.searchsorted(ends, t0_ns))
    return np.flatnonzero(touched)


async def _unsure(origin: Origin, streams: Collection[str], max_ns: int) -> Spans:
    """What the archive has, and the log: either may lack what the other has, and what is in both is found twice."""
    found: Spans = defaultdict(list)
    for url in (None if origin.archive is None else f"archive:{origin.archive}", origin.log):
        if url is None:
            continue
        log = open_log(url)
        try:
            async for batch in drain(log, READINGS, await log.bounds(READINGS)):
                for value in batch.values:
                    try:
                        record = parse(value)
                    except WireError:
                        continue  # a dead letter: no window has it
                    if type(record) is not Chunk or record.clock is None or record.stream not in streams:
                        continue
                    if record.clock.uncertainty_ns > max_ns:
                        found[record.device].append((record.t0_ns, newest_time(record)))
        finally:
            await log.close()
    return found
