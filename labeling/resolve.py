"""Marks over windows resolved into one label a window.

**Who is heard.** A person's mark (operator, button, import) goes before a rule's: in its range it hides the rules'
marks. Marks of one rank do not hide each other. A label's share is the part of the window's time under the union of
its visible marks, so one label marked twice counts once, and the shares of overlapping labels may sum to more than 1.

**Policies.** Every tie is decided, in this order: larger share; the label of the mark that the window is anchored at,
or the one that its author has given that very range since; of one person's labels the one said later (by the order of
the log); earlier start of the label's first visible mark in the window; label in code point order. Rules say nothing
later: when their marks reach the log depends on how they ran.

- `majority`: the label with the largest share, if that is at least `min_share`.
- `any`: a label that touches the window at all, instants included, persons' before rules'.
- `centre`, `end`: a label whose visible marks hold the window's centre `t0 + (t1 - t0) // 2`, or its last nanosecond.

`min_share` is for `majority`; instants have no length, so only `any` knows them. `background`, where it is given,
labels the windows that no mark touches; a window that is touched, but whose marks give it no label, stays unlabelled:
calling it background would be a guess.

The cost is a sort, a few binary searches and one step per pair of a window and a mark that touch: the devices' times
are laid one behind the other on one line (`labeling.lines`), so that ten thousand devices cost what one does.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from labeling.lines import NONE, Columns, Ints, WindowTimes, columns_of, group_heads, lines_of
from labeling.marks import ResolvedMark

Policy: TypeAlias = Literal["majority", "any", "centre", "end"]
POLICIES: Final[tuple[Policy, ...]] = ("majority", "any", "centre", "end")


@dataclass(frozen=True, slots=True)
class LabelPolicy:
    """How the marks over a window become its label: the `[labels]` table of dataset.toml."""

    policy: Policy = "majority"
    min_share: float = 0.5
    """The share of the window's time that the winner must cover under `majority`."""
    background: str | None = None
    """The label of windows that no mark touches; None: they have no label."""
    classes: tuple[str, ...] = ()
    """The labels that count as classes, in the order of their numbers; (): all of them, in the order of their first
    appearance. Resolving does not ask for it: marks of other labels compete like all."""


@dataclass(frozen=True, slots=True)
class WindowLabels:
    """A label per window, and where it comes from."""

    classes: tuple[str, ...]
    """The labels given to at least one window, sorted."""
    label: Ints
    """(windows,) int64: index into `classes`, -1 for no label."""
    share: NDArray[np.float64]
    """(windows,) float64: the label's share of the window's time; 1 for background, 0 for no label."""
    mark: Ints
    """(windows,) int64: index of the label's mark with the most visible time in the window (of a person's marks with
    as much, the one said last), -1 for none."""


@dataclass(frozen=True, slots=True)
class _Pieces:
    """Ranges `[start, end)`, each belonging to an owner (a mark, or a label)."""

    owner: Ints
    start: Ints
    end: Ints


def resolve(windows: WindowTimes, marks: Sequence[ResolvedMark], policy: LabelPolicy) -> WindowLabels:
    """The label of every window under `policy`, with its share and its mark (an index into `marks`)."""
    count = len(windows.t0_ns)
    columns = columns_of(marks, windows.devices)
    label = np.full(count, -1, np.int64)
    share = np.zeros(count)
    mark = np.full(count, -1, np.int64)
    touched = np.zeros(count, np.bool_)
    anchored = np.full(count, -1, np.int64)
    if windows.anchor is not None and len(marks) and bool((windows.anchor >= 0).any()):
        anchored = np.where(windows.anchor >= 0, columns.label[_restated(marks)[windows.anchor]], -1)
    for line in lines_of(windows, columns):
        t0_ns, t1_ns = line.t0_ns, line.t1_ns
        chosen = _line_labels(t0_ns, t1_ns, anchored[line.windows], line.columns, line.marks, policy)
        label[line.windows[chosen.window]] = chosen.label
        share[line.windows[chosen.window]] = chosen.share
        mark[line.windows[chosen.window]] = chosen.mark
        touched[line.windows[chosen.touched]] = True
    return _with_background(columns.names, label, share, mark, touched, policy.background)


