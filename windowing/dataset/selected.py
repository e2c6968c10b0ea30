"""The windows that a handle selects among all of an opened dataset, and what is known of each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from html import escape
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from ingest.errors import UsageError
from ingest.settings import suggest
from windowing.dataset.facts import Facts
from windowing.dataset.selecting import PartOf, Step
from windowing.dataset.source import Opening, Source

if TYPE_CHECKING:
    import polars as pl


class Selected(Facts):
    """Selected windows; a part of `windowing.dataset.reader.Dataset`."""

    def __init__(self, source: Source, parent: Selected | None = None, step: Step | None = None) -> None:
        super().__init__(source)
        self._parent: Final = parent
        self._step: Final = step

    def __reduce__(self) -> tuple[Any, ...]:
        return again, (type(self), self._source.opening, self._steps)

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

    @property
    def of_part(self) -> str | None:
        """The part of a split that these windows are of, or were selected from, as in "train"; None: of no split."""
        names = [step.name for step in self._steps if isinstance(step, PartOf)]
        return names[-1] if names else None

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


def again(kind: type[Selected], opening: Opening, steps: tuple[Step, ...]) -> Selected:
    """The handle that was pickled."""
    found = kind(Source(opening))
    for step in steps:
        found = kind(found._source, found, step)
    return found
