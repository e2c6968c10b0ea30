"""Reading what a dataset's folder holds, in two steps: a survey, which checks its bytes, and its contents, parsed.

Opening surveys: documents are read, the bytes of index and marks are compared with their hashes, shards with their
sizes. Only who looks at windows has the index and the marks parsed, which of a million windows takes longer than all
checks. Both steps are of one cut, whatever a service at work adds meanwhile; a `Cut` says it again in another process.
"""

from __future__ import annotations

import io
from collections.abc import Collection, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np

from ingest.engine.ledger import read_ledger
from ingest.engine.manifest import FileRef
from ingest.errors import CorruptError
from labeling.marks import fold
from labeling.sink import read_events, read_undone
from windowing.config import FILE, DatasetConfig
from windowing.dataset.belongings import LABELS, REMEDY, RULES, Belongings, read_belongings
from windowing.dataset.catalog import (
    Chains,
    Damage,
    Damaged,
    check_files,
    check_sizes,
    dataset_root,
    read_chains,
    read_checked,
    windows_folder,
)
from windowing.dataset.configs import CONFIGS, CurrentConfig, read_config
from windowing.dataset.contents import Contents
from windowing.dataset.erasing import read_erased, shrunk
from windowing.dataset.exclusions import EXCLUSIONS, Excluded, read_exclusions, without, without_recordings
from windowing.dataset.heard import read_recordings, read_streams, without_undone
from windowing.dataset.index import COLUMNS, ORDER, in_order, numbered_rows, once, read_index
from windowing.dataset.labelled import CLASSES, Choice, choose, known_classes
from windowing.dataset.signals import open_shard
from windowing.dataset.versions import Version, find_version

if TYPE_CHECKING:
    import polars as pl

FIGURES: Final = (*ORDER, "t1_ns")
"""The columns that counting needs."""
_PORTION_ROWS: Final = 100_000
_MUCH_BYTES: Final = 1 << 20
"""What is worth a thread."""


@dataclass(frozen=True, slots=True)
class Cut:
    """How far a dataset had come: what is opened at it again is the same, though a service goes on."""

    chains: Mapping[str, Mapping[str, int]]
    """The newest sequence number of each chain, by the operator's folder in the dataset's."""
    pages: Mapping[str, int]
    """How many pages each ledger had."""


@dataclass(frozen=True, slots=True)
class Survey:
    """What a dataset holds at a cut, by its documents."""

    root: Path
    damaged: Damaged
    current: CurrentConfig
    windows: Chains
    labels: Chains
    rules: Mapping[str, Chains]
    choice: Choice
    exclusions: tuple[Excluded, ...]
    """Those that stand."""
    classes: tuple[str, ...]
    cut: Cut
    version: Version | None = None
    """What it was opened at; None: its newest cut."""
    unsure: bool = False
    """Something of the version was erased, and what it selects since is not written yet."""

    @property
    def config(self) -> DatasetConfig:
        """The configuration that counts."""
        return self.current.config


def survey(
    path: str | Path,
    damaged: Damaged = "raise",
    *,
    rules: str | None = None,
    at: Cut | None = None,
    version: str | None = None,
    ahead: bool = False,
) -> Survey:
    """The dataset in a folder, at its newest cut, at the one that is given, or at a version.

    `ahead` compares the bytes of index and marks with their hashes now; without it, that is done when they are parsed.

    Raises:
        UsageError: there is no dataset, or it never had such rules, or no such version.
        CorruptError: a document is damaged or missing, or a file that is checked.
    """
    if version is not None:
        return _survey(path, damaged, rules, None, version, ahead=ahead)
    try:
        return _survey(path, damaged, rules, at, None, ahead=ahead)
    except CorruptError as error:
        if at is None:
            raise
        hint = "the handle is of an earlier cut, whose files go an hour after they were merged: open the dataset again"
        raise CorruptError(f"{error} ({hint})") from None


