"""How far a dataset is from its plan: counts beside what is wanted. Pure but for its tables."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

import msgspec

from ingest.settings import suggest
from windowing.plan import Plan

if TYPE_CHECKING:
    import polars as pl


class Progress(msgspec.Struct, frozen=True):
    """One thing that is wanted."""

    what: str
    """In words, as in `run, of subject u07`."""
    unit: str
    wanted: int
    have: int
    note: str = ""
    """Why it may never be reached."""

    @property
    def share(self) -> float:
        """Of it, 1 at most."""
        return min(1.0, self.have / self.wanted)


class Balance(msgspec.Struct, frozen=True):
    """How evenly labelled windows lie over classes."""

    ratio: float | None
    """The largest class's windows for each of the smallest's; None where there are no two."""
    evenness: float | None
    """Shannon's entropy of the shares over the most that it can be: 1 where all are equally many."""


def columns_of(plan: Plan) -> tuple[str, ...]:
    """The columns of windows that a plan asks about."""
    named = [*plan.attributes, *plan.groups, *(name for each in plan.classes.values() for name in each.per)]
    return tuple(dict.fromkeys(named))


def progress_of(plan: Plan, windows: pl.DataFrame) -> list[Progress]:
    """Each wish of `plan` beside what there is; `windows` has `label`, and those of `columns_of` that there are."""
    return [*_classes(plan, windows), *_attributes(plan, windows), *_groups(plan, windows)]


def _classes(plan: Plan, windows: pl.DataFrame) -> Iterator[Progress]:
    for name, each in plan.classes.items():
        mine = windows.filter(label=name)
        if each.windows is not None:
            yield Progress(name, "windows", each.windows, len(mine))
        for attribute, wanted in each.per.items():
            if attribute not in windows.columns:
                yield Progress(f"{name}, of each {attribute}", "windows", wanted, 0, _unknown(attribute, windows))
                continue
            have = dict(mine[attribute].value_counts().iter_rows())
            for value in sorted(windows[attribute].drop_nulls().unique().cast(str).to_list()):
                yield Progress(f"{name}, of {attribute} {value}", "windows", wanted, have.get(value, 0))


def _attributes(plan: Plan, windows: pl.DataFrame) -> Iterator[Progress]:
    for attribute, wanted in plan.attributes.items():
        known = attribute in windows.columns
        have = dict(windows[attribute].value_counts().iter_rows()) if known else {}
        for value, count in wanted.items():
            note = "" if known else _unknown(attribute, windows)
            yield Progress(f"{attribute} {value}", "windows", count, have.get(value, 0), note)


def _groups(plan: Plan, windows: pl.DataFrame) -> Iterator[Progress]:
    for attribute, wanted in plan.groups.items():
        known = attribute in windows.columns
        have = windows[attribute].drop_nulls().n_unique() if known else 0
        yield Progress(f"different {attribute}", "values", wanted, have, "" if known else _unknown(attribute, windows))


def _unknown(attribute: str, windows: pl.DataFrame) -> str:
    others = [name for name in windows.columns if name != "label"]
    return f"no recording says its {attribute}{suggest(attribute, others)} Give it with import: --set {attribute}=…"


def balance_of(counts: Mapping[str, int]) -> Balance:
    """How even the counts of labels are; "" is none."""
    found = [count for label, count in counts.items() if label and count]
    if len(found) < 2:
        return Balance(None, None)
    total = sum(found)
    entropy = -sum(count / total * math.log(count / total) for count in found)
    return Balance(max(found) / min(found), entropy / math.log(len(found)))
