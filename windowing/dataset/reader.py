"""A dataset as an ML engineer opens it: windows, their labels, and the arrays to train on.

Signals and labels meet here. A dataset is opened at its newest cut, the newest entry of every chain, and `cut` says
which. Shards, index and marks are immutable files, so a running service does not disturb a reader.

What is damaged is never trained on. Manifests, index and marks are read whole and checked when a dataset is opened;
of the shards, which may be larger than memory, opening checks the sizes, and `arrays` checks the hash of every shard
that it reads. With `damaged="skip"`, opening checks every shard's hash too, and leaves out what it cannot vouch for,
so that `len`, `windows` and `arrays` agree. Damaged marks are never skipped: without them labels would be wrong.
"""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal, NamedTuple, Never

import numpy as np
from numpy.typing import NDArray

from ingest.engine.ledger import read_ledger
from ingest.engine.manifest import FileRef
from ingest.errors import CorruptError, UsageError
from ingest.settings import suggest
from labeling.marks import Fold, fold
from labeling.sink import read_events, read_undone
from windowing.config import FILE, DatasetConfig
from windowing.dataset.belongings import LABELS, REMEDY, RULES, Belongings, read_belongings
from windowing.dataset.catalog import (
    Chains,
    Damage,
    Damaged,
    check_size,
    dataset_root,
    read_chains,
    read_checked,
    windows_folder,
)
from windowing.dataset.configs import read_config
from windowing.dataset.contents import Contents
from windowing.dataset.exclusions import read_exclusions, without, without_recordings
from windowing.dataset.heard import read_recordings, read_streams, states_of, with_attributes, without_undone
from windowing.dataset.index import COLUMNS, LABEL_COLUMNS, ORDER, in_order, label_windows, once, read_index
from windowing.dataset.joining import join_contents
from windowing.dataset.labelled import CLASSES, Codes, choose, codes_of, known_classes
from windowing.dataset.signals import open_shard

if TYPE_CHECKING:
    import polars as pl


_ARGUMENTS: Final = ("unlabelled", "groups")
FIGURES: Final = (*ORDER, "t1_ns")
"""The columns that counting needs."""
_PORTION_ROWS: Final = 100_000


class Arrays(NamedTuple):
    """What scikit-learn takes."""

    X: NDArray[np.float32]
    """(windows, steps, channels) float32; missing values are NaN"""
    y: NDArray[np.int64]
    """(windows,) int64: index into `Dataset.classes`"""
    groups: NDArray[np.str_]
    """(windows,): the device; or the recording, or an attribute of it, as was asked for"""


