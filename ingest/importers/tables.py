"""Files of samples as arrays: delimited text (also gzipped), Parquet, NumPy `.npy` and `.npz`.

The kind of a file is seen from its first bytes, not from its name. A whole file is held in memory.
"""

from __future__ import annotations

import csv
import gzip
import hashlib
import io
import json
import re
import zipfile
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ingest.errors import UsageError
from ingest.settings import suggest

if TYPE_CHECKING:
    import polars as pl

EMPTY_CELLS = ("", "NA", "N/A", "NaN", "nan", "null", "NULL", "None", "-")
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?|[+-]?inf|[+-]?nan|NA|", re.IGNORECASE)
_TIME = re.compile(r"\d{4}-\d\d-\d\d.*")


@dataclass(frozen=True, slots=True)
class Source:
    """A file's content, unpacked where it was gzipped."""

    path: str
    data: bytes

    def digest(self) -> bytes:
        """The SHA-256 of the content: the same for a file and its gzipped form."""
        return hashlib.sha256(self.data).digest()


@dataclass(frozen=True, slots=True)
class Table:
    """The wanted columns of a file."""

    path: str
    values: NDArray[Any]
    """`(rows, channels)`, integers or float64 (float32 where the file says so); a missing cell is NaN."""
    time: pl.Series | None
    """The time column as the file has it: text, numbers or datetimes."""
    utc: bool = False
    """The file itself says that its times without a zone are UTC (pandas does so in Parquet)."""
    first_line: int = 0
    """The line of row 0 in a text file; 0 where rows have no lines."""

    def place(self, row: int) -> str:
        """Where a row lies in the file, for messages."""
        return f"{self.path}: {self.where(row)}"

    def where(self, row: int) -> str:
        """A row's line, or its number (from 0) where rows have no lines."""
        return f"line {row + self.first_line}" if self.first_line else f"row {row}"


def read_source(path: str | Path) -> Source:
    """The content of a file. Raises `UsageError` where it cannot be read."""
    try:
        data = Path(path).read_bytes()
        if data[:2] == b"\x1f\x8b":
            data = gzip.decompress(data)
    except FileNotFoundError:
        raise UsageError(f"{path}: no such file") from None
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise UsageError(f"{path}: damaged gzip file: {error}") from None
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror or error}") from None
    return Source(str(path), data)


def read_table(source: Source, columns: Sequence[str], time_column: str | None, array: str | None = None) -> Table:
    """The value columns, and the time column if one is wanted, of a file.

    `columns` names columns of the file; where the file has no names (text without a header, NumPy), it names all of
    the file's columns in their order, the time column among them.

    Raises:
        UsageError: no such column or array, or a cell that is no number, with its line.
    """
    if array is not None and source.data[:2] != b"PK":
        raise UsageError(f"{source.path}: --array {array} is for .npz files, this is none")
    if source.data[:4] == b"PAR1":
        return _read_parquet(source, columns, time_column)
    if source.data[:6] == b"\x93NUMPY" or source.data[:2] == b"PK":
        return _read_numpy(source, columns, time_column, array)
    return _read_text(source, columns, time_column)


def _positional(path: str, names: Sequence[str], found: int, time_column: str | None) -> list[int]:
    """The indices of the value columns in a file whose columns have no names."""
    if len(names) != found:
        raise UsageError(
            f"{path}: the file has {found} columns and no header, --columns names {len(names)} "
            f"({', '.join(names)}); name all of them in order"
        )
    if time_column is not None and time_column not in names:
        raise UsageError(f'{path}: --time-column "{time_column}" is not among --columns{suggest(time_column, names)}')
    return [i for i, name in enumerate(names) if name != time_column]


def _named(path: str, wanted: Sequence[str], header: Sequence[str]) -> list[int]:
    """The indices of the wanted columns in a header."""
    for name in wanted:
        if name not in header:
            raise UsageError(f'{path}: no column "{name}"{suggest(name, header)}')
        if header.count(name) > 1:
            raise UsageError(f'{path}: the header has {header.count(name)} columns "{name}"; make their names differ')
    return [header.index(name) for name in wanted]


# --- text -------------------------------------------------------------------------------------------------------------


