"""`dataset dropped`: the windows that are not in a dataset, with place and reason."""

from __future__ import annotations

import msgspec

from ingest.showing import counted, printable
from ingest.units import exact_time
from windowing.dataset.reader import Dataset


class Run(msgspec.Struct, frozen=True):
    """Windows that are not there, one behind the other, or a range that was taken out."""

    device: str
    recording: str | None
    start: str | None
    """ISO 8601; None: from the begin on."""
    end: str | None
    windows: int
    reason: str
    """gap, edge, coverage, no_stream; trim, excluded, undone."""
    note: str = ""
    """What somebody said of it."""


def dropped(dataset: Dataset) -> list[Run]:
    """All of them, by device and time. Raises `CorruptError`."""
    contents = dataset.contents
    found = [
        Run(device, recording, exact_time(t0_ns), exact_time(t1_ns), windows, reason)
        for device, recording, t0_ns, t1_ns, windows, reason in dataset.dropped()
        .select("device", "recording", "t0_ns", "t1_ns", "windows", "reason")
        .iter_rows()
    ]
    found += [
        Run(trim.device, None, exact_time(trim.start_ns), exact_time(trim.end_ns), windows, "trim", trim.reason)
        for trim, windows in contents.trims.items()
    ]
    for each, windows in contents.exclusions.items():
        start, end = (None if ns is None else exact_time(ns) for ns in (each.what.start_ns, each.what.end_ns))
        found.append(Run(each.what.device, each.what.recording, start, end, windows, "excluded", each.what.reason))
    found += [
        Run(device, recording, None, None, windows, "undone", "its import was taken back")
        for (device, recording), windows in contents.undone.items()
    ]
    return sorted(found, key=lambda run: (run.device, run.start or "", run.reason))


def render_dropped(runs: list[Run]) -> str:
    """As lines for people."""
    if not runs:
        return "nothing was left out"
    lines = []
    for run in runs:
        of = run.device if run.recording is None else f"{run.device}, {run.recording}"
        note = f" ({run.note})" if run.note else ""
        span = f"{run.start or 'its begin'} to {run.end or 'its end'}"
        lines.append(printable(f"{run.reason:<10} {counted(run.windows, 'window'):>14}  {of}, {span}{note}"))
    return "\n".join(lines)
