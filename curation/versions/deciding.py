"""What differs between two selections of windows, and which number that makes. Pure.

Numbers follow Croissant's reading of SemVer: what a model was trained on with 1.2.0 is in every 1.x as it was. So new
windows, and labels or parts where there were none, are MINOR; other labels, other parts, windows that went are MAJOR;
a configuration that changed nothing of these is PATCH.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Final

import msgspec
import polars as pl

from ingest.errors import UsageError
from ingest.showing import counted
from windowing.dataset.pinned import PinnedSplit
from windowing.dataset.versions import Number

FIRST: Final = Number(1, 0, 0)


class Level(IntEnum):
    """Which of a number's places a change raises."""

    NOTHING = 0
    PATCH = 1
    MINOR = 2
    MAJOR = 3


@dataclass(frozen=True, slots=True)
class Held:
    """What a version holds, or a cut."""

    table: pl.DataFrame
    """A row a window: window, hash, label and part, the last two null for none."""
    classes: tuple[str, ...]
    config: str
    """dataset.toml."""
    rules: str
    """The revision of the rules whose marks count."""


class Moved(msgspec.Struct, frozen=True):
    """Windows of both whose label, or part, is another one; None: none."""

    before: str | None
    now: str | None
    windows: int


class Difference(msgspec.Struct, frozen=True):
    """What the second has other than the first."""

    windows: tuple[int, int]
    """How many each has."""
    added: int
    removed: int
    changed: int
    """Windows of both whose signal is another one."""
    labels: dict[str, tuple[int, int]]
    """How many windows have each label in the one and in the other; "": none."""
    relabelled: tuple[Moved, ...]
    parts: dict[str, tuple[int, int]]
    """How many windows lie in each part of the split; "": in none."""
    moved: tuple[Moved, ...]
    renumbered: bool
    """A class has another number in `y`."""
    config: tuple[str, ...]
    """The lines of dataset.toml that differ, those of the first with "-" before them, of the second with "+"."""
    rules: tuple[str, str]


def difference(before: Held, now: Held) -> Difference:
    """What `now` has other than `before`."""
    both = before.table.join(now.table, "window", suffix="_now")
    return Difference(
        windows=(len(before.table), len(now.table)),
        added=len(now.table) - len(both),
        removed=len(before.table) - len(both),
        changed=int((both["hash"] != both["hash_now"]).sum()),
        labels=_counts(before.table, now.table, "label"),
        relabelled=_moved(both, "label"),
        parts={name: counts for name, counts in _counts(before.table, now.table, "part").items() if name or any(counts)}
        if before.table["part"].count() or now.table["part"].count()
        else {},
        moved=_moved(both, "part"),
        renumbered=now.classes[: len(before.classes)] != before.classes,
        config=_lines(before.config, now.config),
        rules=(before.rules, now.rules),
    )


def _counts(before: pl.DataFrame, now: pl.DataFrame, column: str) -> dict[str, tuple[int, int]]:
    found = [dict(table[column].fill_null("").value_counts().iter_rows()) for table in (before, now)]
    names = sorted({*found[0], *found[1]}, key=lambda name: (not name, name))
    return {name: (found[0].get(name, 0), found[1].get(name, 0)) for name in names}


def _moved(both: pl.DataFrame, column: str) -> tuple[Moved, ...]:
    moved = both.filter(pl.col(column).ne_missing(pl.col(f"{column}_now")))
    counts = moved.group_by(column, f"{column}_now").len().sort(column, f"{column}_now", nulls_last=True)
    return tuple(Moved(*row) for row in counts.iter_rows())


def _lines(before: str, now: str) -> tuple[str, ...]:
    from difflib import ndiff

    if before == now:
        return ()
    return tuple(line for line in ndiff(before.splitlines(), now.splitlines()) if line[0] in "+-")


def level_of(found: Difference) -> tuple[Level, tuple[str, ...]]:
    """The level of a difference, and what makes it, in words, the gravest first."""
    relabelled = sum(each.windows for each in found.relabelled if each.before is not None)
    labelled = sum(each.windows for each in found.relabelled if each.before is None)
    moved = sum(each.windows for each in found.moved if each.before is not None)
    placed = sum(each.windows for each in found.moved if each.before is None)
    said: list[tuple[Level, str, object]] = [
        (Level.MAJOR, f"{counted(found.removed, 'window')} went", found.removed),
        (Level.MAJOR, f"{counted(found.changed, 'window')} with other samples", found.changed),
        (Level.MAJOR, f"{counted(relabelled, 'window')} with another label", relabelled),
        (Level.MAJOR, f"{counted(moved, 'window')} in another part", moved),
        (Level.MAJOR, "classes have other numbers", found.renumbered),
        (Level.MINOR, f"{counted(found.added, 'new window')}", found.added),
        (Level.MINOR, f"{counted(labelled, 'window')} got a label", labelled),
        (Level.MINOR, f"{counted(placed, 'window')} got a part", placed),
        (Level.PATCH, "another configuration", found.config),
        (Level.PATCH, "other rules", found.rules[0] != found.rules[1]),
    ]
    return _gravest(said)


def level_of_split(before: PinnedSplit | None, now: PinnedSplit | None) -> tuple[Level, tuple[str, ...]]:
    """The level of what changed in a split beside the parts of windows, and what that is, in words."""
    if before is None or now is None:
        return Level.NOTHING, ()
    moved = len({*before.folds.values()}) != len({*now.folds.values()}) or any(
        now.folds.get(group, fold) != fold for group, fold in before.folds.items()
    )
    asked = ("shares", "by", "stratified", "seed", "embargo_ns", "cuts_ns")
    said = [
        (Level.MAJOR, "other folds", bool(before.folds) and moved),
        (Level.MINOR, "folds came", bool(now.folds) and not before.folds),
        (
            Level.PATCH,
            "the split was asked for otherwise: groups that have a part stay there (--resplit moves them)",
            any(getattr(before, name) != getattr(now, name) for name in asked),
        ),
    ]
    return _gravest(said)


def _gravest(said: Sequence[tuple[Level, str, object]]) -> tuple[Level, tuple[str, ...]]:
    """The gravest level of what holds, and all of its words."""
    holding = [(level, words) for level, words, holds in said if holds]
    return max((level for level, _ in holding), default=Level.NOTHING), tuple(words for _, words in holding)


def next_number(before: Number, level: Level) -> Number:
    """The number that a change of this level makes."""
    match level:
        case Level.MAJOR:
            return Number(before.major + 1, 0, 0)
        case Level.MINOR:
            return Number(before.major, before.minor + 1, 0)
        case _:
            return Number(before.major, before.minor, before.patch + 1)


def raised(level: Level, asked: Level, because: Sequence[str]) -> Level:
    """The level that somebody asked for. Raises `UsageError` where the change is a graver one."""
    if asked is Level.NOTHING:
        return level
    if asked < level:
        raise UsageError(f"version: --{asked.name.lower()}: this is {level.name}: {because[0]}")
    return asked
