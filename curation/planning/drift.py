"""Whether two sets of windows differ by more than chance, by tests that know how much there is to judge from. Pure.

Windows of one recording are alike, so a thousand of them are no thousand witnesses: what is shuffled between the two
sets are whole recordings (a permutation test of exchangeable groups). Of several tests, p-values are Holm's (1979).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


def ks_distance(values: Floats, new: NDArray[np.bool_]) -> float:
    """Kolmogorov and Smirnov's distance of the values of `new` windows from the others', 0 to 1; NaN values are left
    out, and nothing is at no distance from anything."""
    there = ~np.isnan(values)
    values, new = values[there], new[there]
    if not new.any() or new.all():
        return 0.0
    order = np.argsort(values, kind="stable")
    values, new = values[order], new[order]
    ahead = np.cumsum(new) / new.sum() - np.cumsum(~new) / (~new).sum()
    last = np.append(values[1:] != values[:-1], True)  # equal values are one step
    return float(np.abs(ahead[last]).max())


def variation_distance(labels: Ints, new: NDArray[np.bool_]) -> float:
    """Total variation between the shares of labels, 0 to 1."""
    if not new.any() or new.all():
        return 0.0
    count = int(labels.max(initial=0)) + 1
    one, other = (np.bincount(labels[which], minlength=count) / which.sum() for which in (new, ~new))
    return float(np.abs(one - other).sum() / 2)


def permuted(
    distance: Callable[[NDArray[np.bool_]], float], groups: Ints, new: NDArray[np.bool_], *, seed: int, draws: int = 499
) -> float:
    """How likely so large a distance is where nothing differs: whole groups are shuffled between the sets.

    `groups` is each window's recording as a number from 0 on; a recording is new where most of its windows are.
    """
    size = int(groups.max(initial=-1)) + 1
    is_new = np.bincount(groups, new, size) * 2 > np.bincount(groups, minlength=size)
    rng = np.random.default_rng(seed)
    seen = distance(new)
    above = sum(distance(rng.permutation(is_new)[groups]) >= seen - 1e-12 for _ in range(draws))
    return (1 + above) / (1 + draws)


def holm(p_values: Sequence[float]) -> list[float]:
    """Corrected for so many tests: the chance of one false alarm among all stays what each says."""
    order = np.argsort(p_values)
    found, least = [1.0] * len(p_values), 0.0
    for rank, place in enumerate(order.tolist()):
        least = max(least, min(1.0, (len(p_values) - rank) * p_values[place]))
        found[place] = least
    return found


def share_range(member: NDArray[np.bool_], groups: Ints, *, seed: int, draws: int = 400) -> tuple[float, float]:
    """Where a share lies, surely: 95 % of what other recordings like these would say (a bootstrap of groups)."""
    size = int(groups.max(initial=-1)) + 1
    if not size:
        return 0.0, 1.0
    of, all_of = np.bincount(groups, member, size), np.bincount(groups, minlength=size)
    drawn = np.random.default_rng(seed).integers(0, size, (draws, size))
    shares = of[drawn].sum(axis=1) / all_of[drawn].sum(axis=1)
    low, high = np.quantile(shares, (0.025, 0.975))
    return float(low), float(high)
