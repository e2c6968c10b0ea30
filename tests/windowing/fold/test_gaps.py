"""What is a gap, and what is merely missing: empty cells as missing rows, and a stream's own periods."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.lifetimes import DAY_NS
from ingest.records import Channel, Progress, Record, StreamDescription, schema_id
from tests.windowing.feeding import BOOT, NOW_NS, START_NS, Collected, Source, batches, describe, run
from windowing.fold.operator import WindowOperator
from windowing.spec import Interpolation, StreamRule, WindowSpec

ACC = describe("acc", "xy")
STEP = 20_000_000
NAN = float("nan")


def _spec(rule: StreamRule, *channels: str, **more: Any) -> WindowSpec:
    return WindowSpec(5, 5, Fraction(50), channels or ("acc.x",), rule=rule, **more)


def _at(places: Sequence[float]) -> list[int]:
    return [START_NS + int(place * STEP) for place in places]


def _rows(description: StreamDescription, places: Sequence[float], values: Any) -> list[Record]:
    source = Source(description)
    return [source.chunk(_at(places), values), source.end()]


def _windows(found: Collected) -> dict[int, list[list[float]]]:
    first = START_NS // (5 * STEP)
    return {k - first: signal.tolist() for k, signal in found.by_k.items()}


def singly(spec: WindowSpec, records: list[Record], descriptions: list[StreamDescription]) -> Collected:
    once = run(spec, records, descriptions)
    pieces = {"sizes": [1] * len(records), "restart": [True] * len(records)}
    run(spec, records, descriptions, **pieces).same_as(once)  # type: ignore[arg-type]
    return once


@pytest.mark.parametrize("interpolation", ["linear", "hold", "nearest", "none"])
def test_an_empty_cell_is_a_row_that_is_not_there(interpolation: Interpolation) -> None:
    """Every second value missing: 118 windows where rows were absent, none where their cells were empty."""
    spec = _spec(StreamRule(interpolation, 3 * STEP), min_coverage=Fraction(1, 5))
    places, values = list(range(40)), [[i, i] for i in range(40)]
    cells = [[x if x % 2 == 0 else NAN, y] for x, y in values]
    empty = singly(spec, _rows(ACC, places, cells), [ACC])
    absent = singly(spec, _rows(ACC, places[::2], values[::2]), [ACC])
    assert {**_windows(empty)}.keys() >= {0, 1, 2, 3, 4, 5, 6}
    np.testing.assert_equal(
        {k: window for k, window in _windows(empty).items() if k < 7},
        {k: window for k, window in _windows(absent).items() if k < 7},
    )


@pytest.mark.parametrize(("cells", "kept"), [(3, True), (4, False)])
def test_max_gap_bounds_what_is_bridged_in_a_channel(cells: int, kept: bool) -> None:
    """`max_gap` of four steps: three empty cells lie between values four steps apart."""
    values = np.arange(20, dtype=float).reshape(-1, 1).repeat(2, axis=1)
    values[6 : 6 + cells, 0] = NAN
    found = singly(_spec(StreamRule("linear", 4 * STEP)), _rows(ACC, list(range(20)), values), [ACC])
    assert sorted(_windows(found)) == ([0, 1, 2, 3] if kept else [0, 2, 3])
    assert found.counts["drop.gap"] == 0  # the rows are there: it is missing, and counts against min_coverage


def test_infinity_and_what_float32_does_not_hold_are_bridged_too() -> None:
    wide = describe("acc", "x", "float64")
    found = singly(_spec(StreamRule()), _rows(wide, [0, 1, 2, 3, 4], [0, np.inf, 2, 1e300, 4]), [wide])
    assert _windows(found) == {0: [[0], [1], [2], [3], [4]]}


def test_slow_channels_of_a_wide_table_are_windowed() -> None:
    wide = describe("w", "abc")
    values = np.full((100, 3), NAN)
    values[:, 0] = np.arange(100)
    values[::10, 1] = np.arange(0, 100, 10)
    found = singly(
        WindowSpec(10, 10, Fraction(50), ("w.a", "w.b"), rule=StreamRule("linear", 10 * STEP)),
        _rows(wide, list(range(100)), values),
        [wide],
    )
    assert len(found.windows) == 9
    assert all((row["signal"][:, 0] == row["signal"][:, 1]).all() for row in found.rows)


def test_a_channel_is_held_from_before_what_the_buffer_keeps() -> None:
    """Its newest value may lie many rows before the first that a window needs, over any number of seals."""
    rule = StreamRule("hold", 1000 * STEP)
    source = Source(ACC)
    records: list[Record] = [source.chunk(_at([0]), [[1.0, 7.0]])]
    records += [source.chunk(_at(list(range(i, i + 5))), [[2.0, NAN]] * 5) for i in range(1, 100, 5)]
    found = singly(_spec(rule, "acc.x", "acc.y"), records, [ACC])
    assert len(found.windows) == 20
    assert {row["signal"][-1, 1] for row in found.rows} == {7.0}


def test_a_window_waits_for_what_may_bridge_a_cell() -> None:
    source = Source(ACC)
    spec = _spec(StreamRule("linear", 10 * STEP))
    first = source.chunk(_at(list(range(5))), [[i if i < 4 else NAN, 0] for i in range(5)])
    assert not run(spec, [first], [ACC]).windows
    assert len(run(spec, [first, source.chunk(_at([5, 6]), [[5, 0], [6, 0]])], [ACC]).windows) == 1
    progress = Progress("d1", "r1", "acc", BOOT, _at([3])[0] + 10 * STEP)
    assert run(spec, [first, progress], [ACC]).counts["drop.coverage"] == 0
    beyond = Progress("d1", "r1", "acc", BOOT, _at([3])[0] + 10 * STEP + 1)
    assert run(spec, [first, beyond], [ACC]).counts["drop.coverage"] == 1


def test_under_the_semantics_of_before_an_empty_cell_is_missing() -> None:
    spec = replace(_spec(StreamRule()), semantics=1)
    records = _rows(ACC, list(range(10)), [[NAN if i == 2 else i, 0] for i in range(10)])
    assert sorted(_windows(singly(spec, records, [ACC]))) == [1]


# A stream's own periods.

OWN = StreamRule("linear", None)


def _rated(hertz: Fraction) -> StreamDescription:
    return StreamDescription("acc", (Channel("x", "g"),), "float32", hertz.numerator, hertz.denominator)


@pytest.mark.parametrize("rated", [True, False])
def test_slow_data_needs_no_max_gap(rated: bool) -> None:
    """1 Hz and the default of 500 ms: every sample was a gap, and there were no windows."""
    description = _rated(Fraction(1)) if rated else describe("acc", "x")
    source = Source(description)
    records = [source.chunk([START_NS + i * 10**9 + 3], [float(i)]) for i in range(60)]
    spec = WindowSpec(10, 10, Fraction(2), ("acc.x",), rule=OWN)
    found = singly(spec, [*records, source.end()], [description])
    assert len(found.windows) == 10
    assert found.counts["drop.edge"] == 2
    assert found.counts["drop.gap"] == 0


@pytest.mark.parametrize(("missing", "gaps"), [(4, 0), (5, 2)])
def test_five_nominal_periods_are_bridged(missing: int, gaps: int) -> None:
    description = _rated(Fraction(50))
    places = [float(i) for i in range(40) if not 13 <= i < 13 + missing]
    found = singly(_spec(OWN), _rows(description, places, np.zeros(len(places))), [description])
    assert found.counts["drop.gap"] == gaps


@pytest.mark.parametrize(("hole", "gap"), [(50, False), (51, True)])
def test_without_a_rate_the_first_steps_say_it(hole: int, gap: bool) -> None:
    """Ten steps of the grid each: five periods are fifty steps."""
    description = describe("acc", "x")
    places = [float(10 * i) for i in range(12)]
    places += [places[-1] + hole + 10 * i for i in range(5)]
    found = singly(_spec(OWN), _rows(description, places, np.zeros(len(places))), [description])
    assert (found.counts["drop.gap"] > 0) == gap


def test_nothing_is_cut_before_the_period_is_known_but_at_the_end_or_after_a_day() -> None:
    description = describe("acc", "x")
    source = Source(description)
    eight = [source.regular(START_NS + i * STEP, 0, Fraction(STEP), [1.0]) for i in range(8)]
    spec = _spec(OWN)
    assert not run(spec, eight, [description]).windows
    assert len(run(spec, [*eight, source.end()], [description]).windows) == 1
    day = Progress("d1", "r1", "acc", BOOT, START_NS + DAY_NS - 1)
    assert not run(spec, [*eight, day], [description]).windows
    day = Progress("d1", "r1", "acc", BOOT, START_NS + DAY_NS)
    assert len(run(spec, [*eight, day], [description]).windows) == 1
    ninth = source.regular(START_NS + 8 * STEP, 0, Fraction(STEP), [1.0])
    assert len(run(spec, [*eight, ninth], [description]).windows) == 1


@given(st.data())
def test_what_is_measured_does_not_depend_on_batches(data: st.DataObject) -> None:
    description = describe("acc", "xy")
    source = Source(description)
    places = np.cumsum(data.draw(st.lists(st.sampled_from([1, 2, 2, 3, 40, 4000]), min_size=1, max_size=30))).tolist()
    cells = [[data.draw(st.sampled_from([1.0, NAN])), 1.0] for _ in places]
    records: list[Record] = []
    at = 0
    while at < len(places):
        stop = at + data.draw(st.integers(1, 4))
        records.append(source.chunk(_at(places[at:stop]), cells[at:stop]))
        at = stop
    progress = START_NS + data.draw(st.sampled_from([0, places[-1] * STEP, DAY_NS, DAY_NS + STEP]))
    records.insert(data.draw(st.integers(0, len(records))), Progress("d1", "r1", "acc", BOOT, progress))
    if data.draw(st.booleans()):
        records.append(source.end())
    spec = _spec(OWN, "acc.x", "acc.y", min_coverage=Fraction(1, 5))
    once = run(spec, records, [description])
    sizes = data.draw(st.lists(st.integers(0, 3), max_size=20))
    restart = data.draw(st.lists(st.booleans(), max_size=len(sizes)))
    run(spec, records, [description], sizes=sizes, restart=restart, bound_bytes=200).same_as(once)


def test_a_max_gap_below_a_period_is_told() -> None:
    description = _rated(Fraction(1))
    for max_gap_ns, told in ((500_000_000, 1), (10**9, 0), (0, 0), (None, 0)):
        operator = WindowOperator(_spec(StreamRule("linear", max_gap_ns)))
        operator.learn(schema_id(description), description)
        (batch,) = batches(_rows(description, [0], [0.0]), [], [NOW_NS, NOW_NS])
        running = operator.start(None)
        running.feed(batch)
        notes = running.take().notes
        assert len(notes) == told
        expected = "acc: its samples come every 1 s, and a max_gap of 0.5 s is shorter"
        assert all(note.startswith(expected) for note in notes)
