"""What a model may be asked for besides one label a window: the shares of all labels, and a label a step."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from ingest.errors import UsageError
from labeling.lines import WindowTimes
from labeling.resolve import LabelPolicy, label_shares, resolve
from windowing.dataset.index import window_times
from windowing.dataset.source import Labelled, Source

Ints = NDArray[np.int64]
_TOGETHER: Final = 200_000
"""So many steps are resolved at once."""


def shares_of(source: Source, rows: Ints) -> NDArray[np.float64]:
    """`(rows, classes) float64`: see `Dataset.shares`. Raises `UsageError`."""
    labelled, times = _of_one_kind(source, "shares"), _times(source, rows)
    number = {label: place for place, label in enumerate(labelled.codes.classes)}
    shares = np.zeros((len(rows), len(number)))
    found = label_shares(times, labelled.marks)
    place = np.array([number.get(label, -1) for label in found.classes], np.int64)
    known = place[found.label] >= 0
    shares[found.window[known], place[found.label[known]]] = found.share[known]
    background = source.contents.config.labels.background
    if background is not None:
        untouched = (labelled.codes.y[rows] == number.get(background, -2)) & (labelled.labels.mark[rows] < 0)
        shares[untouched, number.get(background, 0)] = 1.0
    return shares


def steps_of(source: Source, rows: Ints) -> Ints:
    """`(rows, steps) int64`: see `Dataset.step_labels`. Raises `UsageError`."""
    labelled, times = _of_one_kind(source, "step_labels"), _times(source, rows)
    config = source.contents.config
    number = {label: place for place, label in enumerate(labelled.codes.classes)}
    period, denominator = config.window.period
    after = np.arange(config.window.length) * period // denominator
    policy = LabelPolicy("end", background=config.labels.background)
    y = np.empty((len(rows), config.window.length), np.int64)
    many = max(1, _TOGETHER // config.window.length)
    for begin in range(0, len(rows), many):
        some = slice(begin, begin + many)
        instants = (times.t0_ns[some, None] + after).reshape(-1)
        device = np.repeat(times.device[some], len(after))
        found = resolve(WindowTimes(times.devices, device, instants, instants + 1), labelled.marks, policy)
        place = np.array([*(number.get(label, -1) for label in found.classes), -1], np.int64)
        y[some] = place[found.label].reshape(-1, len(after))
    return y


def _times(source: Source, rows: Ints) -> WindowTimes:
    return window_times(source.contents.index[rows], source.labelled.marks)


def _of_one_kind(source: Source, what: str) -> Labelled:
    if len({part.choice.name for part in source.contents.parts}) > 1:
        raise UsageError(f"{what}: these datasets count the marks of different rules; open each alone, or with rules=")
    return source.labelled
