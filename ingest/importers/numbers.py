"""The sample type of an import: the smallest that holds every value of all columns exactly."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, cast, get_args

import numpy as np
from numpy.typing import NDArray

from ingest.errors import UsageError
from ingest.records import SampleType
from ingest.settings import suggest

AUTO: Final[tuple[SampleType, ...]] = ("int16", "int32", "float32", "float64")
"""What `auto` chooses from, smallest first."""
_SOME: Final = 1000
"""The first rows already rule most types out, before all rows are looked at."""


def choose(values: NDArray[Any], wanted: str, place: Callable[[int], str]) -> SampleType:
    """The sample type for `values` `(rows, channels)`: `wanted`, or with "auto" the first of `AUTO` that is exact.

    A float32 that was asked for by name may round; everything else must be exact. Missing cells (NaN) need a float.

    Raises:
        UsageError: no such type, or it does not hold a value.
    """
    known: tuple[SampleType, ...] = get_args(SampleType)
    if wanted == "auto":
        for dtype in AUTO:
            if _first_unfit(values[:_SOME], dtype) is None and _first_unfit(values, dtype) is None:
                return dtype
        row = cast(int, _first_unfit(values, "float64"))
        raise UsageError(f"{place(row)}: {values[row].tolist()} does not fit float64 exactly; scale the values down")
    if wanted not in known:
        raise UsageError(f'--dtype: unknown type "{wanted}"{suggest(wanted, [*known, "auto"])}')
    rounding = wanted in ("float32", "float64") and values.dtype.kind == "f"
    if rounding:
        with np.errstate(over="ignore"):
            bad = np.isinf(values.astype(wanted)) & ~np.isinf(values)
        unfit = int(bad.any(axis=1).argmax()) if bad.any() else None
    else:
        unfit = _first_unfit(values, wanted)
    if unfit is not None:
        raise UsageError(
            f"{place(unfit)}: {_shown(values[unfit])} does not fit --dtype {wanted} exactly; use --dtype auto"
        )
    return wanted


def _shown(row: NDArray[Any]) -> str:
    return ", ".join("a missing cell" if value != value else str(value) for value in row.tolist())


def _first_unfit(values: NDArray[Any], dtype: str) -> int | None:
    """The first row that `dtype` does not hold exactly."""
    if values.dtype == dtype:
        return None
    kind = np.dtype(dtype)
    with np.errstate(invalid="ignore", over="ignore"):
        if kind.kind in "iu":
            info = np.iinfo(kind)
            fit = (values >= info.min) & (values <= info.max)
            if values.dtype.kind == "f":
                fit &= values == np.rint(values)
        else:
            fit = values.astype(kind).astype(values.dtype) == values
            if values.dtype.kind == "f":
                fit |= np.isnan(values)
            else:
                fit &= np.abs(values.astype(np.float64)) <= 2.0 ** (np.finfo(kind).nmant + 1)
    whole = fit.all(axis=1)
    return None if whole.all() else int(whole.argmin())


def pack(values: NDArray[Any], dtype: SampleType) -> NDArray[Any]:
    """`values` in the sample type, row-major and little-endian."""
    return np.ascontiguousarray(values, dtype=np.dtype(dtype).newbyteorder("<"))
