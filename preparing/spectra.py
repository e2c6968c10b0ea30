"""Features of a channel's spectrum; `fft_…` are tsfresh's definitions.

Those of its power leave out the mean's, which would outweigh all others.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Final, TypeAlias

import numpy as np

from preparing.statistics import Column, Rows, entropy

_BANDS: Final = 5
_COEFFICIENTS: Final = 5


@dataclass(frozen=True)
class Spectrum:
    """Of rows: `magnitudes` `(rows, bins)` of the discrete Fourier transform, at `hertz` `(bins,)`."""

    magnitudes: Rows
    hertz: Column

    @cached_property
    def power(self) -> Rows:
        """Squares of the magnitudes without that of the mean, which would outweigh all others."""
        power = self.magnitudes**2
        power[:, 0] = 0.0
        return power

    @cached_property
    def shares(self) -> Rows:
        """Each bin's share of the power; NaN where there is none."""
        return np.asarray(self.power / self.power.sum(axis=1, keepdims=True))

    @cached_property
    def moments(self) -> tuple[Column, Column, Column, Column]:
        """Of the bins about 0, weighted by magnitude (tsfresh's `fft_aggregated`): the first to the fourth."""
        bins = np.arange(self.magnitudes.shape[1], dtype=np.float64)
        weighed = self.magnitudes @ np.stack([bins**power for power in range(1, 5)], axis=1)
        first, second, third, fourth = (weighed / self.magnitudes.sum(axis=1, keepdims=True)).T
        return first, second, third, fourth


SpectralFeature: TypeAlias = Callable[[Spectrum], Column]


def _spectral_variance(spectrum: Spectrum) -> Column:
    return np.asarray(spectrum.moments[1] - spectrum.moments[0] ** 2)


def _spectral_skew(spectrum: Spectrum) -> Column:
    """NaN where the variance is below 0.5, as in tsfresh."""
    mean, variance = spectrum.moments[0], _spectral_variance(spectrum)
    skew = (spectrum.moments[2] - 3 * mean * variance - mean**3) / np.where(variance > 0, variance, 1.0) ** 1.5
    return np.where(variance < 0.5, np.nan, skew)


def _spectral_kurtosis(spectrum: Spectrum) -> Column:
    """NaN where the variance is below 0.5, and the last term without its power, as in tsfresh."""
    mean, second, third, fourth = spectrum.moments
    variance = _spectral_variance(spectrum)
    top = fourth - 4 * mean * third + 6 * second * mean**2 - 3 * mean
    return np.where(variance < 0.5, np.nan, top / np.where(variance > 0, variance, 1.0) ** 2)


def _dominant(spectrum: Spectrum) -> Column:
    """The frequency with the most power, Hz."""
    power = spectrum.power
    return np.where(power.any(axis=1), spectrum.hertz[np.argmax(power, axis=1)], np.nan)


def _edge(share: float) -> SpectralFeature:
    """The frequency below which so much of the power lies, Hz."""

    def edge(spectrum: Spectrum) -> Column:
        gathered = np.cumsum(spectrum.shares, axis=1)
        found = spectrum.hertz[np.argmax(gathered >= share - 1e-12, axis=1)]
        return np.where(np.isnan(gathered[:, -1]), np.nan, found)

    return edge


def _band(number: int) -> SpectralFeature:
    """The share of the power in one of five equal bands between 0 and half the rate."""

    def band(spectrum: Spectrum) -> Column:
        places = np.minimum((spectrum.hertz / spectrum.hertz[-1] * _BANDS).astype(np.int64), _BANDS - 1)
        return np.asarray(spectrum.shares[:, places == number].sum(axis=1))

    return band


def _flatness(spectrum: Spectrum) -> Column:
    """The geometric mean of the power over the arithmetic one: 1 is white noise."""
    power = spectrum.power[:, 1:]
    return np.asarray(np.exp(np.log(np.maximum(power, 1e-300)).mean(axis=1)) / power.mean(axis=1))


def _coefficient(number: int) -> SpectralFeature:
    def coefficient(spectrum: Spectrum) -> Column:
        there = number < spectrum.magnitudes.shape[1]
        return np.asarray(spectrum.magnitudes[:, number]) if there else np.full(len(spectrum.magnitudes), np.nan)

    return coefficient


SPECTRAL: Final[dict[str, SpectralFeature]] = {
    "fft_centroid": lambda spectrum: spectrum.moments[0],
    "fft_variance": _spectral_variance,
    "fft_skew": _spectral_skew,
    "fft_kurtosis": _spectral_kurtosis,
    "dominant_hz": _dominant,
    "spectral_centroid_hz": lambda spectrum: np.asarray(spectrum.shares @ spectrum.hertz),
    "spectral_edge_85_hz": _edge(0.85),
    "spectral_edge_95_hz": _edge(0.95),
    "spectral_entropy": lambda spectrum: entropy(spectrum.shares),
    "spectral_flatness": _flatness,
    **{f"band_{number + 1}_of_{_BANDS}": _band(number) for number in range(_BANDS)},
    **{f"fft_coefficient_{number}": _coefficient(number) for number in range(1, _COEFFICIENTS + 1)},
}
