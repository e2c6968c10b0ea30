"""Datasets divided: the parts of a split as handles, folds as scikit-learn takes them, and what leaks between parts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import msgspec
import numpy as np
import polars as pl
from numpy.typing import NDArray

from ingest.errors import UsageError
from ingest.settings import suggest
from ingest.units import parse_duration
from windowing.dataset import leaks
from windowing.dataset.grouping import TIME, Ints, classes_of, embargo_of, groups_of, times_of
from windowing.dataset.leaks import Kind, Nearness, Pair
from windowing.dataset.selecting import PartOf
from windowing.dataset.splits import (
    assign_groups,
    check_shares,
    class_counts,
    group_folds,
    time_folds,
    time_parts,
)

if TYPE_CHECKING:
    from windowing.dataset.reader import Dataset
    from windowing.dataset.selecting import Table


@dataclass(frozen=True)
class Division:
    """How windows are divided: what a part of it is found again by."""

    shares: Mapping[str, float]
    by: str
    stratified: bool
    seed: int
    embargo_ns: int | None
    """Of a division by time; None: as long as the longest window."""
    before: Mapping[str, str]

    def parts(self, table: Table) -> Ints:
        """The place of each window's part among `shares`, -1 for in none."""
        _, shares = check_shares(self.shares)
        if self.by == TIME:
            t0_ns, t1_ns = times_of(table)
            return time_parts(t0_ns, t1_ns, shares, embargo_of(t0_ns, t1_ns, self.embargo_ns))
        groups, part = self.assigned(table)
        place = dict(zip(groups, part.tolist(), strict=True))
        return np.array([place[group] for group in groups_of(table, self.by).tolist()], np.int64)

    def assigned(self, table: Table) -> tuple[tuple[str, ...], Ints]:
        """The groups, and the place of each one's part. Raises `UsageError`."""
        names, shares = check_shares(self.shares)
        groups, counts = class_counts(groups_of(table, self.by), classes_of(table), stratified=self.stratified)
        unknown = sorted(set(self.before.values()) - set(names))
        if unknown:
            raise UsageError(f'split: before: "{unknown[0]}" is no part{suggest(unknown[0], names)}')
        known = {group: names.index(part) for group, part in self.before.items()}
        if len(groups) < len(names) and self.by != TIME:
            raise UsageError(f"split: {len(groups)} groups of {self.by} cannot fill {len(names)} parts; see `by`")
        return groups, assign_groups(groups, counts, shares, seed=self.seed, before=known)


@dataclass(frozen=True)
class Part(PartOf):
    """See `windowing.dataset.selecting.Step`."""

    division: Division

    def kept(self, table: Table, count: int) -> Ints:
        """See `Step`."""
        return np.flatnonzero(self.division.parts(table) == list(self.division.shares).index(self.name))


class Split(Mapping[str, "Dataset"]):
    """The parts of a dataset by their names, each a handle; made by `Dataset.split`."""

    def __init__(self, whole: Dataset, division: Division, parts: Mapping[str, Dataset]) -> None:
        self._whole: Final = whole
        self._division: Final = division
        self._parts: Final = dict(parts)

    def __getitem__(self, name: str) -> Dataset:
        return self._parts[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._parts)

    def __len__(self) -> int:
        return len(self._parts)

    def __repr__(self) -> str:
        counts = ", ".join(f"{name} {len(part):,}" for name, part in self._parts.items())
        away = f", {self.left_out:,} around the cuts" if self.left_out else ""
        return f"<Split of {self._whole.name} by {self.by}: {counts}{away}>"

    @property
    def by(self) -> str:
        """What never lies in two parts: an attribute, "device", "recording"; or "time"."""
        return self._division.by

    @property
    def assigned(self) -> Mapping[str, str]:
        """The part of each group, for `before` of a later split; {} of a split by time."""
        if self.by == TIME:
            return {}
        names = list(self._division.shares)
        groups, part = self._division.assigned(self._whole.columns)
        return {group: names[place] for group, place in zip(groups, part.tolist(), strict=True)}

    @property
    def left_out(self) -> int:
        """How many windows are in no part, since they lie around a cut in time."""
        return len(self._whole) - sum(map(len, self._parts.values()))


class Leak(msgspec.Struct, frozen=True):
    """Something that lies in two parts of a split."""

    kind: Kind
    """`group`, `overlap` (in time), `equal` (bytes), or `near`: see `windowing.dataset.leaks`."""
    what: str
    """In words: the group, or the recordings."""
    windows: tuple[tuple[str, str], ...] = ()
    """Which windows, by their ids."""


