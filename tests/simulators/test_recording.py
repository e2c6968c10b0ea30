from __future__ import annotations

import numpy as np
import pytest

from simulators.recording import run_above


@pytest.mark.parametrize(
    ("level", "found"),
    [
        ([0, 0, 2, 2, 0, 2], (2, 4)),
        ([0, 0, 2, 2, 2, 2], (2, 6)),  # not over when all ends
        ([2, 0, 0, 0, 2, 2], None),  # not within the part that is asked for
        ([0, 0, 0, 2, 2, 0], (3, 5)),  # it may be over later
        ([0, 1, 1, 1, 1, 0], None),  # the limit itself is not above it
    ],
)
def test_a_run_above_a_limit(level: list[float], found: tuple[int, int] | None) -> None:
    assert run_above(np.array(level, dtype=np.float64), 1.0, 1, 4) == found