def _read_text(source: Source, columns: Sequence[str], time_column: str | None) -> Table:
    text = source.data.removeprefix(b"\xef\xbb\xbf")
    if text[-2:].isspace():  # blank lines at the end; one line feed may stay, which spares a copy
        text = text.rstrip()
    if not text or text.isspace():
        raise UsageError(f"{source.path}: the file is empty")
    if b"\0" in text[:4096]:
        raise UsageError(f"{source.path}: neither text, Parquet nor NumPy; these can be imported, also gzipped")
    body = text.lstrip(b"\r\n")
    line = 1 + text[: len(text) - len(body)].count(b"\n")
    first_end = body.find(b"\n") if b"\n" in body else len(body)
    first = body[:first_end].decode(errors="replace").rstrip("\r")
    separator = _separator(first)
    words = first.split() if separator == " " else next(csv.reader([first], delimiter=separator, skipinitialspace=True))
    fields = [field.strip() for field in words]
    if all(_NUMBER.fullmatch(field) or _TIME.fullmatch(field) for field in fields):
        value_indices = _positional(source.path, columns, len(fields), time_column)
        time_index = None if time_column is None else list(columns).index(time_column)
    else:
        value_indices = _named(source.path, [name for name in columns if name != time_column], fields)
        time_index = None if time_column is None else _named(source.path, [time_column], fields)[0]
        body = body[first_end + 1 :]
        line += 1
    if not body:
        raise UsageError(f"{source.path}: a header and no rows")
    shape = _Shape(source.path, separator, len(fields), value_indices, time_index, line)
    values, time = _parse_spaced(body, shape) if separator == " " else _parse(body, shape)
    return Table(source.path, values, time, first_line=line)


def _separator(line: str) -> str:
    """Comma, semicolon or tab, whichever the line has; " " stands for any run of blanks."""
    separator = max(",;", key=line.count)
    if separator in line:
        return separator
    mixed = " " in line and all(_NUMBER.fullmatch(word) for word in line.split())
    return "\t" if "\t" in line and not mixed else " "


@dataclass(frozen=True, slots=True)
class _Shape:
    """How the rows of a text lie."""

    path: str
    separator: str
    width: int
    values: list[int]
    time: int | None
    line: int


def _parse_spaced(body: bytes, shape: _Shape) -> tuple[NDArray[Any], pl.Series | None]:
    """Columns separated by any run of blanks.

    Text with exactly one space everywhere is parsed as it is: that it was so shows in that no cell came out empty.
    A short row is an error here, for nobody can tell which of its cells is missing.
    """
    if len(shape.values) == shape.width:
        try:
            values, time = _parse(body, shape)
        except UsageError:
            pass
        else:
            if not np.isnan(values).any():
                return values, time
    body = _single_spaces(body)
    for number, row in enumerate(body.split(b"\n"), shape.line):
        if row.count(b" ") + 1 < shape.width:
            raise UsageError(
                f"{shape.path}: line {number}: found {len(row.split())} columns, expected {shape.width}; "
                "write NA where a cell is missing"
            )
    return _parse(body, shape)


def _single_spaces(body: bytes) -> bytes:
    """The same with exactly one space between columns and none at the ends of lines."""
    return re.sub(rb" ?\n ?", b"\n", re.sub(rb"[ \t\r]+", b" ", body)).strip(b" \n")


def _parse(body: bytes, shape: _Shape) -> tuple[NDArray[Any], pl.Series | None]:
    """The value columns as float64 and the time column as text; the slow path finds the line of what is no number."""
    import polars as pl

    wanted = sorted({*shape.values, *([] if shape.time is None else [shape.time])})
    frame: pl.DataFrame | None = None
    for kind in (pl.Float64, pl.String):
        try:
            frame = pl.read_csv(
                io.BytesIO(body),
                has_header=False,
                separator=shape.separator,
                schema={f"c{i}": kind if i in shape.values else pl.String for i in range(shape.width)},
                columns=wanted,
                encoding="utf8-lossy",
            )
            break
        except pl.exceptions.PolarsError as error:
            if kind == pl.String:
                raise UsageError(f"{shape.path}: {_wide_row(body, shape) or error}") from None
    assert frame is not None
    arrays = [_numbers(frame[f"c{i}"], shape) for i in shape.values]
    return np.column_stack(arrays), None if shape.time is None else frame[f"c{shape.time}"]


