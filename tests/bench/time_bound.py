"""How well arrivals let anybody know when samples were taken: the best estimate, by who knows all but the line.

Who knows that latencies are spread evenly over `spread_ns`, and which sample each arrival is, knows that the line lies
no more than that below each of them. All such lines are equally likely; their mean errs least of all estimates that
move with the arrivals (E. Pitman, Biometrika 1939).
"""

from __future__ import annotations

from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

Floats: TypeAlias = NDArray[np.float64]
_SLOPES: Final = 4001


def best_line(taken_ns: Floats, arrived_ns: Floats, spread_ns: float) -> tuple[float, float]:
    """How much later than its sample an arrival is at the least, at the time 0, and by how much more each ns: the mean
    over all that can be, of arrivals `(n,)` of samples that were taken `(n,)`."""
    late = arrived_ns - taken_ns
    run = float(np.ptp(taken_ns)) or 1.0
    slopes = np.linspace(-spread_ns, spread_ns, _SLOPES) / run
    heights = late - np.multiply.outer(slopes, taken_ns)
    least, most = heights.max(axis=1) - spread_ns, heights.min(axis=1)
    room = np.maximum(most - least, 0.0)
    weights = room / room.sum()
    return float(weights @ (least + most) / 2), float(weights @ slopes)
