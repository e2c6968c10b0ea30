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
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal, Never, SupportsIndex, TypeAlias, overload

import numpy as np
from numpy.typing import NDArray

from ingest.errors import UsageError
from ingest.settings import suggest
from windowing.dataset.answers import Arrays, Batch, Series, StreamArrays, Window
from windowing.dataset.batching import BatchPlan
from windowing.dataset.catalog import Damaged
from windowing.dataset.dividing import Leak, Split, default_group, divide, find_leaks, folds_of
from windowing.dataset.forecasting import Regression, regression_of
from windowing.dataset.grouping import TIME
from windowing.dataset.leaks import NEARNESS, Nearness
from windowing.dataset.lineage import Explanation, explain
from windowing.dataset.pinned import PinnedPart
from windowing.dataset.reading import FIGURES
from windowing.dataset.sampling import precision_of, samples_of, stream_arrays
from windowing.dataset.selected import Selected
from windowing.dataset.selecting import Rows, Step, Where, rows_of
from windowing.dataset.source import Opening, Source
from windowing.dataset.splits import kept_folds
from windowing.dataset.targets import shares_of, steps_of

if TYPE_CHECKING:
    import polars as pl

Unlabelled: TypeAlias = Literal["drop", "keep"]
_ARGUMENTS: Final = ("unlabelled", "groups", "per_stream", "source")


