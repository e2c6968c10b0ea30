"""Output is bounded while records are folded: feeding stops early, and what one record makes final is cut in pieces."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from ingest.records import Record, schema_id
from tests.windowing.feeding import START_NS, Collected, Source, batches, describe, run
from windowing.fold.operator import WindowOperator
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
