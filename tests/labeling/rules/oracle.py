"""What rules mean, sample by sample in plain Python: slow, short, and nothing in common with the kernels.

Unknown is None. A signal is a list of values beside a list of times.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

Signal = list[float | None]
Truth = list[bool | None]


@dataclass
class Samples:
    """One stream's samples."""

    times: list[int]
    channels: dict[str, Signal]
    period_ns: int = 0


def covers(samples: Samples, i: int, max_gap_ns: int) -> int:
    if samples.period_ns:
        return samples.period_ns
    step = samples.times[i] - samples.times[i - 1] if i else 0
    return step if step <= max_gap_ns else 0


def rolled(
    kind: str, samples: Samples, signal: Signal, span_ns: int, coverage: float = 0.8, max_gap_ns: int = 500_000_000
) -> Signal:
    out: Signal = []
    for i, t in enumerate(samples.times):
        inside = [j for j in range(i + 1) if samples.times[j] > t - span_ns]
        length = span_ns
        if len(inside) > 64:
            oldest = (t // (span_ns // 8) - 7) * (span_ns // 8)
            inside = [j for j in range(i + 1) if samples.times[j] >= oldest]
            length = t - oldest
        values = [value for j in inside if (value := signal[j]) is not None]
        covered = sum(covers(samples, j, max_gap_ns) for j in inside if signal[j] is not None)
        out.append(_summed(kind, values) if covered >= coverage * length and values else None)
    return out


def _summed(kind: str, values: list[float]) -> float:
    if kind in ("max", "min"):
        return max(values) if kind == "max" else min(values)
    mean = math.fsum(values) / len(values)
    return mean if kind == "mean" else math.sqrt(math.fsum((v - mean) ** 2 for v in values) / len(values))


def each(function: Callable[..., float | bool], *signals: Sequence[float | None]) -> list[float | None]:
    """A function of values at the same instants; unknown where one of them is."""
    return [None if None in row else _finite(function(*row)) for row in zip(*signals, strict=True)]


def _finite(value: float) -> float | None:
    return value if isinstance(value, bool) or math.isfinite(value) else None


def both(left: Truth, right: Truth) -> Truth:
    return [False if a is False or b is False else None if None in (a, b) else True for a, b in zip(left, right)]  # noqa: B905


def either(left: Truth, right: Truth) -> Truth:
    return negated(both(negated(left), negated(right)))


def negated(truth: Truth) -> Truth:
    return [None if value is None else not value for value in truth]


def as_of(instants: list[int], samples: Samples, signal: Signal, max_age_ns: int) -> Signal:
    """The newest value at each instant, if it is young enough."""
    out: Signal = []
    for t in instants:
        newest = [j for j, when in enumerate(samples.times) if when <= t]
        out.append(signal[newest[-1]] if newest and t - samples.times[newest[-1]] <= max_age_ns else None)
    return out


@dataclass
class Timing:
    max_gap_ns: int = 500_000_000
    for_ns: int = 0
    hold_ns: int = 0
    cooldown_ns: int = 0
    pad_ns: tuple[int, int] = (0, 0)


def events(instants: list[int], when: Truth, until: Truth | None, timing: Timing) -> list[tuple[int, int]]:
    """The marks `[start, end)` of a condition."""
    closing = negated(when) if until is None else until
    raw: list[tuple[int, int, bool]] = []  # start, end, did data go missing between the end before and the start
    onset: int | None = None
    known: int | None = None
    broken = True
    for t, opens, closes in zip(instants, when, closing, strict=True):
        if known is not None and t - known > timing.max_gap_ns:
            if onset is not None:
                raw.append((onset, known, broken))
            onset, known, broken = None, None, True
        if (opens if onset is None else closes) is None:
            continue
        if onset is None and opens:
            onset = t
        elif onset is not None and closes:
            raw.append((onset, t, broken))
            onset, broken = None, False
        known = t
    if onset is not None and known is not None:
        raw.append((onset, known, broken))
    return _shaped(raw, timing)


def _shaped(raw: list[tuple[int, int, bool]], timing: Timing) -> list[tuple[int, int]]:
    merged: list[tuple[int, int]] = []
    for start, end, broken in raw:
        if merged and not broken and start - merged[-1][1] <= timing.hold_ns and timing.hold_ns:
            merged[-1] = (merged[-1][0], end)
        else:
            merged.append((start, end))
    kept: list[tuple[int, int]] = []
    for start, end in merged:
        if end - start >= timing.for_ns and not (kept and start < kept[-1][1] + timing.cooldown_ns):
            kept.append((start, end))
    return [(start - timing.pad_ns[0], end + timing.pad_ns[1]) for start, end in kept]
