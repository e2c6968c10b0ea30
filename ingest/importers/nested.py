"""Parquet whose cells are lists, as LeRobot and Hugging Face's datasets write it: a channel for each place of a list.

Their codes of classes have names in the file (`datasets`' features, "ClassLabel"), which are what labels say.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from ingest.errors import UsageError

if TYPE_CHECKING:
    import polars as pl

WIDTH_MAX: Final = 256
"""Longer lists are no channels of a sample: they are signals, or pictures."""


@dataclass(frozen=True, slots=True)
class Lists:
    """The columns of lists of a file, and how long their lists are."""

    widths: Mapping[str, int]

    def header(self, names: Sequence[str]) -> list[str]:
        """A file's columns, with the places of a list in its place."""
        return [place for name in names for place in self.places(name)]

    def places(self, name: str) -> list[str]:
        """`x[0]`, `x[1]` … of a column of lists; another column is itself."""
        return [f"{name}[{number}]" for number in range(self.widths[name])] if name in self.widths else [name]

    def wanted(self, columns: Sequence[str]) -> tuple[str, ...]:
        """What is asked of a file, with all places of a list that is named as a whole."""
        return tuple(place for name in columns for place in self.places(name))

    def column(self, place: str) -> str:
        """The column that a place lies in."""
        name = place.rpartition("[")[0]
        return name if name in self.widths and place in self.places(name) else place

    def values(self, path: str, frame: pl.DataFrame, place: str) -> NDArray[np.float64]:
        """The numbers of a place, `(rows,)`, NaN for nulls.

        Raises:
            UsageError: a row's list has another length.
        """
        import polars as pl

        name = self.column(place)
        lists = frame[name].cast(pl.List(pl.Float64)) if frame[name].dtype.base_type() == pl.Array else frame[name]
        lengths = lists.list.len()
        bad = (lengths != self.widths[name]).fill_null(value=False)
        if bad.any():
            row = bad.arg_max() or 0
            raise UsageError(
                f"{path}: row {row}: '{name}' has {lengths[row]} values, row 0 has {self.widths[name]}: "
                "lists whose lengths differ are no channels"
            )
        number = int(place.rpartition("[")[2][:-1])
        return lists.list.get(number, null_on_oob=True).cast(pl.Float64).to_numpy()


def lists_of(path: str, file: Any, schema: Mapping[str, pl.DataType], named: Sequence[str]) -> Lists:
    """The columns of lists of numbers.

    Raises:
        UsageError: one that is named has lists too long to be channels.
    """
    import polars as pl

    inner = {name: it.inner for name, it in schema.items() if isinstance(it, pl.List | pl.Array)}
    numbers = [name for name, it in inner.items() if it is not None and it.is_numeric()]
    first = next(file.iter_batches(1, columns=numbers), None) if numbers else None
    widths = {name: len(first[name][0]) for name in numbers if first is not None and first[name][0].is_valid}
    for name in named:
        if name in inner and widths.get(name, WIDTH_MAX + 1) > WIDTH_MAX:
            what = (
                f"lists of {widths[name]} numbers" if name in widths else "lists of lists, or nothing in its first row"
            )
            raise UsageError(
                f'{path}: "{name}" holds {what}: that is no channel. Where a row is a signal, write a row for '
                f'each sample: polars.read_parquet(...).explode("{name}")'
            )
    return Lists({name: width for name, width in widths.items() if 0 < width <= WIDTH_MAX})


def class_names(metadata: Mapping[bytes, bytes], column: str) -> Mapping[str, str]:
    """The names of a column's codes, as `datasets` keeps them in the file; none where it has none."""
    try:
        feature = json.loads(metadata.get(b"huggingface", b"{}"))["info"]["features"][column]
        return {str(code): str(name) for code, name in enumerate(feature["names"])}
    except (ValueError, KeyError, TypeError):
        return {}