def default_group(dataset: Dataset) -> str:
    """What is split by where nobody says: the subject where recordings say one, else the device."""
    return "subject" if "subject" in dataset.attributes else "device"


def embargo_asked(by: str, embargo: str | None, what: str) -> int | None:
    """What was asked, in ns. Raises `UsageError`: a split by groups has none, so it would be passed over in silence."""
    if embargo is None:
        return None
    if by != TIME:
        raise UsageError(f'{what}: embargo: it is of a split by time, and this one is by {by}; say by="{TIME}"')
    return parse_duration(embargo)


def divide(
    whole: Dataset,
    shares: Mapping[str, float],
    by: str | None,
    *,
    stratified: bool,
    seed: int,
    embargo: str | None,
    before: Split | Mapping[str, str] | None,
) -> tuple[Division, dict[str, Part]]:
    """The division, and the step for each of its parts. Raises `UsageError`."""
    names, _ = check_shares(shares)
    earlier = before.assigned if isinstance(before, Split) else before or {}
    by = by or default_group(whole)
    division = Division(dict(shares), by, stratified, seed, embargo_asked(by, embargo, "split"), dict(earlier))
    return division, {name: Part(name, division) for name in names}


def folds_of(
    dataset: Dataset, k: int, by: str | None, *, stratified: bool, seed: int, embargo: str | None
) -> list[tuple[Ints, Ints]]:
    """`(train, test)` places of each fold. Raises `UsageError`."""
    if k < 2:
        raise UsageError(f"folds: found {k}, expected at least 2")
    by = by or default_group(dataset)
    asked = embargo_asked(by, embargo, "folds")
    if by == TIME:
        t0_ns, t1_ns = times_of(dataset.columns)
        return time_folds(t0_ns, t1_ns, k, embargo_of(t0_ns, t1_ns, asked))
    shares = {str(fold): 1 / k for fold in range(k)}
    return group_folds(Division(shares, by, stratified, seed, None, {}).parts(dataset.columns), k)


def find_leaks(parts: Mapping[str, Dataset], by: str | None, how: Nearness | None) -> tuple[Leak, ...]:
    """What leaks between these parts; `by` is the group that must not, None: none is looked for. `how` None: windows
    are compared by their bytes alone."""
    names = list(parts)
    sizes = [len(each) for each in parts.values()]
    part = np.repeat(np.arange(len(names)), sizes)
    wanted = ("window", "device", "recording", "t0_ns", "t1_ns")
    table = pl.concat([each.columns(wanted) for each in parts.values()])
    found: list[Leak] = []
    if by is not None:
        groups = np.concatenate([groups_of(each.columns, by) for each in parts.values()])
        found += [Leak("group", f"{by} {group}") for group in leaks.shared_groups(groups, part)]
    device = table["device"].rank("dense").cast(pl.Int64).to_numpy()
    overlaps = leaks.overlapping(device, table["t0_ns"].to_numpy(), table["t1_ns"].to_numpy(), part)
    found += _told("overlap", overlaps, table)
    equal = leaks.equal(np.concatenate([each.hashes() for each in parts.values()]), part)
    found += _told("equal", equal, table)
    if how is not None:
        begins = np.cumsum([0, *sizes])

        def read(places: Ints) -> NDArray[np.float32]:
            signals = [
                each.signals(places[part[places] == number] - begins[number])
                for number, each in enumerate(parts.values())
            ]
            order = np.argsort(part[places], kind="stable")
            whole = np.concatenate(signals)
            back = np.empty_like(order)
            back[order] = np.arange(len(order))
            return whole[back]

        known = set(equal) | set(overlaps)
        pairs = [pair for pair in leaks.near(read, part, how) if pair not in known]
        found += _told("near", pairs, table)
    return tuple(found)


def _told(kind: Kind, pairs: list[Pair], table: pl.DataFrame) -> list[Leak]:
    """The pairs by recordings, in words."""
    windows = table["window"].to_list()
    recordings = [f"{device}/{recording}" for device, recording in table.select("device", "recording").iter_rows()]
    return [
        Leak(
            kind,
            first if first == second else f"{first} and {second}",
            tuple((windows[a], windows[b]) for a, b in some),
        )
        for (first, second), some in leaks.by_recordings(pairs, recordings).items()
    ]
