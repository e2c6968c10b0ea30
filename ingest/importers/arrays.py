"""Parquet, and NumPy's `.npy` and `.npz`, as columns; what they would unpack to is known before it is unpacked."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from ingest.errors import UsageError
from ingest.importers.mixing import ROWS, mixed
from ingest.importers.nested import Lists, class_names, lists_of
from ingest.importers.selecting import left_out, select
from ingest.importers.source import Source, Table, Wanted, as_text, inexact, named, positional, together, too_large
from ingest.settings import suggest

if TYPE_CHECKING:
    import polars as pl

_CELL_BYTES: Final = {
    **dict.fromkeys(("Boolean", "Int8", "UInt8"), 1),
    **dict.fromkeys(("Int16", "UInt16"), 2),
    **dict.fromkeys(("Int32", "UInt32", "Float32", "Date"), 4),
    **dict.fromkeys(("Int64", "UInt64", "Float64", "Datetime"), 8),
}
_CELL_BYTES_MAX: Final = 16
"""What polars takes for a cell of another type, and for the view of a text."""
_EXACT_MAX: Final = 1 << 53

# --- Parquet ----------------------------------------------------------------------------------------------------------


def read_parquet(source: Source, wanted: Wanted) -> Table:
    """The wanted columns of a Parquet file.

    Raises:
        UsageError: it is damaged or too large, has no such column, or one that holds no numbers.
    """
    import polars as pl
    import pyarrow as pa  # polars' own reader ends the process where a damaged file asks for 2 EB of memory
    from pyarrow import parquet

    try:
        file = parquet.ParquetFile(pa.BufferReader(source.data))
        lists = lists_of(source.path, file, schema := _schema(file), wanted.columns)
        names, texts = _channels(source.path, wanted, file.schema_arrow.names, schema, lists)
        read = list(dict.fromkeys([*map(lists.column, names), *wanted.apart]))
        rows = file.metadata.num_rows
        size = rows * sum(_cell_bytes(schema[name]) * lists.widths.get(name, 1) for name in read)
        if size > source.max_bytes:
            raise too_large(source.path, f"{rows:,} rows, {size:,} bytes", source.max_bytes)
        frame = _frame(file.read(columns=read)).select(read)
        notes = _mixed(file, [name for name in schema if name not in read and _is_name(schema[name])])
    except (
        pa.ArrowException,
        OSError,
        MemoryError,
        ValueError,
        pl.exceptions.PolarsError,
        pl.exceptions.PanicException,
    ) as error:
        words = (str(error) or type(error).__name__).splitlines()[0]
        raise UsageError(f"{source.path}: damaged Parquet file: {words}") from None
    arrays = [
        _column(frame[name], source.path) if name in frame.columns else lists.values(source.path, frame, name)
        for name in names
    ]
    metadata = file.metadata.metadata or {}
    utc = any(_pandas_utc(metadata, name) for name in wanted.time)
    return Table(
        source.path,
        np.column_stack(arrays),
        together([frame[name] for name in wanted.time]),
        names,
        {name: _named(as_text(frame[name]), class_names(metadata, name)) for name in wanted.keys},
        _own_units(metadata, names),
        utc=utc,
        notes=(*notes, *left_out(texts)),
    )


def _schema(file: Any) -> Mapping[str, pl.DataType]:
    return _frame(file.schema_arrow.empty_table()).schema


def _channels(
    path: str, wanted: Wanted, header: Sequence[str], schema: Mapping[str, pl.DataType], lists: Lists
) -> tuple[tuple[str, ...], list[str]]:
    """The columns that become channels, and those that a pattern would have taken were they not text."""
    import polars as pl

    named(path, wanted.apart, header)
    selected = select(path, lists.wanted(wanted.columns), lists.header(header), wanted.apart)
    texts = []
    for name in selected.names:
        if name not in schema or schema[name].is_numeric() or schema[name] == pl.Boolean:
            continue
        if name not in selected.by_pattern:
            raise UsageError(f'{path}: column "{name}" holds {schema[name]}, expected numbers')
        texts.append(name)
    names = tuple(name for name in selected.names if name not in texts)
    if not names:
        raise UsageError(f"{path}: no column of numbers fits --columns {','.join(wanted.columns)}")
    return names, texts


def _own_units(metadata: Mapping[bytes, bytes], names: Sequence[str]) -> tuple[str, ...]:
    """The channels' units in what `export recording` wrote; () where the file does not say all of them."""
    try:
        units = json.loads(metadata.get(b"sensorloom", b"{}")).get("units", {})
        return tuple(str(units[name]) for name in names)
    except (ValueError, KeyError, TypeError, AttributeError):
        return ()


