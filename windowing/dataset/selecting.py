"""Which windows of a dataset are selected: recipes, that are followed when somebody asks, and pickle in few bytes."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Protocol

import numpy as np
import polars as pl
from numpy.typing import NDArray

from ingest.errors import UsageError

if TYPE_CHECKING:
    Table = Callable[[Sequence[str]], pl.DataFrame]
    """The columns of windows by their names. Raises `UsageError` for one that there is not."""


_KINDS: Final = ("<i1", "<i2", "<i4", "<i8")


class Step(Protocol):
    """One selection among windows."""

    def kept(self, table: Table, count: int) -> NDArray[np.int64]:
        """Of `count` windows, whose columns `table` gives, the places of those that are selected."""
        ...


@dataclass(frozen=True)
class PartOf:
    """The windows of one part of a split; a `Step` is made of it."""

    name: str


@dataclass(frozen=True)
class Where:
    """Windows for which all expressions are true, and whose columns are equal to a value, or to one of several."""

    expressions: tuple[pl.Expr, ...]
    equal: Mapping[str, Any]

    def kept(self, table: Table, count: int) -> NDArray[np.int64]:
        """See `Step`. Raises `UsageError` for an unknown column, or an expression that is no condition."""
        needed = [name for each in self.expressions for name in each.meta.root_names()]
        columns = table(tuple(dict.fromkeys([*needed, *self.equal])))
        mask = np.ones(count, np.bool_)
        for each in self.expressions:
            found = _evaluated(columns, each, f'"{each}"').to_series()
            if found.dtype != pl.Boolean or len(found) != count:
                raise UsageError(f'select: "{each}" is no condition; compare, as in pl.col("coverage") > 0.9')
            mask &= found.fill_null(value=False).to_numpy()
        for name, value in self.equal.items():
            several = isinstance(value, list | tuple | set | frozenset)
            equal = pl.col(name).is_in(list(value)) if several else pl.col(name).eq_missing(value)
            found = _evaluated(columns, equal, f"{name}={value!r}").to_series()
            mask &= found.fill_null(value=False).to_numpy()
        return np.flatnonzero(mask)


def _evaluated(columns: pl.DataFrame, expression: pl.Expr, shown: str) -> pl.DataFrame:
    """Raise `UsageError` where Polars does."""
    try:
        return columns.select(expression)
    except pl.exceptions.PolarsError as error:
        raise UsageError(f"select: {shown}: {str(error).splitlines()[0]}") from None


@dataclass(frozen=True)
class Rows:
    """Windows by their places, in this order; they pickle packed."""

    rows: NDArray[np.int64]

    def __reduce__(self) -> tuple[Any, ...]:
        steps = np.diff(self.rows, prepend=0)
        low, high = (int(end(initial=0)) for end in (steps.min, steps.max))
        kind = next(kind for kind in _KINDS if np.iinfo(kind).min <= low and high <= np.iinfo(kind).max)
        return _unpacked_rows, (kind, zlib.compress(steps.astype(kind).tobytes()))

    def kept(self, table: Table, count: int) -> NDArray[np.int64]:
        """See `Step`. Raises `UsageError` for a place that there is not."""
        found = np.where(self.rows < 0, self.rows + count, self.rows)
        if len(found) and (found.min() < 0 or found.max() >= count):
            raise UsageError(f"select: rows from {self.rows.min()} to {self.rows.max()}, of {count:,} windows")
        return found


def _unpacked_rows(kind: str, packed: bytes) -> Rows:
    return Rows(np.cumsum(np.frombuffer(zlib.decompress(packed), kind), dtype=np.int64))


def rows_of(which: object, count: Callable[[], int]) -> Rows:
    """The step for a mask, or for a list of places. Raises `UsageError` where it is neither."""
    if isinstance(which, pl.Series) and which.dtype == pl.Boolean:
        which = which.fill_null(value=False)  # as in a condition: what has no label is not equal to one
    found = which.to_numpy() if isinstance(which, pl.Series) else np.asarray(which)
    if found.dtype == np.bool_:
        if found.shape != (count(),):
            raise UsageError(f"select: a mask of shape {found.shape}, of {count():,} windows")
        return Rows(np.flatnonzero(found))
    if found.ndim != 1 or (found.size and not np.issubdtype(found.dtype, np.integer)):
        raise UsageError(f"select: found {found.dtype} of shape {found.shape}, expected a condition, a mask, or places")
    return Rows(found.astype(np.int64))
