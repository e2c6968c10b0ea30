"""What every benchmark shares: measuring in turn with a baseline, and the form of a result (DESIGN section 10)."""

from __future__ import annotations

import gc
import statistics
import time
from collections.abc import Callable
from typing import TypeAlias

import numpy as np

Row: TypeAlias = dict[str, str | float | int | bool | None]
Job: TypeAlias = Callable[[], object]


def measure(fn: Job, runs: int = 7) -> list[float]:
    """Seconds of each run of `fn`, after one that warms up."""
    return measure_in_turn(fn, None, runs)[0]


def measure_in_turn(
    fn: Job, baseline: Job | None, runs: int = 7, clock: Callable[[], float] = time.perf_counter
) -> tuple[list[float], list[float]]:
    """Seconds of each run of `fn` and of `baseline`, one after the other, so that both see the same machine; by
    `time.process_time` they are a core's."""
    jobs = [fn] if baseline is None else [fn, baseline]
    taken: list[list[float]] = [[] for _ in jobs]
    for job in jobs:
        job()
    for _ in range(runs):
        for job, seconds in zip(jobs, taken, strict=True):
            gc.collect()
            start = clock()
            job()
            seconds.append(clock() - start)
    return taken[0], taken[1] if baseline is not None else []


def row(
    name: str,
    values: list[float],
    unit: str,
    *,
    baseline: str | None = None,
    baseline_values: list[float] | None = None,
    bar: float | None = None,
    lower_is_better: bool = False,
    quantile: float = 0.5,
) -> Row:
    """A result: the median of `values`, or another quantile, beside the baseline's median; `holds` says whether the bar
    is met (None: no bar)."""
    value = statistics.median(values) if quantile == 0.5 else float(np.quantile(values, quantile))
    beside = statistics.median(baseline_values) if baseline_values else None
    holds = None if bar is None else bool(value <= bar if lower_is_better else value >= bar)
    return {
        "name": name,
        "value": value,
        "quantile": quantile,
        "unit": unit,
        "runs": len(values),
        "min": min(values),
        "max": max(values),
        "baseline": baseline,
        "baseline_value": beside,
        "ratio": value / beside if beside else None,
        "bar": bar,
        "holds": holds,
    }