class Dataset(Selected):
    """A handle on an opened dataset, or on a selection of its windows; `open_dataset` makes it.

    What it knows is read when somebody asks. It pickles as what was opened, at which cut, and what was selected: who
    unpickles it has the same windows, whatever a service added meanwhile.
    """

    def __getitem__(self, place: int | slice) -> Window | Dataset:
        """A window by its place in `windows()`; of a slice a handle on its windows.

        Raises:
            IndexError: there is no such window.
            CorruptError: its bytes are not those that were written.
        """
        if isinstance(place, slice):
            return Dataset(self._source, self, Rows(np.arange(*place.indices(len(self)))))
        if isinstance(place, bool) or not hasattr(place, "__index__"):
            raise TypeError(f"a window's place is a whole number, not {place!r}; select(...) takes several, or a mask")
        at = place + len(self) if place < 0 else place
        if not 0 <= at < len(self):
            raise IndexError(f"window {place} of {len(self):,}")
        row = at if self._rows is None else int(self._rows[at])
        return Window(self.signals(np.array([at]))[0], int(self._source.labelled.codes.y[row]))

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

    @overload
    def arrays(
        self, unlabelled: Unlabelled = ..., *, groups: str = ..., per_stream: Literal[False] = ..., **wrong: Never
    ) -> Arrays: ...

    @overload
    def arrays(
        self,
        unlabelled: Unlabelled = ...,
        *,
        groups: str = ...,
        per_stream: Literal[True],
        source: str | Path | None = ...,
        **wrong: Never,
    ) -> StreamArrays: ...

    def arrays(
        self,
        unlabelled: Unlabelled = "drop",
        *,
        groups: str = "device",
        per_stream: bool = False,
        source: str | Path | None = None,
        **wrong: Never,
    ) -> Arrays | StreamArrays:
        """`X, y, groups` in the order of `windows()`.

        Windows without a label, or with one that is not in `classes`, are dropped: -1 would be a class like any other
        to scikit-learn. `"keep"` keeps them, with -1 in `y`. `groups` is what never belongs on both sides of a split:
        "device", "recording", or an attribute of the recordings, as in "subject".

        With `per_stream`, `X` has each stream at its own nominal rate in float64, from the window's first instant on,
        cut from the samples themselves by the rules that cut windows; `source` is as for `samples`.

        Raises:
            CorruptError: a window that is needed is damaged; nothing is returned.
            UsageError: `unlabelled` or `groups` is none of these, a window's recording does not have the attribute, or
                a stream has no one nominal rate.
            TypeError: an argument of another name.
        """
        if wrong:
            raise TypeError(f"arrays: unknown argument {next(iter(wrong))!r}{suggest(next(iter(wrong)), _ARGUMENTS)}")
        rows = self._wanted(unlabelled, "arrays")
        names = self._groups(rows, groups, "arrays: groups")
        y = self._source.labelled.codes.y[rows]
        if per_stream:
            return StreamArrays(stream_arrays(self, rows, source), y, names)
        return Arrays(self._source.shelf.read(rows), y, names)

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

    @property
    def parts(self) -> Mapping[str, Dataset]:
        """The parts of the version that was opened, each a handle on those of these windows that lie in it; {} where it
        has no split, or a cut was opened. Raises `CorruptError`."""
        pinned = self._source.pinned
        return {} if pinned is None else {name: self.part(name) for name in pinned.shares}

    def part(self, name: str) -> Dataset:
        """One of `parts`. Raises `UsageError` where there is none of that name."""
        pinned = self._source.pinned
        if pinned is None:
            raise UsageError(f'open: split: found "{name}", but {self._whole} has no split')
        if name not in pinned.shares:
            raise UsageError(f'open: split: found "{name}"{suggest(name, list(pinned.shares))}')
        return self.stepped(PinnedPart(name, pinned))

    def stepped(self, step: Step) -> Dataset:
        """A handle on the windows that a step selects."""
        return Dataset(self._source, self, step)

    @property
    def _whole(self) -> str:
        version = self._source.version
        return f"{self.contents.root} " + ("at its newest cut" if version is None else f"at {version.number}")

    def folds(
        self,
        k: int | None = None,
        *,
        by: str | None = None,
        stratified: bool = True,
        seed: int = 0,
        embargo: str | None = None,
        unlabelled: Unlabelled = "drop",
    ) -> list[tuple[NDArray[np.int64], NDArray[np.int64]]]:
        """`(train, test)` places of `k` folds in what `arrays(unlabelled)` gives, as scikit-learn's `cv=` takes them.

        Without a `k`, the folds that the opened version keeps, else 5. The other arguments are those of `split`; with
        `by="time"` train lies before and after the fold's stretch.

        Raises `UsageError`.
        """
        labelled = self.select(self._wanted_places(unlabelled, "folds"))
        pinned = self._source.pinned if k is None and by is None else None
        if pinned is not None and pinned.folds:
            return kept_folds(pinned.fold_of(labelled.columns), max(pinned.folds.values()) + 1)
        k = 5 if k is None else k
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

    def regression(self, *targets: str, horizon: int | str | Sequence[int] = 0) -> Regression:
        """Windows to predict channels from: `regression("motor.temp", horizon="10s")`.

        A target is its channel's value `horizon` behind the window's last step, in steps or as a time that is a whole
        number of them; several, as in `range(1, 25)`, give `y` an axis more. At 0 it is the value at the last step
        itself, and `X` lacks the targets' channels; beyond, nothing in `X` is later than its own window.
        Windows whose targets are not among these windows, or missing, are left out, and counted in `missing`: so a part
        of a split takes no target from another part.

        Raises:
            UsageError: a channel or a horizon is none.
            CorruptError: a window is damaged.
        """
        return regression_of(self, targets, horizon)

    def samples(
        self,
        device: str,
        stream: str,
        start: SupportsIndex | str | datetime,
        end: SupportsIndex | str | datetime,
        *,
        source: str | Path | None = None,
    ) -> Series | None:
        """The samples of a stream in `[start, end)`, ns UTC, ISO times or datetimes with a zone, as the sensor said
        them, in float64; None where there are none.

        They are read from the archive and the log beside the dataset, or from `source`: a log's URL, or the folder of
        either.

        Raises:
            UsageError: there is no such log, or it is not the one that the dataset was cut from; there is nothing, and
                these windows have no such device or stream.
            CorruptError: a file is damaged.
            LogUnavailableError: the log gives no answer.
        """
        return samples_of(self, device, stream, (start, end), source)

    def precision(self) -> pl.DataFrame:
        """What float32 leaves of each channel, from all these windows: channel, unit, largest (magnitude), step (the
        distance to the next number there, in the unit), and step_m, of latitudes and longitudes in degrees, in metres
        on the ground. `arrays(per_stream=True)` and `samples` have float64. Raises `CorruptError`."""
        signals = (batch.X for batch in self.batches(4096, unlabelled="keep"))
        return precision_of(self, signals)

    def explain(self, window: int | str) -> Explanation:
        """Where a window comes from, by place or id: offsets of the log, marks over it and which one decides, rules,
        configuration, code, and where its bytes lie; `print` it.

        Raises:
            IndexError: there is no such place.
            UsageError: there is no such window.
        """
        return explain(self, window)

    def step_labels(self) -> NDArray[np.int64]:
        """The label at each step of each window: `(windows, steps) int64`, index into `classes`, -1 for none
        or one that is not among them.

        It is that of the visible mark that holds the step's instant; where several do, the one that a person said
        later, then of the earlier start. The background is where no mark holds.

        Raises `UsageError`.
        """
        return steps_of(self._source, np.arange(len(self)) if self._rows is None else self._rows)

    def _wanted_places(self, unlabelled: Unlabelled, what: str) -> NDArray[np.int64]:
        """The places among these windows of those with a label, or of all."""
        if unlabelled not in ("drop", "keep"):
            raise UsageError(f'{what}: unlabelled: found "{unlabelled}"; use "drop" or "keep"')
        return np.flatnonzero(self._y >= 0) if unlabelled == "drop" else np.arange(len(self))

    def _wanted(self, unlabelled: Unlabelled, what: str) -> NDArray[np.int64]:
        places = self._wanted_places(unlabelled, what)
        return places if self._rows is None else self._rows[places]