class Dataset:
    """An opened dataset; `open_dataset` makes it."""

    def __init__(self, contents: Contents) -> None:
        self.contents = contents
        self.counting: Final = contents.choice.count(contents.marks.marks)
        """The marks that count, and how many others stand; of several datasets: in the last one."""
        table, self._codes = _labelled(contents)
        columns = [name for name in COLUMNS if name in table.columns]
        self._table = with_attributes(table.select(*columns, *LABEL_COLUMNS), contents.recordings)
        self._hashed: set[str] = set()

    def __len__(self) -> int:
        """The number of windows, labelled or not."""
        return len(self._table)

    def __repr__(self) -> str:
        window = self.contents.config.window
        classes = ", ".join(self.classes) or "no labels"
        shape = f"{window.length} × {len(window.channels)} at {float(window.rate):g} Hz"
        return f"<Dataset {self.name}: {len(self)} windows, {shape}; {classes}>"

    @property
    def name(self) -> str:
        """The dataset's name."""
        return self.contents.config.name

    @property
    def rate(self) -> Fraction:
        """The rate of the windows' grid in hertz."""
        return self.contents.config.window.rate

    @property
    def cut(self) -> Mapping[str, int]:
        """The newest sequence number of every chain when it was opened, by `<topic>-<partition>`; of several datasets,
        each behind its folder."""
        found: dict[str, int] = {}
        for each in self.contents.parts:
            before = f"{each.root}/" if self.contents.joined else ""
            found |= {before + chain: seq for chain, seq in {**each.windows.cut, **each.labels.cut}.items()}
        return found

    @property
    def damaged(self) -> tuple[Damage, ...]:
        """What `damaged="skip"` left out."""
        return tuple(damage for each in self.contents.parts for damage in each.windows.damage)

    @property
    def classes(self) -> tuple[str, ...]:
        """What `y` indexes into: `[labels] classes`, or every label that ever was, in the order of its first
        appearance: a label keeps its number, whatever comes."""
        return self._codes.classes

    @property
    def unknown(self) -> Mapping[str, int]:
        """How many windows have a label that `[labels] classes` does not name, by label: in `y` they are unlabelled."""
        return self._codes.unknown

    @property
    def rules(self) -> str:
        """The revision of the rules whose marks count, "none" or "all"; those of several datasets that differ, each."""
        return self.contents.rules_counted

    @property
    def channels(self) -> tuple[str, ...]:
        """The channels, `stream.channel`, in the order of the last axis of `X`."""
        return self.contents.config.window.channels

    @property
    def states(self) -> Mapping[str, Mapping[int, str]]:
        """What the values of the channels that have named states mean, by channel and code, as in
        `{"gate.position": {0: "raised", 1: "down"}}`. Codes that recordings name otherwise have all their names."""
        return states_of(self.contents.streams, self.channels)

    def windows(self) -> pl.DataFrame:
        """The windows as a table, in the order of device, then time.

        Columns: window (its id), device, recording, anchor, k, t0_ns, t1_ns, shard, row, coverage, label (null where
        there is none), share (of the window's time under the label), mark (the id of the mark that gave the label),
        and of that mark its author, tool, mark_time_ns (when the log took what made it so, ns UTC) and revision (of its
        rule; null for a person's); and the recordings' attributes, as in subject, null where a recording does not have
        it.
        """
        return self._table

    @property
    def attributes(self) -> tuple[str, ...]:
        """The attributes that at least one recording has."""
        return tuple(self.contents.recordings.columns[2:])

    def arrays(self, unlabelled: Literal["drop", "keep"] = "drop", *, groups: str = "device", **wrong: Never) -> Arrays:
        """`X, y, groups` in the order of `windows()`.

        Windows without a label, or with one that is not in `classes`, are dropped: -1 would be a class like any other
        to scikit-learn. `"keep"` keeps them, with -1 in `y`. `groups` is what never belongs on both sides of a split:
        "device", "recording", or an attribute of the recordings, as in "subject".

        Raises:
            CorruptError: a shard that is needed is damaged; nothing is returned.
            UsageError: `unlabelled` or `groups` is none of these, or a window's recording does not have the attribute.
            TypeError: an argument of another name.
        """
        if wrong:
            raise TypeError(f"arrays: unknown argument {next(iter(wrong))!r}{suggest(next(iter(wrong)), _ARGUMENTS)}")
        if unlabelled not in ("drop", "keep"):
            raise UsageError(f'arrays: unlabelled: found "{unlabelled}"; use "drop" or "keep"')
        y = self._codes.y
        kept = np.flatnonzero(y >= 0) if unlabelled == "drop" else np.arange(len(y))
        table = self._table[kept]
        names = self._groups(table, groups)
        return Arrays(self._signals(table.select("shard", "row")), y[kept], names)

    def _signals(self, table: pl.DataFrame) -> NDArray[np.float32]:
        """The windows at `(shard, row)` in the table's order; each shard is opened once."""
        window = self.contents.config.window
        signals = np.empty((len(table), window.length, len(window.channels)), np.float32)
        for (name,), group in table.with_row_index("place").group_by("shard"):
            shard = self._open_shard(str(name))
            signals[group["place"].to_numpy()] = shard[group["row"].to_numpy()]
        return signals

    def _open_shard(self, name: str) -> NDArray[np.float32]:
        window = self.contents.config.window
        (folder, ref), fresh = self.contents.shards[name], name not in self._hashed
        shard = open_shard(folder, ref, window.length, len(window.channels), hashed=fresh)
        self._hashed.add(name)
        return shard

    def _groups(self, table: pl.DataFrame, groups: str) -> NDArray[np.str_]:
        import polars as pl

        known = ("device", "recording", *self.attributes)
        if groups not in known:
            raise UsageError(f'arrays: groups: found "{groups}"{suggest(str(groups), known)}')
        name = pl.col(groups)
        if groups == "recording":
            pairs = self._table.select("device", "recording").unique()
            if pairs["recording"].n_unique() < len(pairs):
                name = pl.concat_str("device", "recording", separator="/")
        lacking = table.filter(pl.col(groups).is_null())
        if len(lacking):
            raise UsageError(
                f'arrays: groups: {len(lacking)} windows have no "{groups}", as those of recording '
                f"{lacking['recording'][0]} of {lacking['device'][0]}; give it by --set {groups}=… with its import"
            )
        return np.array(table.select(name).to_series().to_list(), dtype=np.str_)


