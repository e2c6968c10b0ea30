"""Saved state: its own version and specification, its own bytes, or a clear error."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.errors import CorruptError, StateVersionError
from ingest.records import schema_id
from tests.windowing.feeding import START_NS, Source, batches, describe
from windowing.fold import state
from windowing.fold.operator import WindowOperator
from windowing.spec import WindowSpec

ACC = describe("acc", "xy", "int32", scale=0.5)
SPEC = WindowSpec(8, 4, Fraction(50), ("acc.x", "acc.y"))


def _saved() -> bytes:
    operator = WindowOperator(SPEC)
    operator.learn(schema_id(ACC), ACC)
    running = operator.start(None)
    acc = Source(ACC)
    values = np.arange(80).reshape(40, 2)
    (batch,) = batches(list(acc.split(START_NS, Fraction(20_000_000), values, [13, 20, 7])))
    running.feed(batch)
    running.take()
    return running.snapshot()


SAVED = _saved()


def test_a_state_comes_back_as_it_was() -> None:
    assert WindowOperator(SPEC).start(SAVED).snapshot() == SAVED
    assert len(SAVED) < 1000


def test_an_empty_state_comes_back() -> None:
    empty = WindowOperator(SPEC).start(None).snapshot()
    assert WindowOperator(SPEC).start(empty).snapshot() == empty


@given(st.integers(0, len(SAVED) * 8 - 1))
def test_every_flipped_bit_is_seen(bit: int) -> None:
    spoiled = bytearray(SAVED)
    spoiled[bit // 8] ^= 1 << bit % 8
    with pytest.raises(CorruptError, match="rebuild"):
        WindowOperator(SPEC).start(bytes(spoiled))


@pytest.mark.parametrize("length", [0, 1, 20, 30, len(SAVED) - 1])
def test_a_cut_state_is_seen(length: int) -> None:
    with pytest.raises(CorruptError, match="rebuild"):
        WindowOperator(SPEC).start(SAVED[:length])


def test_a_state_with_more_behind_it_is_seen() -> None:
    with pytest.raises(CorruptError):
        WindowOperator(SPEC).start(SAVED + b"x")


def test_another_version_is_refused_with_the_way_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(state, "STATE_VERSION", 2)
    with pytest.raises(StateVersionError, match="found version 1, expected 2; rebuild the dataset"):
        WindowOperator(SPEC).start(SAVED)


def test_a_state_of_another_specification_is_refused() -> None:
    other = WindowSpec(8, 5, Fraction(50), ("acc.x", "acc.y"))
    with pytest.raises(StateVersionError, match=f"{SPEC.id}, expected {other.id}"):
        WindowOperator(other).start(SAVED)
