"""A window of several streams waits for each, but not for ever: a day of event time, or very many samples."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from ingest.lifetimes import DAY_NS, WAIT_NS
from ingest.records import Progress, Record, schema_id
from tests.windowing.feeding import BOOT, NOW_NS, START_NS, Collected, Source, batches, describe, run
from windowing.fold import streams
from windowing.fold.operator import WindowOperator
from windowing.spec import StreamRule, WindowSpec

HOUR_NS = 3_600 * 10**9
ACC, TEMP = describe("acc", "x"), describe("temp", "c")
RULE = StreamRule("linear", 2 * HOUR_NS)
SPEC = WindowSpec(4, 4, Fraction(1, 3600), ("acc.x", "temp.c"), rule=RULE)
T0 = -(-START_NS // (4 * HOUR_NS)) * 4 * HOUR_NS


def hourly(source: Source, first: int, count: int = 1) -> Record:
    """So many samples, one an hour."""
    return source.regular(T0 + first * HOUR_NS, 0, Fraction(HOUR_NS), np.ones(count))


def both_ways(records: list[Record], append_ns: list[int], spec: WindowSpec = SPEC) -> Collected:
    once = run(spec, records, [ACC, TEMP], append_ns=append_ns)
    singly = {"sizes": [1] * len(records), "restart": [True] * len(records)}
    run(spec, records, [ACC, TEMP], append_ns=append_ns, **singly).same_as(once)  # type: ignore[arg-type]
    return once


def live(records: list[Record]) -> list[int]:
    """Append times at which the newest samples are an hour old."""
    newest, stamps = T0, []
    for record in records:
        newest = max(newest, getattr(record, "t0_ns", newest) + getattr(record, "count", 0) * HOUR_NS)
        stamps.append(newest)
    return stamps


def test_a_stream_that_never_comes_is_waited_for_a_day() -> None:
    acc = Source(ACC)
    records = [hourly(acc, at) for at in range(24 + 9)]
    found = both_ways(records, live(records))
    # complete to 33 h: windows that end before 9 h are final, that is two of four hours
    assert [(k - T0 // (4 * HOUR_NS), reason) for *_, k, reason in sorted(found.drops)] == [
        (0, "no_stream"),
        (1, "no_stream"),
    ]
    assert not found.windows


@pytest.mark.parametrize(("hours", "dropped"), [(24 + 4, 1), (24 + 3, 0)])
def test_the_day_to_the_sample(hours: int, dropped: int) -> None:
    acc = Source(ACC)
    records = [hourly(acc, at) for at in range(hours)]
    # the newest sample lies at 27 h (complete to 27 h and 1 ns): the window's last instant, 3 h, is certain then
    assert both_ways(records, live(records)).counts["drop.no_stream"] == dropped


def test_a_stream_that_stopped_is_waited_for_a_day() -> None:
    acc, temp = Source(ACC), Source(TEMP)
    records = [hourly(acc, 0), hourly(temp, 0, 9), *(hourly(acc, at) for at in range(1, 60))]
    found = both_ways(records, live(records))
    assert found.counts["windows"] == 2
    assert found.counts["drop.gap"] == (59 - 24 - 8 + 1) // 4
    late = [*records, hourly(temp, 20, 30)]
    found = both_ways(late, live(late))
    assert found.counts["late.samples"] == 59 - 24 - 20 + 1


def test_progress_of_the_others_counts_as_well() -> None:
    acc = Source(ACC)
    progress = Progress("d1", "r1", "acc", BOOT, T0 + 40 * HOUR_NS)
    records: list[Record] = [hourly(acc, 0, 8), progress]
    found = both_ways(records, [T0 + 8 * HOUR_NS, T0 + 40 * HOUR_NS])
    assert found.counts["drop.no_stream"] == 2


def test_imports_of_one_stream_after_the_other_wait_longer(monkeypatch: pytest.MonkeyPatch) -> None:
    acc, temp = Source(ACC), Source(TEMP)
    records: list[Record] = [*(hourly(acc, at, 10) for at in range(0, 100, 10)), hourly(temp, 0, 100)]
    stamps = [NOW_NS] * len(records)
    assert both_ways(records, stamps).counts["windows"] == 25
    monkeypatch.setattr(streams, "MAX_BEHIND", 60)
    found = both_ways(records, stamps)
    assert found.counts["drop.no_stream"] == (99 - 24 + 1) // 4
    assert found.counts["late.samples"] == 99 - 24 + 1


def test_the_state_of_a_device_without_a_stream_is_bounded_and_told() -> None:
    """It held every sample for ever, and wrote them all at each seal, without a word."""
    operator = WindowOperator(SPEC)
    for description in (ACC, TEMP):
        operator.learn(schema_id(description), description)
    running, acc, sizes, notes = operator.start(None), Source(ACC), [], set[str]()
    records = [hourly(acc, at) for at in range(20 * 24)]
    stamps = live(records)
    for batch in batches(records, [24] * 19, stamps):
        assert running.feed(batch) == len(batch)
        notes.update(running.take().notes)
        sizes.append(len(running.snapshot()))
    assert sizes[-1] <= sizes[1] + 8
    (note,) = notes
    assert note.startswith("d1: recording r1 has had no temp for over a day of its time")


def test_who_lacks_what_is_told_of_a_few() -> None:
    operator = WindowOperator(SPEC)
    for description in (ACC, TEMP):
        operator.learn(schema_id(description), description)
    running = operator.start(None)
    records: list[Any] = []
    for number in range(20):
        acc = Source(ACC, device=f"d{number}")
        records += [hourly(acc, at) for at in range(30)]
    (batch,) = batches(records, [], [T0 + 30 * HOUR_NS] * len(records))
    running.feed(batch)
    assert len(running.take().notes) == 8


def test_one_day_is_what_rules_wait_too() -> None:
    from labeling.rules import joining

    assert joining.WAIT_NS == WAIT_NS == DAY_NS
