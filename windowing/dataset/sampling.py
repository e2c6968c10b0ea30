"""Samples behind windows: as the sensor said them, in float64, and streams cut at their own rates.

A dataset keeps windows on one grid, in float32. What the sensors said is in the archive or the log that it was cut
from, beside the dataset or named; another log's samples are refused by its identity.
"""

from __future__ import annotations

import asyncio
import itertools
import operator
from collections.abc import Coroutine, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeVar

import numpy as np
import polars as pl
from numpy.typing import NDArray

from ingest.engine.genesis import NAME as GENESIS
from ingest.errors import UsageError
from ingest.log.places import is_log
from ingest.log.protocol import READINGS
from ingest.opening import check_begun, open_log
from ingest.pace import rated_gap_ns
from ingest.settings import suggest
from ingest.times import period_of
from ingest.units import parse_time
from windowing.dataset.answers import Series
from windowing.fold.grid import Grid
from windowing.fold.resample import FAR_NS, Samples, of_channel, resample
from windowing.spec import StreamPlan, StreamRule, WindowSpec

if TYPE_CHECKING:
    from ingest.archive.reading import Answer
    from windowing.dataset.selected import Selected

Ints = NDArray[np.int64]
Doubles = NDArray[np.float64]
_T = TypeVar("_T")
_DENOMINATOR_MAX: Final = 10**6
_APART_NS: Final = 600 * 10**9
"""Windows that lie further apart are asked for alone, where an archive is asked: it reads the files of that span."""


class Origin(NamedTuple):
    """Where samples are read from."""

    archive: Path | None
    log: str | None
    """Its URL."""


def find_origin(root: Path, identity: str, source: str | Path | None) -> Origin:
    """The archive and the log of this identity beside a dataset; or the one that is named, by its folder or URL.

    Raises:
        UsageError: there is none, or what is named is another log.
    """
    if source is not None:
        folder = Path(str(source).removeprefix("archive:")).expanduser()
        if not (folder / READINGS / GENESIS).is_file():
            url = f"segments:{folder}" if is_log(folder) else str(source)
            check_begun(url)
            origin = Origin(None, url)
        else:
            origin = Origin(folder, None)
        _check(origin, identity)
        return origin
    beside = sorted(path for path in root.resolve().parent.iterdir() if path.is_dir())
    archives = [Origin(path, None) for path in beside if (path / READINGS / GENESIS).is_file()]
    logs = [Origin(None, f"segments:{path}") for path in beside if is_log(path)]
    own = [next((it for it in kind if _identity(it) == identity), Origin(None, None)) for kind in (archives, logs)]
    origin = Origin(own[0].archive, own[1].log)
    if origin == Origin(None, None):
        raise UsageError(
            f"samples: neither the log that {root} was cut from nor its archive lies beside it; name one: "
            'source="segments:DIR", "kafka://host:9092" or an archive\'s folder'
        )
    return origin


def _check(origin: Origin, identity: str) -> None:
    found = _identity(origin)
    if found != identity:
        what = origin.log or str(origin.archive)
        raise UsageError(
            f"samples: {what} is the log {found}, the dataset was cut from {identity}: that has other data"
        )


def _identity(origin: Origin) -> str:
    async def ask() -> str:
        log = open_log(origin.log or f"archive:{origin.archive}")
        try:
            return await log.identity()
        finally:
            await log.close()

    return _wait_for(ask())


def _wait_for(work: Coroutine[Any, Any, _T]) -> _T:
    """In a thread of its own: a notebook has a loop at work in the one that asks."""
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(asyncio.run, work).result()


def read_samples(origin: Origin, device: str, stream: str, spans: Sequence[tuple[int, int]]) -> list[Series | None]:
    """The samples of a stream in each span `[start_ns, end_ns)`; None where there are none.

    Raises:
        UsageError: the stream is not described.
        CorruptError: a file is damaged.
        LogUnavailableError: the log gives no answer.
    """
    from ingest.archive.spans import samples_between

    async def ask() -> list[Answer | None]:
        log = None if origin.log is None else open_log(origin.log)
        try:
            return [await samples_between(device, stream, *it, archive=origin.archive, log=log) for it in spans]
        finally:
            if log is not None:
                await log.close()

    return [None if it is None else Series(it.channels, it.units, it.times, it.values) for it in _wait_for(ask())]


