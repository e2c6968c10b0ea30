"""The split of the next version: the one before it, with the groups that are new; or the one that is asked for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from ingest.errors import UsageError
from windowing.dataset.dividing import Division, default_group
from windowing.dataset.grouping import TIME, embargo_of, groups_of, times_of
from windowing.dataset.pinned import FORMAT, PinnedSplit
from windowing.dataset.splits import check_shares, time_cuts

if TYPE_CHECKING:
    from windowing.dataset.reader import Dataset

_Value = TypeVar("_Value")


@dataclass(frozen=True, slots=True)
class AskedSplit:
    """What somebody wants of a split; None: as it was in the version before."""

    shares: Mapping[str, float] | None = None
    by: str | None = None
    stratified: bool | None = None
    seed: int | None = None
    embargo_ns: int | None = None
    folds: int | None = None
    anew: bool = False
    """Groups may move."""

    @property
    def anything(self) -> bool:
        """Is anything asked for?"""
        return self != AskedSplit()


def pinned_split(dataset: Dataset, asked: AskedSplit, before: PinnedSplit | None) -> PinnedSplit | None:
    """The split of these windows; None where there is to be none.

    A group stays in its part, and its fold, unless it is asked for `anew`; so do the instants at which time is cut.

    Raises:
        UsageError: see `windowing.dataset.reader.Dataset.split`; or a part of folds is asked for, without a split.
    """
    if before is None and asked.shares is None:
        if asked.anything:
            raise UsageError("version: --split: say the parts, as in --split train=0.7,val=0.1,test=0.2")
        return None
    if asked.shares is not None:
        check_shares(asked.shares)  # also where every group has its part already
    shares = asked.shares or (before.shares if before else {})
    by = asked.by or (before.by if before else default_group(dataset))
    kept = before if before is not None and before.by == by and not asked.anew else None
    stratified = _first(asked.stratified, before.stratified if before else None, True)
    seed = _first(asked.seed, before.seed if before else None, 0)
    if by == TIME:
        return _by_time(dataset, shares, asked, kept)
    if asked.embargo_ns is not None:
        raise UsageError(f"version: --embargo: it is of a split by time, and this one is by {by}; say --by {TIME}")
    assigned = {group: part for group, part in kept.groups.items() if part in shares} if kept else {}
    division = Division(dict(shares), by, stratified, seed, None, assigned)
    groups = dict(assigned)
    if set(groups_of(dataset.columns, by).tolist()) - set(assigned):
        names, place = division.assigned(dataset.columns)
        parts = list(shares)
        groups |= {name: parts[at] for name, at in zip(names, place.tolist(), strict=True)}
    folds = _folds(dataset, asked, kept, division)
    return PinnedSplit(FORMAT, dict(shares), by, stratified, seed, dict(sorted(groups.items())), folds)


def _first(asked: _Value | None, before: _Value | None, default: _Value) -> _Value:
    return asked if asked is not None else before if before is not None else default


def _by_time(dataset: Dataset, shares: Mapping[str, float], asked: AskedSplit, kept: PinnedSplit | None) -> PinnedSplit:
    if asked.folds is not None:
        raise UsageError('version: --folds: of a split by time there are none to keep; use ds.folds(k, by="time")')
    _, values = check_shares(shares)
    t0_ns, t1_ns = times_of(dataset.columns)
    if kept is not None and kept.shares == shares and kept.cuts_ns:
        embargo_ns = max(kept.embargo_ns, embargo_of(t0_ns, t1_ns, asked.embargo_ns))
        return PinnedSplit(FORMAT, dict(shares), TIME, cuts_ns=kept.cuts_ns, embargo_ns=embargo_ns)
    cuts = time_cuts(t0_ns, values)
    return PinnedSplit(FORMAT, dict(shares), TIME, cuts_ns=cuts, embargo_ns=embargo_of(t0_ns, t1_ns, asked.embargo_ns))


def _folds(dataset: Dataset, asked: AskedSplit, kept: PinnedSplit | None, division: Division) -> dict[str, int]:
    known = dict(kept.folds) if kept else {}
    before = max(known.values(), default=-1) + 1
    k = before if asked.folds is None else asked.folds
    if not k:
        return {}
    if k < 2:
        raise UsageError(f"version: --folds: found {k}, expected at least 2")
    names = [str(fold) for fold in range(k)]
    settled = {group: str(fold) for group, fold in known.items()} if k == before else {}
    shares = dict(zip(names, np.full(k, 1 / k).tolist(), strict=True))
    folded = Division(shares, division.by, division.stratified, division.seed, None, settled)
    groups, place = folded.assigned(dataset.columns)
    found = (known if k == before else {}) | dict(zip(groups, place.tolist(), strict=True))
    return dict(sorted(found.items()))