def _restated(marks: Sequence[ResolvedMark]) -> Ints:
    """For each mark the last one that the same person set over the very same range; a rule's mark is its own."""
    newest: dict[tuple[str, str, int, int], int] = {}
    ranges = [(mark.device, mark.author, mark.start_ns, mark.end_ns) for mark in marks]
    for index, mark in enumerate(marks):
        if mark.by_person and mark.order >= marks[newest.setdefault(ranges[index], index)].order:
            newest[ranges[index]] = index
    own = (newest[it] if mark.by_person else index for index, (it, mark) in enumerate(zip(ranges, marks, strict=True)))
    return np.fromiter(own, np.int64, len(marks))


def _with_background(
    names: tuple[str, ...],
    label: Ints,
    share: NDArray[np.float64],
    mark: Ints,
    touched: NDArray[np.bool_],
    background: str | None,
) -> WindowLabels:
    """Give untouched windows the background label, and keep only the classes that were given."""
    if background is not None and not touched.all():
        names = (*names, background)
        label[~touched] = len(names) - 1
        share[~touched] = 1.0
    given = np.unique(label[label >= 0])
    classes = tuple(sorted({names[code] for code in given.tolist()}))
    code_of = {name: index for index, name in enumerate(classes)}
    table = np.array([code_of.get(name, -1) for name in (*names, "")], np.int64)
    table[-1] = -1
    return WindowLabels(classes, table[label], share, mark)


@dataclass(frozen=True, slots=True)
class _Chosen:
    """The winners among a line's windows, by position in order of `t0_ns`, and the windows that are touched."""

    window: Ints
    label: Ints
    share: NDArray[np.float64]
    mark: Ints
    touched: Ints


@dataclass(frozen=True, slots=True)
class LabelShares:
    """Every label over every window: a row for each pair that has time in common."""

    classes: tuple[str, ...]
    window: Ints
    label: Ints
    """Index into `classes`."""
    share: NDArray[np.float64]
    """Of the window's time, under the label's visible marks; those of one window may sum to more than 1."""


def label_shares(windows: WindowTimes, marks: Sequence[ResolvedMark]) -> LabelShares:
    """How much of each window each label covers, whatever the policy: see "who is heard" in the module's text."""
    columns = columns_of(marks, windows.devices)
    rows: list[tuple[Ints, Ints, NDArray[np.float64]]] = [(NONE, NONE, np.zeros(0))]
    for line in lines_of(windows, columns):
        shown, _ = _visible(line.columns, line.marks)
        unions = _unions(shown, columns.label)
        at, union, part_ns = _overlaps(line.t0_ns, line.t1_ns, unions)
        label = unions.owner[union]
        order = np.lexsort((label, at))
        heads = group_heads(at[order], label[order])
        covered = np.add.reduceat(part_ns[order], heads) if len(heads) else NONE
        window, label = at[order][heads], label[order][heads]
        rows.append((line.windows[window], label, covered / (line.t1_ns - line.t0_ns)[window]))
    window, label = (np.concatenate([row[place] for row in rows]) for place in (0, 1))
    return LabelShares(columns.names, window, label, np.concatenate([row[2] for row in rows]))


