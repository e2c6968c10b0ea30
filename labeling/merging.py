"""Small Parquet files of equal columns as one: of the labels, and of what windows keep beside their signals."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import TYPE_CHECKING, Final

from ingest.engine.manifest import FileRef
from ingest.engine.operator import Draft
from ingest.engine.plan import folder_of
from ingest.errors import CorruptError

if TYPE_CHECKING:
    import polars as pl

TABLE_BYTES_MAX: Final = 16 << 20
"""No larger than this do tables become."""


class TableMerger:
    """`ingest.engine.merging.Merger` of an operator whose files are tables: rows follow one another as they came."""

    def takes(self, ref: FileRef) -> bool:
        """See `Merger`."""
        return True

    def alone(self, files: Sequence[FileRef]) -> bool:
        """See `Merger`."""
        return False

    def joins(self, older: FileRef, size: int) -> bool:
        """See `Merger`."""
        return older.bytes <= size and older.bytes + size <= TABLE_BYTES_MAX

    def merge(self, files: Sequence[tuple[FileRef, bytes]], tag: str) -> Sequence[Draft]:
        """See `Merger`."""
        return [table_draft(few[0][0], joined(few), tag) for few in by_folder(files)]


def by_folder(files: Sequence[tuple[FileRef, bytes]]) -> Iterator[list[tuple[FileRef, bytes]]]:
    """The files of each folder."""
    return (list(few) for _, few in groupby(files, key=lambda file: folder_of(file[0].name)))


def joined(files: Sequence[tuple[FileRef, bytes]]) -> pl.DataFrame:
    """All rows; a column that an earlier version did not write is null there. Raises `CorruptError`."""
    import polars as pl

    try:
        return pl.concat([pl.read_parquet(io.BytesIO(data)) for _, data in files], how="diagonal")
    except Exception as error:  # polars raises whatever its Parquet reader meets
        raise CorruptError(f"{folder_of(files[0][0].name)}: its tables cannot be joined: {error}") from None


def table_draft(like: FileRef, table: pl.DataFrame, tag: str) -> Draft:
    """The file of a table, named and placed as `like` is."""
    folder, _, name = like.name.rpartition("/")
    file = io.BytesIO()
    table.write_parquet(file, compression="zstd", compression_level=1)
    return Draft.of(folder, name.partition("-")[0], ".parquet", [file.getvalue()], len(table), tag)
