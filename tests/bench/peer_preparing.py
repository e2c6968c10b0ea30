"""Run by a Python that has tsaug, tsfresh and tsflex: seconds that each takes for so many windows, as JSON."""

from __future__ import annotations

import json
import sys
import time
import warnings
from collections.abc import Callable

import numpy as np
import pandas as pd
import tsaug
from tsflex.features import FeatureCollection, MultipleFeatureDescriptors
from tsfresh.feature_extraction import feature_calculators as calculators


def taken(job: Callable[[], object], runs: int) -> list[float]:
    seconds = []
    job()
    for _ in range(runs):
        start = time.process_time()
        job()
        seconds.append(time.process_time() - start)
    return seconds


def main(windows: int, steps: int, channels: int, runs: int) -> None:
    signal = np.random.default_rng(0).normal(size=(windows, steps, channels)).astype(np.float32)
    few = signal[: max(1, windows // 64)]
    named = [
        *("abs_energy", "absolute_maximum", "kurtosis", "maximum", "mean", "mean_abs_change", "median", "minimum"),
        *("root_mean_square", "skewness", "standard_deviation", "sum_values", "variance", "longest_strike_above_mean"),
    ]

    def fresh() -> None:
        for window in few:
            for channel in range(channels):
                for name in named:
                    getattr(calculators, name)(window[:, channel])

    columns = [f"c{channel}" for channel in range(channels)]
    functions = [np.mean, np.std, np.var, np.min, np.max, np.median, np.sum, np.ptp]
    series = np.ascontiguousarray(few.reshape(-1, channels))
    collection = FeatureCollection(
        MultipleFeatureDescriptors(functions, columns, windows=float(steps), strides=float(steps))
    )
    table = pd.DataFrame(
        series, columns=[f"c{channel}" for channel in range(channels)], index=np.arange(len(series), dtype=float)
    )
    json.dump(
        {
            "jitter": taken(lambda: tsaug.AddNoise(scale=0.1).augment(signal), runs),
            "time-warp": taken(lambda: tsaug.TimeWarp(n_speed_change=4).augment(signal), runs),
            "tsfresh": [seconds / len(few) / len(named) for seconds in taken(fresh, runs)],
            "tsflex": [
                seconds / len(few) / len(functions) for seconds in taken(lambda: collection.calculate(table), runs)
            ],
        },
        sys.stdout,
    )


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    main(*map(int, sys.argv[1:]))
