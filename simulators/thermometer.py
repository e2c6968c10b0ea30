"""A virtual temperature probe on a motor: recordings whose truth is known.

The motor is true to physics: it warms and cools towards what its load and its cooling allow. An event is the time it
is hotter than `LIMIT_C`, which the probe shows late, with an error, and in steps. Pure, as the accelerometer is.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ingest.records import Channel, StreamDescription
from ingest.times import period_of, run_times
from simulators.recording import Episode, Recording, kept, missing, run_above, schedule

Floats = NDArray[np.float64]

LIMIT_C: Final = 80.0
"""Hotter than this the motor suffers."""
LABELS: Final = ("overheating",)
NEAR_MISSES: Final = ("warm", "surge", "reset")
_RESET_C: Final = 85.0
"""What the common DS18B20 reads after a brown-out, whatever the temperature."""
_IDLE_C: Final = 45.0
_MOTOR_S: Final = 20.0
"""The time constant with which the motor follows its load."""
_SECONDS: Final = {"overheating": (60.0, 120.0), "warm": (60.0, 120.0), "surge": (5.0, 12.0), "reset": (1.0, 3.0)}
_CALM_S: Final = (30.0, 60.0)


@dataclass(frozen=True, slots=True)
class Probe:
    """What the probe is like; the defaults are those of a DS18B20 in a pocket of grease."""

    rate: Fraction = Fraction(1)
    scale_c: float = 1 / 16
    lag_s: float = 3.0
    """The time constant with which it follows the motor."""
    noise_c: float = 0.08
    """Standard deviation of one reading."""
    bias_c: float = 0.3
    """Standard deviation of its constant error."""
    drift_c: float = 0.003
    """How far the error wanders in one second, as a random walk does."""

    def description(self, stream: str = "motor") -> StreamDescription:
        """What the counts mean."""
        channel = Channel("temp", "degC", scale=self.scale_c, low=-55.0, high=125.0)
        return StreamDescription(
            stream, (channel,), "int16", self.rate.numerator, self.rate.denominator, "virtual", "motor"
        )


def simulate(rng: np.random.Generator, probe: Probe, t0_ns: int, seconds: float) -> Recording:
    """`seconds` of a motor from `t0_ns` on; the same generator state gives the same recording, bit by bit."""
    samples = int(seconds * probe.rate)
    rate = float(probe.rate)
    grid = run_times(t0_ns, 0, *period_of(probe.rate), samples + 1)
    plan = list(schedule(rng, samples, rate, _SECONDS, _CALM_S))
    target = _IDLE_C + 2.0 * np.sin(2 * np.pi * np.arange(samples) / rate / rng.uniform(200, 400))
    surges = np.zeros(samples)
    resets = np.zeros(samples, dtype=np.bool_)
    for name, start, stop in plan:
        if name == "overheating":
            target[start:stop] = rng.uniform(95, 110)
        elif name == "warm":
            target[start:stop] = rng.uniform(70, 77)
        elif name == "surge":
            surges[start:stop] = rng.uniform(38, 42)
        else:
            resets[start:stop] = True
    motor = _follow(target, _MOTOR_S * rate)
    shown = _follow(motor + surges, probe.lag_s * rate)
    counts = _measure(rng, probe, shown)
    counts[resets] = round(_RESET_C / probe.scale_c)
    events, near_misses = _truth(plan, motor, grid.tolist())
    gaps = missing(rng, grid, rate, every_s=300.0, shortest_s=1.0)
    present = kept(samples, gaps)
    return Recording(
        grid[:samples][present],
        counts[present],
        probe.description(),
        tuple(events),
        tuple(near_misses),
        tuple(gap for gap, _ in gaps),
    )


def _follow(target: Floats, constant: float) -> Floats:
    """A first-order lag of `constant` samples behind `target`, from its first value on. `(samples,)`."""
    share = 1.0 - float(np.exp(-1.0 / constant)) if constant > 0 else 1.0
    level = float(target[0]) if len(target) else 0.0
    followed = np.empty_like(target)
    for i, wanted in enumerate(target.tolist()):
        level += share * (wanted - level)
        followed[i] = level
    return followed


def _measure(rng: np.random.Generator, probe: Probe, shown: Floats) -> NDArray[np.int16]:
    """`(samples, 1)`: the reading's own errors added, in steps, within the probe's range."""
    samples = len(shown)
    wander = np.cumsum(rng.normal(0.0, probe.drift_c / float(probe.rate) ** 0.5, samples))
    noisy = shown + rng.normal(0.0, probe.bias_c) + wander + rng.normal(0.0, probe.noise_c, samples)
    return np.rint(np.clip(noisy, -55.0, 125.0) / probe.scale_c).astype(np.int16)[:, None]


def _truth(plan: list[tuple[str, int, int]], motor: Floats, grid: list[int]) -> tuple[list[Episode], list[Episode]]:
    """Events are when the motor was too hot, up to the recording's end."""
    events: list[Episode] = []
    near_misses: list[Episode] = []
    for name, start, stop in plan:
        if name != "overheating":
            near_misses.append(Episode(name, grid[start], grid[stop]))
            continue
        hot = run_above(motor, LIMIT_C, start, stop)
        if hot is not None:
            events.append(Episode(name, grid[hot[0]], grid[hot[1]]))
    return events, near_misses