def samples_of(
    selected: Selected, device: str, stream: str, span: tuple[object, object], source: str | Path | None
) -> Series | None:
    """See `Dataset.samples`."""
    begin_ns, end_ns = map(_instant, span)
    if end_ns <= begin_ns:
        raise UsageError(f"samples: the span ends at {span[1]}, before it begins at {span[0]}")
    origin = find_origin(selected.contents.root, log_of(selected), source)
    found = read_samples(origin, device, stream, [(begin_ns, end_ns)])[0]
    if found is None:
        _check_named(selected, device, stream)
    return found


def _instant(said: object) -> int:
    """A time as ns UTC: a whole number of them, an ISO text, or a datetime with a zone. Raises `UsageError`."""
    if isinstance(said, datetime):
        return parse_time(said.isoformat())
    if isinstance(said, str):
        return parse_time(said)
    if isinstance(said, bool) or not hasattr(said, "__index__"):
        raise UsageError(f"samples: found {said!r}, expected ns UTC, an ISO time or a datetime")
    return operator.index(said)


def _check_named(selected: Selected, device: str, stream: str) -> None:
    """Raise `UsageError` where no window is of this device, or cut from this stream."""
    devices = selected.columns(("device",))["device"].unique().sort().to_list()
    streams = [plan.name for plan in selected.contents.config.window.streams]
    for what, name, known in (("device", device, devices), ("stream", stream, streams)):
        if name not in known:
            raise UsageError(f'samples: nothing there, and these windows have no {what} "{name}"{suggest(name, known)}')


def stream_arrays(selected: Selected, rows: Ints, source: str | Path | None) -> dict[str, Doubles]:
    """By stream, `(rows, its steps, its channels) float64`: each window's span at the stream's own nominal rate, from
    the window's start on, by the rules that cut windows.

    Raises:
        UsageError: a stream has no nominal rate, or several; no samples are to be had.
    """
    contents = selected.contents
    window = contents.config.window
    table = selected._source.table(("device", "recording", "t0_ns"), rows)
    origin = find_origin(contents.root, log_of(selected), source)
    found = {}
    for plan in window.streams:
        rate = _rate_of(contents.streams, plan.name, table)
        held = frozenset(n for n, name in enumerate(plan.channels) if f"{plan.name}.{name}" in selected.states)
        cut = _OwnRate(window, plan, rate, held)
        made = np.full((len(rows), cut.steps, len(plan.channels)), np.nan)
        for device in table["device"].unique().sort():
            own = np.flatnonzero((table["device"] == device).to_numpy())
            own = own[np.argsort(table["t0_ns"].to_numpy()[own], kind="stable")]
            _fill(made, own, table["t0_ns"].to_numpy()[own], cut, origin, device)
        found[plan.name] = made
    return found


def log_of(selected: Selected) -> str:
    """The identity of the log that windows were cut from. Raises `UsageError` where several datasets have several."""
    geneses = {part.windows.genesis.log for part in selected.contents.parts if part.windows.genesis is not None}
    if len(geneses) != 1:
        raise UsageError("samples: these datasets were cut from several logs; open each alone")
    return geneses.pop()


def _rate_of(streams: pl.DataFrame, stream: str, windows: pl.DataFrame) -> Fraction:
    keys = windows.select("device", "recording").unique()
    own = streams.filter(pl.col("stream") == stream).join(keys, ["device", "recording"], "semi")
    rates = own["rate_hz"].unique().to_list()
    if len(rates) != 1 or not rates[0]:
        said = ", ".join(f"{rate:g} Hz" if rate else "none" for rate in sorted(rates, key=lambda rate: rate or 0))
        raise UsageError(
            f'per_stream: "{stream}" has no one nominal rate in these windows (found {said or "none"}); select windows '
            "of one rate, or take samples()"
        )
    return Fraction(rates[0]).limit_denominator(_DENOMINATOR_MAX)


