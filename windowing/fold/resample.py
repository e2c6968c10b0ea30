"""Values at grid instants from the samples of one stream: exact samples, linear, hold, nearest, none."""

from __future__ import annotations

from typing import Final, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ingest.times import Times
from windowing.spec import StreamRule

Values: TypeAlias = NDArray[np.float32] | NDArray[np.float64]
Flags: TypeAlias = NDArray[np.bool_]

FAR_NS = 1 << 62
_BLOCK: Final = 4096
"""So many instants are looked at together: a slip in a run costs no more than that."""
_RUN: Final = 256
"""Where runs are shorter than about this, instants are looked up one by one."""


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
    held: frozenset[int] = frozenset()
    """Columns of named states in a stream that has quantities too: `rule` is not theirs, `rule.of_states` is."""


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
    if values.dtype == np.float32:
        return np.isfinite(values)
    with np.errstate(all="ignore"):
        return np.isfinite(values.astype(np.float32))


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
    rule = samples.rule.of_states if column in samples.held else samples.rule
    return Samples(times, kept, -FAR_NS, rule, samples.tolerance_ns)


def resample(samples: Samples, instants: Times, *, double: bool = False) -> Resampled:
    """The stream's values at the instants (strictly rising, `(instants,) int64`), in float32 unless `double`, or where
    samples were float64 and nothing was interpolated.

    Where every instant has its own sample the values are a view of the samples. Interpolated values are computed in
    float64; an exact sample's value is never touched by arithmetic.
    """
    times, count = samples.times, len(instants)
    first = int(times.searchsorted(instants[0] - samples.tolerance_ns))
    there = times[first : first + count]
    if len(there) == count and _same(there, instants, samples.tolerance_ns):
        return Resampled(samples.values[first : first + count], None, None)
    if len(times) == 0:
        empty = np.zeros((count, samples.values.shape[1]), dtype=np.float32)
        return Resampled(empty, np.zeros(count, dtype=np.bool_), None)
    with np.errstate(all="ignore"):  # a device may send infinities, and NaNs of every kind
        straight = None if double or samples.rule.interpolation != "linear" else _straight(samples, instants)
        found = _between(samples, instants) if straight is None else straight
    if samples.held:
        _hold(samples, instants, found.values)
    return found


def _hold(samples: Samples, instants: Times, values: Values) -> None:
    """Put the last known states into the columns of `values` that have some, where the row is valid."""
    times, last = samples.times, len(samples.times) - 1
    before = times.searchsorted(instants, side="right") - 1
    after = np.minimum(before + 1, last)
    np.maximum(before, 0, out=before)
    near = np.abs(instants - times.take(before)) <= samples.tolerance_ns
    ahead = ~near & (np.abs(times.take(after) - instants) <= samples.tolerance_ns)
    chosen = np.where(ahead, after, before)
    for column in samples.held:
        values[:, column] = samples.values[:, column].take(chosen)


def _same(times: Times, instants: Times, tolerance: int) -> bool:
    """Is each instant that of its sample? The ends say nearly always that they are not."""
    if max(abs(int(times[0]) - int(instants[0])), abs(int(times[-1]) - int(instants[-1]))) > tolerance:
        return False
    if (times == instants).all():
        return True
    apart = times - instants
    return bool(apart.min() >= -tolerance and apart.max() <= tolerance)


