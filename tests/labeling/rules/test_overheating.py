"""A rule with hysteresis on a machine's real temperature (NAB)."""

from __future__ import annotations

import numpy as np
import pytest

from ingest.records import Channel, StreamDescription
from labeling.rules.compile import compile_rules
from tests.labeling.rules.running import batch, encoded, streamed
from tests.support.nab import OVERHEATING, machine_temperature, overheated

TEMPERATURE = {"motor": StreamDescription("motor", (Channel("temp", "degF"),), "float64")}


def test_overheating_equals_a_batch_oracle() -> None:
    rules = compile_rules(OVERHEATING, "rules.yaml")
    recordings = machine_temperature()
    assert len(recordings) == 2
    events = 0
    for seed, (times, values) in enumerate(recordings):
        motor = {"motor": (np.array(times), np.array(values)[:, None])}
        marks = batch(rules, motor, TEMPERATURE)
        assert [(mark.start_ns, mark.end_ns) for mark in marks] == overheated(times, values)
        assert encoded(streamed(rules, motor, TEMPERATURE, np.random.default_rng(seed))) == encoded(marks)
        assert all(mark.evidence["opened by 38degC [degF]"] == pytest.approx(100.4) for mark in marks)
        events += len(marks)
    assert events >= 10
