"""An answer of history as lines for people, and as plain data. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import numpy as np

from ingest.archive.reading import Answer
from ingest.archive.tiles import BITS
from ingest.units import exact_time, format_time

_BARS: Final = "▁▂▃▄▅▆▇█"


def as_json(answer: Answer) -> dict[str, Any]:
    """Plain data; each time as nanoseconds and as text, which JavaScript does not round. NaN is null."""
    found: dict[str, Any] = {"channels": answer.channels, "units": answer.units, "level": answer.level}
    if answer.level is None:
        times = answer.times.tolist()
        values = [[None if value != value else value for value in row] for row in answer.values.tolist()]
        return {**found, "time_ns": times, "time": list(map(exact_time, times)), "values": values}
    tiles = []
    for channel in answer.tiles:
        starts = (channel.bucket << BITS * answer.level).tolist()
        columns = (channel.samples, channel.low, channel.high, channel.first, channel.last)
        rows = zip(starts, map(exact_time, starts), *(column.tolist() for column in columns), strict=True)
        names = ("start_ns", "start", "samples", "low", "high", "first", "last")
        tiles.append([dict(zip(names, row, strict=True)) for row in rows])
    return {**found, "tiles": tiles}


def as_lines(answer: Answer) -> Iterator[str]:
    """Samples a line each; of tiles a line a channel that rises and falls with the middle of lowest and highest."""
    if answer.level is None:
        yield "  ".join(
            ("time", *(f"{name} [{unit}]" for name, unit in zip(answer.channels, answer.units, strict=True)))
        )
        for t_ns, row in zip(answer.times.tolist(), answer.values.tolist(), strict=True):
            yield "  ".join((format_time(t_ns), *(f"{value:.6g}" for value in row)))
        return
    width_s = (1 << BITS * answer.level) / 1e9
    yield f"each step is {width_s:.4g} s; a space is a gap"
    for name, unit, tiles in zip(answer.channels, answer.units, answer.tiles, strict=True):
        if not len(tiles.bucket):
            yield f"{name}: no values"
            continue
        low, high = float(tiles.low.min()), float(tiles.high.max())
        middle = (tiles.low + tiles.high) / 2
        step = (high - low) / len(_BARS) or 1.0
        line = np.full(int(tiles.bucket[-1] - tiles.bucket[0]) + 1, " ")
        heights = np.clip((middle - low) / step, 0, len(_BARS) - 1).astype(int)
        line[tiles.bucket - tiles.bucket[0]] = np.array(list(_BARS))[heights]
        begin = format_time(int(tiles.bucket[0]) << BITS * answer.level)
        yield f"{name} [{unit}] {low:.6g} to {high:.6g}, {int(tiles.samples.sum()):,} samples from {begin}"
        yield "  " + "".join(line)