def _wide_row(body: bytes, shape: _Shape) -> str | None:
    rows = csv.reader(io.StringIO(body.decode(errors="replace")), delimiter=shape.separator)
    for number, row in enumerate(rows, shape.line):
        if len(row) > shape.width:
            return f"line {number}: found {len(row)} columns, expected {shape.width}"
    return None


def _numbers(column: pl.Series, shape: _Shape) -> NDArray[np.float64]:
    """A column as float64 with NaN for empty cells."""
    import polars as pl

    if column.dtype == pl.String:
        text = column.str.strip_chars()
        column = text.cast(pl.Float64, strict=False)
        bad = column.is_null() & text.is_not_null() & ~text.is_in(EMPTY_CELLS)
        row = bad.arg_max()
        if row is not None and bad[row]:
            raise UsageError(
                f'{shape.path}: line {row + shape.line}: "{text[row]}" is no number; empty cells are "" or one of '
                f"{', '.join(EMPTY_CELLS[1:])}"
            )
    return column.cast(pl.Float64).fill_null(float("nan")).to_numpy()


# --- Parquet ----------------------------------------------------------------------------------------------------------


def _read_parquet(source: Source, columns: Sequence[str], time_column: str | None) -> Table:
    import polars as pl

    columns = [name for name in columns if name != time_column]
    wanted = [*columns, *([time_column] if time_column else [])]
    try:
        _named(source.path, wanted, list(pl.read_parquet_schema(io.BytesIO(source.data))))
        frame = pl.read_parquet(io.BytesIO(source.data), columns=wanted)
    except pl.exceptions.PolarsError as error:
        raise UsageError(f"{source.path}: damaged Parquet file: {error}") from None
    arrays = []
    for name in columns:
        column = frame[name]
        if not (column.dtype.is_numeric() or column.dtype == pl.Boolean):
            raise UsageError(f'{source.path}: column "{name}" holds {column.dtype}, expected numbers')
        if column.dtype == pl.Boolean or column.dtype.is_decimal():
            column = column.cast(pl.Float64)
        arrays.append(column.to_numpy())
    time = frame[time_column] if time_column else None
    return Table(source.path, np.column_stack(arrays), time, utc=_pandas_utc(source.data, time_column))


def _pandas_utc(data: bytes, time_column: str | None) -> bool:
    """Whether pandas' own note in the file says that the column's times had a zone: then they lie there in UTC.

    https://pandas.pydata.org/docs/development/developer.html#storing-pandas-dataframe-objects-in-apache-parquet-format
    """
    import polars as pl

    try:
        noted = json.loads(pl.read_parquet_metadata(io.BytesIO(data)).get("pandas", "{}"))
        return any(c["name"] == time_column and c["pandas_type"] == "datetimetz" for c in noted.get("columns", []))
    except (ValueError, KeyError, TypeError, AttributeError):
        return False


# --- NumPy ------------------------------------------------------------------------------------------------------------


def _read_numpy(source: Source, columns: Sequence[str], time_column: str | None, name: str | None) -> Table:
    import polars as pl

    array = _load_array(source, name)
    if array.ndim == 1:
        array = array[:, None]
    if array.ndim != 2 or array.dtype.kind not in "iuf":
        raise UsageError(
            f"{source.path}: found an array {array.shape} of {array.dtype}, expected (samples, channels) of numbers"
        )
    array = array.astype(array.dtype.newbyteorder("="), copy=False)
    indices = _positional(source.path, columns, array.shape[1], time_column)
    time = None if time_column is None else pl.Series(array[:, list(columns).index(time_column)])
    return Table(source.path, array[:, indices], time)


def _load_array(source: Source, name: str | None) -> NDArray[Any]:
    try:
        loaded = np.load(io.BytesIO(source.data), allow_pickle=False)
        if isinstance(loaded, np.ndarray):
            return loaded
        names = list(loaded.files)
        if name is None and len(names) == 1:
            name = names[0]
        if name is None:
            raise UsageError(f"{source.path}: holds the arrays {', '.join(names)}; choose one with --array")
        if name not in names:
            raise UsageError(f'{source.path}: no array "{name}"{suggest(name, names)}')
        array: NDArray[Any] = loaded[name]
        return array
    except (ValueError, OSError, EOFError, KeyError, zipfile.BadZipFile, zlib.error) as error:
        raise UsageError(f"{source.path}: not a NumPy file that can be read: {error}") from None
