"""What a calibration finds: bias and matrix of `matrix @ (said - bias)`, by least squares. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from edge.agent.calibrating.stillness import Still
from ingest.errors import PermanentError

FACES: Final = ("+x", "-x", "+y", "-y", "+z", "-z")
STANDARD_GRAVITY: Final = {"g": 1.0, "m/s2": 9.80665, "m/s^2": 9.80665}
"""By unit; the standard acceleration of free fall (ISO 80000-3)."""
ALONG: Final = 0.7
"""At least so much of gravity lies along the axis that points up or down …"""
ACROSS: Final = 0.4
"""… and no more along the others: some 23 degrees."""
RESIDUAL_MAX: Final = 0.05
"""So far off, as a share of what is measured, a set is refused."""
GAIN: Final = (0.8, 1.25)
"""A sensor that is further off than this is not badly calibrated: its scale is another one."""
TEMPERATURE_GAIN: Final = (0.5, 2.0)
Matrix = NDArray[np.float64]


class UnfitSetError(PermanentError):
    """What was measured gives no calibration; the text says what to do."""


@dataclass(frozen=True, slots=True)
class Solution:
    """A calibration, and how far what was measured lies off it: `residuals` by what was measured, in the unit."""

    bias: Matrix
    """`(channels,)`"""
    matrix: Matrix
    """`(channels, channels)`"""
    residuals: dict[str, float]

    @property
    def worst(self) -> tuple[str, float]:
        """The one that is furthest off."""
        return max(self.residuals.items(), key=lambda item: item[1])


def face_of(mean: Matrix, gravity: float) -> str | None:
    """Which axis points up where a sensor that is still says so, `(3,)`; None where none does well enough."""
    axis = int(abs(mean).argmax())
    others = np.delete(abs(mean), axis)
    if abs(mean[axis]) < ALONG * gravity or (others > ACROSS * gravity).any():
        return None
    return FACES[2 * axis + (mean[axis] < 0)]


def solve_positions(found: Sequence[tuple[str, Still]], gravity: float) -> Solution:
    """Of six positions or more, each with the face that points up: an axis says gravity there, the others nothing.

    A sensor says `A @ true + b`; `A` and `b` have 12 numbers, each position gives three. What is across an axis is
    measured against the housing's faces: a position that is not level counts as cross-axis.

    Raises:
        UnfitSetError: a position is missing, or they do not fit one another.
    """
    missing = [face for face in FACES if face not in dict(found)]
    if missing:
        raise UnfitSetError(f"no position with {', '.join(missing)} up: six are needed, each face up once")
    true = np.zeros((len(found), 3))
    for number, (face, _) in enumerate(found):
        true[number, "xyz".index(face[1])] = gravity if face[0] == "+" else -gravity
    said = np.array([still.mean for _, still in found])
    fitted = np.linalg.lstsq(np.hstack([true, np.ones((len(found), 1))]), said, rcond=None)[0]
    gain, bias = fitted[:3].T, fitted[3]
    for axis, name in enumerate("xyz"):
        if not GAIN[0] <= gain[axis, axis] <= GAIN[1]:
            raise UnfitSetError(
                f"{name} says {gain[axis, axis]:.3g} times what it should: that is no calibration; is its scale, or "
                "its range, another one?"
            )
    matrix = np.linalg.inv(gain)
    off = np.linalg.norm((said - bias) @ matrix.T - true, axis=1)
    residuals: dict[str, float] = {}
    for (face, _), error in zip(found, off.tolist(), strict=True):
        residuals[face] = max(residuals.get(face, 0.0), error)
    return _checked(Solution(bias, matrix, residuals), gravity, "with {} up: was it level, and still?")


def solve_points(found: Sequence[tuple[float, Still]]) -> Solution:
    """Of two points or more of one channel, each with its reference value, in the channel's unit: a straight line.

    Raises:
        UnfitSetError: they are too few or too near, or do not lie on a line that a sensor may have.
    """
    if len(found) < 2:
        raise UnfitSetError(f"{len(found)} of the points: two are needed at least")
    true = np.array([reference for reference, _ in found])
    said = np.array([float(still.mean[0]) for _, still in found])
    noise = max(float(still.noise[0]) for _, still in found)
    span = float(np.ptp(true))
    if not span > 0 or float(np.ptp(said)) <= 5 * noise:
        raise UnfitSetError(f"the points say {said.min():.6g} to {said.max():.6g}: too near to one another")
    slope, intercept = np.polyfit(said, true, 1)
    if not TEMPERATURE_GAIN[0] <= 1 / slope <= TEMPERATURE_GAIN[1]:
        raise UnfitSetError(
            f"it says {1 / slope:.3g} times what it should: were the references given in the order in which they were "
            "measured, and is its scale right?"
        )
    residuals = {
        f"{reference:g}": abs(float(slope * value + intercept) - reference)
        for reference, value in zip(true.tolist(), said.tolist(), strict=True)
    }
    solution = Solution(np.array([-intercept / slope]), np.array([[slope]]), residuals)
    return _checked(solution, span, "at {}: was it given enough time?")


def _checked(solution: Solution, whole: float, hint: str) -> Solution:
    what, error = solution.worst
    if error > RESIDUAL_MAX * whole:
        raise UnfitSetError(
            f"the measurements do not fit one another: off by {error:.3g} {hint.format(what)} Measure that again"
        )
    return solution
