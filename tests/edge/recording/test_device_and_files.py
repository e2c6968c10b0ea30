"""The same rows make the same recordings, live by a device's clock and imported from a file."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from edge.recording.device import DeviceTimes
from edge.recording.stamps import ClockStep, Stamp
from ingest.errors import UsageError
from ingest.importers.order import order
from ingest.ordering import BACK_STEP_NS, FORWARD_STEP_NS
from ingest.times import NS, Times

STEPS = [0, 1, NS // 10, NS, 3600 * NS, -1, -NS, 1 - BACK_STEP_NS, -BACK_STEP_NS, -60 * NS, FORWARD_STEP_NS]


def live(times: Times, pieces: list[int]) -> list[list[int]]:
    """Recordings of an agent that reads `times` in pieces, long after: no arrival says more than the times do."""
    base, arrived = DeviceTimes(), Stamp(int(times.max()) + NS, trusted=False)
    runs: list[list[int]] = [[]]
    cuts = [0, *np.cumsum(pieces).tolist(), len(times)]
    for start, stop in pairwise(cuts):
        rest = times[start : min(stop, len(times))]
        while len(rest):
            try:
                runs[-1] += base.place(len(rest), rest, arrived).times.tolist()
                rest = rest[:0]
            except ClockStep as step:
                head, rest = rest[: step.index], rest[step.index :]
                runs[-1] += base.place(len(head), head, arrived).times.tolist() if len(head) else []
                base = DeviceTimes()
                runs.append([])
    return runs


@given(st.lists(st.sampled_from(STEPS), min_size=1, max_size=40), st.lists(st.integers(1, 9), max_size=10))
def test_the_same_rows_make_the_same_recordings_live_and_imported(steps: list[int], pieces: list[int]) -> None:
    times = np.cumsum(np.array([1_700_000_000 * NS, *steps], dtype=np.int64))
    try:
        ordered = order(times, np.zeros((len(times), 1)), str, "first")
    except UsageError:
        return
    if not ordered.turned:
        assert live(times, pieces) == [times[rows].tolist() for rows in ordered.runs]