def _cell_bytes(dtype: pl.DataType) -> int:
    return _CELL_BYTES.get(dtype.base_type().__name__, _CELL_BYTES_MAX)


def _named(codes: pl.Series, names: Mapping[str, str]) -> pl.Series:
    """Codes by their names; one that has none is empty, as datasets write -1 for what has no class."""
    import polars as pl

    return codes.replace_strict(names, default="", return_dtype=pl.String) if names else codes


def _frame(table: Any) -> pl.DataFrame:
    import polars as pl

    frame = pl.from_arrow(table)
    assert isinstance(frame, pl.DataFrame)
    return frame


def _is_name(dtype: pl.DataType) -> bool:
    """Whether a column may name things: text, also by numbers, or whole numbers."""
    import polars as pl

    return dtype in (pl.String, pl.Categorical, pl.Enum) or dtype.is_integer()


def _mixed(file: Any, names: list[str]) -> tuple[str, ...]:
    """What the columns that are not wanted say of the first rows."""
    import polars as pl

    first = next(file.iter_batches(ROWS, columns=names), None) if names else None
    if first is None:
        return ()
    frame = pl.DataFrame(first)
    told = mixed({name: frame[name].cast(pl.String).fill_null("").to_list() for name in names})
    return (told,) if told else ()


def _column(column: pl.Series, path: str) -> NDArray[Any]:
    """A column's numbers with NaN for nulls; integers become floats, beside floats or for a null, exactly or never."""
    import polars as pl

    if column.dtype.is_decimal():
        rounded = column.cast(pl.Float64).cast(column.dtype, strict=False)
        _check(column, (rounded != column).fill_null(value=True) & column.is_not_null(), path)
        column = column.cast(pl.Float64)
    elif column.dtype.is_integer() and column.dtype.is_numeric():
        wide = column.cast(pl.Int128)
        large = (wide > _EXACT_MAX) | (wide < -_EXACT_MAX)
        if large.any():
            _check(column, large & (column.cast(pl.Float64).cast(pl.Int128, strict=False) != wide), path)
            column = column.cast(pl.Float64)
        if column.dtype == pl.Int128:
            column = column.cast(pl.Int64)
    elif column.dtype == pl.Boolean:
        column = column.cast(pl.Float64)
    return column.to_numpy()


def _check(column: pl.Series, bad: pl.Series, path: str) -> None:
    if bad.any():
        row = bad.arg_max() or 0
        raise inexact(f"{path}: row {row}", column[row])


def _pandas_utc(metadata: Mapping[bytes, bytes], time_column: str | None) -> bool:
    """Whether pandas' own note in the file says that the column's times had a zone: then they lie there in UTC.

    https://pandas.pydata.org/docs/development/developer.html#storing-pandas-dataframe-objects-in-apache-parquet-format
    """
    try:
        noted = json.loads(metadata.get(b"pandas", b"{}"))
        return any(c["name"] == time_column and c["pandas_type"] == "datetimetz" for c in noted.get("columns", []))
    except (ValueError, KeyError, TypeError, AttributeError):
        return False


# --- NumPy ------------------------------------------------------------------------------------------------------------


def read_numpy(source: Source, wanted: Wanted) -> Table:
    """The wanted columns of an array, by position; of a structured one, by name.

    Raises:
        UsageError: it is damaged or too large, or no `(samples, channels)` of numbers.
    """
    return of_array(source, _load_array(source, wanted.array), wanted)