def open_dataset(
    path: str | Path | Sequence[str | Path],
    *,
    damaged: Damaged = "raise",
    rules: str | None = None,
    version: str | None = None,
    split: str | None = None,
) -> Dataset:
    """The dataset in a folder, at its newest cut. See the module's text for what is checked when.

    `version` opens it as it was at a version, as in "1.3.0", or "latest"; `split` gives one part of that.

    Several folders, an old one and those that went on where it ended, are one dataset: their windows must be of one
    kind, and none in two of them. The last one's `[labels]` count; each one's windows are labelled by the rules that
    its own configuration names, whose marks it has read.
    `rules` counts, for all windows, the marks of another revision of the rules, which the last one has had, of "none"
    or of "all".

    Raises:
        UsageError: there is no dataset, `damaged` is neither "raise" nor "skip", or it never had such rules; it has no
            such version, or that one no such part; a version of several folders, or with other rules, is asked for.
        CorruptError: a file is damaged; with "skip", only where the labels of the others would suffer.
    """
    if damaged not in ("raise", "skip"):
        raise UsageError(f'open: damaged: found "{damaged}"; use "raise" or "skip"')
    joined = not isinstance(path, str | Path)
    paths = [path] if isinstance(path, str | Path) else list(path)
    if version is not None and (joined or rules is not None):
        raise UsageError("open: version: it is of one folder, and says itself which rules count")
    if split is not None and version is None:
        raise UsageError(f'open: split="{split}": say of which version, as in version="latest"')
    whole = Dataset(Source(Opening(tuple(map(Path, paths)), joined, damaged, rules, version=version)))
    return whole if split is None else whole.part(split)


def open_figures(path: str | Path) -> Dataset:
    """The dataset without what names windows and shards, for who only counts: its table takes half the memory.

    Raises as `open_dataset`.
    """
    return Dataset(Source(Opening((Path(path),), joined=False, damaged="raise", rules=None), FIGURES))
