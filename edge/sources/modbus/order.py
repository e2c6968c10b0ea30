"""Whether floats look as if their bytes came in another order than the one that is configured. Pure.

In a wrong order an exponent is made of what was a fraction: values are absurd, or no numbers at all. Where most of a
few answers' values are, and another order makes all of them usual, it is told.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from edge.decoders.binary.fields import Field
from edge.decoders.checksums import Bytes2D
from edge.decoders.framing.shape import Endian

KEPT_ANSWERS: Final = 8
"""So many of the newest are looked at."""
_POSSIBLE: Final = (1e-12, 1e15)
"""A magnitude outside of these measures nothing, in whatever unit."""
_USUAL: Final = (1e-6, 1e9)
"""A magnitude outside of these does not speak for another order."""


def doubt(answers: Collection[bytes], fields: Sequence[Field], endian: Endian, *, is_swapped: bool) -> str:
    """What is told of records of one length, handed on with `endian` and `swapped_bytes`; empty: nothing."""
    floats = [field for field in fields if field.type in ("f32", "f64")]
    if not answers or not floats:
        return ""
    rows = np.frombuffer(b"".join(answers), np.uint8).reshape(len(answers), -1)
    read = _values(rows, floats, endian)
    is_said = read != 0.0
    absurd = read[is_said & ~_is_within(read, _POSSIBLE)]
    if 2 * len(absurd) <= np.count_nonzero(is_said):
        return ""
    turned = np.ascontiguousarray(rows.reshape(len(rows), -1, 2)[:, :, ::-1]).reshape(rows.shape)
    other: Endian = "little" if endian == "big" else "big"
    swap = f"swapped_bytes = {'false' if is_swapped else 'true'}"
    for rows_so, order, words in (
        (turned, other, f'endian = "{other}"'),
        (turned, endian, swap),
        (rows, other, f'endian = "{other}" and {swap}'),
    ):
        meant = _values(rows_so, floats, order)[is_said]
        if _is_within(meant, _USUAL).all():
            return f"values such as {absurd[-1]:g} look as if bytes came in another order; say {words}: {meant[-1]:g}"
    return ""


def _values(rows: Bytes2D, fields: Sequence[Field], endian: Endian) -> NDArray[np.float64]:
    """`(records, fields)`, without scale and offset."""
    with np.errstate(invalid="ignore", over="ignore"):  # a NaN may be one that signals
        return np.stack([field.raw(rows, endian).astype(np.float64) for field in fields], axis=1)


def _is_within(values: NDArray[np.float64], bounds: tuple[float, float]) -> NDArray[np.bool_]:
    size = np.abs(values)
    return (size >= bounds[0]) & (size <= bounds[1])
