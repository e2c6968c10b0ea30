"""Files of samples as columns: delimited text (also gzipped), Parquet, NumPy `.npy` and `.npz`.

The kind of a file is seen from its first bytes, not from its name. A whole file is held in memory.
"""

from __future__ import annotations

from collections.abc import Sequence

from ingest.errors import UsageError
from ingest.importers.arrays import read_numpy, read_parquet
from ingest.importers.source import Lines, Source, Table, read_source
from ingest.importers.text import read_text

__all__ = ["Lines", "Source", "Table", "read_source", "read_table"]


def read_table(
    source: Source,
    columns: Sequence[str],
    time_column: str | None,
    array: str | None = None,
    *,
    decimal_comma: bool = False,
) -> Table:
    """The value columns, and the time column if one is wanted, of a file.

    `columns` names columns of the file; where the file has no names (text without a header, NumPy), it names all of
    the file's columns in their order, the time column among them.

    Raises:
        UsageError: no such column or array, or a cell that is no number, with its line.
    """
    if array is not None and source.data[:2] != b"PK":
        raise UsageError(f"{source.path}: --array {array} is for .npz files, this is none")
    if source.data[:4] == b"PAR1":
        return read_parquet(source, columns, time_column)
    if source.data[:6] == b"\x93NUMPY" or source.data[:2] == b"PK":
        return read_numpy(source, columns, time_column, array)
    return read_text(source, columns, time_column, decimal_comma)
