"""The tests that are written in a rule file: samples in a table, and the marks that must come of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, TypeAlias

import numpy as np

from ingest.records import Channel, StreamDescription, split_channel
from ingest.times import run_times
from labeling.rules.document import TestText
from labeling.rules.plan import check
from labeling.rules.ruleset import RuleSet
from labeling.rules.state import RuleState

T0_NS: Final = 946_684_800 * 10**9
"""When the samples of a test begin: 2000-01-01."""
Expected: TypeAlias = tuple[str, int, int]
"""(label, start, end), ns since the first sample."""


@dataclass(frozen=True, slots=True)
class Trial:
    """What came of a test."""

    name: str
    missing: tuple[Expected, ...]
    """Marks that were expected and did not come."""
    surplus: tuple[Expected, ...]
    """Marks that came and were not expected."""

    @property
    def holds(self) -> bool:
        """Did exactly the expected marks come?"""
        return not self.missing and not self.surplus


def run_trial(rules: RuleSet, test: TestText) -> Trial:
    """Run a test's samples through the rules.

    Raises:
        RuleError: a rule names a channel that the test's stream has not, or a unit that does not fit.
    """
    streams: dict[str, list[str]] = {}
    for channel in test.values:
        stream, name = split_channel(channel)
        streams.setdefault(stream, []).append(name)
    descriptions = [_describe(test, stream, names) for stream, names in streams.items()]
    check(rules, descriptions)
    state = RuleState(rules)
    for description in descriptions:
        columns = [test.values[f"{description.stream}.{channel.name}"] for channel in description.channels]
        values = np.full((max(map(len, columns)), len(columns)), np.nan)
        for index, column in enumerate(columns):
            values[: len(column), index] = column
        times = run_times(T0_NS, 0, test.every_ns, 1, len(values))
        state.feed("test", test.name, description.stream, times, values, description)
    state.end("test", test.name)
    found = {(mark.label, mark.start_ns - T0_NS, mark.end_ns - T0_NS) for mark in state.take()}
    expected = set(test.expect)
    return Trial(test.name, tuple(sorted(expected - found)), tuple(sorted(found - expected)))


def _describe(test: TestText, stream: str, names: list[str]) -> StreamDescription:
    channels = (Channel(name, test.units.get(f"{stream}.{name}", test.units.get(stream, ""))) for name in names)
    return StreamDescription(stream, tuple(channels), "float64", 10**9, test.every_ns)
