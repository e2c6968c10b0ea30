"""Random specifications, recordings and logs for the windower's properties."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Any, get_args

import numpy as np
from hypothesis import strategies as st
from msgspec.structs import replace
from numpy.typing import NDArray

from ingest.records import Gap, Progress, Record, StreamDescription
from tests.windowing.feeding import BOOT, START_NS, Source, describe
from windowing.fold.anchors import AnchorMark
from windowing.spec import Interpolation, StreamRule, WindowSpec

DESCRIPTIONS = (describe("a", "xy"), describe("b", "z", dtype="int16", scale=0.1, offset=3.0))
STATES = ((0, "raised"), (1, "down"))
_INTERPOLATIONS: st.SearchStrategy[Interpolation] = st.sampled_from(get_args(Interpolation))


@st.composite
def described(draw: st.DrawFn) -> tuple[StreamDescription, ...]:
    """`DESCRIPTIONS`, in which some channels have named states."""
    return tuple(
        replace(it, channels=tuple(replace(c, states=draw(st.sampled_from([(), STATES]))) for c in it.channels))
        for it in DESCRIPTIONS
    )


@st.composite
def rules(draw: st.DrawFn, period_ns: int) -> StreamRule:
    return StreamRule(draw(_INTERPOLATIONS), draw(st.sampled_from([0, period_ns, 2 * period_ns + 7, 5 * period_ns])))


@st.composite
def specs(draw: st.DrawFn, streams: int) -> WindowSpec:
    rate = draw(st.sampled_from([Fraction(50), Fraction(3), Fraction(12_000), Fraction(1, 2)]))
    period_ns = int(10**9 / rate)
    channels = draw(st.permutations(["a.x", "a.y", "b.z"][: 2 if streams == 1 else 3]))
    return WindowSpec(
        length=draw(st.integers(1, 6)),
        hop=draw(st.integers(1, 8)),
        rate=rate,
        channels=tuple(channels),
        anchor=draw(st.sampled_from(["epoch", "recording", "mark"])),
        rule=draw(rules(period_ns)),
        min_coverage=draw(st.sampled_from([Fraction(1), Fraction("0.8"), Fraction("0.3")])),
        overrides={"a": draw(rules(period_ns))} if draw(st.booleans()) else {},
        semantics=draw(st.sampled_from([1, 2, 2])),
    )


@dataclass
class Recorded:
    """One stream's samples, and their chunks in order."""

    source: Source
    times: list[int]
    values: NDArray[np.float64]
    """Physical."""
    records: list[Record]


@st.composite
def recorded(draw: st.DrawFn, description: StreamDescription, spec: WindowSpec) -> Recorded:
    """On the grid, beside it, with jitter or with holes; NaN and infinity where the type has them."""
    num, den = spec.period
    kind = draw(st.sampled_from(["grid", "grid", "free", "jitter"]))
    count = draw(st.integers(1, 25))
    rising = np.cumsum(draw(st.lists(st.sampled_from([1, 1, 1, 1, 1, 2, 4, 30]), min_size=count, max_size=count)))
    j = -(-START_NS * den // num) + int(rising[0])
    times = [(j + int(step)) * num // den for step in rising]
    if kind == "free":
        times = [t + num // den // 3 for t in times]
    elif kind == "jitter":
        tenth = num // den // 3
        times = [t + draw(st.integers(-tenth, tenth)) for t in times]
    raw: NDArray[Any] = np.array(
        draw(st.lists(st.integers(-99, 99), min_size=count * len(description.channels), max_size=99 * count))[
            : count * len(description.channels)
        ],
        dtype=np.float64,
    ).reshape(count, -1)
    if description.dtype == "float32":
        raw[draw(st.lists(st.integers(0, count - 1), max_size=2)), 0] = np.nan
        raw[draw(st.lists(st.integers(0, count - 1), max_size=2)), -1] = np.inf
    source = Source(description)
    records = draw(_chunked(source, times, raw, spec))
    scale = np.array([channel.scale for channel in description.channels])
    offset = np.array([channel.offset for channel in description.channels])
    return Recorded(source, times, raw * scale + offset, records)


@st.composite
def _chunked(draw: st.DrawFn, source: Source, times: list[int], raw: NDArray[Any], spec: WindowSpec) -> list[Record]:
    """Chunks of random sizes, with a period where the times allow it, and true progress between them."""
    num, den = spec.period
    records: list[Record] = []
    at = 0
    while at < len(times):
        stop = min(len(times), at + draw(st.integers(1, 7)))
        j = -(-times[at] * den // num)
        steady = times[at:stop] == [(j + i) * num // den for i in range(stop - at)]
        if steady and draw(st.booleans()):
            records.append(source.regular(times[at], j * num % den, Fraction(num, den), raw[at:stop]))
        else:
            records.append(source.chunk(times[at:stop], raw[at:stop]))
        if draw(st.integers(0, 3)) == 0:
            free = times[stop] if stop < len(times) else times[-1] + 9 * num // den
            known = draw(st.integers(times[stop - 1] + 1, free))
            records.append(Progress("d1", "r1", source.description.stream, BOOT, known))
        at = stop
    return records


@st.composite
def interleaved(draw: st.DrawFn, parts: list[list[Record]]) -> list[Record]:
    """One order of several ordered lists."""
    order = draw(st.permutations([i for i, part in enumerate(parts) for _ in part]))
    iterators = [iter(part) for part in parts]
    return [next(iterators[i]) for i in order]


@st.composite
def mark_lists(draw: st.DrawFn, times: list[int], spec: WindowSpec) -> list[AnchorMark]:
    """Marks around the samples, overlapping or not."""
    margin = 9 * spec.period[0] // spec.period[1]
    low, high = times[0] - margin, times[-1] + margin
    spans = draw(st.lists(st.tuples(st.integers(low, high), st.integers(low, high)), max_size=4))
    marks = [AnchorMark(f"m{i}", "d1", min(span), max(span)) for i, span in enumerate(spans)]
    whole = AnchorMark("all", "d1", times[0], times[-1] + 1)
    return [*marks, whole, AnchorMark("other", "d2", low, high)]


@st.composite
def faults(draw: st.DrawFn, records: list[Record], source: Source) -> list[Record]:
    """The records with duplicates, late and unordered chunks, foreign records, ends and announced gaps between."""
    result = list(records)
    for _ in range(draw(st.integers(0, 5))):
        place = draw(st.integers(0, len(result)))
        kind = draw(st.sampled_from(["duplicate", "late", "unordered", "gap", "skipped", "clock"]))
        if kind == "duplicate" and result:
            result.insert(place, result[draw(st.integers(0, len(result) - 1))])
        elif kind == "gap":
            result.insert(place, Gap("d1", "r1", "a", BOOT, START_NS, START_NS + 1, 7, "full"))
        else:
            channels = len(source.description.channels)
            stamps = [START_NS + draw(st.integers(-(10**9), 10**10)) for _ in range(3)]
            source.seq += kind == "skipped"
            source.clock = "unsynced" if kind == "clock" else "ntp"
            result.insert(place, source.chunk(stamps, np.ones((3, channels))))
    return result
