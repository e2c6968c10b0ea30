"""Run by a Python that has tsfresh: what it makes of the rows in a file, as JSON `{feature: [value, …]}`."""

from __future__ import annotations

import json
import sys
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
from tsfresh.feature_extraction import feature_calculators as peer

SAME = (
    "sum_values",
    "mean",
    "median",
    "minimum",
    "maximum",
    "absolute_maximum",
    "standard_deviation",
    "variance",
    "variation_coefficient",
    "root_mean_square",
    "abs_energy",
    "skewness",
    "kurtosis",
    "count_above_mean",
    "count_below_mean",
    "absolute_sum_of_changes",
    "mean_abs_change",
    "mean_change",
    "mean_second_derivative_central",
    "longest_strike_above_mean",
    "longest_strike_below_mean",
    "first_location_of_maximum",
    "last_location_of_maximum",
    "first_location_of_minimum",
    "last_location_of_minimum",
)


def with_(function: Callable[..., Any], *more: Any) -> Callable[[Any], float]:
    return lambda row: function(row, *more)


def chosen(function: Callable[..., Any], parameters: dict[str, Any]) -> Callable[[Any], float]:
    """Of those that give several results at once."""
    return lambda row: next(value for _, value in function(row, [parameters]))


FEATURES: dict[str, Callable[[Any], float]] = {
    **{name: getattr(peer, name) for name in SAME},
    **{f"quantile_{share:g}": with_(peer.quantile, share) for share in (0.1, 0.2, 0.3, 0.4, 0.6, 0.7, 0.8, 0.9)},
    **{f"ratio_beyond_{times}_sigma": with_(peer.ratio_beyond_r_sigma, times) for times in (1, 2, 3)},
    "binned_entropy": with_(peer.binned_entropy, 10),
    "cid_ce": with_(peer.cid_ce, False),
    "cid_ce_normalized": with_(peer.cid_ce, True),
    "zero_crossings": with_(peer.number_crossing_m, 0),
    **{f"number_peaks_{support}": with_(peer.number_peaks, support) for support in (1, 3, 5)},
    **{f"autocorrelation_{lag}": with_(peer.autocorrelation, lag) for lag in range(1, 6)},
    **{f"c3_{lag}": with_(peer.c3, lag) for lag in (1, 2, 3)},
    **{f"time_reversal_asymmetry_{lag}": with_(peer.time_reversal_asymmetry_statistic, lag) for lag in (1, 2, 3)},
    **{
        f"linear_trend_{what}": chosen(peer.linear_trend, {"attr": what})
        for what in ("slope", "intercept", "rvalue", "stderr")
    },
    **{
        f"energy_ratio_{part + 1}_of_4": chosen(peer.energy_ratio_by_chunks, {"num_segments": 4, "segment_focus": part})
        for part in range(4)
    },
    **{
        f"fft_{what}": chosen(peer.fft_aggregated, {"aggtype": what})
        for what in ("centroid", "variance", "skew", "kurtosis")
    },
    **{
        f"fft_coefficient_{number}": chosen(peer.fft_coefficient, {"coeff": number, "attr": "abs"})
        for number in range(1, 6)
    },
}

if __name__ == "__main__":
    warnings.simplefilter("ignore")
    rows = np.load(sys.argv[1])
    json.dump({name: [float(of(row)) for row in rows] for name, of in FEATURES.items()}, sys.stdout)
