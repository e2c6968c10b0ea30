"""What windows belong to and when they are: the columns that splits, folds and versions divide them by. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from ingest.errors import UsageError

if TYPE_CHECKING:
    from windowing.dataset.selecting import Table

TIME: Final = "time"
"""What one splits by where parts are stretches of time."""
Ints = NDArray[np.int64]


def groups_of(table: Table, by: str) -> NDArray[np.str_]:
    """What windows belong to; a recording with its device. Raises `UsageError` where some have none."""
    if by == "recording":
        both = table(("device", "recording"))
        return np.array([f"{device}/{recording}" for device, recording in both.iter_rows()], dtype=np.str_)
    try:
        column = table((by,))[by]
    except UsageError as error:
        raise UsageError(str(error).replace("select:", "split: by:", 1)) from None
    if column.null_count():
        raise UsageError(
            f'split: by: {column.null_count():,} windows have no "{by}"; give it by --set {by}=… with import'
        )
    return np.array(column.cast(pl.String).to_list(), dtype=np.str_)


def times_of(table: Table) -> tuple[Ints, Ints]:
    """When windows begin and end, ns UTC."""
    found = table(("t0_ns", "t1_ns"))
    return found["t0_ns"].to_numpy(), found["t1_ns"].to_numpy()


def classes_of(table: Table) -> Ints:
    """A number for each window's label, 0 for none."""
    return table(("label",))["label"].rank("dense").fill_null(0).cast(pl.Int64).to_numpy()


def embargo_of(t0_ns: Ints, t1_ns: Ints, asked_ns: int | None) -> int:
    """The embargo in ns: what was asked, at least one window."""
    longest = int((t1_ns - t0_ns).max(initial=0))
    return longest if asked_ns is None else max(asked_ns, longest)