class _OwnRate:
    """A stream's windows at its own rate."""

    def __init__(self, window: WindowSpec, plan: StreamPlan, rate: Fraction, held: frozenset[int]) -> None:
        self.period = period_of(rate)
        (num, den), (grid_num, grid_den) = self.period, window.period
        self.steps = -(-window.length * grid_num * den // (grid_den * num))
        self.span_ns = -(-window.length * grid_num // grid_den)
        gap_ns = plan.rule.max_gap_ns
        self.rule = StreamRule(plan.rule.interpolation, rated_gap_ns(num // den) if gap_ns is None else gap_ns)
        self.plan, self.held = plan, held
        self.tolerance_ns = 0 if den == 1 else 1

    @property
    def reach_ns(self) -> int:
        """How far beyond a window a sample may lie that says what is in it."""
        return min(self.rule.max_gap_ns or 0, _APART_NS) + self.tolerance_ns

    def cut(self, series: Series, begins: Ints) -> Doubles:
        """`(begins, steps, channels)`."""
        instants = np.stack([Grid(begin, *self.period).instants(0, self.steps) for begin in begins.tolist()])
        every, place = np.unique(instants, return_inverse=True)
        made = np.full((*instants.shape, len(self.plan.channels)), np.nan)
        for number, name in enumerate(self.plan.channels):
            if name not in series.channels:
                continue
            column = series.values[:, [series.channels.index(name)]]
            rule = self.rule.of_states if number in self.held else self.rule
            own = of_channel(Samples(series.times, column, -FAR_NS, rule, self.tolerance_ns), 0)
            found = resample(own, every, double=True)
            values = found.values[:, 0].astype(np.float64)
            if found.valid is not None:
                values[~found.valid] = np.nan
            made[..., number] = values[place].reshape(instants.shape)
        return made


def _fill(made: Doubles, own: Ints, begins: Ints, cut: _OwnRate, origin: Origin, device: str) -> None:
    """The windows `own` of a device, which begin at `begins`, rising."""
    parts = list(_near(begins, cut.span_ns + _APART_NS if origin.archive is not None else FAR_NS))
    spans = [(int(begins[it][0]) - cut.reach_ns, int(begins[it][-1]) + cut.span_ns + cut.reach_ns) for it in parts]
    for part, series in zip(parts, read_samples(origin, device, cut.plan.name, spans), strict=True):
        if series is None:
            continue
        if (np.diff(series.times) <= 0).any():
            raise UsageError(
                f"per_stream: {device} {cut.plan.name}: two recordings lie over each other here; take out one of them "
                "(sensorloom dataset exclude), or take samples()"
            )
        made[own[part]] = cut.cut(series, begins[part])


def _near(begins: Ints, apart_ns: int) -> Iterator[slice]:
    edges = [0, *(np.flatnonzero(np.diff(begins) > apart_ns) + 1).tolist(), len(begins)]
    yield from (slice(begin, end) for begin, end in itertools.pairwise(edges))


def precision_of(selected: Selected, batches: Iterator[NDArray[np.float32]]) -> pl.DataFrame:
    """See `Dataset.precision`."""
    channels = selected.channels
    most = np.zeros(len(channels), np.float32)
    for signals in batches:
        most = np.fmax(most, np.fmax.reduce(np.abs(signals), axis=(0, 1), initial=0))
    step = np.spacing(most)
    units = _units(selected.contents.streams)
    degrees = [units.get(name) == "deg" and name.rpartition(".")[2].lower() in _POSITIONS for name in channels]
    return pl.DataFrame(
        {
            "channel": channels,
            "unit": [units.get(name) for name in channels],
            "largest": most,
            "step": step,
            "step_m": [float(it) * _METRES_A_DEGREE if deg else None for it, deg in zip(step, degrees, strict=True)],
        },
        schema_overrides={"unit": pl.String, "step_m": pl.Float64},
    )


_POSITIONS: Final = ("lat", "latitude", "lon", "lng", "longitude")
_METRES_A_DEGREE: Final = 111_195.0
"""Of a great circle of the mean radius 6,371,009 m (IUGG), where a degree of longitude is longest."""


def _units(streams: pl.DataFrame) -> dict[str, str]:
    rows = streams.select("stream", "channels", "units").explode("channels", "units").drop_nulls("channels").unique()
    found: dict[str, set[str]] = {}
    for stream, channel, unit in rows.iter_rows():
        found.setdefault(f"{stream}.{channel}", set()).add(unit)
    return {name: next(iter(units)) if len(units) == 1 else " / ".join(sorted(units)) for name, units in found.items()}
