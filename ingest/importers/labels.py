"""Labels that lie beside the samples: a column of them, whose runs of equal values are marks. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from ingest.errors import UsageError
from ingest.names import normal
from ingest.settings import suggest

if TYPE_CHECKING:
    import polars as pl

_NO_LABEL: Final = ("", "0", "0.0", "false", "False", "FALSE")
"""What a column of yes and no has for no."""
_YES: Final = ("1", "1.0", "true", "True", "TRUE")
_LABELS_MAX: Final = 1_000
"""A column of more values is none of labels."""


@dataclass(frozen=True, slots=True)
class LabelColumn:
    """A column whose values are labels, or say whether one label holds."""

    column: str
    label: str = ""
    """What 1 (or true) says; 0 and nothing say that it does not hold. Empty: the values are labels."""
    names: Mapping[str, str] = field(default_factory=dict)
    """Of the values, where they are codes; an empty name is no label."""

    def label_of(self, value: str) -> str | None:
        """The label of a value, "" for none; None where it is not known what it means."""
        if self.label:
            return self.label if value in _YES else "" if value in _NO_LABEL else None
        if self.names and value:
            return self.names.get(value)
        return normal(value)


@dataclass(frozen=True, slots=True)
class Span:
    """A label over samples `[first, behind)`."""

    first: int
    behind: int
    label: str


def parse_label_column(text: str) -> LabelColumn:
    """The column of `NAME`, `NAME=LABEL` or `NAME:0=,1=walk,2=run`. Raises `UsageError`."""
    head, colon, codes = text.partition(":")
    if colon and "=" in codes and "=" not in head:
        names: dict[str, str] = {}
        for part in codes.split(","):
            code, equals, name = part.partition("=")
            if not equals or not code.strip() or code.strip() in names:
                raise UsageError(
                    f'--label-column: found "{part}"; use VALUE=LABEL, each value once, as in 1=walk,2=run'
                )
            names[code.strip()] = normal(name.strip())
        return LabelColumn(head.strip(), names=names)
    column, equals, label = text.partition("=")
    if not column.strip() or (equals and not label.strip()):
        raise UsageError(f'--label-column: found "{text}"; use NAME, NAME=LABEL or NAME:0=,1=walk,2=run')
    return LabelColumn(column.strip(), normal(label.strip()))


@dataclass(frozen=True, slots=True)
class Labels:
    """The label of each row."""

    codes: NDArray[np.int32]
    """`(rows,)`, indices into `names`."""
    names: tuple[str, ...]
    """The labels, "" for none."""

    def runs(self, rows: NDArray[np.int64]) -> tuple[Span, ...]:
        """The runs of equal labels among these rows, by their places there; those without a label left out."""
        codes = self.codes[rows]
        starts = [0, *(np.flatnonzero(np.diff(codes)) + 1).tolist()]
        stops = [*starts[1:], len(codes)]
        spans = (Span(first, behind, self.names[codes[first]]) for first, behind in zip(starts, stops, strict=True))
        return tuple(span for span in spans if span.label)


def labels_of(column: LabelColumn, values: pl.Series, place: Callable[[int], str]) -> Labels:
    """The label of each row; `values` is text.

    Raises:
        UsageError: a value of which nobody said what it means, or there are too many to be labels.
    """
    import polars as pl

    found: list[str] = values.unique(maintain_order=True).to_list()
    if len(found) > _LABELS_MAX:
        raise UsageError(f'--label-column: "{column.column}" has {len(found):,} values; is it one of labels?')
    names: dict[str, int] = {}
    codes: dict[str, int] = {}
    for value in found:
        label = column.label_of(value)
        if label is None or not label.isprintable():
            raise UsageError(f"{place((values == value).arg_max() or 0)}: {_not_known(column, value, label)}")
        codes[value] = names.setdefault(label, len(names))
    return Labels(values.replace_strict(codes, return_dtype=pl.Int32).to_numpy(), tuple(names))


def _not_known(column: LabelColumn, value: str, label: str | None) -> str:
    if label is not None:
        return f'"{column.column}" holds the label {label!a}, which nobody can read'
    if column.label:
        said = f"it is neither 0 nor 1; say {column.column}:0=,{value}={column.label}"
    else:
        said = f"--label-column does not name it{suggest(value, column.names)}; an empty name is no label"
    return f'"{column.column}" is "{value}": {said}'
