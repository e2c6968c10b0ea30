"""Output is bounded while records are folded: feeding stops early, and what one record makes final is cut in pieces."""

from __future__ import annotations

from fractions import Fraction
from unittest import mock

import numpy as np
import pytest

from ingest.lifetimes import DAY_NS
from ingest.records import Progress, Record, schema_id
from tests.windowing.feeding import BOOT, START_NS, Collected, Source, batches, describe, run
from windowing.fold.operator import WindowOperator
from windowing.fold.streams import Stream
from windowing.spec import StreamRule, WindowSpec

ACC, TEMP = describe("acc", "x"), describe("temp", "c")
STEP = 20_000_000
PERIOD = Fraction(STEP)
BOUND = 1 << 20
BLOCK = 8 << 20
"""Windows are cut in blocks of so many bytes at most."""


def _fed(spec: WindowSpec, records: list[Record], bound_bytes: int) -> tuple[list[int], Collected]:
    """The bytes of each output of one batch, taken whenever feeding stops early, and all of it."""
    operator = WindowOperator(spec, bound_bytes=bound_bytes)
    for description in (ACC, TEMP):
        operator.learn(schema_id(description), description)
    running, found, sizes = operator.start(None), Collected(), []
    (rest,) = batches(records)
    while len(rest) or running.pending_bytes:
        rest = rest.tail(running.feed(rest)) if len(rest) else rest
        output = running.take()
        found.add(output)
        sizes.append(sum(draft.size for draft in output.drafts))
    return sizes, found


def _regular(source: Source, start: int, count: int) -> Record:
    return source.regular(START_NS + start * STEP, 0, PERIOD, np.arange(start, start + count))


def test_a_hop_of_one_step_is_given_out_in_pieces() -> None:
    """A batch of 1.2 MB became a shard of 1.2 GB, in memory all at once."""
    spec = WindowSpec(256, 1, Fraction(50), ("acc.x",))
    acc = Source(ACC)
    records = [*(_regular(acc, at, 100) for at in range(0, 30_000, 100)), acc.end()]
    sizes, found = _fed(spec, records, BOUND)
    assert len(sizes) > 2
    assert max(sizes) < BOUND + BLOCK + (4 << 20)
    found.same_as(run(spec, records, [ACC]))


@pytest.mark.parametrize("ended", [False, True])
def test_what_one_record_makes_final_is_cut_in_pieces(ended: bool) -> None:
    """One sample of a held stream, days behind the one before, made gigabytes final in one act."""
    hold = StreamRule("hold", 11 * 86_400 * 10**9)
    spec = WindowSpec(64, 64, Fraction(50), ("acc.x", "temp.c"), overrides={"temp": hold, "acc": hold})
    acc, temp = Source(ACC), Source(TEMP)
    records: list[Record] = [_regular(acc, 0, 1), _regular(temp, 0, 1), _regular(acc, 2_000_000, 1)]
    records.append(acc.end() if ended else _regular(temp, 2_000_000, 1))
    sizes, found = _fed(spec, records, BOUND)
    assert len(sizes) > 2
    assert max(sizes) < BOUND + BLOCK + (4 << 20)
    assert found.counts["windows"] > 31_000
    found.same_as(run(spec, records, [ACC, TEMP]))


def test_output_is_told_while_samples_are_only_collected() -> None:
    spec = WindowSpec(256, 1, Fraction(50), ("acc.x",))
    operator = WindowOperator(spec)
    operator.learn(schema_id(ACC), ACC)
    running, acc = operator.start(None), Source(ACC)
    (batch,) = batches([_regular(acc, at, 100) for at in range(0, 1000, 100)])
    assert running.feed(batch) == 10
    assert running.pending_bytes >= 256 * 4000
    running.take()
    assert running.pending_bytes == 0


