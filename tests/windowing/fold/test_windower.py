"""The fold against its oracle, and the same windows for any batches, restarts and chunkings."""

from __future__ import annotations

from collections import Counter
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from ingest.records import Progress, Record
from tests.windowing import oracle
from tests.windowing.feeding import START_NS, Collected, Source, run
from tests.windowing.strategies import DESCRIPTIONS, Recorded, faults, interleaved, mark_lists, recorded, specs
from windowing.fold.anchors import AnchorMark
from windowing.fold.windower import BOUND_BYTES
from windowing.spec import StreamRule, WindowSpec


def _expected(
    spec: WindowSpec, parts: list[Recorded], marks: list[AnchorMark]
) -> tuple[dict[tuple[str, int], bytes], set[tuple[str, str, int, str]]]:
    """(anchor, k) → bytes, and drops, by the oracle."""
    by_name = {part.source.description.stream: part for part in parts}
    series = [_series(by_name[plan.name], plan.channels) for plan in spec.streams]
    reference = series[0][0]
    first, last = min(times[0] for times, *_ in series), max(times[-1] for times, *_ in series)
    period = Fraction(10**9) / spec.rate
    around = spec.hop + spec.length + 2
    origins: list[tuple[str, int, range]] = []
    if spec.anchor == "epoch":
        ks = range(int(first // (period * spec.hop)) - around, int(last // (period * spec.hop)) + around)
        origins.append(("epoch", 0, ks))
    elif spec.anchor == "recording":
        origins.append(("recording", reference[0], range(int((last - reference[0]) // (period * spec.hop)) + around)))
    for mark in marks if spec.anchor == "mark" else ():
        origin = next((t for t in reference if t >= mark.start_ns), None)
        if mark.device == "d1" and origin is not None:
            steps = [k for k in range(400) if origin + int((k * spec.hop + spec.length) * period // 1) <= mark.end_ns]
            origins.append((mark.id, origin, range(len(steps))))
    signals: dict[tuple[str, int], bytes] = {}
    drops: set[tuple[str, str, int, str]] = set()
    for anchor, origin, ks in origins:
        found, missed = oracle.windows(spec, series, origin, ks)
        signals |= {(anchor, k): signal.tobytes() for k, signal in found.items()}
        drops |= {("r1", anchor, k, reason) for k, reason in missed.items()}
    return signals, drops


def _series(part: Recorded, channels: tuple[str, ...]) -> oracle.Series:
    names = [channel.name for channel in part.source.description.channels]
    known = [record.complete_to_ns for record in part.records if isinstance(record, Progress)]
    return part.times, part.values[:, [names.index(channel) for channel in channels]], max([*known, part.times[-1] + 1])


def _nan_free(data: bytes) -> bytes:
    """All NaN alike: the oracle does not care which one."""
    values = np.frombuffer(data, dtype=np.float32).copy()
    values[np.isnan(values)] = np.nan
    return values.tobytes()


@given(st.data())
def test_windows_and_drops_are_the_oracles(data: st.DataObject) -> None:
    spec = data.draw(specs(data.draw(st.integers(1, 2))))
    named = {plan.name for plan in spec.streams}
    parts = [data.draw(recorded(d, spec)) for d in DESCRIPTIONS if d.stream in named]
    marks = data.draw(mark_lists(parts[0].times, spec)) if spec.anchor == "mark" else []
    records: list[Record] = data.draw(interleaved([part.records for part in parts]))
    assume(all(part.times == sorted(set(part.times)) for part in parts))
    sizes = data.draw(st.lists(st.integers(0, 4), max_size=40))
    restart = data.draw(st.lists(st.booleans(), max_size=len(sizes)))
    whole = [*records, parts[0].source.end()]
    found = run(spec, whole, DESCRIPTIONS, marks=marks, sizes=sizes, restart=restart)
    signals, drops = _expected(spec, parts, marks)
    assert found.drops - drops == set()
    assert drops - found.drops == set()
    assert {(row["anchor"], row["k"]): _nan_free(row["signal"].tobytes()) for row in found.rows} == {
        key: _nan_free(signal) for key, signal in signals.items()
    }
    assert all(_mask_is_right(row, spec) for row in found.rows)


def _mask_is_right(row: dict[str, object], spec: WindowSpec) -> bool:
    signal, mask, coverage = row["signal"], row["mask"], row["coverage"]
    assert isinstance(signal, np.ndarray)
    assert isinstance(mask, bytes)
    valid = ~np.isnan(signal)
    stored = np.unpackbits(np.frombuffer(mask, dtype=np.uint8), count=signal.size) if mask else np.ones(signal.size)
    assert coverage == np.float32(valid.sum(axis=0).min() / spec.length)
    return bool((stored.reshape(signal.shape) == valid).all())


@given(st.data())
def test_batches_and_restarts_change_nothing_whatever_comes(data: st.DataObject) -> None:
    spec = data.draw(specs(data.draw(st.integers(1, 2))))
    named = {plan.name for plan in spec.streams}
    parts = [data.draw(recorded(d, spec)) for d in DESCRIPTIONS if d.stream in named]
    marks = data.draw(mark_lists(sorted(parts[0].times), spec)) if spec.anchor == "mark" else []
    records: list[Record] = data.draw(interleaved([part.records for part in parts]))
    records = data.draw(faults(records, parts[0].source))
    if data.draw(st.booleans()):
        records.insert(data.draw(st.integers(0, len(records))), parts[0].source.end())
    once = run(spec, records, DESCRIPTIONS, marks=marks)
    for _ in range(2):
        sizes = data.draw(st.lists(st.integers(0, 4), max_size=40))
        restart = data.draw(st.lists(st.booleans(), max_size=len(sizes)))
        bound = data.draw(st.sampled_from([1, 200, 1000, BOUND_BYTES]))
        found = run(spec, records, DESCRIPTIONS, marks=marks, sizes=sizes, restart=restart, bound_bytes=bound)
        found.same_as(once)
    singly = [1] * len(records)
    run(spec, records, DESCRIPTIONS, marks=marks, sizes=singly, restart=[True] * len(singly)).same_as(once)


@given(st.data())
def test_chunking_changes_nothing(data: st.DataObject) -> None:
    spec = data.draw(specs(1))
    part = data.draw(recorded(DESCRIPTIONS[0], spec))
    assume(part.times == sorted(set(part.times)))
    found: list[Collected] = []
    for _ in range(2):
        records: list[Record] = []
        at, part.source.seq = 0, 0
        while at < len(part.times):
            stop = at + data.draw(st.integers(1, 9))
            records.append(part.source.chunk(part.times[at:stop], part.values[at:stop]))
            at = stop
        marks = [AnchorMark("all", "d1", part.times[0], part.times[-1] + 10**9)]
        found.append(run(spec, [*records, part.source.end()], DESCRIPTIONS, marks=marks))
        found[-1].counts = Counter({k: n for k, n in found[-1].counts.items() if k != "chunks"})
    found[0].same_as(found[1])


@pytest.mark.parametrize("anchor", ["epoch", "recording", "mark"])
def test_a_recording_without_samples_gives_nothing(anchor: str) -> None:
    spec = WindowSpec(4, 2, Fraction(50), ("a.x",), anchor=anchor)  # type: ignore[arg-type]
    found = run(spec, [Source(DESCRIPTIONS[0]).end()], DESCRIPTIONS)
    assert not found.windows
    assert found.counts == {"ended.recordings": 1}


def test_the_nearest_of_two_samples_is_the_channels_own() -> None:
    """Beside an empty cell, a channel's own last value may lie further back than `max_gap`, wherever a seal falls."""
    a = DESCRIPTIONS[0]
    source, none, ms = Source(a), float("nan"), 10**6
    at = [START_NS + t * ms for t in (40, 4335, 4455, 4495, 4595, 4615)]
    rows = [(-1.0, 0.0), (none, -8.0), (none, none), (-6.0, -5.0), (7.0, 2.0), (7.0, 2.0)]
    records: list[Record] = [source.chunk([t], [row]) for t, row in zip(at, rows, strict=True)]
    rule = StreamRule("nearest", 2 * 10**9)
    spec = WindowSpec(5, 6, Fraction(50), ("a.x", "a.y"), anchor="mark", rule=rule, min_coverage=Fraction("0.8"))
    marks = [AnchorMark("all", "d1", at[0], at[-1] + 1)]
    once = run(spec, records, DESCRIPTIONS, marks=marks)
    (row,) = (row for row in once.rows if row["k"] == 37)
    assert np.isnan(row["signal"][0]).tolist() == [True, False]
    run(spec, records, DESCRIPTIONS, marks=marks, bound_bytes=1).same_as(once)