def _survey(
    path: str | Path, damaged: Damaged, rules: str | None, at: Cut | None, asked: str | None, *, ahead: bool
) -> Survey:
    root = dataset_root(path)
    version = None if asked is None else find_version(root, asked)  # before the chains, which only grow
    belongings = read_belongings(root)  # before the chains: it says how far they have come at least
    left_out = _missing(belongings, damaged)
    if version is not None:
        pages = dict(version.body.pages)
    elif at is not None:
        pages = dict(at.pages)
    else:
        pages = {name: len(read_ledger(root, name)) for name in (CONFIGS, EXCLUSIONS)}
    current = read_config(root, pages[CONFIGS])
    if current.problem is not None:
        if damaged == "raise":
            raise current.problem
        left_out.append(Damage(FILE, str(current.problem), 0))
    config = current.config

    unsure: list[str] = []

    def chains_in(folder: Path, how: Damaged) -> Chains:
        name = str(folder.relative_to(root))
        known: Mapping[str, int] | None = None if at is None else at.chains.get(name, {})
        if version is None:
            return read_chains(folder, how, belongings.heads_of(folder), known)
        chains = read_chains(folder, "raise", belongings.heads_of(folder))
        erased = read_erased(chains)
        chains.cuts = shrunk(version.cuts(name), erased)
        known = {chain: cut.seq for chain, cut in chains.cuts.items()} | dict((version.upto or {}).get(name, {}))
        unsure.extend(chain for chain, rows in erased.items() if bool((rows["seq"] > known.get(chain, -1)).any()))
        return chains

    windows = chains_in(windows_folder(root, config, current.window), damaged)
    windows.damage += left_out
    labels = chains_in(root / LABELS, "raise")
    folders = sorted((root / RULES).glob("*/"))
    rule_chains = {folder.name: chains_in(folder, damaged) for folder in folders}
    classes = read_ledger(root, CLASSES)  # behind the marks: they have numbers before they are seen
    pages.setdefault(CLASSES, len(classes))
    exclusions = tuple(each for each in read_exclusions(root, pages[EXCLUSIONS]) if not each.undone)
    every = {each.folder: each for each in (windows, labels, *rule_chains.values())}
    found = Survey(
        root=root,
        damaged=damaged,
        current=current,
        windows=windows,
        labels=labels,
        rules=rule_chains,
        choice=choose(root, current, rules),
        exclusions=exclusions,
        classes=known_classes(classes[: pages[CLASSES]]),
        cut=Cut({str(folder.relative_to(root)): each.cut for folder, each in every.items()}, pages),
        version=version,
        unsure=bool(unsure),
    )
    check_sizes(windows.folder, windows.of("signal") if damaged == "raise" else ())
    if ahead:
        index = [(windows.folder, ref) for ref in windows.of("index") if damaged == "raise"]
        _check_ahead([*index, *((labels.folder, ref) for ref in labels.of("marks"))])
    for each in every.values():
        each.damage += _rest(each, damaged)
    return found


def _check_ahead(files: Sequence[tuple[Path, FileRef]]) -> None:
    """Compare files with their hashes, on two cores. Raises `CorruptError`."""
    if sum(ref.bytes for _, ref in files) < _MUCH_BYTES:
        check_files(files)
        return
    with ThreadPoolExecutor(1) as beside:
        other = beside.submit(check_files, files[1::2])
        check_files(files[::2])
        other.result()


def read_portions(contents: Contents) -> Iterator[Contents]:
    """Contents that were read without rows, with those of a few chains after the other: of many partitions, no more
    than a part is held at once. Raises `CorruptError`."""
    folder, files = contents.windows.folder, list(contents.windows.files_of.values())
    refs: list[FileRef] = []
    for number, chain in enumerate(files, 1):
        refs += (ref for ref in chain if ref.name.startswith("index/"))
        if sum(ref.rows for ref in refs) >= _PORTION_ROWS or (refs and number == len(files)):
            yield _of_rows(contents, read_index(folder, refs, "raise", FIGURES)[0])
            refs = []


def read_contents(path: str | Path, damaged: Damaged = "raise", columns: Sequence[str] = COLUMNS) -> Contents:
    """Everything but the signals, with these columns of the index; without its rows, where none are wanted.

    Raises as `windowing.dataset.reader.open_dataset`.
    """
    return contents_of(survey(path, damaged), columns)


def contents_of(
    surveyed: Survey, columns: Sequence[str] = COLUMNS, *, trimmed: bool = True, numbered: bool = False
) -> Contents:
    """What was surveyed, parsed, with these columns of the index. `trimmed` leaves out the windows that trims touch;
    `numbered` adds `place`, a window's number among all rows of the index files.

    Raises:
        CorruptError: a file is damaged, or missing by now.
    """
    damaged, config = surveyed.damaged, surveyed.config
    chains = replace(surveyed.windows, damage=list(surveyed.windows.damage))
    index, skipped = read_index(chains.folder, chains.of("index") if columns else (), damaged, columns or FIGURES)
    chains.damage += skipped
    if numbered:
        index = numbered_rows(index)
    if chains.cuts is not None and columns:
        index = index.filter(_counting(chains, {damage.file for damage in skipped}))
    if damaged == "skip":
        index = _vouched_for(chains, index, config)
    for each in (surveyed.labels, *surveyed.rules.values()):
        chains.damage += each.damage
    tables = _mark_tables(surveyed.labels)
    marks, undone = fold(*read_events(tables)), read_undone(tables)
    contents = Contents(
        root=surveyed.root,
        config=config,
        windows=chains,
        labels=surveyed.labels,
        rules=surveyed.rules,
        index=index.clear(),
        marks=marks,
        choice=surveyed.choice,
        recordings=read_recordings(chains, damaged),
        streams=without_undone(read_streams(chains, damaged), undone),
        undone=dict.fromkeys(undone, 0),
        exclusions=dict.fromkeys(surveyed.exclusions, 0),
        trims=dict.fromkeys(marks.trims if trimmed else (), 0),
        shards={Path(ref.name).name: (chains.folder, ref) for ref in chains.of("signal")},
        classes=surveyed.classes,
    )
    return _checked(_of_rows(contents, index), None if surveyed.unsure or not columns else surveyed.version)


