"""What a file would become, before anything is written: its first rows as they are understood, and doubts. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np

from ingest.importers.prepared import Prepared, Run
from ingest.units import format_time

ROWS: Final = 5
_SEPARATORS: Final = {",": "comma", ";": "semicolon", "\t": "tab", " ": "blanks"}
_UNEVEN: Final = 0.1
"""A sample in so many of a hundred may lie further from its neighbour than half a step more than usual."""
_PERIODS: Final = 5


def look(path: str, parts: Sequence[Prepared], separator: str = "", columns: Sequence[str] = ()) -> dict[str, Any]:
    """What one stream of a file says, of one device or of several: plain data, as `--dry-run` prints it."""
    first = parts[0]
    described = first.description.channels
    return {
        "file": path,
        "stream": first.options.stream,
        "separator": _SEPARATORS.get(separator, separator) or None,
        "devices": [part.options.device for part in parts],
        "columns": list(columns or first.options.columns),
        "channels": {channel.name: channel.unit for channel in described},
        "sample_type": first.description.dtype,
        "rate_hz": rate_hz(first.runs[0]),
        "rows": first_rows(first),
        "doubts": [doubt for part in parts for doubt in doubts(part)],
    }


def first_rows(part: Prepared, count: int = ROWS) -> list[dict[str, Any]]:
    """The first samples with their times and values, in the channels' units."""
    run, channels = part.runs[0], part.description.channels
    rows = []
    for index in range(min(count, len(run.values))):
        values = {
            channel.name: float(value) * channel.scale + channel.offset
            for channel, value in zip(channels, run.values[index].tolist(), strict=True)
        }
        labels = [span.label for span in run.labels if span.first <= index < span.behind]
        rows.append({"time": format_time(run.time_of(index)), **values, "labels": labels})
    return rows


def rate_hz(run: Run) -> float | None:
    """How many samples a second come, by the usual step; None of a single one."""
    if run.period is not None:
        return 1e9 * run.period[1] / run.period[0]
    return 1e9 / run.step_ns() if len(run.times) > 1 else None


def doubts(part: Prepared) -> list[str]:
    """What a person should look at before it is imported."""
    found = []
    for run in part.runs:
        if run.period is None and len(run.times) > 2:
            steps, usual = np.diff(run.times), run.step_ns()
            holes = int((steps > _PERIODS * usual).sum())
            uneven = float((np.abs(steps - usual) > usual / 2).mean())
            if uneven > _UNEVEN:
                found.append(
                    f"{run.recording}: {100 * uneven:.0f} % of its steps are far from the usual {usual / 1e6:g} ms"
                )
            if holes:
                found.append(f"{run.recording}: {holes} holes of more than {_PERIODS} usual steps")
        for place, channel in enumerate(part.description.channels):
            values = run.values[:, place]
            known = values[~np.isnan(values)] if values.dtype.kind == "f" else values
            if not len(known):
                found.append(f"{run.recording}: {channel.name} has no value at all")
            elif len(known) > 2 and (known == known[0]).all():
                found.append(f"{run.recording}: {channel.name} is always {known[0]:g}")
    if part.options.label_columns and not any(run.labels for run in part.runs):
        found.append("no row has a label")
    return found
