"""A virtual valve that says where it stands: a stream of named states. Pure, as the accelerometer is.

It rests shut or open and moves for a moment in between. Nothing that it does is an event: it is what one looks at to
understand the others.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Final

import numpy as np

from ingest.records import Channel, StreamDescription
from ingest.times import period_of, run_times
from simulators.recording import Recording, kept, missing

SHUT, OPEN, MOVING = 0, 1, 2
STATES: Final = ((SHUT, "shut"), (OPEN, "open"), (MOVING, "moving"))
_REST_S: Final = (15.0, 60.0)
_MOVE_S: Final = (2.0, 4.0)


@dataclass(frozen=True, slots=True)
class Valve:
    """How often it says where it stands."""

    rate: Fraction = Fraction(1)

    def description(self, stream: str = "valve") -> StreamDescription:
        """What the codes mean."""
        channel = Channel("position", "1", states=STATES)
        return StreamDescription(
            stream, (channel,), "int16", self.rate.numerator, self.rate.denominator, "virtual", "inlet"
        )


def simulate(rng: np.random.Generator, valve: Valve, t0_ns: int, seconds: float) -> Recording:
    """`seconds` of a valve from `t0_ns` on; the same generator state gives the same recording, bit by bit."""
    samples, rate = int(seconds * valve.rate), float(valve.rate)
    grid = run_times(t0_ns, 0, *period_of(valve.rate), samples + 1)
    counts = np.empty((samples, 1), np.int16)
    at, rests = 0, int(rng.integers(2))
    while at < samples:
        for state, (least_s, most_s) in ((OPEN if rests else SHUT, _REST_S), (MOVING, _MOVE_S)):
            until = at + max(1, round(rng.uniform(least_s, most_s) * rate))
            counts[at:until] = state
            at = until
        rests = 1 - rests
    gaps = missing(rng, grid, rate, every_s=300.0, shortest_s=1.0)
    present = kept(samples, gaps)
    return Recording(
        grid[:samples][present], counts[present], valve.description(), (), (), tuple(gap for gap, _ in gaps)
    )