def test_beside_a_large_state_more_output_is_made() -> None:
    spec, bound = WindowSpec(8, 8, Fraction(50), ("acc.x",)), 2000
    operator = WindowOperator(spec, bound_bytes=bound)
    operator.learn(schema_id(ACC), ACC)
    running, sources = operator.start(None), [Source(ACC, device=f"d{number}") for number in range(50)]
    (first,) = batches([_regular(acc, 0, 5) for acc in sources])
    running.feed(first)
    pending = []
    for start in (5, 105):
        (rest,) = batches([_regular(acc, start, 100) for acc in sources])
        while len(rest):
            rest = rest.tail(running.feed(rest))
            pending.append(running.pending_bytes)
            running.take()
        running.snapshot()
    before, after = pending[: len(pending) // 2], pending[len(pending) // 2 :]
    assert bound <= max(before) < 2 * bound
    assert 4 * bound <= max(after) < 5 * bound


@pytest.mark.parametrize("first", [0, 3], ids=["slow path", "quick path"])
@pytest.mark.parametrize(("more_ns", "quarantined"), [(0, 0), (1, 1)])
def test_a_day_ahead_to_the_nanosecond_on_both_paths(first: int, more_ns: int, quarantined: int) -> None:
    """The last sample lies a day after the append time: to be trusted; a nanosecond more: not."""
    spec = WindowSpec(2, 2, Fraction(50), ("acc.x",))
    acc = Source(ACC)
    before: list[Record] = [_regular(acc, 0, first)] if first else []
    last_ns = START_NS + (first + 4) * STEP
    records = [*before, _regular(acc, first, 5)]
    stamps = [last_ns - DAY_NS - more_ns] * len(records)
    found = run(spec, records, [ACC], append_ns=stamps)
    assert found.counts["quarantine.samples"] == quarantined
    assert found.counts["samples"] == first + 5 - quarantined
    progress = Progress("d1", "r1", "acc", BOOT, last_ns)
    assert run(spec, [progress], [ACC], append_ns=stamps[:1]).counts["quarantine.progress"] == quarantined


def test_a_run_ends_before_its_times_overflow() -> None:
    """Of a period of so many billionths, 8,192 would not fit into 64 bits: neither a run's nor what it goes on with."""
    period = Fraction((1 << 50) + 1, 1 << 10)
    spec = WindowSpec(2, 2, Fraction(10**9, 1 << 40), ("acc.x",))
    records: list[Record] = list(Source(ACC).split(START_NS, period, np.arange(30_000), [500] * 60))
    found = run(spec, records, [ACC])
    assert found.counts["samples"] == 30_000
    with mock.patch.object(Stream, "extend", return_value=False):
        run(spec, records, [ACC]).same_as(found)


def test_a_flood_of_late_samples_is_output_to_be_sealed() -> None:
    """They are kept beside the windows: not counted as output, they filled the memory."""
    spec = WindowSpec(256, 256, Fraction(50), ("acc.x",))
    acc = Source(ACC)
    records = [_regular(acc, 100_000, 100), *(_regular(acc, at, 1000) for at in range(0, 40_000, 1000)), acc.end()]
    sizes, found = _fed(spec, records, 1 << 16)
    assert len(sizes) > 4
    assert max(sizes) < 1 << 19
    assert found.counts["late.samples"] == sum(len(row["values"]) for row in found.late) == 40_000


def test_late_samples_are_told_before_they_are_taken() -> None:
    operator = WindowOperator(WindowSpec(256, 256, Fraction(50), ("acc.x",)))
    operator.learn(schema_id(ACC), ACC)
    running, acc = operator.start(None), Source(ACC)
    records = [_regular(acc, 100_000, 100), *(_regular(acc, at, 1000) for at in range(0, 100_000, 1000))]
    (batch,) = batches(records)
    assert running.feed(batch) == len(records)
    assert running.pending_bytes >= 100_000 * (8 + 4)


@pytest.mark.parametrize("count", [24_575, 24_576, 24_577])
def test_what_a_stream_collects_at_most_changes_nothing(count: int) -> None:
    spec = WindowSpec(64, 64, Fraction(50), ("acc.x",))
    acc = Source(ACC)
    records = [_regular(acc, 0, count - 1), _regular(acc, count - 1, 1), _regular(acc, count, 200)]
    found = run(spec, records, [ACC])
    assert found.counts["samples"] == count + 200
    run(spec, records, [ACC], sizes=[1, 1, 1], restart=[True] * 3).same_as(found)
