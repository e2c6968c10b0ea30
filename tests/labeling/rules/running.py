"""Rules over a device's streams: everything at once, or in random pieces with restarts between."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np
from numpy.typing import NDArray

from ingest.records import MarkAdd, StreamDescription
from ingest.wire import encode
from labeling.rules.ruleset import RuleSet
from labeling.rules.saving import restore, save
from labeling.rules.state import RuleState

Recorded = tuple[NDArray[np.int64], NDArray[np.float64]]
"""A stream's times `(n,)` and values `(n, channels)`."""
Descriptions = Mapping[str, StreamDescription]
SILENCE_NS = 10**10


def batch(rules: RuleSet, streams: Mapping[str, Recorded], descriptions: Descriptions) -> list[MarkAdd]:
    """Everything at once."""
    state = RuleState(rules)
    for name, recorded in streams.items():
        state.feed("d", "r", name, *recorded, descriptions[name])
    return _finished(state, streams)


def streamed(
    rules: RuleSet, streams: Mapping[str, Recorded], descriptions: Descriptions, rng: np.random.Generator
) -> list[MarkAdd]:
    """In random pieces, streams against each other, with progress between, saved and restored on the way."""
    state, marks = RuleState(rules), []
    done = dict.fromkeys(streams, 0)
    while left := [name for name in streams if done[name] < len(streams[name][0])]:
        name = str(rng.choice(left))
        times, values = streams[name]
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
    return marks + _finished(state, streams)


def _finished(state: RuleState, streams: Mapping[str, Recorded]) -> list[MarkAdd]:
    for name, (times, _) in streams.items():
        state.progress("d", "r", name, int(times[-1]) + SILENCE_NS)
    state.end("d", "r")
    return state.take()


def encoded(marks: Iterable[MarkAdd]) -> list[bytes]:
    """The marks' bytes, in an order of their own: rules that join streams finish theirs at other times."""
    return sorted(map(encode, marks))
