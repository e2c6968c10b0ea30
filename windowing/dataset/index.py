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


def in_order(index: pl.DataFrame) -> pl.DataFrame:
    """The rows in the order of windows; `index` is emptied, so that no more than a column of it is there twice.

    Polars would sort by rows of all keys, texts included: twice the table itself.
    """
    keys = []
    for name in ORDER:
        column = index[name]
        if column.dtype == pl.String:
            column = column.cast(pl.Enum(column.unique().sort())).to_physical()
        keys.append(column.to_numpy())
    order = pl.Series(np.lexsort(keys[::-1]))
    return pl.DataFrame([index.drop_in_place(name).gather(order) for name in index.columns])


def label_windows(
    index: pl.DataFrame, marks: tuple[ResolvedMark, ...], policy: LabelPolicy
) -> tuple[pl.DataFrame, WindowLabels]:
    """The windows, which are in their order, with the columns of `LABEL_COLUMNS`; and the labels as arrays."""
    table = index
    devices = table["device"].unique().sort()
    code = table["device"].replace_strict(devices, range(len(devices)), return_dtype=pl.Int64)
    known = pl.DataFrame(
        [(mark.device, mark.id, place) for place, mark in enumerate(marks)],
        schema={"device": pl.String, "anchor": pl.String, "place": pl.Int64},
        orient="row",
    )
    anchor = table.select("device", "anchor").join(known, ["device", "anchor"], "left", maintain_order="left")["place"]
    times = WindowTimes(
        tuple(devices),
        code.to_numpy(),
        table["t0_ns"].to_numpy(),
        table["t1_ns"].to_numpy(),
        anchor.fill_null(-1).to_numpy(),
    )
    labels = resolve(times, marks, policy)
    marked_ns = pl.Series([*(mark.marked_ns for mark in marks), None], dtype=pl.Int64)
    return table.with_columns(
        _named(labels.label, labels.classes).alias("label"),
        pl.Series("share", labels.share),
        _named(labels.mark, [mark.id for mark in marks]).alias("mark"),
        _named(labels.mark, [mark.author for mark in marks]).alias("author"),
        _named(labels.mark, [mark.tool for mark in marks]).alias("tool"),
        _of_marks(labels.mark, marked_ns).alias("mark_time_ns"),
        _named(labels.mark, [mark.revision or None for mark in marks]).alias("revision"),
    ), labels


def _named(codes: NDArray[np.int64], names: Iterable[str | None]) -> pl.Series:
    """The names that `codes` index, null for -1."""
    return _of_marks(codes, pl.Series([*names, None], dtype=pl.String))


def _of_marks(codes: NDArray[np.int64], table: pl.Series) -> pl.Series:
    """The values that `codes` index; for -1 the last one, which is null."""
    return table.gather(np.where(codes < 0, len(table) - 1, codes))
