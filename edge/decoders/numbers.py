"""Device times as numbers or text, and rows of samples as frames: what the text decoders share."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from fractions import Fraction
from typing import Final

import numpy as np

from edge.protocol import Fault, Frame, Key, SourceConfig
from ingest.errors import UsageError
from ingest.settings import suggest
from ingest.units import parse_time

Row = tuple[list[float], int | None, int]
"""Values, the device's time, and the offset behind the line."""
TimeParser = Callable[[str], int]
_SCALES: Final[Mapping[str, int]] = {"s": 10**9, "ms": 10**6, "us": 10**3, "ns": 1}
TIME_UNIT: Final = Key(
    "one of iso, s, ms, us, ns",
    "How the device's time is written: ISO 8601, or a number since 1970.",
    '"ms"',
    "iso",
    ("time_format", "timeunit", "unit"),
)
_TIME_MAX_NS: Final = 1 << 62


def time_parser(config: SourceConfig) -> TimeParser:
    """How this source's decoder reads a time, by its key `time_unit`: `s`, `ms`, `us`, `ns` since 1970, or `iso`.

    The parser raises `ValueError` for what is no such time. Decimal text keeps every digit.
    """
    unit = config.option("time_unit", str, "iso")
    if unit == "iso":
        return _iso
    scale = _SCALES.get(unit)
    if scale is None:
        raise UsageError(f'{config.where}: time_unit: unknown unit "{unit}"{suggest(unit, [*_SCALES, "iso"])}')
    return lambda text: _bounded(int(text) * scale if text.isdecimal() else int(Fraction(text) * scale))


def _bounded(time_ns: int) -> int:
    if abs(time_ns) >= _TIME_MAX_NS:
        raise ValueError("out of range")
    return time_ns


def _iso(text: str) -> int:
    try:
        return _bounded(parse_time(text))
    except UsageError as error:
        raise ValueError(str(error)) from None


def frames_of(items: Iterable[Row | Fault]) -> Iterator[Frame | Fault]:
    """Rows joined to frames, faults in their places. Either all rows have a time, or none."""
    rows: list[Row] = []
    for item in items:
        if isinstance(item, Fault):
            if rows:
                yield _frame(rows)
                rows = []
            yield item
        else:
            rows.append(item)
    if rows:
        yield _frame(rows)


def _frame(rows: list[Row]) -> Frame:
    values = np.array([row[0] for row in rows], dtype=np.float64)
    times = [row[1] for row in rows if row[1] is not None]
    return Frame(values, np.array(times, dtype=np.int64) if times else None, rows[-1][2])