def _straight(samples: Samples, instants: Times) -> Resampled | None:
    """Linear interpolation where every instant lies between samples that are near enough; None where one does not.

    The values of `_between`, to the bit of a float32. Nearly all streams are steady, and nearly all of their instants
    are of this kind: while each next instant lies between the next two samples, all operands are slices.
    """
    times, max_gap_ns = samples.times, gap_of(samples.rule)
    begin = int(times.searchsorted(instants[0], side="right")) - 1
    end = int(times.searchsorted(instants[-1], side="right"))
    if begin < 0 or end >= len(times):
        return None
    spans = times[begin + 1 : end + 1] - times[begin:end]
    if spans.max() > max_gap_ns:
        return None
    own = samples._replace(times=times[begin : end + 1], values=samples.values[begin : end + 1])
    result = np.empty((len(instants), own.values.shape[1]), dtype=np.float32)
    if not _by_runs(own, spans, instants, result):
        before = own.times.searchsorted(instants, side="right") - 1
        left, right = own.values.take(before, axis=0), own.values.take(before + 1, axis=0)
        since, apart = instants - own.times.take(before), spans.take(before)
        result[...] = _lines(left, right, since / apart)
        _put_exact(left, right, since, apart - since, samples.tolerance_ns, result)
    return Resampled(result, None, None)


def _by_runs(own: Samples, spans: Times, instants: Times, result: NDArray[np.float32]) -> bool:
    """Fill `result` run by run, in each of which instants and samples go on one by one; False where runs are short."""
    times, tolerance = own.times, own.tolerance_ns
    runs_left = 4 + len(instants) // _RUN
    if abs(len(spans) - len(instants)) > runs_left:  # another rate: each instant would be a run of its own
        return False
    at, most = 0, _BLOCK
    while at < len(instants):
        before = int(times.searchsorted(instants[at], side="right")) - 1
        count = min(len(instants) - at, len(spans) - before, most)
        apart = spans[before : before + count]
        since = instants[at : at + count] - times[before : before + count]
        until = apart - since
        near = since.min() <= tolerance or until.min() <= tolerance  # a sample is exact, or the run ends
        if near and (since.min() < 0 or until.min() <= 0):
            runs_left -= 1
            if runs_left < 0:
                return False
            count = int(((since < 0) | (until <= 0)).argmax())
            since, until, apart = since[:count], until[:count], apart[:count]
        values: NDArray[np.float64] = own.values[before : before + count + 1].astype(np.float64, copy=False)
        left, right, place = values[:-1], values[1:], result[at : at + count]
        place[...] = _lines(left, right, since / apart)
        if near:
            _put_exact(left, right, since, until, tolerance, place)
        at, most = at + count, min(2 * count, _BLOCK)  # the next run may be as short
    return True


def _lines(left: Values, right: Values, share: NDArray[np.float64]) -> NDArray[np.float64]:
    """Linear interpolation `left + (right - left) * share` in float64, row by row."""
    rises = np.subtract(right, left, dtype=np.float64)
    # Down each column: along rows, which have a value a channel, numpy takes three times as long.
    np.multiply(rises.T, share, out=rises.T, order="C")
    rises += left
    return rises


def _put_exact(
    left: Values, right: Values, since: Times, until: Times, tolerance: int, result: NDArray[np.float32]
) -> None:
    """Samples within the tolerance of their instants, untouched by arithmetic; of two, that before the instant."""
    if since.min() <= tolerance or until.min() <= tolerance:
        exact = since <= tolerance
        ahead = ~exact & (until <= tolerance)
        result[exact], result[ahead] = left[exact], right[ahead]


def _between(samples: Samples, instants: Times) -> Resampled:
    times, values, hole_to_ns, rule, tolerance, *_ = samples
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
        lines = _lines(values.take(before, axis=0), values.take(after, axis=0), since / (since + until))
        lines[itself] = result[itself]
        result = lines
    if bool(valid.all()):
        return Resampled(result, None, None)
    hole = np.where(has_after, since + until > max_gap_ns, instants < hole_to_ns)
    gap = ~valid & has_before & hole
    return Resampled(result, valid, gap if bool(gap.any()) else None)


def blank(samples: Samples, start_ns: int) -> tuple[int, bool]:
    """`(until_ns, gap)`: the stream has no value at instants in `[start_ns, until_ns)`, a gap or merely missing.

    `until_ns == start_ns` where it has, or may have, a value at `start_ns`.
    """
    times, _, hole_to_ns, rule, tolerance, *_ = samples
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
