"""A virtual GPS receiver on a yard truck: recordings whose truth is known, and the NMEA 0183 sentences it would say.

The truck goes round the yard. An event is the time it is faster than `LIMIT_M_S`. The receiver's position wanders as
real ones do (a slow error of metres, a quick one of decimetres), now and then jumps by a reflection, and is lost for
some seconds. Pure, as the accelerometer is.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from fractions import Fraction
from functools import reduce
from operator import xor
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ingest.records import Channel, StreamDescription
from ingest.times import period_of, run_times
from simulators.recording import Episode, Recording, kept, missing, run_above, schedule

Floats = NDArray[np.float64]

LIMIT_M_S: Final = 12 / 3.6
"""The yard's speed limit: 12 km/h."""
LABELS: Final = ("speeding",)
NEAR_MISSES: Final = ("brisk", "multipath")
_SECONDS: Final = {"speeding": (8.0, 20.0), "brisk": (8.0, 20.0), "multipath": (1.0, 2.0)}
_CALM_S: Final = (8.0, 20.0)
_CENTRE: Final = (52.2297, 10.5267)
"""Latitude and longitude of the yard, degrees."""
_RADIUS_M: Final = 60.0
_HEIGHT_M: Final = 75.0
_METRES_A_DEGREE: Final = 111_320.0
_SCALES: Final = (1e-7, 1e-7, 1e-2, 1e-3, 1e-2)
"""Of latitude, longitude, height, speed and course: what one count is."""
_KNOT_M_S: Final = 1852 / 3600


@dataclass(frozen=True, slots=True)
class Receiver:
    """What the receiver is like; the defaults are those of a cheap one under an open sky."""

    rate: Fraction = Fraction(1)
    wander_m: float = 1.5
    """Standard deviation of the slow error of each coordinate."""
    wander_s: float = 60.0
    """How long it takes to become another one."""
    noise_m: float = 0.2
    speed_noise_m_s: float = 0.08

    def description(self, stream: str = "gps") -> StreamDescription:
        """What the counts mean."""
        lat, lon, alt, speed, course = _SCALES
        channels = (
            Channel("lat", "deg", scale=lat, low=-90.0, high=90.0),
            Channel("lon", "deg", scale=lon, low=-180.0, high=180.0),
            Channel("alt", "m", scale=alt),
            Channel("speed", "m/s", scale=speed, low=0.0),
            Channel("course", "deg", scale=course, low=0.0, high=360.0),
        )
        return StreamDescription(
            stream, channels, "int32", self.rate.numerator, self.rate.denominator, "virtual", "roof"
        )


def simulate(rng: np.random.Generator, receiver: Receiver, t0_ns: int, seconds: float) -> Recording:
    """`seconds` of a truck from `t0_ns` on; the same generator state gives the same recording, bit by bit."""
    samples = int(seconds * receiver.rate)
    rate = float(receiver.rate)
    grid = run_times(t0_ns, 0, *period_of(receiver.rate), samples + 1)
    plan = list(schedule(rng, samples, rate, _SECONDS, _CALM_S))
    speed = _drive(rng, plan, samples, rate)
    counts = _measure(rng, receiver, speed, plan, rate)
    events, near_misses = [], []
    times = grid.tolist()
    for name, start, stop in plan:
        fast = run_above(speed, LIMIT_M_S, start, stop) if name == "speeding" else None
        if fast is not None:
            events.append(Episode(name, times[fast[0]], times[fast[1]]))
        elif name != "speeding":
            near_misses.append(Episode(name, times[start], times[stop]))
    gaps = missing(rng, grid, rate, every_s=180.0, shortest_s=1.0)
    present = kept(samples, gaps)
    return Recording(
        grid[:samples][present],
        counts[present],
        receiver.description(),
        tuple(events),
        tuple(near_misses),
        tuple(gap for gap, _ in gaps),
    )


def _drive(rng: np.random.Generator, plan: list[tuple[str, int, int]], samples: int, rate: float) -> Floats:
    """The truck's true speed, `(samples,)` m/s: what the driver wants, changed by at most 1 m/s each second."""
    wanted = 2.0 + 0.4 * np.sin(2 * np.pi * np.arange(samples) / rate / rng.uniform(20, 40))
    for name, start, stop in plan:
        if name == "speeding":
            wanted[start:stop] = rng.uniform(4.2, 6.0)
        elif name == "brisk":
            wanted[start:stop] = rng.uniform(2.8, 3.15)
    speed = np.empty(samples)
    now, most = 2.0, 1.0 / rate
    for i, aim in enumerate(wanted.tolist()):
        now += min(most, max(-most, aim - now))
        speed[i] = now
    return speed


