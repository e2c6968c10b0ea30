"""The windower's meaning in few lines: one sample at a time, no state, no speed."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from fractions import Fraction
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from windowing.spec import StreamRule, WindowSpec

Series = tuple[list[int], NDArray[np.float64], int]
"""Times and values `(samples, channels)` of one whole stream, and how far it is known to be complete."""


class Cell(NamedTuple):
    values: NDArray[np.float64] | None
    gap: bool


def cell(series: Series, g: int, rule: StreamRule, tolerance: int) -> Cell:
    times, values, complete_to = series
    for distance in (0, -1, 1)[: 1 + 2 * tolerance]:
        if g + distance in times:
            return Cell(values[times.index(g + distance)], False)
    before = [i for i, t in enumerate(times) if t < g]
    after = [i for i, t in enumerate(times) if t > g]
    following = times[after[0]] if after else complete_to if g < complete_to - tolerance else 0
    assert rule.max_gap_ns is not None
    hole = bool(before) and following - times[before[-1]] > rule.max_gap_ns
    if rule.interpolation == "hold":
        near = bool(before) and g - times[before[-1]] <= rule.max_gap_ns
        return Cell(values[before[-1]], False) if near else Cell(None, hole)
    if not before or not after or hole or rule.interpolation == "none":
        return Cell(None, hole)
    a, b = before[-1], after[0]
    if rule.interpolation == "nearest":
        return Cell(values[b if times[b] - g < g - times[a] else a], False)
    share = (g - times[a]) / (times[b] - times[a])
    with np.errstate(all="ignore"):
        return Cell(values[a] + (values[b] - values[a]) * share, False)


def of_channel(series: Series, column: int) -> Series:
    """The samples at which one channel has a value that float32 holds."""
    times, values, complete_to = series
    with np.errstate(all="ignore"):
        there = np.isfinite(values[:, column].astype(np.float32))
    return [t for t, kept in zip(times, there, strict=True) if kept], values[there, column : column + 1], complete_to


def windows(
    spec: WindowSpec, streams: list[Series], origin: int, ks: range, held: Sequence[Collection[int]] = ((), ())
) -> tuple[dict[int, NDArray[np.float32]], dict[int, str]]:
    """Signals and drop reasons by `k` of a recording that has ended; `held` are each stream's columns of states."""
    period = Fraction(10**9) / spec.rate
    first = min(series[0][0] for series in streams) - spec.tolerance_ns
    last = max(series[0][-1] for series in streams) + spec.tolerance_ns
    signals, drops = {}, {}
    for k in ks:
        instants = [origin + int((k * spec.hop + i) * period // 1) for i in range(spec.length)]
        if instants[0] > last or instants[-1] < first:
            continue
        rows = np.full((spec.length, len(spec.channels)), np.nan)
        gap = False
        for plan, series, states in zip(spec.streams, streams, held, strict=False):
            own = [of_channel(series, at) for at in range(len(plan.columns))]
            rules = [plan.rule.of_states if at in states else plan.rule for at in range(len(plan.columns))]
            for i, g in enumerate(instants):
                found = cell(series, g, rules[0] if len(states) == len(rules) else plan.rule, spec.tolerance_ns)
                gap |= found.gap
                if spec.semantics == 1:
                    for at, (column, rule) in enumerate(zip(plan.columns, rules, strict=True)):
                        if found.values is not None:
                            value = cell(series, g, rule, spec.tolerance_ns).values
                            rows[i, column] = np.nan if value is None else value[at]
                    continue
                for column, channel, rule in zip(plan.columns, own, rules, strict=True):
                    value = cell(channel, g, rule, spec.tolerance_ns).values
                    if value is not None:
                        rows[i, column] = value[0]
        with np.errstate(all="ignore"):
            rows = rows.astype(np.float32)
        rows[~np.isfinite(rows)] = np.nan  # what float32 does not hold is missing
        if gap:
            drops[k] = "gap"
        elif (~np.isnan(rows)).sum(axis=0).min() < spec.min_steps:
            drops[k] = "edge" if instants[0] < first or instants[-1] > last else "coverage"
        else:
            signals[k] = rows
    return signals, drops
