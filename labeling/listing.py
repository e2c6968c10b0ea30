"""Marks as a table that fits a terminal: a heading a day, ranges of times, ids as short as they can be typed. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from itertools import groupby, pairwise
from typing import Final

from ingest.showing import printable
from labeling.marks import RULE, ResolvedMark

WIDTH: Final = 80
_ID_MIN: Final = 4
_SHRUNK_MIN: Final = 8
"""Columns of text are not made narrower than this."""
_HEADINGS: Final = ("id", "device", "when", "label", "by")
_SHRINKING: Final = (4, 3, 1)
"""Which columns give way where a row is too wide, the first one first: who, label, device."""


def lines_of(marks: Sequence[ResolvedMark], ids: Iterable[str], width: int = WIDTH) -> Iterator[str]:
    """The marks by start, as lines of up to `width` characters where their times allow it; times are UTC, to the
    millisecond. `ids` are those from which a shortened one is to be told apart; notes stand under their marks."""
    short = shortened({*ids, *(mark.id for mark in marks)})
    ordered = sorted(marks, key=lambda mark: (mark.start_ns, mark.end_ns, mark.device, mark.id))
    cells = [_cells(mark, short[mark.id]) for mark in ordered]
    widths = _fitted([max(map(len, column)) for column in zip(_HEADINGS, *cells, strict=True)], width)
    if cells:
        yield _line(_HEADINGS, widths)
    rows = zip(ordered, cells, strict=True)
    for day, few in groupby(rows, key=lambda row: _instant(row[0].start_ns)[0]):
        yield f"{day}, UTC"
        for mark, row in few:
            yield _line(row, widths)
            if mark.reason:
                yield _cut(f"  {' ' * widths[0]}  {printable(mark.reason)}", width)


def shortened(ids: Iterable[str]) -> dict[str, str]:
    """The shortest beginning of each id that no other id has, of four characters at least."""
    ordered = sorted(set(ids))
    if not ordered:
        return {}
    shared = [_shared(one, other) for one, other in pairwise(ordered)]
    # of the neighbours in this order each id shares most
    most = [max(before, after) for before, after in zip([0, *shared], [*shared, 0], strict=True)]
    return {name: name[: max(_ID_MIN, common + 1)] for name, common in zip(ordered, most, strict=True)}


def _shared(one: str, other: str) -> int:
    """How many characters both begin with."""
    return next((at for at, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))


def _cells(mark: ResolvedMark, name: str) -> tuple[str, ...]:
    plain = mark.author and mark.tool in ("operator", RULE)  # a rule's author is its file
    who = mark.author if plain else f"{mark.author} ({mark.tool})".lstrip()
    if mark.reviewed_by:  # an accepted rule's mark is its acceptor's
        who += ", accepted" if mark.reviewed_by == mark.author else f", accepted by {mark.reviewed_by}"
    return (
        printable(name),
        printable(mark.device),
        _range(mark.start_ns, mark.end_ns),
        printable(mark.shown),
        printable(who),
    )


def _range(start_ns: int, end_ns: int) -> str:
    """`12:04:29.0 to 12:04:31.5`, with the end's day where it is another; an instant is one time."""
    (day, start), (last_day, end) = _instant(start_ns), _instant(end_ns)
    if start_ns == end_ns:
        return start
    return f"{start} to {end}" if day == last_day else f"{start} to {last_day} {end}"


def _instant(t_ns: int) -> tuple[str, str]:
    """Day and time: tenths of a second where they say it, else milliseconds."""
    seconds, rest_ns = divmod(t_ns, 10**9)
    day, _, time = (datetime(1970, 1, 1) + timedelta(seconds=seconds)).isoformat().partition("T")
    tenths = rest_ns % 10**8 == 0
    return day, f"{time}.{rest_ns // 10**8}" if tenths else f"{time}.{rest_ns // 10**6:03d}"


def _fitted(widths: list[int], width: int) -> list[int]:
    """The columns' widths, made smaller where a row would be wider than `width`."""
    for column in _SHRINKING:
        over = 2 + sum(widths) + 2 * (len(widths) - 1) - width
        widths[column] = max(min(widths[column], _SHRUNK_MIN), widths[column] - max(0, over))
    return widths


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    return "  " + "  ".join(_cut(c, width).ljust(width) for c, width in zip(cells, widths, strict=True)).rstrip()


def _cut(text: str, width: int) -> str:
    return text if len(text) <= width else f"{text[: width - 1]}…"
