"""Values at grid instants from the samples of one stream: exact samples, linear, hold, nearest, none."""

from __future__ import annotations

from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ingest.times import Times
from windowing.spec import StreamRule

Values: TypeAlias = NDArray[np.float32] | NDArray[np.float64]
Flags: TypeAlias = NDArray[np.bool_]

FAR_NS = 1 << 62


class Carried(NamedTuple):
    """Each channel's newest value before the samples at hand."""

    times: Times
    """`(channels,)`; `-FAR_NS` where there is none, or where none is needed."""
    values: NDArray[np.float64]


class Samples(NamedTuple):
    """The known samples of a stream around the instants asked for, and the rule that fills between them."""

    times: Times
    """Strictly rising; begins with the last sample at or before the first instant, where there is one."""
    values: Values
    """`(samples, channels)`."""
    hole_to_ns: int
    """Instants before this and after the last sample certainly lie in a hole longer than `max_gap`."""
    rule: StreamRule
    tolerance_ns: int
    """A sample this near to an instant is the sample at it."""
    carried: Carried | None = None


class Resampled(NamedTuple):
    """One stream on the grid."""

    values: Values
    """`(instants, channels)`; undefined where not valid."""
    valid: Flags | None
    """`(instants,)`: a value is there; None: everywhere."""
    gap: Flags | None
    """`(instants,)`: missing inside a hole longer than the rule's `max_gap`; None: nowhere."""


def gap_of(rule: StreamRule) -> int:
    """The rule's `max_gap_ns`, which is known where there are samples."""
    assert rule.max_gap_ns is not None
    return rule.max_gap_ns


def measured(values: Values) -> Flags:
    """Which values are some: no NaN, and nothing that float32 does not hold; of the same shape."""
    with np.errstate(all="ignore"):
        return np.isfinite(values.astype(np.float32, copy=False))


def of_channel(samples: Samples, column: int) -> Samples:
    """The samples at which one channel has a value: its empty cells are no samples of it."""
    values = samples.values[:, column]
    there = measured(values)
    times = samples.times[there]
    kept: Values = values[there].reshape(-1, 1)
    carried = samples.carried
    if carried is not None and carried.times[column] > -FAR_NS:
        times = np.concatenate((carried.times[column : column + 1], times))
        kept = np.concatenate((carried.values[column : column + 1, None], kept)).astype(np.float64, copy=False)
    return Samples(times, kept, -FAR_NS, samples.rule, samples.tolerance_ns)


def resample(samples: Samples, instants: Times) -> Resampled:
    """The stream's values at the instants (strictly rising, `(instants,) int64`).

    Where every instant has its own sample the values are a view of the samples. Interpolated values are computed in
    float64; an exact sample's value is never touched by arithmetic.
    """
    times, tolerance = samples.times, samples.tolerance_ns
    count = len(instants)
    first = int(times.searchsorted(instants[0] - tolerance))
    there = times[first : first + count]
    if len(there) == count and _same(there, instants, tolerance):
        return Resampled(samples.values[first : first + count], None, None)
    if len(times) == 0:
        empty = np.zeros((count, samples.values.shape[1]), dtype=np.float32)
        return Resampled(empty, np.zeros(count, dtype=np.bool_), None)
    return _between(samples, instants)


def _same(times: Times, instants: Times, tolerance: int) -> bool:
    if tolerance == 0:
        return times[-1] == instants[-1] and bool((times == instants).all())
    apart = times - instants
    return bool(apart.min() >= -tolerance and apart.max() <= tolerance)


def _between(samples: Samples, instants: Times) -> Resampled:
    times, values, hole_to_ns, rule, tolerance, _ = samples
    max_gap_ns = gap_of(rule)
    last = len(times) - 1
    before = times.searchsorted(instants, side="right") - 1
    has_before, has_after = before >= 0, before < last
    after = np.minimum(before + 1, last)
    np.maximum(before, 0, out=before)
    since = instants - times.take(before)
    until = times.take(after) - instants
    exact = has_before & (since <= tolerance)
    # a sample just after its instant stands for it, unless one at or just before does
    ahead = ~exact & has_after & (until <= tolerance)
    short = has_before & has_after & (since + until <= max_gap_ns)
    itself = exact | ahead
    chosen = np.where(ahead, after, before)
    if rule.interpolation == "hold":
        valid = itself | (has_before & (since <= max_gap_ns))
    elif rule.interpolation == "none":
        valid = itself
    else:
        valid = itself | short
    if rule.interpolation == "nearest":
        chosen = np.where(~exact & short & (until < since), after, chosen)
    result: Values = values.take(chosen, axis=0)
    if rule.interpolation == "linear" and bool((short & ~itself).any()):
        result = _weigh(result, values.take(before, axis=0), values.take(after, axis=0), since, until, itself)
    if bool(valid.all()):
        return Resampled(result, None, None)
    hole = np.where(has_after, since + until > max_gap_ns, instants < hole_to_ns)
    gap = ~valid & has_before & hole
    return Resampled(result, valid, gap if bool(gap.any()) else None)


def _weigh(exact: Values, left: Values, right: Values, since: Times, until: Times, itself: Flags) -> Values:
    """Linear interpolation `left + (right - left) * since / (since + until)` in float64; `exact` where `itself`."""
    with np.errstate(all="ignore"):
        share = since / (since + until)
        result = np.subtract(right, left, dtype=np.float64)
        result *= share[:, None]
        result += left
    if bool(itself.any()):
        result[itself] = exact[itself]
    return result


def blank(samples: Samples, start_ns: int) -> tuple[int, bool]:
    """`(until_ns, gap)`: the stream has no value at instants in `[start_ns, until_ns)`, a gap or merely missing.

    `until_ns == start_ns` where it has, or may have, a value at `start_ns`.
    """
    times, _, hole_to_ns, rule, tolerance, _ = samples
    max_gap_ns = gap_of(rule)
    at = int(times.searchsorted(start_ns + tolerance, side="right"))
    after = int(times[at]) if at < len(times) else FAR_NS
    if at == 0:
        return max(after - tolerance, start_ns), False
    before = int(times[at - 1])
    reach = max_gap_ns if rule.interpolation == "hold" else 0
    if start_ns - before <= max(tolerance, reach):
        return start_ns, False
    if at < len(times):
        return (after - tolerance, True) if after - before > max_gap_ns else (start_ns, False)
    return (hole_to_ns, True) if start_ns < hole_to_ns else (FAR_NS, False)
