"""Files of samples as columns: delimited text (also gzipped), Parquet, NumPy `.npy` and `.npz`, spreadsheets, MATLAB's
`.mat`, HDF5.

The kind of a file is seen from its first bytes, not from its name. A whole file is held in memory.
"""

from __future__ import annotations

from dataclasses import replace

from ingest.errors import UsageError
from ingest.importers.arrays import of_array, read_numpy, read_parquet
from ingest.importers.foreign import is_foreign, read_foreign
from ingest.importers.sheets import is_sheet, sheet_as_text
from ingest.importers.source import Lines, Source, Table, Wanted, read_source
from ingest.importers.text import read_text

__all__ = ["Lines", "Source", "Table", "Wanted", "read_source", "read_table"]


def read_table(source: Source, wanted: Wanted) -> Table:
    """The columns of a file that are wanted.

    Raises:
        UsageError: no such column or array, or a cell that is no number, with its line.
    """
    if is_sheet(source):
        text = sheet_as_text(source, wanted.array, decimal_comma=wanted.decimal_comma)
        return read_text(text, replace(wanted, decimal_comma=False))
    if is_foreign(source):
        return of_array(source, read_foreign(source, wanted.array), wanted)
    if wanted.array is not None and source.data[:2] != b"PK":
        raise UsageError(
            f"{source.path}: --array {wanted.array} is for files of several arrays or sheets, this is none"
        )
    if source.data[:4] == b"PAR1":
        return read_parquet(source, wanted)
    if source.data[:6] == b"\x93NUMPY" or source.data[:2] == b"PK":
        return read_numpy(source, wanted)
    return read_text(source, wanted)
