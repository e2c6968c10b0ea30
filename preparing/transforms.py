"""What can be done to a window without making its label untrue; each of it for a batch at once.

A transform says what it keeps: whether the order of a window's steps stays as it was, and how labels and states, which
cannot be interpolated, go along. Missing values (NaN) stay missing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ingest.errors import UsageError
from preparing import seeds
from preparing.seeds import Floats, Keys

Places: TypeAlias = NDArray[np.float64]
"""`(windows, steps)`: from where on the old axis, in steps, each new step is taken."""


class Transform(Protocol):
    """One change of a batch of windows."""

    name: ClassVar[str]
    keeps_order: ClassVar[bool]
    """Whether a step that came before another one does so afterwards."""

    def check(self, channels: int) -> None:
        """Raise `UsageError` where it does not fit windows of so many channels."""

    def places(self, keys: Keys, steps: int) -> Places | None:
        """From where each step is taken; None where each stays in its place."""

    def values(self, X: Floats, keys: Keys) -> Floats:
        """The batch with its values changed, each in its place: `(windows, steps, channels)` float32, a new array."""


@dataclass(frozen=True, slots=True)
class _InPlace:
    def check(self, channels: int) -> None:
        """It fits any window."""

    def places(self, keys: Keys, steps: int) -> Places | None:
        """Each step stays in its place."""
        return None


@dataclass(frozen=True, slots=True)
class _Moving:
    def check(self, channels: int) -> None:
        """It fits any window."""

    def values(self, X: Floats, keys: Keys) -> Floats:
        """Values stay as they are."""
        return X


@dataclass(frozen=True, slots=True)
class Jitter(_InPlace):
    """White noise is added (Um et al. 2017): `sigma` is its standard deviation, one or one a channel, in its unit."""

    sigma: float | tuple[float, ...]
    name: ClassVar[str] = "jitter"
    keeps_order: ClassVar[bool] = True

    def check(self, channels: int) -> None:
        """Raise `UsageError` where there is not one sigma a channel."""
        _one_or_each("jitter: sigma", self.sigma, channels)

    def values(self, X: Floats, keys: Keys) -> Floats:
        """The windows and their noise."""
        _, steps, channels = X.shape
        made = seeds.noise(keys, steps * channels, _purpose(self)).reshape(X.shape)
        made *= np.asarray(self.sigma, dtype=np.float32)
        made += X
        return made


@dataclass(frozen=True, slots=True)
class Scaling(_InPlace):
    """Each channel is multiplied by a number of its own from N(1, `sigma`) (Um et al. 2017)."""

    sigma: float = 0.1
    name: ClassVar[str] = "scaling"
    keeps_order: ClassVar[bool] = True

    def values(self, X: Floats, keys: Keys) -> Floats:
        """The windows, larger or smaller."""
        factors = 1.0 + self.sigma * seeds.normal(keys, X.shape[2], _purpose(self))
        return np.asarray(X * factors.astype(np.float32)[:, None, :])


@dataclass(frozen=True, slots=True)
class Rotation(_InPlace):
    """Triads of axes (three channels of one sensor, in one unit) are turned about a random axis by up to `degrees`:
    as if the sensor had been mounted askew. All triads of a window turn together, as parts of one device do."""

    triads: tuple[tuple[int, int, int], ...]
    degrees: float = 180.0
    name: ClassVar[str] = "rotation"
    keeps_order: ClassVar[bool] = True

    def check(self, channels: int) -> None:
        """Raise `UsageError` where a triad is not of three channels that there are, or two share one."""
        used = [channel for triad in self.triads for channel in triad]
        if not used or any(not 0 <= channel < channels for channel in used) or len({*used}) != len(used):
            raise UsageError(
                f"rotation: triads {self.triads}: name three different channels each, of 0 to {channels - 1}"
            )

    def values(self, X: Floats, keys: Keys) -> Floats:
        """The windows, turned; channels of no triad stay."""
        turns = rotations(seeds.uniform(keys, 3, _purpose(self)), np.deg2rad(self.degrees))
        whole = np.tile(np.eye(X.shape[2]), (len(X), 1, 1))
        for triad in self.triads:
            whole[:, np.array(triad)[:, None], np.array(triad)] = turns.transpose(0, 2, 1)
        return np.asarray(X @ whole.astype(np.float32))


@dataclass(frozen=True, slots=True)
class MagnitudeWarp(_InPlace):
    """Each channel is multiplied by a smooth curve through `knots` numbers from N(1, `sigma`) (Um et al. 2017)."""

    sigma: float = 0.2
    knots: int = 4
    name: ClassVar[str] = "magnitude-warp"
    keeps_order: ClassVar[bool] = True

    def check(self, channels: int) -> None:
        """Raise `UsageError` where there are too few knots for a curve."""
        _enough_knots(self)

    def values(self, X: Floats, keys: Keys) -> Floats:
        """The windows under their curves."""
        windows, steps, channels = X.shape
        drawn = 1.0 + self.sigma * seeds.normal(keys, self.knots * channels, _purpose(self))
        curves = natural_spline(self.knots, steps) @ drawn.reshape(windows, self.knots, channels)
        return X * curves.astype(np.float32)


@dataclass(frozen=True, slots=True)
class Mixing(_InPlace):
    """Recorded noise is added at a signal-to-noise ratio between `snr_db`: `noises` is `(segments, steps, channels)`
    float32, of the same sensors while nothing happened."""

    noises: Floats
    snr_db: tuple[float, float] = (10.0, 30.0)
    name: ClassVar[str] = "mixing"
    keeps_order: ClassVar[bool] = True

    def check(self, channels: int) -> None:
        """Raise `UsageError` where there is no noise of so many channels."""
        if self.noises.ndim != 3 or not len(self.noises) or self.noises.shape[2] != channels:
            raise UsageError(f"mixing: noises are {self.noises.shape}; (segments, steps, {channels}) are needed")

    def values(self, X: Floats, keys: Keys) -> Floats:
        """The windows and what was mixed in; a channel that stands still gets none."""
        steps = X.shape[1]
        if self.noises.shape[1] < steps:
            raise UsageError(
                f"mixing: noises have {self.noises.shape[1]} steps, windows {steps}: longer ones are needed"
            )
        drawn = seeds.uniform(keys, 3, _purpose(self))
        which = (drawn[:, 0] * len(self.noises)).astype(np.int64)
        begin = (drawn[:, 1] * (self.noises.shape[1] - steps + 1)).astype(np.int64)
        wanted = 10.0 ** ((self.snr_db[0] + drawn[:, 2] * (self.snr_db[1] - self.snr_db[0])) / 10.0)
        added = np.lib.stride_tricks.sliding_window_view(self.noises, steps, axis=1)[which, begin].transpose(0, 2, 1)
        mean, loudness = _moments(added)
        _, own = _moments(X)
        with np.errstate(divide="ignore", invalid="ignore"):
            factor = np.sqrt(own / (loudness * wanted[:, None]))
        factor[~np.isfinite(factor)] = 0.0
        made = added - mean[:, None, :].astype(np.float32)
        made *= factor[:, None, :].astype(np.float32)
        made += X
        return np.asarray(made)


@dataclass(frozen=True, slots=True)
class TimeWarp(_Moving):
    """Time runs slower and faster, its speed a smooth curve of standard deviation `sigma` (Um et al. 2017); the first
    and the last step stay where they are."""

    sigma: float = 0.2
    knots: int = 4
    name: ClassVar[str] = "time-warp"
    keeps_order: ClassVar[bool] = True

    def check(self, channels: int) -> None:
        """Raise `UsageError` where there are too few knots for a curve, or time could stand still."""
        _enough_knots(self)
        if not 0 <= self.sigma <= 0.5:
            raise UsageError(f"time-warp: sigma {self.sigma} is not in 0..0.5: time would stand still, or run back")

    def places(self, keys: Keys, steps: int) -> Places | None:
        """Each step's place: the integral of the speed."""
        drawn = 1.0 + self.sigma * seeds.normal(keys, self.knots, _purpose(self))
        speed = np.maximum(drawn @ natural_spline(self.knots, steps).T, 0.1)  # it never stands still
        speed[:, 0] = 0.0
        gone = np.cumsum(speed, axis=1)
        return np.asarray(gone * ((steps - 1) / gone[:, -1:]))


