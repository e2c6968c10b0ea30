"""Marks and windows as columns, and many devices' times on one line, so that all are resolved at once."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from labeling.marks import ResolvedMark

Ints: TypeAlias = NDArray[np.int64]
NONE: Final[Ints] = np.empty(0, np.int64)
_LINE_NS: Final = 1 << 61
"""So much time of several devices lies on one line: sums of two such stay in int64."""


@dataclass(frozen=True, slots=True)
class WindowTimes:
    """Windows as columns of equal length; `device` indexes `devices`."""

    devices: tuple[str, ...]
    device: Ints
    """(windows,) int64"""
    t0_ns: Ints
    """(windows,) int64, ns UTC"""
    t1_ns: Ints
    """(windows,) int64, ns UTC, after `t0_ns`"""
    anchor: Ints | None = None
    """(windows,) int64: index of the mark that the window is anchored at, -1 for none; None: none is."""


@dataclass(frozen=True, slots=True)
class Columns:
    """Marks as columns; `label` indexes the sorted `names`; `rank` is 0 for persons, 1 for rules."""

    names: tuple[str, ...]
    label: Ints
    rank: Ints
    start: Ints
    end: Ints
    order: Ints
    """Position in the order of start, then id: the smaller one wins a tie between marks."""
    author: Ints
    """Which person's it is; -1 for a rule's."""
    said: Ints
    """For a person's, its place in the log: the larger one was said later. 0 for a rule's."""
    device: Ints
    """Index into the windows' devices; -1 for one without windows."""


@dataclass(frozen=True, slots=True)
class Line:
    """Devices behind one another: each one's times are moved by a number of its own, so that no two overlap."""

    windows: Ints
    """Which windows they are, in order of `t0_ns`."""
    t0_ns: Ints
    t1_ns: Ints
    marks: Ints
    columns: Columns
    """With the times on this line; of `marks` only."""


def lines_of(windows: WindowTimes, columns: Columns) -> Iterator[Line]:
    """The devices that have windows and marks, on as few lines as their times have room on."""
    count = len(windows.devices)
    low, high = np.full(count, np.iinfo(np.int64).max), np.full(count, np.iinfo(np.int64).min)
    known = columns.device >= 0
    marked = np.zeros(count, np.bool_)
    marked[columns.device[known]] = True
    wanted = np.flatnonzero(marked[windows.device]) if len(columns.device) else NONE
    if not len(wanted):
        return
    device = windows.device[wanted]
    present = np.zeros(count, np.bool_)
    present[device] = True
    rows = np.flatnonzero(known & present[columns.device])
    for of, start, end in (
        (device, windows.t0_ns[wanted], windows.t1_ns[wanted]),
        (columns.device[rows], columns.start[rows], columns.end[rows]),
    ):
        np.minimum.at(low, of, start)
        np.maximum.at(high, of, end)
    line, shift = _laid(low.tolist(), high.tolist(), present.tolist())
    for number in range(int(line.max()) + 1):
        mine = wanted if number == line.max() == 0 else wanted[line[device] == number]
        marks = rows[line[columns.device[rows]] == number]
        moved = shift[windows.device[mine]]
        order = np.argsort(windows.t0_ns[mine] + moved, kind="stable")
        mine, moved = mine[order], moved[order]
        on = replace(
            columns, start=_moved(columns.start, marks, columns, shift), end=_moved(columns.end, marks, columns, shift)
        )
        yield Line(mine, windows.t0_ns[mine] + moved, windows.t1_ns[mine] + moved, marks, on)


def _moved(times: Ints, rows: Ints, columns: Columns, shift: Ints) -> Ints:
    moved = times.copy()
    moved[rows] += shift[columns.device[rows]]
    return moved


def _laid(low: list[int], high: list[int], present: list[bool]) -> tuple[Ints, Ints]:
    """On which line each device lies, -1 for none, and by how much its times are moved; one alone is not moved."""
    line, shift = np.full(len(low), -1, np.int64), np.zeros(len(low), np.int64)
    number, begin = -1, _LINE_NS
    for device, there in enumerate(present):
        if not there:
            continue
        span = high[device] - low[device] + 2
        if begin + span > _LINE_NS:
            number, begin = number + 1, 0
        line[device] = number
        if span <= _LINE_NS:
            shift[device] = begin - low[device]
        begin += span
    return line, shift


def columns_of(marks: Sequence[ResolvedMark], devices: Sequence[str]) -> Columns:
    """The marks as columns; `devices` are the windows'."""
    names = tuple(sorted({mark.label for mark in marks}))
    code = {name: index for index, name in enumerate(names)}
    authors: dict[str, int] = {}

    def column(values: Iterable[int]) -> Ints:
        return np.fromiter(values, np.int64, len(marks))

    places = {name: index for index, name in enumerate(devices)}
    rule = column(0 if mark.by_person else 1 for mark in marks)
    author = column(authors.setdefault(mark.author, len(authors)) for mark in marks)
    start = column(mark.start_ns for mark in marks)
    return Columns(
        names,
        column(code[mark.label] for mark in marks),
        rule,
        start,
        column(mark.end_ns for mark in marks),
        _order(start, marks),
        np.where(rule == 0, author, -1),
        np.where(rule == 0, column(mark.order for mark in marks), 0),
        column(places.get(mark.device, -1) for mark in marks),
    )


def _order(start: Ints, marks: Sequence[ResolvedMark]) -> Ints:
    """The place of each mark in the order of start, then id."""
    by_start = np.argsort(start, kind="stable")
    heads = group_heads(start[by_start])
    ends = np.append(heads[1:], len(start))
    several = ends - heads > 1
    for head, end in zip(heads[several].tolist(), ends[several].tolist(), strict=True):
        by_start[head:end] = sorted(by_start[head:end].tolist(), key=lambda index: marks[index].id)
    order = np.empty(len(start), np.int64)
    order[by_start] = np.arange(len(start))
    return order


def group_heads(*columns: Ints) -> Ints:
    """Where a new group begins in columns that are sorted together."""
    if not len(columns[0]):
        return NONE
    changed = np.zeros(len(columns[0]), np.bool_)
    changed[0] = True
    for column in columns:
        changed[1:] |= column[1:] != column[:-1]
    return np.flatnonzero(changed)
