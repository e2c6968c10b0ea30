"""A dataset as an ML engineer opens it: windows, their labels, and the arrays to train on.

Signals and labels meet here. A dataset is opened at its newest cut, the newest entry of every chain, and `cut` says
which. Shards, index and marks are immutable files, so a running service does not disturb a reader.

What is damaged is never trained on. When a dataset is opened, its documents are read, the bytes of index and marks are
compared with their hashes, and those of shards, which may be larger than memory, with their sizes; each window's own
bytes are, when they are first read (`windowing.dataset.shelf`). With `damaged="skip"`, opening checks every shard's
hash too, and leaves out what it cannot vouch for, so that `len`, `windows` and `arrays` agree. Damaged marks are never
skipped: without them labels would be wrong.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal, Never, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ingest.errors import UsageError
from ingest.settings import suggest
from windowing.dataset.answers import Arrays, Batch, Window
from windowing.dataset.batching import BatchPlan
from windowing.dataset.catalog import Damaged
from windowing.dataset.dividing import TIME, Leak, Split, default_group, divide, find_leaks, folds_of
from windowing.dataset.facts import Facts
from windowing.dataset.leaks import NEARNESS, Nearness
from windowing.dataset.reading import FIGURES
from windowing.dataset.selecting import Rows, Step, Where, rows_of
from windowing.dataset.source import Opening, Source
from windowing.dataset.targets import shares_of, steps_of

if TYPE_CHECKING:
    import polars as pl

Unlabelled: TypeAlias = Literal["drop", "keep"]
_ARGUMENTS: Final = ("unlabelled", "groups")


class Dataset(Facts):
    """A handle on an opened dataset, or on a selection of its windows; `open_dataset` makes it.

    What it knows is read when somebody asks. It pickles as what was opened, at which cut, and what was selected: who
    unpickles it has the same windows, whatever a service added meanwhile.
    """

    def __init__(self, source: Source, parent: Dataset | None = None, step: Step | None = None) -> None:
        super().__init__(source)
        self._parent: Final = parent
        self._step: Final = step

    def __reduce__(self) -> tuple[Any, ...]:
        return _again, (self._source.opening, self._steps)

    @property
    def _steps(self) -> tuple[Step, ...]:
        if self._parent is None or self._step is None:
            return ()
        return (*self._parent._steps, self._step)

    @cached_property
    def _rows(self) -> NDArray[np.int64] | None:
        """The places of the selected windows among all; None: all."""
        if self._parent is None or self._step is None:
            return None
        parent = self._parent
        kept = self._step.kept(parent.columns, len(parent))
        return kept if parent._rows is None else parent._rows[kept]

    def __len__(self) -> int:
        """The number of windows, labelled or not."""
        return len(self.contents.index) if self._rows is None else len(self._rows)

    def __repr__(self) -> str:
        window = self.contents.config.window
        counts = ", ".join(f"{label or 'unlabelled'} {count:,}" for label, count in self.counts.items())
        shape = f"{window.length} × {len(window.channels)} at {float(window.rate):g} Hz"
        return f"<Dataset {self.name}: {len(self):,} windows, {shape}; {counts or 'no labels'}>"

    def _repr_html_(self) -> str:
        window = self.contents.config.window
        shape = f"{window.length} steps × {len(window.channels)} channels at {float(window.rate):g} Hz"
        rows = "".join(
            f"<tr><td>{escape(label) if label else '<i>unlabelled</i>'}</td>"
            f'<td style="text-align:right">{count:,}</td></tr>'
            for label, count in self.counts.items()
        )
        return (
            f"<p><b>{escape(self.name)}</b>: {len(self):,} windows of {shape}: {escape(', '.join(self.channels))}</p>"
            f"<table><tr><th>label</th><th>windows</th></tr>{rows}</table>"
        )

    def __getitem__(self, place: int | slice) -> Window | Dataset:
        """A window by its place in `windows()`; of a slice a handle on its windows.

        Raises:
            IndexError: there is no such window.
            CorruptError: its bytes are not those that were written.
        """
        if isinstance(place, slice):
            return Dataset(self._source, self, Rows(np.arange(*place.indices(len(self)))))
        at = place + len(self) if place < 0 else place
        if not 0 <= at < len(self):
            raise IndexError(f"window {place} of {len(self):,}")
        row = at if self._rows is None else int(self._rows[at])
        return Window(self.signals(np.array([at]))[0], int(self._source.labelled.codes.y[row]))

    @property
    def classes(self) -> tuple[str, ...]:
        """What `y` indexes into: `[labels] classes`, or every label that ever was, in the order of its first
        appearance: a label keeps its number, whatever comes, and whatever is selected."""
        return self._source.labelled.codes.classes

    @property
    def counts(self) -> Mapping[str, int]:
        """How many of the windows have each of the classes, and how many none, which is last, as ""."""
        found = np.bincount(self._y + 1, minlength=len(self.classes) + 1).tolist()
        named = zip((*self.classes, ""), (*found[1:], found[0]), strict=True)
        return {label: count for label, count in named if count}

    @property
    def unknown(self) -> Mapping[str, int]:
        """How many windows have a label that `[labels] classes` does not name, by label: in `y` they are unlabelled.
        They are counted whatever is selected."""
        return self._source.labelled.codes.unknown

    def windows(self) -> pl.DataFrame:
        """The windows as a table, in the order of device, then time; of a selection by rows in the order of these.

        Columns: window (its id), device, recording, anchor, k, t0_ns, t1_ns, shard, row, coverage, label (null where
        there is none), share (of the window's time under the label), mark (the id of the mark that gave the label),
        and of that mark its author, tool, mark_time_ns (when the log took what made it so, ns UTC) and revision (of its
        rule; null for a person's); and the recordings' attributes, as in subject, null where a recording does not have
        it.
        """
        return self.columns(self._source.names)

    def columns(self, names: Sequence[str]) -> pl.DataFrame:
        """Some columns of `windows()`, at no cost of others. Raises `UsageError` for one that there is not."""
        return self._source.table(names, self._rows)

    def select(
        self, *which: pl.Expr | Sequence[int] | Sequence[bool] | NDArray[Any] | pl.Series, **equal: Any
    ) -> Dataset:
        """A handle on the windows that meet all conditions, found when somebody asks for them.

        `which` are Polars expressions over the columns of `windows()`, a mask, or places, whose order counts;
        `equal` names columns: `select(pl.col("coverage") > 0.9, label=["run", "stop"], subject="u07")`.

        Raises:
            UsageError: a place, a mask's length or what is no condition is refused here, an unknown column on use.
        """
        import polars as pl

        found = self
        conditions = tuple(each for each in which if isinstance(each, pl.Expr))
        if conditions or equal:
            found = Dataset(self._source, found, Where(conditions, equal))
        for each in which:
            if not isinstance(each, pl.Expr):
                found = Dataset(self._source, found, rows_of(each, self.__len__))
        return found

    def arrays(self, unlabelled: Unlabelled = "drop", *, groups: str = "device", **wrong: Never) -> Arrays:
        """`X, y, groups` in the order of `windows()`.

        Windows without a label, or with one that is not in `classes`, are dropped: -1 would be a class like any other
        to scikit-learn. `"keep"` keeps them, with -1 in `y`. `groups` is what never belongs on both sides of a split:
        "device", "recording", or an attribute of the recordings, as in "subject".

        Raises:
            CorruptError: a window that is needed is damaged; nothing is returned.
            UsageError: `unlabelled` or `groups` is none of these, or a window's recording does not have the attribute.
            TypeError: an argument of another name.
        """
        if wrong:
            raise TypeError(f"arrays: unknown argument {next(iter(wrong))!r}{suggest(next(iter(wrong)), _ARGUMENTS)}")
        rows = self._wanted(unlabelled, "arrays")
        names = self._groups(rows, groups, "arrays: groups")
        return Arrays(self._source.shelf.read(rows), self._source.labelled.codes.y[rows], names)

    def batches(
        self,
        size: int,
        *,
        shuffle: bool = False,
        seed: int = 0,
        epoch: int = 0,
        drop_last: bool = False,
        resume: int = 0,
        worker: tuple[int, int] = (0, 1),
        unlabelled: Unlabelled = "drop",
    ) -> Iterator[Batch]:
        """The windows in batches of `size`, without more of them in memory: in the order of `windows()`, or shuffled.

        The order is a function of (seed, epoch) alone. `resume` leaves out so many batches that were taken before;
        `worker` is (number, workers): each gets every so many-th batch, and taken in turn they are all, in that order.
        `drop_last` leaves out a last batch that is smaller; `unlabelled` is as for `arrays`.

        Raises:
            UsageError: an argument is out of range.
            CorruptError: a window is damaged, when its batch comes.
        """
        plan = BatchPlan(size, shuffle, seed, epoch, drop_last, resume, worker)
        return self._batches(plan, self._wanted_places(unlabelled, "batches"))

    def _batches(self, plan: BatchPlan, places: NDArray[np.int64]) -> Iterator[Batch]:
        shelf, y = self._source.shelf, self._source.labelled.codes.y
        for few in plan.batches(len(places)):
            chosen = places[few]
            rows = chosen if self._rows is None else self._rows[chosen]
            yield Batch(shelf.read(rows), y[rows], chosen)

    def split(
        self,
        shares: Mapping[str, float],
        *,
        by: str | None = None,
        stratified: bool = True,
        seed: int = 0,
        embargo: str | None = None,
        before: Split | Mapping[str, str] | None = None,
    ) -> Split:
        """The windows in parts of these shares, as in `{"train": 0.7, "val": 0.1, "test": 0.2}`, each a handle.

        `by` is what never lies in two parts: an attribute of the recordings, "device", "recording" (where None: the
        subject if recordings say one, else the device), or "time": the earliest part first, and between parts an
        `embargo` as in "10s", at least one window, whose windows are in none. `stratified` keeps the shares of labels
        alike. What a split assigned `before` stays there, so that a growing dataset moves no group.

        Raises:
            UsageError: shares that are not above 0 or not 1 together; too few groups; a window without one.
        """
        division, steps = divide(self, shares, by, stratified=stratified, seed=seed, embargo=embargo, before=before)
        return Split(self, division, {name: Dataset(self._source, self, step) for name, step in steps.items()})

    def folds(
        self,
        k: int = 5,
        *,
        by: str | None = None,
        stratified: bool = True,
        seed: int = 0,
        embargo: str | None = None,
        unlabelled: Unlabelled = "drop",
    ) -> list[tuple[NDArray[np.int64], NDArray[np.int64]]]:
        """`(train, test)` places of `k` folds in what `arrays(unlabelled)` gives, as scikit-learn's `cv=` takes them.

        The other arguments are those of `split`; with `by="time"` train lies before and after the fold's stretch.

        Raises `UsageError`.
        """
        labelled = self.select(self._wanted_places(unlabelled, "folds"))
        return folds_of(labelled, k, by, stratified=stratified, seed=seed, embargo=embargo)

    def leaks(
        self, parts: Mapping[str, Dataset], *, by: str | None = None, near: Nearness | None = NEARNESS
    ) -> tuple[Leak, ...]:
        """What two of the `parts` of this dataset share that they must not; () where nothing does.

        Groups by `by` (that of a `Split`; else as `split` goes by), windows of one device that overlap, equal windows,
        and with `near` nearly equal ones, which takes time in proportion to the product of the parts' sizes: None
        leaves it out.

        Raises:
            UsageError: a window has no such group.
            CorruptError: a window is damaged.
        """
        known = parts.by if isinstance(parts, Split) else default_group(self)
        group = by or known
        return find_leaks(parts, None if group == TIME else group, near)

    def shares(self) -> NDArray[np.float64]:
        """How much of each window each label covers: `(windows, classes) float64`, in the order of `windows()`.

        Soft targets, or with `shares() > 0` all labels of a window; a person's mark hides rules', as for the one label
        of a window, and a window's shares sum to more than 1 where labels overlap. The background's share is 1 where
        no mark touches; labels that `classes` does not have are left out.

        Raises `UsageError`.
        """
        return shares_of(self._source, np.arange(len(self)) if self._rows is None else self._rows)

    def step_labels(self) -> NDArray[np.int64]:
        """The label at each step of each window: `(windows, steps) int64`, index into `classes`, -1 for none
        or one that is not among them.

        It is that of the visible mark that holds the step's instant; where several do, the one that a person said
        later, then of the earlier start. The background is where no mark holds.

        Raises `UsageError`.
        """
        return steps_of(self._source, np.arange(len(self)) if self._rows is None else self._rows)

    def signals(self, places: NDArray[np.int64]) -> NDArray[np.float32]:
        """The windows at these places, `(windows, steps, channels) float32`. Raises `CorruptError`."""
        return self._source.shelf.read(places if self._rows is None else self._rows[places])

    def hashes(self) -> NDArray[np.uint8]:
        """The XXH3-128 of each window's bytes, `(windows, 16) uint8`."""
        whole = self._source.shelf.places.hash
        return whole if self._rows is None else whole[self._rows]

    @property
    def _y(self) -> NDArray[np.int64]:
        y = self._source.labelled.codes.y
        return y if self._rows is None else y[self._rows]

    def _wanted_places(self, unlabelled: Unlabelled, what: str) -> NDArray[np.int64]:
        """The places among these windows of those with a label, or of all."""
        if unlabelled not in ("drop", "keep"):
            raise UsageError(f'{what}: unlabelled: found "{unlabelled}"; use "drop" or "keep"')
        return np.flatnonzero(self._y >= 0) if unlabelled == "drop" else np.arange(len(self))

    def _wanted(self, unlabelled: Unlabelled, what: str) -> NDArray[np.int64]:
        places = self._wanted_places(unlabelled, what)
        return places if self._rows is None else self._rows[places]

    def _groups(self, rows: NDArray[np.int64], groups: str, where: str) -> NDArray[np.str_]:
        """What windows belong to, whose places among all are `rows`."""
        import polars as pl

        known = ("device", "recording", *self.attributes)
        if groups not in known:
            raise UsageError(f'{where}: found "{groups}"{suggest(str(groups), known)}')
        found = self._source.column(groups, rows)
        if found.null_count():
            row = rows[found.is_null().to_numpy()][:1]
            device, recording = (self._source.column(name, row)[0] for name in ("device", "recording"))
            raise UsageError(
                f'{where}: {found.null_count()} windows have no "{groups}", as those of recording '
                f"{recording} of {device}; give it by --set {groups}=… with its import"
            )
        if groups == "recording" and self._recordings_share_names:
            table = self._source.table(("device", "recording"), rows)
            found = table.select(pl.concat_str("device", "recording", separator="/")).to_series()
        return np.array(found.to_list(), dtype=np.str_)

    @cached_property
    def _recordings_share_names(self) -> bool:
        pairs = self.contents.index.select("device", "recording").unique()
        return pairs["recording"].n_unique() < len(pairs)


def _again(opening: Opening, steps: tuple[Step, ...]) -> Dataset:
    """The handle that was pickled."""
    found = Dataset(Source(opening))
    for step in steps:
        found = Dataset(found._source, found, step)
    return found


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
    joined = not isinstance(path, str | Path)
    paths = [path] if isinstance(path, str | Path) else list(path)
    return Dataset(Source(Opening(tuple(map(Path, paths)), joined, damaged, rules)))


def open_figures(path: str | Path) -> Dataset:
    """The dataset without what names windows and shards, for who only counts: its table takes half the memory.

    Raises as `open_dataset`.
    """
    return Dataset(Source(Opening((Path(path),), joined=False, damaged="raise", rules=None), FIGURES))
