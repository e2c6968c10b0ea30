"""Several datasets of the same windows as one: an old one, and the one that went on where it ended."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Final

import polars as pl

from ingest.errors import CorruptError, UsageError
from labeling.marks import Fold, mark_order
from windowing.dataset.index import PLACE, in_order

if TYPE_CHECKING:
    from windowing.dataset.contents import Contents

_SAME: Final = ("length", "hop", "rate", "channels", "anchor", "units")
"""What must be equal for windows to lie in one array, and to mean the same."""


def join_contents(contents: Sequence[Contents]) -> Contents:
    """All windows of several datasets; the last one's configuration counts.

    Of datasets of one log the marks, and the trims, of the one that has read furthest count: it has all that the others
    have, and knows what was taken back since.

    Raises:
        UsageError: none is given, one is given twice, or they hold other windows.
        CorruptError: a window is in two of them: they overlap.
    """
    if not contents:
        raise UsageError("open: no dataset is given")
    last = contents[-1]
    for number, each in enumerate(contents):
        if any(each.root.resolve() == other.root.resolve() for other in contents[:number]):
            raise UsageError(f"open: {each.root} is given twice")
        _check_same(each, last)
    for each in contents:
        _check_end(each, contents)
    marks = _marks(contents)
    contents = [each.without_trimmed(marks.trims) for each in contents]
    index = in_order(pl.concat([each.index for each in contents]))
    _check_apart(index, contents)
    recordings = pl.concat([each.recordings for each in contents], how="diagonal")
    return replace(
        last,
        index=index,
        marks=marks,
        recordings=recordings.unique(["device", "recording"], keep="last", maintain_order=True),
        streams=pl.concat([each.streams for each in contents]),
        undone={key: count for each in contents for key, count in each.undone.items()},
        exclusions={excluded: count for each in contents for excluded, count in each.exclusions.items()},
        trims={trim: sum(each.trims[trim] for each in contents) for trim in marks.trims},
        trimmed=sum(each.trimmed for each in contents),
        shards={name: place for each in contents for name, place in each.shards.items()},
        classes=tuple(dict.fromkeys(label for each in (last, *contents[:-1]) for label in each.classes)),
        again=sum(each.again for each in contents),
        joined=tuple(contents),
    )


def _check_same(each: Contents, last: Contents) -> None:
    for name in _SAME:
        found, wanted = getattr(each.config.window, name), getattr(last.config.window, name)
        if found != wanted:
            raise UsageError(f"open: {each.root} has other windows than {last.root}: {name} {found}, not {wanted}")


def _check_end(new: Contents, contents: Sequence[Contents]) -> None:
    """Raise `UsageError` where a dataset does not begin where the one ended after which it went on."""
    genesis = new.windows.genesis
    if genesis is None or not genesis.after_id:
        return
    for old in contents:
        if old.windows.genesis is None or old.windows.genesis.id != genesis.after_id:
            continue
        ends = {head.partition: head.through for head in old.windows.heads.values()}
        for ending in genesis.after:
            if ends.get(ending.partition, ending.through) != ending.through:
                chain = f"{genesis.topic}-{ending.partition}"
                raise UsageError(
                    f"open: {old.root} went on to offset {ends[ending.partition]} of {chain} "
                    f"after {new.root} had begun at {ending.through}: what lies between is in both; stop its service, "
                    "and make the new one again with --after"
                )


def _check_apart(index: pl.DataFrame, contents: Sequence[Contents]) -> None:
    twice = index.filter(pl.struct(PLACE).is_duplicated())
    if not len(twice):
        return
    window = twice["window"][0]
    where = [str(each.root) for each in contents if window in set(each.index["window"])] or [str(contents[-1].root)]
    raise CorruptError(
        f"open: {len(twice.unique(PLACE)):,} windows are there more than once, as {window} in {' and '.join(where)}: "
        "these datasets overlap; one that goes on with another begins where that one ends"
    )


def _marks(contents: Sequence[Contents]) -> Fold:
    """The marks of each log, as far as the dataset knows them that has read furthest."""
    furthest: dict[str, Contents] = {}
    for each in contents:
        log = each.labels.genesis.log if each.labels.genesis is not None else ""
        if log not in furthest or _read(each) >= _read(furthest[log]):
            furthest[log] = each
    if len(furthest) == 1:
        return next(iter(furthest.values())).marks
    folds = [each.marks for each in furthest.values()]
    marks = tuple(sorted((mark for each in folds for mark in each.marks), key=mark_order))
    trims = tuple(sorted((trim for each in folds for trim in each.trims), key=mark_order))
    return replace(contents[-1].marks, marks=marks, trims=trims)


def _read(contents: Contents) -> int:
    """How far a dataset has read the marks."""
    return sum(head.through for head in contents.labels.heads.values())
