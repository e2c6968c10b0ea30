"""Whether a file that is taken for one device's holds several by turns: a column that nobody asked for tells.

Rows of several devices, each a few milliseconds behind the other, are one signal of many times the rate to who looks at
times alone. Pure.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Final

ROWS: Final = 1000
"""So many rows at the beginning are looked at."""
_FEW: Final = 8
"""Rows that each value must have."""
_EVEN: Final = 0.5
"""The rarest value's share of the commonest's, in a column whose name says nothing."""
_ALTERNATING: Final = 0.9
"""The share of rows whose value is not that of the row before, in such a column."""
_SHOWN: Final = 3
_NAMES: Final = re.compile(
    r"(?:.*[^a-z])?(?:device|dev|sensor|node|machine|asset|mac|serial|host|tag|id|uuid|eui|subject|user|person|patient)"
    r"(?:[ _.-]?(?:id|name|no|nr|number|key|eui|address))?",
    re.IGNORECASE,
)
_NUMBER: Final = re.compile(r"[+-]?(\d+[.,]?\d*|[.,]\d+)([eE][+-]?\d+)?")


def mixed(columns: Mapping[str, Sequence[str]]) -> str:
    """What a person should know where one of `columns` (the first rows' cells, of columns that are not imported) tells
    apart what comes by turns; else ""."""
    for name, cells in columns.items():
        counts = Counter(cell.strip().strip('"') for cell in cells)
        counts.pop("", None)
        if len(counts) < 2 or min(counts.values()) < _FEW or not _tells_apart(name, cells, counts):
            continue
        shown = ", ".join(sorted(counts)[:_SHOWN]) + (", …" if len(counts) > _SHOWN else "")
        return (
            f'the column "{name}" says {shown} by turns: does the file hold several devices? All its rows become one '
            "signal; if so, say --device-column"
        )
    return ""


def _tells_apart(name: str, cells: Sequence[str], counts: Counter[str]) -> bool:
    if _NAMES.fullmatch(name.strip()):
        return True
    if all(_NUMBER.fullmatch(value) for value in counts):
        return False
    alternating = sum(one != other for one, other in pairwise(cells)) / (len(cells) - 1)
    return alternating >= _ALTERNATING and min(counts.values()) >= _EVEN * max(counts.values())
