"""A virtual 3-axis accelerometer on a pump: recordings whose truth is known.

What the sensor feels is gravity, the pump's hum, and episodes: true events that deserve a label, and near-misses that
look like them for a moment and are none. What it writes down adds its own faults: bias, drift, white noise, the steps
of its int16 counts, and short gaps. Pure: the randomness comes in as a generator, time as an argument.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ingest.records import Channel, StreamDescription
from ingest.times import period_of, run_times
from simulators.recording import Episode, Recording, kept, missing, schedule

Floats = NDArray[np.float64]
_Effect = Callable[[np.random.Generator, Floats, Floats], Floats]
"""From the seconds since an episode began, `(samples,)`, and gravity, `(3,)`: what it adds in g, `(samples, 3)`."""


@dataclass(frozen=True, slots=True)
class Sensor:
    """What the sensor is like; the defaults are those of a cheap MEMS part at ±8 g."""

    rate: Fraction = Fraction(100)
    scale_g: float = 1 / 4096
    noise_g: float = 0.004
    """Standard deviation of one reading."""
    bias_g: float = 0.02
    """Standard deviation of each axis' constant error."""
    drift_g: float = 0.0005
    """How far a bias wanders in one second, as a random walk does."""

    def description(self, stream: str = "acc") -> StreamDescription:
        """What the counts mean."""
        channels = tuple(Channel(axis, "g", scale=self.scale_g, low=-8.0, high=8.0) for axis in "xyz")
        rate = self.rate
        return StreamDescription(stream, channels, "int16", rate.numerator, rate.denominator, "virtual", "pump")


def simulate(rng: np.random.Generator, sensor: Sensor, t0_ns: int, seconds: float) -> Recording:
    """`seconds` of a pump from `t0_ns` on; the same generator state gives the same recording, bit by bit."""
    samples = int(seconds * sensor.rate)
    grid = run_times(t0_ns, 0, *period_of(sensor.rate), samples + 1)
    rate = float(sensor.rate)
    gravity = _gravity(rng)
    felt = gravity + _hum(rng, samples, rate)
    events: list[Episode] = []
    near_misses: list[Episode] = []
    for name, start, stop in schedule(rng, samples, rate, {name: kind.seconds for name, kind in _KINDS.items()}):
        kind = _KINDS[name]
        felt[start:stop] += kind.effect(rng, np.arange(stop - start) / rate, gravity)
        episode = Episode(name, int(grid[start]), int(grid[stop]))
        (events if kind.is_event else near_misses).append(episode)
    counts = _measure(rng, sensor, felt)
    gaps = missing(rng, grid, rate)
    present = kept(samples, gaps)
    return Recording(
        grid[:samples][present],
        counts[present],
        sensor.description(),
        tuple(events),
        tuple(near_misses),
        tuple(gap for gap, _ in gaps),
    )


def _gravity(rng: np.random.Generator) -> Floats:
    """One g, nearly along z: nobody mounts a sensor exactly level. `(3,)`."""
    lean = rng.normal(0.0, 0.05, 2)
    direction = np.array([lean[0], lean[1], 1.0])
    return np.asarray(direction / np.linalg.norm(direction))


def _hum(rng: np.random.Generator, samples: int, rate: float) -> Floats:
    """The pump's rotation, about 12 Hz and its harmonic, slowly swelling. `(samples, 3)`."""
    t_s = np.arange(samples) / rate
    turn = 2 * np.pi * rng.uniform(11.5, 12.5) * t_s
    swell = 1 + 0.3 * np.sin(2 * np.pi * t_s / rng.uniform(20, 60))
    size = np.array([0.04, 0.03, 0.02])
    phase = rng.uniform(0, 2 * np.pi, 3)
    wave = np.sin(turn[:, None] + phase) + 0.3 * np.sin(2 * turn[:, None] + phase)
    return np.asarray(size * swell[:, None] * wave)


