"""The fold against its oracle, and the same windows for any batches, restarts and chunkings."""

from __future__ import annotations

from collections import Counter
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from msgspec.structs import replace

from ingest.records import Progress, Record
from tests.windowing import oracle
from tests.windowing.feeding import START_NS, Collected, Source, describe, run
from tests.windowing.strategies import (
    DESCRIPTIONS,
    STATES,
    Recorded,
    described,
    faults,
    interleaved,
    mark_lists,
    recorded,
    specs,
)
from windowing.fold.anchors import AnchorMark
from windowing.fold.windower import BOUND_BYTES
from windowing.spec import Interpolation, StreamRule, WindowSpec


def _expected(
    spec: WindowSpec, parts: list[Recorded], marks: list[AnchorMark]
) -> tuple[dict[tuple[str, int], bytes], set[tuple[str, str, int, str]]]:
    """(anchor, k) → bytes, and drops, by the oracle."""
    by_name = {part.source.description.stream: part for part in parts}
    series = [_series(by_name[plan.name], plan.channels) for plan in spec.streams]
    held = [_held(by_name[plan.name], plan.channels) for plan in spec.streams]
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
        found, missed = oracle.windows(spec, series, origin, ks, held)
        signals |= {(anchor, k): signal.tobytes() for k, signal in found.items()}
        drops |= {("r1", anchor, k, reason) for k, reason in missed.items()}
    return signals, drops


def _series(part: Recorded, channels: tuple[str, ...]) -> oracle.Series:
    names = [channel.name for channel in part.source.description.channels]
    known = [record.complete_to_ns for record in part.records if isinstance(record, Progress)]
    return part.times, part.values[:, [names.index(channel) for channel in channels]], max([*known, part.times[-1] + 1])


def _held(part: Recorded, channels: tuple[str, ...]) -> set[int]:
    states = {channel.name: channel.states for channel in part.source.description.channels}
    return {at for at, name in enumerate(channels) if states[name]}


def _nan_free(data: bytes) -> bytes:
    """All NaN alike: the oracle does not care which one."""
    values = np.frombuffer(data, dtype=np.float32).copy()
    values[np.isnan(values)] = np.nan
    return values.tobytes()


@given(st.data())
def test_windows_and_drops_are_the_oracles(data: st.DataObject) -> None:
    spec = data.draw(specs(data.draw(st.integers(1, 2))))
    named = {plan.name for plan in spec.streams}
    descriptions = data.draw(described())
    parts = [data.draw(recorded(d, spec)) for d in descriptions if d.stream in named]
    marks = data.draw(mark_lists(parts[0].times, spec)) if spec.anchor == "mark" else []
    records: list[Record] = data.draw(interleaved([part.records for part in parts]))
    assume(all(part.times == sorted(set(part.times)) for part in parts))
    sizes = data.draw(st.lists(st.integers(0, 4), max_size=40))
    restart = data.draw(st.lists(st.booleans(), max_size=len(sizes)))
    whole = [*records, parts[0].source.end()]
    found = run(spec, whole, descriptions, marks=marks, sizes=sizes, restart=restart)
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
    descriptions = data.draw(described())
    parts = [data.draw(recorded(d, spec)) for d in descriptions if d.stream in named]
    marks = data.draw(mark_lists(sorted(parts[0].times), spec)) if spec.anchor == "mark" else []
    records: list[Record] = data.draw(interleaved([part.records for part in parts]))
    records = data.draw(faults(records, parts[0].source))
    if data.draw(st.booleans()):
        records.insert(data.draw(st.integers(0, len(records))), parts[0].source.end())
    once = run(spec, records, descriptions, marks=marks)
    for _ in range(2):
        sizes = data.draw(st.lists(st.integers(0, 4), max_size=40))
        restart = data.draw(st.lists(st.booleans(), max_size=len(sizes)))
        bound = data.draw(st.sampled_from([1, 200, 1000, BOUND_BYTES]))
        found = run(spec, records, descriptions, marks=marks, sizes=sizes, restart=restart, bound_bytes=bound)
        found.same_as(once)
    singly = [1] * len(records)
    run(spec, records, descriptions, marks=marks, sizes=singly, restart=[True] * len(singly)).same_as(once)


