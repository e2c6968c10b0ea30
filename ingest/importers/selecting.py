"""Which columns of a file are wanted: by name, a range `A..B` in the file's order, or by a pattern with `*`. Pure."""

from __future__ import annotations

import csv
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from ingest.errors import UsageError
from ingest.importers.source import named

_RANGE: Final = ".."
_NUMBER: Final = re.compile(r"[+-]?(\d+[.,]?\d*|[.,]\d+)([eE][+-]?\d+)?|[+-]?inf|[+-]?nan", re.IGNORECASE)
_SHOWN: Final = 5


@dataclass(frozen=True, slots=True)
class Selected:
    """The columns that become channels, in their order."""

    names: tuple[str, ...]
    by_pattern: frozenset[str]
    """Those that nobody named: they are left out where they hold text."""


def split_names(option: str, text: str) -> tuple[str, ...]:
    """The names in `x,y,"Temp, C"`. Raises `UsageError` where one is empty, or a quote is not closed."""
    try:
        rows = list(csv.reader([text], skipinitialspace=True, strict=True))
    except csv.Error as error:
        raise UsageError(f"{option}: {text}: {error}") from None
    words = tuple(word.strip() for word in (rows[0] if rows else []))
    if not words or not all(words):
        raise UsageError(f'{option}: found "{text}", expected names with commas between them')
    return words


def is_pattern(name: str) -> bool:
    """Whether a name may stand for several columns."""
    return "*" in name or _RANGE in name


def select(
    path: str, columns: Sequence[str], header: Sequence[str], apart: Sequence[str], advice: str = ""
) -> Selected:
    """The columns of `header` that `columns` mean; those `apart` (times, devices, labels) are never among them.

    A name that the header has is itself, whatever characters it has. A pattern leaves out what was named before it.

    Raises:
        UsageError: a name, or an end of a range, is not there, or a pattern fits nothing.
    """
    names: list[str] = []
    by_pattern: set[str] = set()
    for column in columns:
        if column in apart:
            continue
        if column in header or not is_pattern(column):
            named(path, [column], header, advice)
            names.append(column)
            continue
        found = [name for name in _meant(path, column, header, advice) if name and name not in (*apart, *names)]
        if not found:
            raise UsageError(f'{path}: no column fits "{column}" of --columns')
        names += found
        by_pattern |= set(found)
    named(path, names, header, advice)
    return Selected(tuple(names), frozenset(by_pattern))


def _meant(path: str, column: str, header: Sequence[str], advice: str) -> Sequence[str]:
    if "*" in column:
        shape = re.compile(".*".join(map(re.escape, column.split("*"))))
        return [name for name in header if shape.fullmatch(name)]
    first, _, last = column.partition(_RANGE)
    begin, end = named(path, [first, last], header, advice)
    if end < begin:
        raise UsageError(f'{path}: "{last}" comes before "{first}"; write {last}{_RANGE}{first}')
    return header[begin : end + 1]


def is_text(cells: Sequence[str], empty: Sequence[str]) -> bool:
    """Whether the first cells of a column say that it holds no numbers: there are some, and none is one."""
    said = [cell for cell in map(str.strip, cells) if cell not in empty]
    return bool(said) and not any(_NUMBER.fullmatch(cell) for cell in said)


def left_out(names: Sequence[str]) -> tuple[str, ...]:
    """A note on columns that a pattern would have taken, were they not text."""
    if not names:
        return ()
    shown = ", ".join(f'"{name}"' for name in names[:_SHOWN]) + (", …" if len(names) > _SHOWN else "")
    return (f"{len(names)} columns hold text and become no channels: {shown}",)
