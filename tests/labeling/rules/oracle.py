"""What rules mean, sample by sample in plain Python: slow, short, and nothing in common with the kernels.

Unknown is None. A signal is a list of values beside a list of times.
"""

from __future__ import annotations

import bisect
import itertools
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


def period_before(samples: Samples, t: int) -> int | None:
    """The stream's own period as the samples before `t` tell it."""
    before = [time for time in samples.times if time < t]
    if samples.period_ns and before:
        return samples.period_ns
    steps = sorted(b - a for a, b in itertools.pairwise(before[-9:]))
    return steps[(len(steps) - 1) // 2] if steps else None


def gap_before(samples: Samples, t: int) -> int | None:
    """The longest silence that is no gap where nothing is said."""
    period = period_before(samples, t)
    if period is None:
        return None
    return 5 * period if samples.period_ns else max(500_000_000, 5 * period)


def covers(samples: Samples, i: int, max_gap_ns: int | None) -> int:
    if samples.period_ns:
        return samples.period_ns
    step = samples.times[i] - samples.times[i - 1] if i else 0
    longest = gap_before(samples, samples.times[i]) if max_gap_ns is None else max_gap_ns
    return step if longest is None or step <= longest else 0


def rolled(
    kind: str,
    samples: Samples,
    signal: Signal,
    span_ns: int,
    coverage: float = 0.8,
    max_gap_ns: int | None = 500_000_000,
    ahead_ns: int = 0,
) -> Signal:
    out: Signal = []
    for t in (time + ahead_ns for time in samples.times):
        so_far = bisect.bisect_right(samples.times, t)
        inside = [j for j in range(so_far) if samples.times[j] > t - span_ns]
        length = span_ns
        if len(inside) > 64:
            oldest = (t // (span_ns // 8) - 7) * (span_ns // 8)
            inside = [j for j in range(so_far) if samples.times[j] >= oldest]
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


def as_of(instants: list[int], samples: Samples, signal: Signal, max_age_ns: int | None) -> Signal:
    """The newest value at each instant, if it is young enough."""
    out: Signal = []
    for t in instants:
        newest = [j for j, when in enumerate(samples.times) if when <= t]
        longest = gap_before(samples, samples.times[newest[-1]] + 1) if newest and max_age_ns is None else max_age_ns
        young = bool(newest) and (longest is None or t - samples.times[newest[-1]] <= longest)
        out.append(signal[newest[-1]] if young else None)
    return out


@dataclass
class Timing:
    max_gap_ns: int | None = 500_000_000
    for_ns: int = 0
    for_samples: int = 0
    hold_ns: int = 0
    cooldown_ns: int = 0
    pad_ns: tuple[int, int] = (0, 0)


def events(
    instants: list[int], when: Truth, until: Truth | None, timing: Timing, streams: Sequence[Samples]
) -> list[tuple[int, int]]:
    """The marks `[start, end)` of a condition over what these streams say."""
    closing = negated(when) if until is None else until
    raw: list[tuple[int, int, bool]] = []  # start, end, did data go missing between the end before and the start

    def longest(t: int) -> int:
        gaps = [gap for stream in streams if (gap := gap_before(stream, t)) is not None]
        return timing.max_gap_ns if timing.max_gap_ns is not None else min(gaps, default=1 << 62)

    def behind(known: int, t: int) -> int:
        periods = [period for stream in streams if (period := period_before(stream, t)) is not None]
        return known + max(1, min(longest(t), min(periods, default=0)))

    onset: int | None = None
    known: int | None = None
    broken = True
    for t, opens, closes in zip(instants, when, closing, strict=True):
        if known is not None and t - known > longest(t):
            if onset is not None:
                raw.append((onset, behind(known, t), broken))
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
        raw.append((onset, behind(known, instants[-1] + 1), broken))
    said = [t for t, truth in zip(instants, closing, strict=True) if truth is not None]
    onsets = {start for start, _, _ in raw}
    return _shaped(raw, timing, sorted({*said, *onsets}))


def _shaped(raw: list[tuple[int, int, bool]], timing: Timing, known: list[int]) -> list[tuple[int, int]]:
    merged: list[tuple[int, int]] = []
    for start, end, broken in raw:
        if merged and not broken and start - merged[-1][1] <= timing.hold_ns and timing.hold_ns:
            merged[-1] = (merged[-1][0], end)
        else:
            merged.append((start, end))
    kept: list[tuple[int, int]] = []
    for start, end in merged:
        samples = sum(start <= t < end for t in known)
        if (
            end - start >= timing.for_ns
            and samples >= timing.for_samples
            and not (kept and start < kept[-1][1] + timing.cooldown_ns)
        ):
            kept.append((start, end))
    return [(start - timing.pad_ns[0], end + timing.pad_ns[1]) for start, end in kept]
