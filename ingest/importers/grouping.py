"""Numbers whose thousands are told apart, as in 1.234,56: read where somebody says so, else refused, never guessed.

Beside a decimal comma `1.234` may be either 1234 or, written by another hand, 1.234: it is refused, too.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from ingest.errors import UsageError

if TYPE_CHECKING:
    import polars as pl

THOUSANDS: Final = {"point": ".", "comma": ",", "blank": " ", "apostrophe": "'"}
"""By their names."""
_LIKE: Final = {" ": "[ \u00a0\u2009\u202f]", "'": "['\u2019]"}
"""Marks that people write for one: SI's thin and no-break spaces, and a curly apostrophe."""
_TAIL: Final = r"\d*([eE][+-]?\d+)?"
_IN_DOUBT: Final = r"^[+-]?[1-9]\d{0,2}(\.\d{3})+$"


def is_comma(decimal: str) -> bool:
    """Whether `--decimal` says comma. Raises `UsageError`."""
    if decimal not in ("point", "comma"):
        raise UsageError(f'--decimal: found "{decimal}", expected point or comma')
    return decimal == "comma"


def thousands_of(word: str | None, decimal: str) -> str:
    """The mark that `--thousands` names; empty for None. Raises `UsageError`, also where it is that of decimals."""
    if word is not None and (word not in THOUSANDS or word == decimal):
        raise UsageError(f'--thousands: found "{word}" beside --decimal {decimal}; known: {", ".join(THOUSANDS)}')
    return "" if word is None else THOUSANDS[word]


def unmarked(cell: str, mark: str) -> str:
    """A cell without marks of thousands, if `mark` says that there are any."""
    return re.sub(_LIKE.get(mark, re.escape(mark)), "", cell) if mark else cell


def has_groups(body: bytes, mark: str, *, decimal_comma: bool) -> bool:
    """Whether cells must be looked at as text: where points may tell thousands apart, or somebody says that they do."""
    return bool(mark) or (decimal_comma and b"." in body)


def ungrouped(text: pl.Series, mark: str, *, decimal_comma: bool) -> pl.Series:
    """Cells with decimal points and without marks of thousands, where they are numbers; others are numbers of no kind
    afterwards."""
    decimal = "," if decimal_comma else "."
    if not mark and not decimal_comma:
        return text
    if mark:
        some = _LIKE.get(mark, re.escape(mark))
        whole = rf"^[+-]?\d{{1,3}}({some}\d{{3}})+({re.escape(decimal)}{_TAIL})?$"
        bare = text.str.replace_all(some, "")
        text = bare.zip_with(text.str.contains(whole).fill_null(value=False), text)
        left = text.str.contains(some)
    else:
        left = text.str.contains(_IN_DOUBT)
    text = ("?" + text).zip_with(left.fill_null(value=False), text)
    return text.str.replace(",", ".", literal=True) if decimal_comma else text


def grouped_by(cell: str, mark: str, *, decimal_comma: bool) -> str | None:
    """The name of the mark by which the thousands of a cell that is no number may be told apart."""
    decimal = "," if decimal_comma else "."
    for name, other in THOUSANDS.items():
        some = _LIKE.get(other, re.escape(other))
        whole = rf"[+-]?\d{{1,3}}({some}\d{{3}})+({re.escape(decimal)}{_TAIL})?"
        if other not in (decimal, mark) and re.fullmatch(whole, cell):
            return name
    return None