@given(st.data())
def test_chunking_changes_nothing(data: st.DataObject) -> None:
    spec = data.draw(specs(1))
    descriptions = data.draw(described())
    part = data.draw(recorded(descriptions[0], spec))
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
        found.append(run(spec, [*records, part.source.end()], descriptions, marks=marks))
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


@pytest.mark.parametrize("first", [(), STATES])
def test_states_that_are_named_later_hold_from_there_on(first: tuple[tuple[int, str], ...]) -> None:
    """Under another description the recording goes on; what was held once stays held."""
    plain = describe("a", "xy")
    named = [
        replace(plain, channels=(replace(plain.channels[0], states=it), plain.channels[1])) for it in (first, STATES)
    ]
    sources = [Source(named[0]), Source(named[1], seq=1), Source(plain, seq=2)]
    rows = np.array([(t % 2, t) for t in range(30)], float)
    times = START_NS + np.arange(30) * 10**9 + 3 * 10**8  # beside the grid
    parts = (slice(0, 10), slice(10, 20), slice(20, 30))
    records: list[Record] = [source.chunk(times[p], rows[p]) for source, p in zip(sources, parts, strict=True)]
    records.append(sources[2].end())
    spec = WindowSpec(1, 1, Fraction(2), ("a.x", "a.y"), rule=StreamRule("linear", 10**9))
    once = run(spec, records, [*named, plain])
    by_k = once.by_k
    since = (np.array(sorted(by_k)) * 5 * 10**8 - times[0]) / 10**9
    states, quantities = np.array([by_k[k][0] for k in sorted(by_k)]).T
    np.testing.assert_allclose(quantities, since, atol=1e-5)
    held = since >= (0 if first else 9)
    assert held.sum() >= 40
    np.testing.assert_array_equal(states[held], np.floor(since[held]) % 2)
    if not first:
        assert np.isin(states[~held], (0, 1)).sum() == 0, "a quantity is interpolated"
    run(spec, records, [*named, plain], sizes=[1] * 4, restart=[True] * 4).same_as(once)
    run(spec, records, [*named, plain], bound_bytes=1).same_as(once)


@pytest.mark.parametrize("interpolation", ["linear", "nearest"])
def test_a_state_holds_where_the_quantity_beside_it_has_no_neighbour(interpolation: Interpolation) -> None:
    plain = describe("a", "xy")
    x, y = plain.channels
    named = replace(plain, channels=(replace(x, states=STATES), y))
    rows = np.array([(0, 0), (1, 10), (0, 20)], float)
    records: list[Record] = [Source(named).chunk(START_NS + np.arange(3) * 10**9, rows), Source(named, seq=1).end()]
    rule = StreamRule(interpolation, 10**9)
    spec = WindowSpec(8, 8, Fraction(2), ("a.x", "a.y"), anchor="recording", rule=rule, min_coverage=Fraction("0.5"))
    (signal,) = run(spec, records, [named]).by_k.values()
    nan = float("nan")
    np.testing.assert_array_equal(signal[:, 0], [0, 0, 1, 1, 0, 0, 0, nan])
    between = {"linear": [0, 5, 10, 15, 20], "nearest": [0, 0, 10, 10, 20]}[interpolation]
    np.testing.assert_array_equal(signal[:, 1], [*between, nan, nan, nan])


def test_a_stream_of_states_alone_drops_as_held_ones_do() -> None:
    """A silence of 3 s: the last state holds for a second of it, a quantity could not be had at all."""
    plain = describe("a", "x")
    named = replace(plain, channels=(replace(plain.channels[0], states=STATES),))
    records: list[Record] = [Source(named).chunk([START_NS, START_NS + 3 * 10**9], [1, 0]), Source(named, seq=1).end()]
    spec = WindowSpec(1, 1, Fraction(2), ("a.x",), anchor="recording", rule=StreamRule("linear", 10**9))
    found = run(spec, records, [named])
    assert {k: float(signal[0, 0]) for k, signal in found.by_k.items()} == {0: 1, 1: 1, 2: 1, 6: 0}
    assert {(k, reason) for _, _, k, reason in found.drops} == {(3, "gap"), (4, "gap"), (5, "gap")}
    run(spec, records, [named], sizes=[1], restart=[True]).same_as(found)
