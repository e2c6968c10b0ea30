"""The keys `calibration` and `axes` of a `[[source]]` table, checked."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import numpy as np

from edge.protocol import SourceConfig
from edge.spool.queue import PLAUSIBLE_NS
from edge.tables import shown, text
from ingest.errors import UsageError
from ingest.records import Correction
from ingest.settings import check_keys, suggest

_KEYS: Final = ("channels", "matrix", "bias", "date", "reference")
_SYNONYMS: Final = {"offset": "bias", "offsets": "bias", "gain": "matrix", "scale": "matrix", "when": "date"}
_EXAMPLE: Final = "calibration = { bias = [0.02, -0.01, 0.13], date = 2026-11-20 }"


_DAY_NS: Final = 86_400_000_000_000


def calibrated_ahead(sources: Iterable[SourceConfig], now_ns: int) -> dict[str, str]:
    """What is wrong, by source, where a sensor was calibrated on a day that has begun nowhere yet. A clock that was
    never set says nothing of it."""
    today = dt.datetime.fromtimestamp((now_ns + _DAY_NS) // 1_000_000_000, dt.UTC).date().isoformat()
    ahead = {
        one.name: one.correction.date for one in sources if one.correction is not None and one.correction.date > today
    }
    return {
        name: f"calibration: date: {date} is yet to come; was it mistyped, or is this machine's clock behind?"
        for name, date in ahead.items()
        if now_ns >= PLAUSIBLE_NS
    }


def read_correction(
    table: Mapping[str, Any], where: str, channels: Mapping[str, str], stated: Mapping[str, object]
) -> Correction | None:
    """What a table says of them, for all channels; `stated` are those whose values are codes. Raises `UsageError`."""
    names = list(channels)
    axes = _axes(table["axes"], f"{where}: axes", channels, stated) if "axes" in table else ()
    if "calibration" not in table:
        return Correction(axes=axes) if axes else None
    found, place = table["calibration"], f"{where}: calibration"
    if not isinstance(found, dict):
        raise UsageError(f"{place}: found {shown(found)}, expected a table, as in {_EXAMPLE}")
    check_keys(found, _KEYS, place, _SYNONYMS)
    rows = _rows(found, place, names, stated)
    if "matrix" not in found and "bias" not in found:
        raise UsageError(f'{place}: neither "matrix" nor "bias": it changes nothing; as in {_EXAMPLE}')
    bias, matrix = np.zeros(len(names)), np.eye(len(names))
    if "bias" in found:
        bias[rows] = _numbers(found["bias"], f"{place}: bias", len(rows))
    if "matrix" in found:
        matrix[np.ix_(rows, rows)] = _matrix(found["matrix"], f"{place}: matrix", len(rows))
    return Correction(
        tuple(map(tuple, matrix.tolist())),
        tuple(bias.tolist()),
        axes,
        _date(found, place),
        text(found, "reference", place, ""),
    )


def _axes(found: object, where: str, channels: Mapping[str, str], stated: Mapping[str, object]) -> tuple[str, ...]:
    if not isinstance(found, dict):
        raise UsageError(f'{where}: found {shown(found)}, expected a table, as in axes = {{ x = "-y", y = "x" }}')
    axes = {name: name for name in channels}
    for channel, axis in found.items():
        _check_known(channel, channels, where)
        if not isinstance(axis, str):
            raise UsageError(f'{where}: {channel} = {shown(axis)}; expected a channel, or its opposite, as in "-y"')
        axis = axis.removeprefix("+").strip()
        source = axis.removeprefix("-")
        _check_known(source, channels, f"{where}: {channel}")
        if channels[source] != channels[channel]:
            raise UsageError(
                f'{where}: {channel} = "{axis}": {source} is in {channels[source]}, {channel} in {channels[channel]}'
            )
        if {channel, source} & stated.keys():
            raise UsageError(f"{where}: {channel}: a channel with named states has no axis")
        axes[channel] = axis
    taken: dict[str, str] = {}
    for channel, axis in axes.items():
        other = taken.setdefault(axis.removeprefix("-"), channel)
        if other != channel:
            raise UsageError(
                f'{where}: {other} and {channel} are both "{axis.removeprefix("-")}"; each of the sensor\'s axes is '
                "one channel's"
            )
    return tuple(axes.values())


def _check_known(name: str, channels: Mapping[str, str], where: str) -> None:
    if name not in channels:
        raise UsageError(f'{where}: unknown channel "{name}"{suggest(name, list(channels))}')


def _rows(found: Mapping[str, Any], where: str, names: list[str], stated: Mapping[str, object]) -> list[int]:
    """The places of the channels that it is for."""
    wanted = found.get("channels", [name for name in names if name not in stated])
    if not isinstance(wanted, list) or not wanted or not all(isinstance(name, str) for name in wanted):
        raise UsageError(f'{where}: channels: found {shown(wanted)}, expected a list, as in ["x", "y", "z"]')
    for name in wanted:
        _check_known(name, dict.fromkeys(names, ""), f"{where}: channels")
        if name in stated:
            raise UsageError(f"{where}: channels: {name} has named states, which are codes; leave it out")
    if len(set(wanted)) < len(wanted):
        raise UsageError(f"{where}: channels: one comes twice")
    return [names.index(name) for name in wanted]


def _numbers(found: object, where: str, count: int) -> Sequence[float]:
    if not isinstance(found, list) or len(found) != count:
        had = f"{len(found)} numbers" if isinstance(found, list) else shown(found)
        raise UsageError(f"{where}: found {had}, expected a list of {count}, one for each channel")
    for value in found:
        if not isinstance(value, int | float) or isinstance(value, bool) or not abs(value) < 1e300:
            raise UsageError(f"{where}: {shown(value)} is no number")
    return [float(value) for value in found]


def _matrix(found: object, where: str, count: int) -> Sequence[Sequence[float]]:
    if not isinstance(found, list) or len(found) != count:
        had = f"{len(found)} rows" if isinstance(found, list) else shown(found)
        raise UsageError(f"{where}: found {had}, expected {count} rows of {count} numbers")
    rows = [_numbers(row, f"{where}: row {number}", count) for number, row in enumerate(found, 1)]
    if np.linalg.matrix_rank(np.array(rows)) < count:
        raise UsageError(f"{where}: its rows depend on one another: what differs would be recorded alike")
    return rows


def _date(found: Mapping[str, Any], where: str) -> str:
    value = found.get("date")
    if isinstance(value, dt.date):
        return value.isoformat()
    if value is None:
        raise UsageError(f'{where}: "date" is missing: when was it calibrated, as in date = 2026-11-20')
    try:
        return dt.date.fromisoformat(value if isinstance(value, str) else "").isoformat()
    except ValueError:
        raise UsageError(f"{where}: date: found {shown(value)}, expected a day, as in 2026-11-20") from None