def _measure(rng: np.random.Generator, sensor: Sensor, felt: Floats) -> NDArray[np.int16]:
    """What the sensor makes of it: bias, drift and noise added, rounded to counts, clipped at the range's ends."""
    samples = len(felt)
    step = sensor.drift_g / float(sensor.rate) ** 0.5
    wander = np.cumsum(rng.normal(0.0, step, (samples, 3)), axis=0)
    noisy = felt + rng.normal(0.0, sensor.bias_g, 3) + wander + rng.normal(0.0, sensor.noise_g, (samples, 3))
    return np.clip(np.rint(noisy / sensor.scale_g), -32768, 32767).astype(np.int16)


def _impact(t_s: Floats, at_s: float, size_g: float) -> Floats:
    """A blow at `at_s` that rings at 18 Hz and dies within a tenth of a second. `(samples,)` in g."""
    since = t_s - at_s
    ring = np.exp(-np.maximum(since, 0.0) / 0.04) * np.cos(2 * np.pi * 18 * since)
    return np.asarray(np.where(since >= 0, size_g * ring, 0.0))


def _direction(rng: np.random.Generator) -> Floats:
    vector = rng.normal(0.0, 1.0, 3) + np.array([0.0, 0.0, 2.0])
    return np.asarray(vector / np.linalg.norm(vector))


def _knocking(rng: np.random.Generator, t_s: Floats, gravity: Floats) -> Floats:
    """A blow every quarter of a second: a loose bearing."""
    at_s = 0.0
    total = np.zeros(len(t_s))
    while at_s < t_s[-1]:
        total += _impact(t_s, at_s, rng.uniform(1.5, 3.0))
        at_s += rng.uniform(0.2, 0.3)
    return total[:, None] * _direction(rng)


def _bump(rng: np.random.Generator, t_s: Floats, gravity: Floats) -> Floats:
    """One such blow: somebody's toolbox."""
    return _impact(t_s, 0.0, rng.uniform(1.5, 3.0))[:, None] * _direction(rng)


def _roar(rng: np.random.Generator, t_s: Floats, gravity: Floats) -> Floats:
    """Broadband noise with a quick onset: bubbles that collapse in the pump or, for a moment, a valve that opens."""
    size_g = rng.uniform(0.25, 0.4)
    return np.asarray(rng.normal(0.0, size_g, (len(t_s), 3)) * np.minimum(1.0, (t_s + 0.01) / 0.1)[:, None])


def _turned(t_s: Floats, gravity: Floats, degrees: float, azimuth: float) -> Floats:
    """Gravity's change while the sensor leans over, stays, and is set upright again, each move in half a second."""
    ramp = np.clip(np.minimum(t_s, t_s[-1] - t_s) / 0.5, 0.0, 1.0)
    angle = np.deg2rad(degrees) * (1 - np.cos(np.pi * ramp)) / 2
    axis = np.array([np.cos(azimuth), np.sin(azimuth), 0.0])
    across = np.cross(axis, gravity)
    along = axis * float(axis @ gravity)
    sine, cosine = np.sin(angle)[:, None], np.cos(angle)[:, None]
    return np.asarray((cosine - 1) * (gravity - along) + sine * across)  # Rodrigues' rotation, less gravity itself


def _tilt(rng: np.random.Generator, t_s: Floats, gravity: Floats) -> Floats:
    return _turned(t_s, gravity, rng.uniform(45, 80), rng.uniform(0, 2 * np.pi))


def _lean(rng: np.random.Generator, t_s: Floats, gravity: Floats) -> Floats:
    return _turned(t_s, gravity, rng.uniform(6, 12), rng.uniform(0, 2 * np.pi))


@dataclass(frozen=True, slots=True)
class _Kind:
    is_event: bool
    seconds: tuple[float, float]
    effect: _Effect


_KINDS: Final[Mapping[str, _Kind]] = {
    "knocking": _Kind(True, (4.0, 9.0), _knocking),
    "cavitation": _Kind(True, (4.0, 9.0), _roar),
    "tilt": _Kind(True, (5.0, 10.0), _tilt),
    "bump": _Kind(False, (0.3, 0.6), _bump),
    "valve": _Kind(False, (0.2, 0.5), _roar),
    "lean": _Kind(False, (4.0, 8.0), _lean),
}
LABELS: Final = tuple(name for name, kind in _KINDS.items() if kind.is_event)
NEAR_MISSES: Final = tuple(name for name, kind in _KINDS.items() if not kind.is_event)
