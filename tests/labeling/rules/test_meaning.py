"""Rules against their meaning, and the stream against the batch: any splits, restarts and gaps, the same bytes."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from labeling.rules.compile import compile_rules
from tests.labeling.rules.cases import CASES, Case, Streams, describe, recording, rule_text
from tests.labeling.rules.oracle import Samples, events
from tests.labeling.rules.running import Descriptions, Recorded, batch, encoded, streamed

SEEDS = st.integers(0, 2**32 - 1)


def raw(samples: Samples) -> Recorded:
    columns = [[np.nan if v is None else v for v in signal] for signal in samples.channels.values()]
    return np.array(samples.times, dtype=np.int64), np.array(columns, dtype=np.float64).T


def recorded(streams: Streams) -> dict[str, Recorded]:
    return {name: raw(samples) for name, samples in streams.items()}


def inputs(seed: int, case: Case) -> tuple[np.random.Generator, Descriptions, Streams]:
    rng = np.random.default_rng(seed)
    rate = int(rng.choice([0, 100]))
    return rng, describe(rate, case.slow), recording(rng, rate, int(rng.choice([40, 150, 400])), case.slow)


@pytest.mark.parametrize("name", CASES)
@settings(max_examples=60)
@given(seed=SEEDS)
def test_streamed_is_batch_byte_by_byte(name: str, seed: int) -> None:
    rng, descriptions, streams = inputs(seed, CASES[name])
    rules = compile_rules(rule_text(CASES[name]), "rules.yaml")
    parts = recorded(streams)
    expected = encoded(batch(rules, parts, descriptions))
    assert encoded(streamed(rules, parts, descriptions, rng)) == expected
    assert len(set(expected)) == len(expected)


@pytest.mark.parametrize("name", CASES)
@settings(max_examples=25)
@given(seed=SEEDS)
def test_a_rule_marks_what_it_means(name: str, seed: int) -> None:
    case = CASES[name]
    _, descriptions, streams = inputs(seed, case)
    rules = compile_rules(rule_text(case), "rules.yaml")
    found = [(mark.start_ns, mark.end_ns) for mark in batch(rules, recorded(streams), descriptions)]
    instants, when, until = case.meaning(streams)
    named = [samples for name, samples in streams.items() if name in rules.streams]
    assert found == events(instants, when, until, case.timing, named)
