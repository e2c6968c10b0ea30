"""The index of windows: Parquet files beside the shards, one row a window."""

from __future__ import annotations

import io
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from ingest.engine.manifest import FileRef
from ingest.errors import CorruptError
from labeling.lines import WindowTimes
from labeling.marks import ResolvedMark
from labeling.resolve import LabelPolicy, WindowLabels, resolve
from windowing.dataset.belongings import REMEDY
from windowing.dataset.catalog import Damage, Damaged, read_checked

ORDER: Final = ("device", "t0_ns", "recording", "anchor", "k")
"""The order of windows everywhere: device, then time."""
COLUMNS: Final = ("window", "device", "recording", "anchor", "k", "t0_ns", "t1_ns", "shard", "row", "coverage")
"""The columns of an index file that people see, in their order."""
PLACE: Final = ("device", "recording", "anchor", "k")
"""What makes a window this one, with the spec."""
PLACE_COLUMN: Final = "place"
"""A window's number among the rows of all index files: what was not read at first is found by it later."""
_NO_MARKS: Final = frozenset(("epoch", "recording"))
"""Anchors that name no mark."""
LABEL_COLUMNS: Final = ("label", "share", "mark", "author", "tool", "mark_time_ns", "revision")
"""What labels add to them."""
_TOGETHER: Final = 500
"""So many files are read by one call."""
INDEX_SCHEMA: Final = {
    "window": pl.String,
    "device": pl.String,
    "recording": pl.String,
    "anchor": pl.String,
    "k": pl.Int64,
    "t0_ns": pl.Int64,
    "t1_ns": pl.Int64,
    "shard": pl.String,
    "row": pl.Int64,
    "coverage": pl.Float32,
    "mask": pl.Binary,
    "offset": pl.Int64,
    "hash": pl.Binary,
}
"""The columns of an index file, as `windowing.fold.shards.index_table` makes and explains them."""


def read_index(
    folder: Path, refs: Sequence[FileRef], damaged: Damaged, columns: Sequence[str] = COLUMNS
) -> tuple[pl.DataFrame, list[Damage]]:
    """These columns of index files, rows and files in their order, and the files that were skipped.

    Raises:
        CorruptError: a file is damaged, and `damaged` says "raise".
    """
    tables, skipped = [pl.DataFrame(schema={name: INDEX_SCHEMA[name] for name in columns})], []
    for begin in range(0, len(refs), _TOGETHER):
        few = refs[begin : begin + _TOGETHER]
        table = _read_together(folder, few, columns)
        if table is not None:
            tables.append(table)
            continue
        for ref in few:
            try:
                data = read_checked(folder, ref)
                tables.append(parse_index(data, folder / ref.name, ref.rows).select(columns))
            except CorruptError as error:
                if damaged == "raise":
                    raise
                skipped.append(Damage(ref.name, str(error), ref.rows))
    return pl.concat(tables), skipped


def _read_together(folder: Path, refs: Sequence[FileRef], columns: Sequence[str]) -> pl.DataFrame | None:
    """The rows of many files by one call, which costs a third of one each; None where something is wrong with any."""
    try:
        files = [read_checked(folder, ref) for ref in refs]
        table = pl.read_parquet(files, columns=list(columns))
    except Exception:  # polars raises whatever its Parquet reader meets; who reads them one by one names the file
        return None
    wanted = {name: INDEX_SCHEMA[name] for name in columns}
    return table if table.schema == wanted and len(table) == sum(ref.rows for ref in refs) else None


def parse_index(data: bytes, where: Path, rows: int) -> pl.DataFrame:
    """The table in an index file's bytes. Raises `CorruptError` where it is not what a windower writes."""
    try:
        table = pl.read_parquet(io.BytesIO(data))
    except Exception as error:  # polars raises whatever its Parquet reader meets
        raise CorruptError(f"{where}: not Parquet: {error}; {REMEDY}") from None
    if table.schema != INDEX_SCHEMA or len(table) != rows:
        raise CorruptError(
            f"{where}: found {len(table)} rows of {', '.join(table.columns)}, expected {rows} of "
            f"{', '.join(INDEX_SCHEMA)}; {REMEDY}"
        )
    return table


def once(index: pl.DataFrame) -> tuple[pl.DataFrame, int]:
    """The rows of each window's first coming, and how many others are left out; the rows come in the log's order.

    What operators know of a recording is forgotten some time after its end. Samples that come again later still, from a
    card out of a drawer or a file that is imported once more, are cut again into the windows that are there.
    """
    code = index.select(PLACE).hash_rows()
    if code.n_unique() == len(index):
        return index, 0
    near = pl.arg_where(code.is_duplicated(), eager=True)
    again = near.filter(~index.select(PLACE)[near].select(pl.struct(PLACE).is_first_distinct()).to_series())
    kept = np.ones(len(index), bool)
    kept[again.to_numpy()] = False
    return index.filter(pl.Series(kept)), len(again)


