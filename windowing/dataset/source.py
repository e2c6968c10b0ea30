"""What all handles of one opening of a dataset share: its documents, and what was parsed of it when somebody asked."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from ingest.errors import CorruptError, UsageError
from ingest.settings import suggest
from labeling.marks import ResolvedMark
from labeling.resolve import WindowLabels
from windowing.dataset.belongings import REMEDY
from windowing.dataset.catalog import Damaged
from windowing.dataset.configs import CurrentConfig
from windowing.dataset.contents import Contents
from windowing.dataset.freeing import return_freed
from windowing.dataset.heard import with_attributes
from windowing.dataset.index import (
    COLUMNS,
    LABEL_COLUMNS,
    ORDER,
    PLACE_COLUMN,
    coded,
    in_order,
    label_column,
    labels_of,
    read_placed,
)
from windowing.dataset.joining import join_contents
from windowing.dataset.labelled import Codes, codes_of
from windowing.dataset.pinned import PinnedSplit, read_split
from windowing.dataset.reading import Cut, Survey, contents_of, survey
from windowing.dataset.shelf import HASH_BYTES, Places, Shelf
from windowing.dataset.versions import labels_digest

if TYPE_CHECKING:
    import polars as pl

_LATER: Final = ("window", "coverage", "hash", "k", "offset")
"""What is read of the index when somebody asks for it."""
_READ: Final = tuple(name for name in COLUMNS if name not in ("window", "coverage"))
"""What is read at first: `k` to tell windows apart, and then let go."""
_TEXTS: Final = ("device", "recording", "anchor", "shard")


@dataclass(frozen=True, slots=True)
class Opening:
    """What says again what was opened, in another process too."""

    paths: tuple[Path, ...]
    joined: bool
    """Several datasets as one, also where it is one alone."""
    damaged: Damaged
    rules: str | None
    cuts: tuple[Cut, ...] = ()
    """Of each path; (): the newest."""
    version: str | None = None
    """Of the one path, its number, or "latest"; None: the cut."""


@dataclass(frozen=True, slots=True)
class Labelled:
    """The labels of windows, and the numbers of these."""

    labels: WindowLabels
    marks: tuple[ResolvedMark, ...]
    """What `labels.mark` indexes into."""
    codes: Codes


class Source:
    """An opening. Raises as `windowing.dataset.reader.open_dataset`."""

    def __init__(self, opening: Opening, columns: Sequence[str] | None = None) -> None:
        last = opening.paths[-1] if opening.paths else None
        whole = opening.joined or opening.damaged == "skip" or columns is not None
        surveys = [
            survey(
                path,
                opening.damaged,
                rules=opening.rules if path is last else None,
                at=opening.cuts[number] if opening.cuts else None,
                version=opening.version,
                ahead=not whole,
            )
            for number, path in enumerate(opening.paths)
        ]
        if opening.rules is not None:
            surveys = [replace(each, choice=surveys[-1].choice) for each in surveys]
        self.version: Final = surveys[-1].version if surveys else None
        """What was opened at; None: a cut."""
        self.opening: Final = replace(
            opening,
            paths=tuple(each.root for each in surveys),
            cuts=tuple(each.cut for each in surveys),
            version=None if self.version is None else str(self.version.number),
        )
        self._surveys: Final[Sequence[Survey]] = surveys
        self._columns: Final = columns or (_READ if not whole else (*COLUMNS, "hash", "offset"))
        self._numbered: Final = not whole
        if whole:
            _ = self.contents

    @property
    def unsure(self) -> bool:
        """Is an erasure not finished, so that nobody knows what the version holds?"""
        return bool(self._surveys) and self._surveys[-1].unsure

    @cached_property
    def contents(self) -> Contents:
        """All but the signals. Raises `CorruptError`."""
        joined = self.opening.joined
        found = [
            contents_of(each, self._columns, trimmed=not joined, numbered=self._numbered) for each in self._surveys
        ]
        if self._numbered:
            whole = replace(found[0], index=_compact(found[0].index))
        else:
            whole = join_contents(found) if joined else found[0]
        return_freed()
        return whole

    def current(self, root: Path) -> CurrentConfig:
        """The configuration that counts in the dataset in `root`."""
        return next(each.current for each in self._surveys if each.root == root)

    @cached_property
    def labelled(self) -> Labelled:
        """The windows' labels. Raises `CorruptError` where they are not those that a version had."""
        found, version = _labelled(self.contents), self.version
        return_freed()
        if version is not None and not self.contents.windows.damage and not self.unsure:
            was = version.body
            if labels_digest(found.labels) != was.digests.labels or list(found.codes.classes) != was.classes:
                raise CorruptError(
                    f"{self.contents.root}: version {version.number}: its windows have other labels than when it was "
                    f"made; {REMEDY}"
                )
        return found

    @cached_property
    def pinned(self) -> PinnedSplit | None:
        """How the version that was opened is split. Raises `CorruptError`."""
        if self.version is None or self.version.body.splits is None:
            return None
        return read_split(self.contents.root, self.version.body.splits)

    @cached_property
    def shelf(self) -> Shelf:
        """The signals."""
        contents = self.contents
        shard, names = coded(contents.index["shard"])
        hashes = np.frombuffer(b"".join(self.column("hash", None).to_list()), np.uint8).reshape(-1, HASH_BYTES)
        places = Places(shard.astype(np.int32), contents.index["row"].to_numpy(), hashes)
        window = contents.config.window
        return Shelf(contents.shards, names, places, window.length, len(window.channels))

    @property
    def names(self) -> tuple[str, ...]:
        """The columns that windows have, in their order."""
        held = set(self.contents.index.columns) | (set(_LATER) if self._numbered else set())
        shown = (name for name in COLUMNS if name in held)
        return (*shown, *LABEL_COLUMNS, *self.contents.recordings.columns[2:])

    def table(self, names: Sequence[str], rows: NDArray[np.int64] | None) -> pl.DataFrame:
        """These columns of these windows; of all where None. Raises `UsageError` for one that there is not."""
        import polars as pl

        for name in names:
            if name not in self.names:
                raise UsageError(f'select: found "{name}"{suggest(name, self.names)}')
        return pl.DataFrame([self.column(name, rows) for name in names])

    def column(self, name: str, rows: NDArray[np.int64] | None) -> pl.Series:
        """A column of these windows; of all where None."""
        import polars as pl

        index = self.contents.index
        if name in LABEL_COLUMNS:
            found = self.labelled
            return label_column(name, found.labels, found.marks, np.arange(len(index)) if rows is None else rows)
        if name in index.columns:
            column = index[name].cast(pl.String) if name in _TEXTS else index[name]
        elif name in _LATER:
            chains = self.contents.windows
            places = index[PLACE_COLUMN].to_numpy()
            column = read_placed(chains.folder, chains.of("index"), (name,), places)[name]
        else:
            keys = [index[key].cast(pl.String) for key in ("device", "recording")]
            column = with_attributes(pl.DataFrame(keys), self.contents.recordings)[name]
        return column if rows is None else column[rows]


