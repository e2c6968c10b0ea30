"""Saved state: its own version and specification, its own bytes, or a clear error."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.errors import CorruptError, StateVersionError
from ingest.records import Record, schema_id
from tests.windowing.feeding import START_NS, Source, batches, describe
from windowing.fold import state
from windowing.fold.operator import RunningWindows, WindowOperator
from windowing.spec import WindowSpec

ACC = describe("acc", "xy", "int32", scale=0.5)
SPEC = WindowSpec(8, 4, Fraction(50), ("acc.x", "acc.y"))
PERIOD = Fraction(20_000_000)


def _records(source: Source) -> list[Record]:
    values = np.arange(80).reshape(40, 2)
    return list(source.split(START_NS, PERIOD, values, [13, 20, 7]))


def _running(spec: WindowSpec = SPEC) -> RunningWindows:
    operator = WindowOperator(spec)
    operator.learn(schema_id(ACC), ACC)
    return operator.start(None)


def _feed(running: RunningWindows, records: list[Record]) -> None:
    (batch,) = batches(records)
    running.feed(batch)
    running.take()


def _saved() -> list[bytes]:
    running = _running()
    _feed(running, [*_records(Source(ACC)), *_records(Source(ACC, device="d2"))[:1]])
    return list(running.snapshot())


SAVED = _saved()
OLD = bytes.fromhex(
    "776176656d61726b2077696e646f7765722073746174650100c486801d8552300a13ea6eceece8b61b92b032346537343566"
    "62653231343133643799cf18fae27693b400000290909198a26431a27231c2cf18fae27693b400000191c410626262626262"
    "626262626262626262629194a565706f636800cf00000004f2994489c0919aa3616363cf17979cfe362a0000cf17979cfe64"
    "a7db00cf17979cfe64a7db01cf18fae27693b40000c42000541461fe9c971700814562fe9c971700ae7663fe9c971700dba7"
    "64fe9c9717c4400000000000004240000000000040424000000000008042400000000000c042400000000000004340000000"
    "000040434000000000008043400000000000c0434000ce1dcd6500c4009195a26431a3616363c41062626262626262626262"
    "626262626262cf18fae27693b4000091920003cf18fae27693b40000cf18fae27693b4000090"
)
"""A state of format 1, of the records of one device."""


def test_a_state_comes_back_as_it_was() -> None:
    assert WindowOperator(SPEC).start(SAVED).snapshot() == SAVED
    assert sum(map(len, SAVED)) < 1000


def test_an_empty_state_comes_back() -> None:
    empty = WindowOperator(SPEC).start(None).snapshot()
    assert WindowOperator(SPEC).start(empty).snapshot() == empty


def test_a_device_of_which_nothing_came_has_the_same_part() -> None:
    running, quiet, loud = _running(), Source(ACC), Source(ACC, device="d2")
    _feed(running, [*_records(quiet), *_records(loud)[:1]])
    _, of_quiet, of_loud = running.snapshot()
    _feed(running, _records(loud)[1:])
    _, quiet_again, loud_again = running.snapshot()
    assert (quiet_again == of_quiet, loud_again == of_loud) == (True, False)


def test_samples_that_wait_are_saved_as_they_came() -> None:
    """They were saved as float64, with a time each: 24 bytes for one that came in 8."""
    running, acc = _running(WindowSpec(1000, 1000, Fraction(50), ("acc.x", "acc.y"))), Source(ACC)
    _feed(running, list(acc.split(START_NS, PERIOD, np.arange(1000).reshape(500, 2), [100] * 5)))
    assert sum(map(len, running.snapshot())) < 500 * 8 + 500


def test_a_state_of_the_format_before_is_gone_on_from() -> None:
    acc = Source(ACC)
    before = _records(acc)
    rest = list(acc.split(START_NS + 40 * 20_000_000, PERIOD, np.arange(60).reshape(30, 2), [30]))
    straight, found = _running(), []
    _feed(straight, before)
    operator = WindowOperator(SPEC)
    operator.learn(schema_id(ACC), ACC)
    for running in (straight, operator.start([OLD])):
        (batch,) = batches([*rest, acc.end()])
        running.feed(batch)
        output = running.take()
        found.append({draft.name: b"".join(draft.parts) for draft in output.drafts if draft.name.startswith("signal")})
    assert found[0] == found[1]
    assert found[0]


@given(st.integers(0, sum(map(len, SAVED)) * 8 - 1))
def test_every_flipped_bit_is_seen(bit: int) -> None:
    spoiled = [bytearray(part) for part in SAVED]
    for part in spoiled:
        if bit < 8 * len(part):
            part[bit // 8] ^= 1 << bit % 8
            break
        bit -= 8 * len(part)
    with pytest.raises(CorruptError, match="rebuild"):
        WindowOperator(SPEC).start([bytes(part) for part in spoiled])


@pytest.mark.parametrize("length", [0, 1, 20, 30, len(SAVED[0]) - 1])
def test_a_cut_state_is_seen(length: int) -> None:
    with pytest.raises(CorruptError, match="rebuild"):
        WindowOperator(SPEC).start([SAVED[0][:length], *SAVED[1:]])


@pytest.mark.parametrize("parts", [SAVED[:-1], [*SAVED, SAVED[-1]], [SAVED[0] + b"x", *SAVED[1:]]])
def test_a_state_with_other_parts_is_seen(parts: list[bytes]) -> None:
    with pytest.raises(CorruptError, match="rebuild"):
        WindowOperator(SPEC).start(parts)


def test_another_version_is_refused_with_the_way_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(state, "_FORMAT", 1)
    with pytest.raises(StateVersionError, match="found version 2, expected 1; rebuild the dataset"):
        WindowOperator(SPEC).start(SAVED)


def test_a_state_of_another_specification_is_refused() -> None:
    other = WindowSpec(8, 5, Fraction(50), ("acc.x", "acc.y"))
    with pytest.raises(StateVersionError, match=f"{SPEC.id}, expected {other.id}"):
        WindowOperator(other).start(SAVED)
