"""The two clocks of an arrival: they rise, and are read together."""

from __future__ import annotations

import time

import pytest

from edge.sources import clock


def test_both_are_the_kernels_own() -> None:
    before = time.clock_gettime_ns(time.CLOCK_BOOTTIME), time.time_ns()
    boottime_ns, wall_ns = clock.now()
    after = time.clock_gettime_ns(time.CLOCK_BOOTTIME), time.time_ns()
    assert before[0] <= boottime_ns <= after[0]
    assert before[1] <= wall_ns <= after[1]


def test_a_stop_between_the_two_is_no_step_of_the_wall_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    at_ns = 0
    stops_ns = iter([0, 9_000_000_000, 0, 0, 0])  # the process is stopped after it read the first clock, once

    def read_clock(*_: object) -> int:
        nonlocal at_ns
        at_ns += 100 + next(stops_ns, 0)
        return at_ns

    monkeypatch.setattr("time.clock_gettime_ns", read_clock)
    monkeypatch.setattr("time.time_ns", read_clock)
    boottime_ns, wall_ns = clock.now()
    assert boottime_ns - wall_ns == 100
