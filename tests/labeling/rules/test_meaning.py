"""Rules against their meaning, and the stream against the batch: any splits, restarts and gaps, the same bytes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from ingest.records import MarkAdd
from ingest.wire import encode
from labeling.rules.compile import RuleSet, compile_rules
from labeling.rules.saving import restore, save
from labeling.rules.state import RuleState
from tests.labeling.rules.cases import CASES, Streams, describe, recording, rule_text
from tests.labeling.rules.oracle import Samples, events

SILENCE_NS = 10**10
SEEDS = st.integers(0, 2**32 - 1)


def raw(samples: Samples) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    columns = [[np.nan if v is None else v for v in signal] for signal in samples.channels.values()]
    return np.array(samples.times, dtype=np.int64), np.array(columns, dtype=np.float64).T


def batch(rules: RuleSet, streams: Streams, rate: int) -> list[MarkAdd]:
    """Everything at once."""
    state, descriptions = RuleState(rules), describe(rate)
    for name, samples in streams.items():
        state.feed("d", "r", name, *raw(samples), descriptions[name])
    return [*finished(state, streams)]


def finished(state: RuleState, streams: Streams) -> list[MarkAdd]:
    for name, samples in streams.items():
        state.progress("d", "r", name, samples.times[-1] + SILENCE_NS)
    state.end("d", "r")
    return state.take()


def streamed(rules: RuleSet, streams: Streams, rate: int, rng: np.random.Generator) -> list[MarkAdd]:
    """In random pieces, streams against each other, with progress between, saved and restored on the way."""
    state, descriptions, marks = RuleState(rules), describe(rate), []
    parts = {name: raw(samples) for name, samples in streams.items()}
    done = dict.fromkeys(parts, 0)
    while any(done[name] < len(parts[name][0]) for name in parts):
        name = str(rng.choice([name for name in parts if done[name] < len(parts[name][0])]))
        times, values = parts[name]
        start = done[name]
        stop = done[name] = min(len(times), start + int(rng.choice([1, 2, 7, 40, 200])))
        state.feed("d", "r", name, times[start:stop], values[start:stop], descriptions[name])
        action = rng.random()
        if action < 0.3:
            ahead = int(times[stop]) if stop < len(times) else int(times[-1]) + SILENCE_NS
            state.progress("d", "r", name, int(rng.integers(times[stop - 1] + 1, ahead + 1)))
        if action < 0.5:
            marks += state.take()
        if action < 0.2:
            state = restore(rules, save(state))
    return marks + finished(state, streams)


def encoded(marks: Sequence[MarkAdd]) -> list[bytes]:
    return sorted(encode(mark) for mark in marks)


def inputs(seed: int) -> tuple[np.random.Generator, int, Streams]:
    rng = np.random.default_rng(seed)
    rate = int(rng.choice([0, 100]))
    return rng, rate, recording(rng, rate, int(rng.choice([40, 150, 400])))


@pytest.mark.parametrize("name", CASES)
@settings(max_examples=60)
@given(seed=SEEDS)
def test_streamed_is_batch_byte_by_byte(name: str, seed: int) -> None:
    rng, rate, streams = inputs(seed)
    rules = compile_rules(rule_text(CASES[name]), "rules.yaml")
    expected = encoded(batch(rules, streams, rate))
    assert encoded(streamed(rules, streams, rate, rng)) == expected
    assert len(set(expected)) == len(expected)


@pytest.mark.parametrize("name", CASES)
@settings(max_examples=25)
@given(seed=SEEDS)
def test_a_rule_marks_what_it_means(name: str, seed: int) -> None:
    _, rate, streams = inputs(seed)
    case = CASES[name]
    rules = compile_rules(rule_text(case), "rules.yaml")
    found = [(mark.start_ns, mark.end_ns) for mark in batch(rules, streams, rate)]
    instants, when, until = case.meaning(streams)
    assert found == events(instants, when, until, case.timing)