def numbered_rows(index: pl.DataFrame) -> pl.DataFrame:
    """The rows with their number among those of all files, as `PLACE_COLUMN`."""
    return index.with_columns(pl.Series(PLACE_COLUMN, np.arange(len(index), dtype=np.int32)))


def read_placed(
    folder: Path, refs: Sequence[FileRef], columns: Sequence[str], places: NDArray[np.int32]
) -> pl.DataFrame:
    """These columns of the rows whose numbers among all are `places`, which were read of the same files before.

    Raises:
        CorruptError: a file is damaged, or missing by now.
    """
    return read_index(folder, refs, "raise", columns)[0][pl.Series(places)]


def in_order(index: pl.DataFrame) -> pl.DataFrame:
    """The rows in the order of windows; `index` is emptied, so that no more than a column of it is there twice.

    Polars would sort by rows of all keys, texts included: twice the table itself.
    """
    device, t0_ns = coded(index["device"])[0], index["t0_ns"].to_numpy()
    small = np.min_scalar_type(int(device.max(initial=0)))
    order = np.argsort(device.astype(small), kind="stable")
    first, second = device[order], t0_ns[order]
    if not bool(((first[1:] > first[:-1]) | (second[1:] > second[:-1])).all()):
        others = [coded(index[name])[0] if index[name].dtype == pl.String else index[name].to_numpy() for name in ORDER]
        order = np.lexsort(others[::-1])
    elif bool((order[1:] > order[:-1]).all()):
        return pl.DataFrame([index.drop_in_place(name) for name in index.columns])
    chosen = pl.Series(order)
    return pl.DataFrame([index.drop_in_place(name).gather(chosen) for name in index.columns])


def coded(column: pl.Series) -> tuple[NDArray[np.int64], tuple[str, ...]]:
    """The texts of a column as numbers in the order of the texts, and the texts."""
    names = column.unique().cast(pl.String).sort()
    return column.cast(pl.Enum(names)).to_physical().to_numpy().astype(np.int64), tuple(names)


def labels_of(index: pl.DataFrame, marks: tuple[ResolvedMark, ...], policy: LabelPolicy) -> WindowLabels:
    """The labels of windows as arrays."""
    return resolve(window_times(index, marks), marks, policy)


def window_times(index: pl.DataFrame, marks: tuple[ResolvedMark, ...]) -> WindowTimes:
    """The windows' times as columns, and the marks that they are anchored at."""
    device, names = coded(index["device"])
    return WindowTimes(names, device, index["t0_ns"].to_numpy(), index["t1_ns"].to_numpy(), _anchors(index, marks))


def _anchors(index: pl.DataFrame, marks: tuple[ResolvedMark, ...]) -> NDArray[np.int64] | None:
    if not set(index["anchor"].unique()) - _NO_MARKS:
        return None
    known = pl.DataFrame(
        [(mark.device, mark.id, place) for place, mark in enumerate(marks)],
        schema={"device": pl.String, "anchor": pl.String, "place": pl.Int64},
        orient="row",
    )
    texts = index.select(pl.col("device", "anchor").cast(pl.String))
    anchor = texts.join(known, ["device", "anchor"], "left", maintain_order="left")["place"]
    return anchor.fill_null(-1).to_numpy()


def label_windows(
    index: pl.DataFrame, marks: tuple[ResolvedMark, ...], policy: LabelPolicy
) -> tuple[pl.DataFrame, WindowLabels]:
    """The windows, which are in their order, with the columns of `LABEL_COLUMNS`; and the labels as arrays."""
    labels = labels_of(index, marks, policy)
    rows = np.arange(len(index))
    return index.with_columns(label_column(name, labels, marks, rows) for name in LABEL_COLUMNS), labels


def label_column(name: str, labels: WindowLabels, marks: Sequence[ResolvedMark], rows: NDArray[np.int64]) -> pl.Series:
    """One of `LABEL_COLUMNS` of these windows."""
    if name == "share":
        return pl.Series(name, labels.share[rows])
    if name == "label":
        return _named(labels.label[rows], labels.classes).alias(name)
    if name == "mark_time_ns":
        table = pl.Series([*(mark.marked_ns for mark in marks), None], dtype=pl.Int64)
        return _of_marks(labels.mark[rows], table).alias(name)
    field = "id" if name == "mark" else name
    told = [getattr(mark, field) for mark in marks]
    return _named(labels.mark[rows], [it or None for it in told] if name == "revision" else told).alias(name)


def _named(codes: NDArray[np.int64], names: Iterable[str | None]) -> pl.Series:
    """The names that `codes` index, null for -1."""
    return _of_marks(codes, pl.Series([*names, None], dtype=pl.String))


def _of_marks(codes: NDArray[np.int64], table: pl.Series) -> pl.Series:
    """The values that `codes` index; for -1 the last one, which is null."""
    return table.gather(np.where(codes < 0, len(table) - 1, codes))
