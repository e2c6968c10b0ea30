"""A text whose last line has no line feed may have been cut off, by a full disk or a copy that stopped."""

from __future__ import annotations

import re
from typing import Final

from ingest.importers.header import EMPTY_CELLS

_LOOK_BACK_BYTES: Final = 65_536
_DECIMALS = re.compile(rb"[+-]?\d*\.(\d*)")
_TIME_CHARACTERS_MIN: Final = 8
_CUT: Final = "the last line is cut off (it has no line feed, and its last cell ends early): it was left out"
_DOUBT: Final = "the last line has no line feed: if the file was cut off, its last cell is not whole"


def cut_torn(body: bytes, separator: str, width: int) -> tuple[bytes, int, tuple[str, ...]]:
    """The rows without a last line that was cut off for certain; 1 where one was, else 0; what to say about it.

    It was where it ends before its last column, or where its last cell is shorter than all others of that column that
    are alike: numbers with as many decimals, or times. A whole number may be whole or not: that can only be said.
    """
    if not body or body.endswith(b"\n"):
        return body, 0, ()
    start = body.rfind(b"\n") + 1
    line = body[start:]
    if not line.strip():
        return body, 0, ()
    before = body[max(0, start - _LOOK_BACK_BYTES) : start].split(b"\n")[1 if start > _LOOK_BACK_BYTES else 0 : -1]
    rows = [_cells(row, separator) for row in before if row.strip() and not row.startswith(b"#")]
    cells = _cells(line, separator)
    if b'"' in body:
        return body, 0, (_DOUBT,)
    if (len(cells) < width and rows) or _is_cut(cells[-1], [row[-1] for row in rows if len(row) == len(cells)]):
        return body[:start], 1, (_CUT,)
    return body, 0, (_DOUBT,)


def _cells(line: bytes, separator: str) -> list[bytes]:
    return line.split() if separator == " " else [cell.strip(b' \r"') for cell in line.split(separator.encode())]


def _is_cut(cell: bytes, others: list[bytes]) -> bool:
    if not others or cell.decode(errors="replace") in EMPTY_CELLS[1:]:
        return False
    lengths = {len(other) for other in others}
    if len(lengths) == 1 and lengths.pop() >= _TIME_CHARACTERS_MIN:
        return len(cell) < len(others[0])
    decimals = [_DECIMALS.fullmatch(other) for other in others]
    if not all(decimals):
        return False
    fewest = min(len(match[1]) for match in decimals if match)
    found = _DECIMALS.fullmatch(cell)
    return fewest > 0 and (found is None or len(found[1]) < fewest)