def _line_labels(t0_ns: Ints, t1_ns: Ints, anchored: Ints, marks: Columns, mine: Ints, policy: LabelPolicy) -> _Chosen:
    """The winners among a line's windows, which are in order of `t0_ns`; `anchored` is their anchors' label."""
    shown, instants = _visible(marks, mine)
    touches = _touches(t0_ns, t1_ns, shown, instants)
    touched = np.unique(touches.window)
    if policy.policy != "any":
        touches = touches.where(touches.part_ns > 0)
    candidates = _candidates(touches, marks)
    window, label = candidates.window, candidates.label
    unions = _unions(shown, marks.label)
    at, union, part_ns = _overlaps(t0_ns, t1_ns, unions)
    codes = len(marks.names)
    covered = _looked_up(window * codes + label, at * codes + unions.owner[union], part_ns)
    share = covered / (t1_ns[window] - t0_ns[window])
    if policy.policy == "majority":
        kept = np.flatnonzero(share >= policy.min_share)
    elif policy.policy == "any":
        kept = np.arange(len(window))
    else:
        instant = (t0_ns + (t1_ns - t0_ns) // 2 if policy.policy == "centre" else t1_ns - 1)[at]
        holds = (unions.start[union] <= instant) & (instant < unions.end[union])
        held = (at * codes + unions.owner[union])[holds]
        kept = np.flatnonzero(np.isin(window * codes + label, held))
    rank = candidates.rank if policy.policy == "any" else np.zeros_like(window)
    best = _tied(kept, window, rank, -covered, (anchored[window] != label).astype(np.int64))
    best = _newest(best, window, marks.author[candidates.mark], marks.said[candidates.mark])
    best = best[np.lexsort((label[best], candidates.start[best], window[best]))]
    best = best[group_heads(window[best])]
    return _Chosen(window[best], label[best], share[best], candidates.mark[best], touched)


def _tied(rows: Ints, window: Ints, *keys: Ints) -> Ints:
    """Of each window's rows those with the least keys, the first key counting first."""
    rows = rows[np.lexsort([key[rows] for key in (*reversed(keys), window)])]
    heads = group_heads(window[rows])
    return rows[np.logical_and.reduce([_is_first(key[rows], heads) for key in keys])]


def _newest(rows: Ints, window: Ints, author: Ints, said: Ints) -> Ints:
    """Of each window's rows those that each person said last; rules' all were said at once."""
    rows = rows[np.lexsort((-said[rows], author[rows], window[rows]))]
    return rows[_is_first(said[rows], group_heads(window[rows], author[rows]))]


def _visible(marks: Columns, mine: Ints) -> tuple[_Pieces, _Pieces]:
    """The visible ranges of a line's marks, and its visible instants: rules' without what persons' ranges hide."""
    ranges = mine[marks.end[mine] > marks.start[mine]]
    instants = mine[marks.end[mine] == marks.start[mine]]
    persons, rules = ranges[marks.rank[ranges] == 0], ranges[marks.rank[ranges] == 1]
    hiding_start, hiding_end = _union(marks.start[persons], marks.end[persons])
    bounds = np.iinfo(np.int64)
    free_start, free_end = np.append(bounds.min, hiding_end), np.append(hiding_start, bounds.max)
    free, rule = _pairs(free_start, free_end, marks.start[rules], marks.end[rules])
    shown = _Pieces(
        np.concatenate([persons, rules[rule]]),
        np.concatenate([marks.start[persons], np.maximum(marks.start[rules][rule], free_start[free])]),
        np.concatenate([marks.end[persons], np.minimum(marks.end[rules][rule], free_end[free])]),
    )
    before = np.searchsorted(hiding_start, marks.start[instants], side="right")
    hidden = np.append(bounds.min, hiding_end)[before] > marks.start[instants]
    seen = instants[~hidden | (marks.rank[instants] == 0)]
    return shown, _Pieces(seen, marks.start[seen], marks.end[seen])


def _union(start: Ints, end: Ints) -> tuple[Ints, Ints]:
    """The disjoint ranges, in order, that together cover what the given ranges cover."""
    order = np.argsort(start, kind="stable")
    start, reach = start[order], np.maximum.accumulate(end[order])
    fresh = np.flatnonzero(np.append(True, start[1:] > reach[:-1])) if len(start) else np.empty(0, np.int64)
    last = np.append(fresh[1:], len(start)) - 1 if len(fresh) else fresh
    return start[fresh], reach[last]


def _unions(shown: _Pieces, label_of: Ints) -> _Pieces:
    """The union of the pieces of each label, as pieces owned by the label, in order of label and start."""
    if not len(shown.owner):
        return _Pieces(NONE, NONE, NONE)
    order = np.lexsort((shown.start, label_of[shown.owner]))
    label, start = label_of[shown.owner][order], shown.start[order]
    # How far the pieces reach, label by label: of (label, place among all ends) the running maximum begins anew there.
    ends, place = np.unique(shown.end[order], return_inverse=True)
    reach = ends[np.maximum.accumulate(label * len(ends) + place) % len(ends)]
    fresh = group_heads(label, np.concatenate(([0], np.cumsum(start[1:] > reach[:-1]))))
    last = np.append(fresh[1:], len(order)) - 1
    return _Pieces(label[fresh], start[fresh], reach[last])


def _pairs(t0_ns: Ints, t1_ns: Ints, start: Ints, end: Ints) -> tuple[Ints, Ints]:
    """Every pair (window, range) that may touch; `t0_ns` is in order. An instant touches the window that holds it."""
    low = np.searchsorted(np.maximum.accumulate(t1_ns), start, side="right")
    high = np.maximum(np.searchsorted(t0_ns, np.maximum(end, start + 1), side="left"), low)
    counts = high - low
    owner = np.repeat(np.arange(len(start)), counts)
    window = np.arange(len(owner)) - np.repeat(np.cumsum(counts) - counts - low, counts)
    # Windows of one length never need this: with mixed ones, the running maximum lets too many in.
    kept = t1_ns[window] > start[owner]
    return window[kept], owner[kept]


def _overlaps(t0_ns: Ints, t1_ns: Ints, pieces: _Pieces) -> tuple[Ints, Ints, Ints]:
    """`(window, piece, nanoseconds in common)` of every pair that touches."""
    window, piece = _pairs(t0_ns, t1_ns, pieces.start, pieces.end)
    common = np.minimum(t1_ns[window], pieces.end[piece]) - np.maximum(t0_ns[window], pieces.start[piece])
    return window, piece, common


@dataclass(frozen=True, slots=True)
class _Touches:
    """One row per (window, mark) that touch, with the visible time they share."""

    window: Ints
    mark: Ints
    part_ns: Ints

    def where(self, condition: NDArray[np.bool_]) -> _Touches:
        return _Touches(self.window[condition], self.mark[condition], self.part_ns[condition])


def _touches(t0_ns: Ints, t1_ns: Ints, shown: _Pieces, instants: _Pieces) -> _Touches:
    """A mark that is hidden in its middle has several pieces in a window: they are summed."""
    window, piece, part_ns = _overlaps(t0_ns, t1_ns, shown)
    holder, instant, nothing = _overlaps(t0_ns, t1_ns, instants)
    window = np.concatenate([window, holder])
    mark = np.concatenate([shown.owner[piece], instants.owner[instant]])
    part_ns = np.concatenate([part_ns, nothing])
    order = np.lexsort((mark, window))
    heads = group_heads(window[order], mark[order])
    sums = np.add.reduceat(part_ns[order], heads) if len(heads) else NONE
    return _Touches(window[order][heads], mark[order][heads], sums)


@dataclass(frozen=True, slots=True)
class _Candidates:
    """One row per (window, label): its first start, its best rank, and the mark with the most time in the window."""

    window: Ints
    label: Ints
    start: Ints
    rank: Ints
    mark: Ints


def _candidates(touches: _Touches, marks: Columns) -> _Candidates:
    label = marks.label[touches.mark]
    newer, earlier = -marks.said[touches.mark], marks.order[touches.mark]
    order = np.lexsort((earlier, newer, -touches.part_ns, label, touches.window))
    window, label, mark = touches.window[order], label[order], touches.mark[order]
    heads = group_heads(window, label)
    if not len(heads):
        return _Candidates(NONE, NONE, NONE, NONE, NONE)
    start = np.minimum.reduceat(marks.start[mark], heads)
    rank = np.minimum.reduceat(marks.rank[mark], heads)
    return _Candidates(window[heads], label[heads], start, rank, mark[heads])


def _is_first(column: Ints, heads: Ints) -> NDArray[np.bool_]:
    """Whether each value equals the first one of its group."""
    first = np.repeat(column[heads], np.diff(np.append(heads, len(column))))
    return np.asarray(column == first)


def _looked_up(wanted: Ints, keys: Ints, values: Ints) -> Ints:
    """The sum of `values` under each wanted key, 0 where there is none."""
    distinct, inverse = np.unique(keys, return_inverse=True)
    sums = np.zeros(len(distinct) + 1, np.int64)
    np.add.at(sums, inverse, values)
    place = np.searchsorted(distinct, wanted)
    found = np.append(distinct, -1)[place] == wanted
    return np.where(found, sums[place], 0)