def _counting(chains: Chains, skipped: Collection[str]) -> pl.Series:
    """Which rows of the index files count, of those that were read."""
    import polars as pl

    files = [(ref, rows) for ref, rows in chains.counting("index") if rows and ref.name not in skipped]
    few = [np.arange(ref.rows) < rows for ref, rows in files]
    return pl.Series(np.concatenate([np.empty(0, np.bool_), *few]))


def _checked(contents: Contents, version: Version | None) -> Contents:
    """The contents, if they are as many windows as the version had."""
    if version is not None and not contents.windows.damage and len(contents.index) != version.body.windows:
        raise CorruptError(
            f"{contents.root}: version {version.number}: selects {len(contents.index):,} windows, "
            f"it had {version.body.windows:,}; {REMEDY}"
        )
    return contents


def _of_rows(contents: Contents, index: pl.DataFrame) -> Contents:
    """The contents with these rows of the index: in their order, each once, without what was taken out."""
    index, again = once(index)
    index, undone = without_recordings(index, contents.undone)
    index, counts = without(index, [each.what for each in contents.exclusions])
    exclusions = dict(zip(contents.exclusions, counts, strict=True))
    contents = replace(contents, index=index, undone=undone, exclusions=exclusions, again=again)
    contents = contents.without_trimmed(tuple(contents.trims))
    return replace(contents, index=in_order(contents.index))


def _missing(belongings: Belongings, damaged: Damaged) -> list[Damage]:
    """What is missing and can be done without. Raises `CorruptError` for what cannot, or unless damage is skipped."""
    for missing in sorted(belongings.missing, key=lambda missing: not missing.vital):
        if missing.vital or damaged == "raise":
            raise CorruptError(missing.text)
    return [Damage(str(missing.file), missing.problem, None) for missing in belongings.missing]


def _rest(chains: Chains, damaged: Damaged) -> list[Damage]:
    """The files that windows and labels can do without, but that belong to the dataset: states, dropped windows …

    Raises:
        CorruptError: one is damaged, unless damage is skipped.
    """
    found = []
    rest = [ref for ref in chains.files if not ref.name.startswith(("signal/", "index/", "marks/"))]
    if chains.cuts is not None:
        kinds = {kind for cut in chains.cuts.values() for kind in cut.rows}
        needed = {ref for kind in kinds for ref in chains.of(kind)}
        rest = [ref for ref in rest if ref in needed]
    states = chains.states if chains.cuts is None else []
    for ref, outdating in [*((ref, None) for ref in rest), *states]:
        try:
            read_checked(chains.folder, ref)
        except CorruptError as error:
            if outdating is not None and outdating.exists():
                continue  # a service at work deletes the states that it has outdated
            if damaged == "raise":
                raise
            found.append(Damage(ref.name, str(error), 0))
    return found


def _vouched_for(chains: Chains, index: pl.DataFrame, config: DatasetConfig) -> pl.DataFrame:
    """The rows whose shards are whole; the others are noted."""
    window = config.window
    for ref in chains.of("signal"):
        try:
            open_shard(chains.folder, ref, window.length, len(window.channels), hashed=True)
        except CorruptError as error:
            lost = index["shard"] == Path(ref.name).name
            chains.damage.append(Damage(ref.name, str(error), int(lost.sum())))
            index = index.filter(~lost)
    return index


def _mark_tables(chains: Chains) -> list[pl.DataFrame]:
    """The files of the labels' chains. Raises `CorruptError`."""
    import polars as pl

    tables = []
    for ref, rows in chains.counting("marks"):
        data = read_checked(chains.folder, ref)
        try:
            tables.append(pl.read_parquet(io.BytesIO(data)).head(rows))
        except Exception as error:  # polars raises whatever its Parquet reader meets
            raise CorruptError(f"{chains.folder / ref.name}: not Parquet: {error}; {REMEDY}") from None
    return tables