def _measure(
    rng: np.random.Generator, receiver: Receiver, speed: Floats, plan: list[tuple[str, int, int]], rate: float
) -> NDArray[np.int32]:
    """`(samples, 5)`: where the truck is on its round, with the receiver's errors."""
    samples = len(speed)
    angle = np.cumsum(speed) / rate / _RADIUS_M + rng.uniform(0, 2 * np.pi)
    place = _RADIUS_M * np.stack([np.cos(angle), np.sin(angle)], axis=1)  # east and north of the centre
    place += _wander(rng, receiver, samples, rate) + rng.normal(0.0, receiver.noise_m, (samples, 2))
    shown = np.abs(speed + rng.normal(0.0, receiver.speed_noise_m_s, samples))
    for name, start, stop in plan:
        if name == "multipath":
            place[start:stop] += rng.uniform(15, 40) * np.array([np.cos(angle[start]), np.sin(angle[start])])
            shown[start:stop] += rng.uniform(1.0, 3.0)
    north_deg = place[:, 1] / _METRES_A_DEGREE
    east_deg = place[:, 0] / (_METRES_A_DEGREE * np.cos(np.deg2rad(_CENTRE[0])))
    height = _HEIGHT_M + 2 * receiver.noise_m * np.cumsum(rng.normal(0.0, 0.1, samples))
    course = np.rad2deg(-angle + rng.normal(0.0, 0.03, samples)) % 360.0  # anticlockwise: north at angle 0
    values = np.stack([_CENTRE[0] + north_deg, _CENTRE[1] + east_deg, height, shown, course], axis=1)
    counts: NDArray[np.int32] = np.rint(values / np.array(_SCALES)).astype(np.int32)
    return counts


def _wander(rng: np.random.Generator, receiver: Receiver, samples: int, rate: float) -> Floats:
    """A Gauss-Markov process of each coordinate, `(samples, 2)` m."""
    keep = float(np.exp(-1.0 / (receiver.wander_s * rate)))
    kicks = rng.normal(0.0, receiver.wander_m * (1 - keep**2) ** 0.5, (samples, 2))
    error = rng.normal(0.0, receiver.wander_m, 2)
    wander = np.empty((samples, 2))
    for i in range(samples):
        error = keep * error + kicks[i]
        wander[i] = error
    return wander


def sentences(recording: Recording) -> Iterator[tuple[int, bytes]]:
    """What the receiver says at each instant, in order: RMC and GGA of a fix, or void ones while it has none."""
    num, den = period_of(Fraction(recording.description.rate_num, recording.description.rate_den))
    fixes = iter(recording.counts.tolist())
    lost = [
        (t_ns, None) for gap in recording.gaps for t_ns in run_times(gap.start_ns, 0, num, den, gap.samples).tolist()
    ]
    spoken = [(t_ns, next(fixes)) for t_ns in recording.times.tolist()]
    for t_ns, fix in sorted([*spoken, *lost], key=lambda item: item[0]):
        yield t_ns, _void(t_ns) if fix is None else _fix(t_ns, fix)


def sentence(body: str) -> bytes:
    """`$body*XX` with its checksum (NMEA 0183: the XOR of what is between $ and *) and line end."""
    data = body.encode()
    return b"$%s*%02X\r\n" % (data, reduce(xor, data, 0))


def _fix(t_ns: int, counts: list[int]) -> bytes:
    clock, day = _clock(t_ns)
    lat, lon, alt, speed, course = (count * scale for count, scale in zip(counts, _SCALES, strict=True))
    place = f"{_angle(counts[0], 2)},{'N' if lat >= 0 else 'S'},{_angle(counts[1], 3)},{'E' if lon >= 0 else 'W'}"
    rmc = f"GPRMC,{clock},A,{place},{speed / _KNOT_M_S:.4f},{course:.2f},{day},,,A"
    return sentence(rmc) + sentence(f"GPGGA,{clock},{place},1,09,0.9,{alt:.2f},M,46.9,M,,")


def _void(t_ns: int) -> bytes:
    clock, day = _clock(t_ns)
    return sentence(f"GPRMC,{clock},V,,,,,,,{day},,,N") + sentence(f"GPGGA,{clock},,,,,0,00,99.9,,M,,M,,")


def _clock(t_ns: int) -> tuple[str, str]:
    """hhmmss.sss and ddmmyy."""
    seconds, rest = divmod(t_ns, 10**9)
    at = datetime.fromtimestamp(seconds, UTC)
    return f"{at:%H%M%S}.{rest // 10**6:03d}", f"{at:%d%m%y}"


def _angle(count: int, digits: int) -> str:
    """(d)ddmm.mmmmmm of an angle in 1e-7 degrees, exact to half a count."""
    degrees, rest = divmod(abs(count), 10**7)
    return f"{degrees:0{digits}d}{rest * 6 / 10**6:09.6f}"