def of_array(source: Source, array: NDArray[Any], wanted: Wanted) -> Table:
    """The wanted columns of `(samples, channels)`, by position; of a structured array `(samples,)`, by name: a field
    that is an array itself has a channel for each place, as lists in Parquet have.

    Raises:
        UsageError: it has another shape, or holds no numbers.
    """
    import polars as pl

    path = source.path
    if array.dtype.names and array.ndim == 1:
        file = io.BytesIO()
        fields = {name: _field(path, name, array[name]) for name in array.dtype.names}
        pl.DataFrame(fields).write_parquet(file, compression="uncompressed")
        return read_parquet(replace(source, data=file.getvalue()), wanted)
    if array.ndim == 1:
        array = array[:, None]
    if array.ndim != 2 or array.dtype.kind not in "iuf":
        raise UsageError(
            f"{path}: found an array {array.shape} of {array.dtype}, expected (samples, channels) of numbers"
        )
    array = array.astype(array.dtype.newbyteorder("="), copy=False)
    indices = positional(path, wanted, array.shape[1])
    by_name = {name: pl.Series(array[:, wanted.columns.index(name)]) for name in wanted.apart}
    return Table(
        path,
        array[:, indices],
        together([by_name[name] for name in wanted.time]),
        tuple(wanted.columns[index] for index in indices),
        {name: as_text(by_name[name]) for name in wanted.keys},
    )


def _field(path: str, name: str, values: NDArray[Any]) -> pl.Series:
    """A field of a structured array as a column. Raises `UsageError`: it holds neither numbers, times nor texts."""
    import polars as pl

    kind = values.dtype.kind
    if kind == "O" and all(isinstance(value, str | bytes) for value in values.flat):  # as h5py gives texts
        values, kind = np.array([v.decode(errors="replace") if isinstance(v, bytes) else v for v in values.flat]), "U"
    elif kind == "S":
        values = np.char.decode(values, "utf-8", "replace")
    elif kind == "M" and np.datetime_data(values.dtype)[0] not in ("ns", "us", "ms"):
        values = values.astype("M8[ms]")
    elif kind == "f" and values.dtype.itemsize not in (4, 8):
        values = values.astype(np.float32 if values.dtype.itemsize < 4 else np.float64)
    if kind not in "biufMUS" or values.ndim > 2:
        raise UsageError(
            f'{path}: field "{name}" holds {values.dtype} {values.shape[1:] or ""}: neither numbers nor texts'
        )
    values = np.ascontiguousarray(values.astype(values.dtype.newbyteorder("="), copy=False))
    return pl.Series(name, values.tolist() if values.ndim == 2 else values)


def _load_array(source: Source, name: str | None) -> NDArray[Any]:
    try:
        if source.data[:2] != b"PK":
            return _load(source, io.BytesIO(source.data), len(source.data))
        with zipfile.ZipFile(io.BytesIO(source.data)) as archive:
            if not any(entry.endswith(".npy") for entry in archive.namelist()):
                held = ", ".join(archive.namelist()[:3])
                raise UsageError(f"{source.path}: is a ZIP archive of {held}; unpack it: folders and patterns are read")
            member = _member(source.path, [entry.removesuffix(".npy") for entry in archive.namelist()], name)
            entry = next(e for e in archive.infolist() if e.filename.removesuffix(".npy") == member)
            if entry.file_size > source.max_bytes:
                raise too_large(source.path, f"{entry.file_size:,} bytes", source.max_bytes)
            with archive.open(entry) as packed:
                return _load(source, io.BytesIO(packed.read()), entry.file_size)
    except UsageError:
        raise
    except Exception as error:  # a damaged header makes NumPy, zipfile, zlib and tokenize raise what they like
        shown = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise UsageError(f"{source.path}: not a NumPy file that can be read: {shown}") from None


def _member(path: str, names: list[str], name: str | None) -> str:
    if name is None and len(names) == 1:
        return names[0]
    if name is None:
        raise UsageError(f"{path}: holds the arrays {', '.join(names)}; choose one with --array")
    if name not in names:
        raise UsageError(f'{path}: no array "{name}"{suggest(name, names)}')
    return name


def _load(source: Source, file: io.BytesIO, size: int) -> NDArray[Any]:
    """The array of a `.npy`, whose header must not promise more than the file has."""
    version = np.lib.format.read_magic(file)
    read_header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, _, dtype = read_header(file)
    if dtype.hasobject:
        raise UsageError(
            f"{source.path}: holds Python objects, which could run anything and are not read; save numbers: "
            "numpy.save(FILE, array.astype(float))"
        )
    promised = (
        int(np.prod([int(length) for length in shape], dtype=object)) * dtype.itemsize if shape else dtype.itemsize
    )
    if promised > size - file.tell():
        raise UsageError(
            f"{source.path}: its header promises {promised:,} bytes, the file has {size - file.tell():,}; it is cut off"
        )
    file.seek(0)
    array: NDArray[Any] = np.lib.format.read_array(file, allow_pickle=False)
    return array