def open_dataset(
    path: str | Path | Sequence[str | Path], *, damaged: Damaged = "raise", rules: str | None = None
) -> Dataset:
    """The dataset in a folder, at its newest cut. See the module's text for what is checked when.

    Several folders, an old one and those that went on where it ended, are one dataset: their windows must be of one
    kind, and none in two of them. The last one's `[labels]` count; each one's windows are labelled by the rules that
    its own configuration names, whose marks it has read.
    `rules` counts, for all windows, the marks of another revision of the rules, which the last one has had, of "none"
    or of "all".

    Raises:
        UsageError: there is no dataset, `damaged` is neither "raise" nor "skip", or it never had such rules.
        CorruptError: a file is damaged; with "skip", only where the labels of the others would suffer.
    """
    if damaged not in ("raise", "skip"):
        raise UsageError(f'open: damaged: found "{damaged}"; use "raise" or "skip"')
    if isinstance(path, str | Path):
        return Dataset(read_contents(path, damaged, rules=rules))
    paths = list(path)
    contents = [
        read_contents(each, damaged, rules=rules if each is paths[-1] else None, trimmed=False) for each in paths
    ]
    if rules is not None:
        contents = [replace(each, choice=contents[-1].choice) for each in contents]
    return Dataset(join_contents(contents))


def _labelled(contents: Contents) -> tuple[pl.DataFrame, Codes]:
    """The windows with their labels, and the numbers of these; of several datasets, each by its own rules."""
    import polars as pl

    policy, known = contents.config.labels, contents.classes
    if len({part.choice.name for part in contents.parts}) == 1:
        table, labels = label_windows(contents.index, contents.choice.count(contents.marks.marks).marks, policy)
        return table, codes_of(labels, policy.classes, known)
    tables, unknown = [], Counter[str]()
    for part in contents.parts:
        table, labels = label_windows(part.index, part.choice.count(contents.marks.marks).marks, policy)
        codes = codes_of(labels, policy.classes, known)
        known = codes.classes
        unknown.update(codes.unknown)
        tables.append(table.with_columns(pl.Series("y", codes.y)))
    whole = in_order(pl.concat(tables))
    return whole.drop("y"), Codes(known, whole["y"].to_numpy(), dict(unknown))


def open_figures(path: str | Path) -> Dataset:
    """The dataset without what names windows and shards, for who only counts: its table takes half the memory.

    Raises as `open_dataset`.
    """
    return Dataset(read_contents(path, columns=FIGURES))


def read_portions(contents: Contents) -> Iterator[Contents]:
    """Contents that were read without rows, with those of a few chains after the other: of many partitions, no more
    than a part is held at once. Raises `CorruptError`."""
    folder, files = contents.windows.folder, contents.windows.files_of
    refs: list[FileRef] = []
    for number, chain in enumerate(files, 1):
        refs += (ref for ref in chain if ref.name.startswith("index/"))
        if sum(ref.rows for ref in refs) >= _PORTION_ROWS or (refs and number == len(files)):
            yield _of_rows(contents, read_index(folder, refs, "raise", FIGURES)[0])
            refs = []


