"""What must come out: a plain fold over the records of the log, written without a look at the operator.

No batches, no saved state, no intervals: the whole partition in one loop.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple


class LogRecord(NamedTuple):
    offset: int
    append_ns: int
    key: bytes
    value: bytes


def expected_rows(
    records: Sequence[LogRecord], factors: Mapping[bytes, int], begin: int, lost: Iterable[tuple[int, int]]
) -> list[tuple[Any, ...]]:
    """The rows of one partition read from `begin`, where the offset ranges in `lost` were gone."""
    rows: list[tuple[Any, ...]] = []
    seen: set[tuple[bytes, bytes, int]] = set()
    y: dict[bytes, int] = {}
    on: dict[bytes, bool] = {}
    windows: dict[bytes, list[int]] = {}
    closed: dict[bytes, int] = {}
    holes = sorted(lost)

    def pass_holes(offset: float) -> None:
        while holes and holes[0][0] <= offset:
            rows.append(("hole", *holes[0]))
            windows.clear()
            skipped.append(holes.pop(0))

    skipped: list[tuple[int, int]] = []
    for offset, _, device, value in records:
        pass_holes(offset)
        if offset < begin or any(start <= offset < stop for start, stop in skipped):
            continue
        schema, boot, seq, raw = value.split(b"|")
        x = int(raw) * factors[schema]
        if x == 0 or (device, boot, int(seq)) in seen:
            continue
        seen.add((device, boot, int(seq)))
        y[device] = y.get(device, 500) + (x - y.get(device, 500)) // 4
        was = on.get(device, False)
        now = y[device] > 620 if not was else y[device] >= 380
        on[device] = now
        name = device.decode()
        if now != was:
            rows.append(("flip", name, boot.decode(), int(seq), now, y[device]))
        window = windows.setdefault(device, [])
        window.append(x)
        if len(window) == 5:
            rows.append(("window", name, closed.get(device, 0), tuple(window), y[device], now, offset))
            closed[device] = closed.get(device, 0) + 1
            windows[device] = []
    pass_holes(float("inf"))
    return rows