@dataclass(frozen=True, slots=True)
class Cropping(_Moving):
    """A part of each window, `share` of its length and wherever its key says, fills the whole (Le Guennec et al. 2016).

    What a window is labelled for has to be in that part, too: labels per step say so themselves, others should have
    filled the window.
    """

    share: float = 0.9
    name: ClassVar[str] = "cropping"
    keeps_order: ClassVar[bool] = True

    def check(self, channels: int) -> None:
        """Raise `UsageError` where nothing would be left."""
        if not 0.1 <= self.share <= 1.0:
            raise UsageError(f"cropping: share {self.share} is not in 0.1..1")

    def places(self, keys: Keys, steps: int) -> Places | None:
        """Each step's place within the part."""
        length = self.share * (steps - 1)
        begin = seeds.uniform(keys, 1, _purpose(self)) * (steps - 1 - length)
        return np.asarray(begin + np.linspace(0.0, length, steps))


@dataclass(frozen=True, slots=True)
class Permutation(_Moving):
    """Each window is cut into `segments` of one length that change places (Um et al. 2017)."""

    segments: int = 4
    name: ClassVar[str] = "permutation"
    keeps_order: ClassVar[bool] = False

    def check(self, channels: int) -> None:
        """Raise `UsageError` where there are not two segments."""
        if self.segments < 2:
            raise UsageError(f"permutation: segments {self.segments}: at least 2 can change places")

    def places(self, keys: Keys, steps: int) -> Places | None:
        """Each step's place; what the segments leave over at the end stays."""
        length = steps // self.segments
        order = np.argsort(seeds.uniform(keys, self.segments, _purpose(self)), axis=1)
        made = np.broadcast_to(np.arange(steps, dtype=np.float64), (len(keys), steps)).copy()
        moved = order[:, :, None] * length + np.arange(length)
        made[:, : self.segments * length] = moved.reshape(len(keys), -1)
        return made