def read_contents(
    path: str | Path,
    damaged: Damaged = "raise",
    columns: Sequence[str] = COLUMNS,
    *,
    rules: str | None = None,
    trimmed: bool = True,
) -> Contents:
    """Everything but the signals, with these columns of the index; without its rows, where none are wanted. `trimmed`
    leaves out the windows that trims touch.

    Raises as `open_dataset`.
    """
    root = dataset_root(path)
    belongings = read_belongings(root)  # before the chains: it says how far they have come at least
    left_out = _missing(belongings, damaged)
    current = read_config(root)
    if current.problem is not None:
        if damaged == "raise":
            raise current.problem
        left_out.append(Damage(FILE, str(current.problem), 0))
    config = current.config
    folder = windows_folder(root, config, current.window)
    chains = read_chains(folder, damaged, belongings.heads_of(folder))
    label_chains = read_chains(root / LABELS, heads=belongings.heads_of(root / LABELS))
    index, skipped = read_index(chains.folder, chains.of("index") if columns else (), damaged, columns or FIGURES)
    chains.damage += [*left_out, *skipped]
    index = _vouched_for(chains, index, config, damaged)
    standing = [each for each in read_exclusions(root) if not each.undone]
    undone = read_undone(read_mark_tables(label_chains))
    rule_chains = _rules(root, belongings, damaged)
    for other in rule_chains.values():
        chains.damage += other.damage
    for any_ in (chains, label_chains, *rule_chains.values()):
        chains.damage += _rest(any_, damaged)
    marks = read_marks(label_chains)
    contents = Contents(
        root=root,
        config=config,
        windows=chains,
        labels=label_chains,
        rules=rule_chains,
        index=index.clear(),
        marks=marks,
        choice=choose(root, current, rules),
        recordings=read_recordings(chains, damaged),
        streams=without_undone(read_streams(chains, damaged), undone),
        undone=dict.fromkeys(undone, 0),
        exclusions=dict.fromkeys(standing, 0),
        trims=dict.fromkeys(marks.trims if trimmed else (), 0),
        shards={Path(ref.name).name: (chains.folder, ref) for ref in chains.of("signal")},
        classes=known_classes(read_ledger(root, CLASSES)),  # behind the marks: they have numbers before they are seen
    )
    return _of_rows(contents, index)


def _of_rows(contents: Contents, index: pl.DataFrame) -> Contents:
    """The contents with these rows of the index: in their order, each once, without what was taken out."""
    index, again = once(index)
    index, undone = without_recordings(index, contents.undone)
    index, counts = without(index, [each.what for each in contents.exclusions])
    exclusions = dict(zip(contents.exclusions, counts, strict=True))
    contents = replace(contents, index=index, undone=undone, exclusions=exclusions, again=again)
    contents = contents.without_trimmed(tuple(contents.trims))
    return replace(contents, index=in_order(contents.index))


def _rules(root: Path, belongings: Belongings, damaged: Damaged) -> dict[str, Chains]:
    """What rules have counted belongs to the dataset as well."""
    folders = sorted((root / RULES).glob("*/"))
    return {folder.name: read_chains(folder, damaged, belongings.heads_of(folder)) for folder in folders}


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
    for ref, outdating in [*((ref, None) for ref in rest), *chains.states]:
        try:
            read_checked(chains.folder, ref)
        except CorruptError as error:
            if outdating is not None and outdating.exists():
                continue  # a service at work deletes the states that it has outdated
            if damaged == "raise":
                raise
            found.append(Damage(ref.name, str(error), 0))
    return found


def _vouched_for(chains: Chains, index: pl.DataFrame, config: DatasetConfig, damaged: Damaged) -> pl.DataFrame:
    """The rows whose shards are whole. Raises `CorruptError` for one that is not, unless damage is skipped."""
    window = config.window
    for ref in chains.of("signal"):
        try:
            if damaged == "raise":
                check_size(chains.folder / ref.name, ref)
            else:
                open_shard(chains.folder, ref, window.length, len(window.channels), hashed=True)
        except CorruptError as error:
            if damaged == "raise":
                raise
            lost = index["shard"] == Path(ref.name).name
            chains.damage.append(Damage(ref.name, str(error), int(lost.sum())))
            index = index.filter(~lost)
    return index


def read_marks(chains: Chains) -> Fold:
    """The marks that stand at the cut of the labels' chains. Raises `CorruptError`."""
    return fold(*read_events(read_mark_tables(chains)))


def read_mark_tables(chains: Chains) -> list[pl.DataFrame]:
    """The files of the labels' chains. Raises `CorruptError`."""
    import polars as pl

    tables = []
    for ref in chains.of("marks"):
        data = read_checked(chains.folder, ref)
        try:
            tables.append(pl.read_parquet(io.BytesIO(data)))
        except Exception as error:  # polars raises whatever its Parquet reader meets
            raise CorruptError(f"{chains.folder / ref.name}: not Parquet: {error}; {REMEDY}") from None
    return tables
