"""Rules against their meaning, and the stream against the batch: any splits, restarts and gaps, the same bytes."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from labeling.rules.compile import compile_rules
from labeling.rules.joining import WAIT_NS
from labeling.rules.state import RuleState
from tests.labeling.rules.cases import CASES, MS, Case, Streams, describe, recording, rule_text
from tests.labeling.rules.oracle import Samples, events
from tests.labeling.rules.running import Descriptions, Recorded, batch, encoded, streamed

SEEDS = st.integers(0, 2**32 - 1)


def hyphened(name: str) -> str:
    """A case's name as a word, which mutants name."""
    return name.replace(", ", "-").replace(" ", "-")


def raw(samples: Samples) -> Recorded:
    columns = [[np.nan if v is None else v for v in signal] for signal in samples.channels.values()]
    return np.array(samples.times, dtype=np.int64), np.array(columns, dtype=np.float64).T


def recorded(streams: Streams) -> dict[str, Recorded]:
    return {name: raw(samples) for name, samples in streams.items()}


def inputs(seed: int, case: Case) -> tuple[np.random.Generator, Descriptions, Streams]:
    rng = np.random.default_rng(seed)
    rate = int(rng.choice([0, 100]))
    return rng, describe(rate, case.slow), recording(rng, rate, int(rng.choice([40, 150, 400])), case.slow)


@pytest.mark.parametrize("name", CASES, ids=hyphened)
@settings(max_examples=30)
@given(seed=SEEDS)
def test_streamed_is_batch_byte_by_byte(name: str, seed: int) -> None:
    rng, descriptions, streams = inputs(seed, CASES[name])
    rules = compile_rules(rule_text(CASES[name]), "rules.yaml")
    parts = recorded(streams)
    expected = encoded(batch(rules, parts, descriptions))
    assert encoded(streamed(rules, parts, descriptions, rng)) == expected
    assert len(set(expected)) == len(expected)


@pytest.mark.parametrize("name", CASES, ids=hyphened)
@settings(max_examples=15)
@given(seed=SEEDS)
def test_a_rule_marks_what_it_means(name: str, seed: int) -> None:
    case = CASES[name]
    _, descriptions, streams = inputs(seed, case)
    rules = compile_rules(rule_text(case), "rules.yaml")
    found = [(mark.start_ns, mark.end_ns) for mark in batch(rules, recorded(streams), descriptions)]
    instants, when, until = case.meaning(streams)
    named = [samples for name, samples in streams.items() if name in rules.streams]
    assert found == events(instants, when, until, case.timing, named)


@pytest.mark.parametrize("name", ["joined", "joined centred", "mixed"])
@settings(max_examples=40)
@given(seed=SEEDS)
def test_when_a_stream_is_given_up_marks_do_not_depend_on_when_they_are_asked_for(name: str, seed: int) -> None:
    rng, descriptions, streams = inputs(seed, CASES[name])
    rules = compile_rules(rule_text(CASES[name]), "rules.yaml")
    asked, left = RuleState(rules), RuleState(rules)
    early = []
    for samples in streams.values():
        # Jumps of about a day, to and fro between the streams: each gives up the other one's samples in turn.
        jumps = np.cumsum(rng.random(len(samples.times)) < 0.02) * (WAIT_NS + rng.integers(-300, 300) * MS)
        samples.times[:] = (np.array(samples.times) + jumps).tolist()
    for stream, start, stop in pieces(rng, {name: len(samples.times) for name, samples in streams.items()}):
        times, values = raw(streams[stream])
        for state in (asked, left):
            state.feed("d", "r", stream, times[start:stop], values[start:stop], descriptions[stream])
        early += asked.take()
    for state in (asked, left):
        state.end("d", "r")
    assert encoded(early + asked.take()) == encoded(left.take())


def pieces(rng: np.random.Generator, lengths: dict[str, int]) -> list[tuple[str, int, int]]:
    """Stretches of streams, each in order, the streams against each other."""
    done, found = dict.fromkeys(lengths, 0), []
    while left := [name for name in lengths if done[name] < lengths[name]]:
        name = str(rng.choice(left))
        stop = min(lengths[name], done[name] + int(rng.choice([1, 3, 10, 40])))
        found.append((name, done[name], stop))
        done[name] = stop
    return found