TRANSFORMS: tuple[type[Transform], ...] = (
    Jitter,
    Scaling,
    Rotation,
    MagnitudeWarp,
    Mixing,
    TimeWarp,
    Cropping,
    Permutation,
)


def rotations(drawn: NDArray[np.float64], most_rad: float) -> NDArray[np.float64]:
    """`(windows, 3, 3)` turns by up to `most_rad` about axes that are uniform on the sphere (Rodrigues' formula);
    `drawn` is `(windows, 3)` in [0, 1)."""
    z, around, angle = 2.0 * drawn[:, 0] - 1.0, 2.0 * np.pi * drawn[:, 1], most_rad * (2.0 * drawn[:, 2] - 1.0)
    level = np.sqrt(1.0 - z * z)
    axis = np.stack([level * np.cos(around), level * np.sin(around), z], axis=1)
    cross = np.zeros((len(drawn), 3, 3))
    for row, column, part in ((2, 1, 0), (0, 2, 1), (1, 0, 2)):
        cross[:, row, column], cross[:, column, row] = axis[:, part], -axis[:, part]
    sine, cosine = np.sin(angle)[:, None, None], np.cos(angle)[:, None, None]
    return np.asarray(np.eye(3) + sine * cross + (1.0 - cosine) * (cross @ cross))


def natural_spline(knots: int, steps: int) -> NDArray[np.float64]:
    """`(steps, knots)`: times the values at equally spaced knots gives the natural cubic spline through them."""
    bend = np.zeros((knots, knots))
    system = np.eye(knots)
    for row in range(1, knots - 1):
        system[row, row - 1 : row + 2] = (1.0, 4.0, 1.0)
        bend[row, row - 1 : row + 2] = (6.0, -12.0, 6.0)
    second = np.linalg.solve(system, bend)
    at = np.linspace(0.0, knots - 1.0, steps)
    left = np.minimum(at.astype(np.int64), knots - 2)
    right_share = (at - left)[:, None]
    left_share = 1.0 - right_share
    ends = np.eye(knots)
    straight = left_share * ends[left] + right_share * ends[left + 1]
    return np.asarray(
        straight
        + ((left_share**3 - left_share) * second[left] + (right_share**3 - right_share) * second[left + 1]) / 6.0
    )


def _moments(X: Floats) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mean and variance of each window's channels, `(windows, channels)`, over the values that are there."""
    there = np.isfinite(X)
    if there.all():
        mean = X.mean(axis=1, dtype=np.float64)
        return mean, np.maximum(np.einsum("wsc,wsc->wc", X, X, dtype=np.float64) / X.shape[1] - mean**2, 0.0)
    count = np.maximum(there.sum(axis=1), 1)
    filled = np.where(there, X, 0.0).astype(np.float64)
    mean = filled.sum(axis=1) / count
    return mean, (np.where(there, filled - mean[:, None, :], 0.0) ** 2).sum(axis=1) / count


def _purpose(transform: Transform) -> int:
    """Each kind draws numbers of its own."""
    return 16 + [kind.name for kind in TRANSFORMS].index(transform.name)


def _one_or_each(what: str, given: float | tuple[float, ...], channels: int) -> None:
    if isinstance(given, tuple) and len(given) != channels:
        raise UsageError(f"{what}: {len(given)} numbers for {channels} channels; give one, or one each")


def _enough_knots(transform: MagnitudeWarp | TimeWarp) -> None:
    if transform.knots < 2:
        raise UsageError(f"{transform.name}: knots {transform.knots}: a curve goes through 2 at least")
