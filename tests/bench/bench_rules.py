"""Rules on one core: fed in batches, asked for marks after each, as the agent does, or at the end, as windowing does.

The baseline is numpy's own limit: the same arithmetic over all samples in one array, without state, gaps, coverage or
marks.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from ingest.records import Channel, StreamDescription
from labeling.rules.compile import RuleSet, compile_rules
from labeling.rules.state import RuleState
from tests.bench.harness import Row, measure_in_turn, row

START_NS = 1_700_000_000 * 10**9
SAMPLES = 1_000_000
SCALE = 9.80665 / 4096
ACC = StreamDescription("acc", tuple(Channel(axis, "m/s2", SCALE) for axis in "xyz"), "int16", 100)
MOTOR = StreamDescription("motor", (Channel("temp", "degC", 0.01),), "int16", 100)
HEAD = "version: 1\nlet:\n  mag: norm(acc.x, acc.y, acc.z)\nrules:\n"
Numpy = Callable[[NDArray[np.float64]], object]


def _mag(values: NDArray[np.float64]) -> NDArray[np.float64]:
    x, y, z = values.T
    return np.asarray(np.sqrt(x * x + y * y + z * z))


def _free_fall(values: NDArray[np.float64]) -> object:
    return sliding_window_view(_mag(values), 8).max(axis=1) < 0.35 * 9.80665


RULES: dict[str, tuple[str, StreamDescription, Numpy]] = {
    "free_fall": ("when: 'max(mag, 80ms) < 0.35g', for: 120ms", ACC, _free_fall),
    "mag": ("when: mag > 3g", ACC, lambda values: _mag(values) > 3 * 9.80665),
    "overheating": (
        "when: motor.temp > 80degC, until: motor.temp < 75degC, for: 30s, max_gap: 10s",
        MOTOR,
        lambda values: (values > 80, values < 75),
    ),
    "shaken": ("when: 'std(acc.x, 2s) > 0.5g'", ACC, lambda values: np.square(values[:, 0]).cumsum()),
}


def _feed(rules: RuleSet, description: StreamDescription, raw: NDArray[Any], size: int, ask: bool) -> None:
    state = RuleState(rules)
    times = START_NS + np.arange(len(raw)) * 10_000_000
    for at in range(0, len(raw), size):
        stop = at + size
        state.feed("pump-7", "r", description.stream, times[at:stop], raw[at:stop], description)
        if ask:
            state.take()
    state.take()


def _signal(description: StreamDescription) -> NDArray[np.int16]:
    """Noise, with a true event every 100 s."""
    rng = np.random.default_rng(0)
    t = np.arange(SAMPLES)
    if description is MOTOR:
        return (7000 + 1500 * np.sin(t / 5000) + rng.normal(0, 20, SAMPLES)).astype(np.int16)[:, None]
    raw = rng.normal(0, 200, (SAMPLES, 3))
    raw[:, 2] += 4096
    raw[t % 10_000 < 30] *= 0.01
    return raw.astype(np.int16)


def bench() -> list[Row]:
    """Million samples a second; a mark every 100 s of 100 Hz."""
    rows = []
    for name, (lines, description, limit) in RULES.items():
        rules = compile_rules(f"{HEAD}  - {{label: {name}, {lines}}}\n", "rules.yaml")
        raw = _signal(description)
        scale = description.channels[0].scale
        beside = partial(limit, np.asarray(raw * scale, dtype=np.float64))
        for size, ask, bar in ((1000, True, 10.0), (100, False, 2.0), (100, True, None)):
            fed, alone = measure_in_turn(partial(_feed, rules, description, raw, size, ask), beside, 5)
            rates, others = ([SAMPLES / s / 1e6 for s in taken] for taken in (fed, alone))
            rows.append(
                row(
                    f"rule {name}, {size}-sample batches, {'each' if ask else 'all'} worked out at once",
                    rates,
                    "Msamples/s",
                    baseline="the same arithmetic in numpy, in one array",
                    baseline_values=others,
                    bar=bar,
                )
            )
    return rows
