"""Samples as lines, all of them and thinned: named states beside quantities."""

from __future__ import annotations

from collections import Counter

import numpy as np

from ingest.records import Channel, StreamDescription
from sinks.influx.samples import StreamLines
from sinks.influx.thinning import spans_of

STATES = ((0, 'shu"t'), (1, "open"))
GATE = StreamDescription(
    "gate", (Channel("flow", "1"), Channel("position", "1", states=STATES), Channel("position_state", "1")), "float32"
)
NAN = float("nan")


def test_states_have_their_codes_and_their_names() -> None:
    counts: Counter[str] = Counter()
    values = np.array([[0.5, 1.0, 7.0], [NAN, 0.0, NAN], [NAN, NAN, 7.0], [NAN, 3.0, NAN], [NAN, NAN, NAN]])
    lines = StreamLines("d", GATE).lines(np.arange(5), values, counts)
    assert lines == [
        'gate,device=d flow=0.5,position=1.0,position_state=7.0,position_state:3="open" 0',
        'gate,device=d position=0.0,position_state:3="shu\\"t" 1',
        "gate,device=d position_state=7.0 2",
        "gate,device=d position=3.0 3",
    ]
    assert counts == {"missing.values": 9, "missing.samples": 1}


def test_a_mean_of_states_is_not_made() -> None:
    values = np.array([[0.0, 0.0, 1.0], [1.0, 1.0, 1.0]])
    (span,) = spans_of(b"", np.array([3, 4]), values, 10)
    told = span.line(StreamLines("d", GATE))
    assert "position_min=0.0,position_max=1.0,position_state_min" in told
    assert "flow_mean=0.5" in told
    assert "position_mean" not in told