def _compact(index: pl.DataFrame) -> pl.DataFrame:
    """The rows in a third of the memory: texts as numbers, and without what is read again by `place`; `index` is
    emptied."""
    import polars as pl

    columns = []
    for name in index.columns:
        column = index.drop_in_place(name)
        if name != "k":
            columns.append(column.cast(pl.Enum(column.unique().sort())) if name in _TEXTS else column)
    return pl.DataFrame(columns)


def _labelled(contents: Contents) -> Labelled:
    """The windows' labels; of several datasets, each by its own rules."""
    import polars as pl

    policy, known = contents.config.labels, contents.classes
    if len({part.choice.name for part in contents.parts}) == 1:
        marks = contents.choice.count(contents.marks.marks).marks
        labels = labels_of(contents.index, marks, policy)
        return Labelled(labels, marks, codes_of(labels, policy.classes, known))
    tables, unknown, every = [], Counter[str](), list[ResolvedMark]()
    for part in contents.parts:
        marks = part.choice.count(contents.marks.marks).marks
        labels = labels_of(part.index, marks, policy)
        codes = codes_of(labels, policy.classes, known)
        known = codes.classes
        unknown.update(codes.unknown)
        label = pl.Series([*labels.classes, None], dtype=pl.String)
        tables.append(
            part.index.select(ORDER).with_columns(
                pl.Series("y", codes.y),
                label.gather(np.where(labels.label < 0, len(label) - 1, labels.label)).alias("label"),
                pl.Series("share", labels.share),
                pl.Series("mark", np.where(labels.mark < 0, -1, labels.mark + len(every))),
            )
        )
        every += marks
    whole = in_order(pl.concat(tables))
    classes = tuple(whole["label"].drop_nulls().unique().sort())
    place = {label: number for number, label in enumerate(classes)}
    numbers = np.array([-1 if label is None else place[label] for label in whole["label"]], np.int64)
    joined = WindowLabels(classes, numbers, whole["share"].to_numpy(), whole["mark"].to_numpy())
    return Labelled(joined, tuple(every), Codes(known, whole["y"].to_numpy(), dict(unknown)))
