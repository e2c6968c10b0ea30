"""What an import reads: a file's content within bounds, and the columns of it that are wanted."""

from __future__ import annotations

import gzip
import hashlib
import io
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from ingest.errors import UsageError
from ingest.settings import suggest

if TYPE_CHECKING:
    import polars as pl

MAX_BYTES: Final = 1_000_000_000
"""What a packed file may unpack to, unless `--max-bytes` says otherwise: some kilobytes can hold gigabytes."""

_PIECE_BYTES: Final = 1 << 20
_SHOWN_MAX: Final = 60
"""Names of columns in a message, and characters of each."""


@dataclass(frozen=True, slots=True)
class Source:
    """A file's content, unpacked where it was gzipped."""

    path: str
    data: bytes
    max_bytes: int = MAX_BYTES
    """What may be unpacked of it: the arrays of an `.npz`, the columns of a Parquet file."""

    def digest(self) -> bytes:
        """The SHA-256 of the content: the same for a file and its gzipped form."""
        return hashlib.sha256(self.data).digest()


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is asked of a file."""

    columns: tuple[str, ...]
    """What becomes channels: names, ranges `A..B`, patterns with `*`. Where the file names no columns these name all of
    its columns in their order, those below among them."""
    time: tuple[str, ...] = ()
    """The columns that tell a row's time together; none: the rows have no time of their own."""
    keys: tuple[str, ...] = ()
    """Columns that are wanted as text."""
    array: str | None = None
    """Which array (or variable, sheet, data set) of a file that has several."""
    decimal_comma: bool = False
    """Numbers of a text are written as 0,5."""
    skip_rows: int = 0
    """So many lines of a text stand before anything that counts."""
    units_row: bool = False
    """The line behind the header has the units."""
    encoding: str | None = None
    """Of a text, where it is not UTF-8 and does not say so itself."""
    thousands: str = ""
    """What stands between the thousands of its numbers, as in 1.234,5; empty: nothing."""

    @property
    def apart(self) -> tuple[str, ...]:
        """The columns that become no channels."""
        return (*self.time, *(name for name in self.keys if name not in self.time))


@dataclass(frozen=True, slots=True)
class Lines:
    """What became of the lines of a text: `total` is the sum of the others and of the rows."""

    total: int = 0
    header: int = 0
    """Those of names, and of units."""
    comments: int = 0
    """Lines that begin with `#` (before the header also `%` and `//`)."""
    blank: int = 0
    continued: int = 0
    """Lines that a quoted cell goes on over."""
    torn: int = 0
    """A last line that was cut off: it is no row."""
    short: int = 0
    """Rows that end before their last column: the cells that they lack are missing. They are among the rows."""
    skipped: int = 0
    """Lines before all others that nobody wanted to be looked at."""


@dataclass(frozen=True, slots=True)
class Table:
    """The wanted columns of a file."""

    path: str
    values: NDArray[Any]
    """`(rows, channels)`, integers or float64 (float32 where the file says so); a missing cell is NaN."""
    time: pl.Series | None
    """The time column as the file has it: text, numbers or datetimes; of several, their texts with a blank between."""
    names: tuple[str, ...] = ()
    """Of the channels: the columns that were meant."""
    keys: Mapping[str, pl.Series] = field(default_factory=dict)
    """The other columns that were wanted, as text; what is missing is empty."""
    units: tuple[str, ...] = ()
    """Of the channels, as a row of the file says them; empty where it has none."""
    separator: str = ""
    """Of a text; " " stands for any run of blanks."""
    utc: bool = False
    """The file itself says that its times without a zone are UTC (pandas does so in Parquet)."""
    row_lines: NDArray[np.int64] | None = None
    """The line of each row in a text file; None where rows have no lines."""
    row_numbers: NDArray[np.int64] | None = None
    """The number of each row in the file; None: they are all there."""
    lines: Lines | None = None
    notes: tuple[str, ...] = field(default=())
    """What a person should know about the file, each a sentence."""

    def place(self, row: int) -> str:
        """Where a row lies in the file, for messages."""
        return f"{self.path}: {self.where(row)}"

    def where(self, row: int) -> str:
        """A row's line, or its number (from 0) where rows have no lines."""
        if self.row_lines is not None:
            return f"line {self.row_lines[row]}"
        return f"row {row if self.row_numbers is None else self.row_numbers[row]}"

    def part(self, rows: NDArray[np.int64]) -> Table:
        """Some of the rows."""
        return replace(
            self,
            values=self.values[rows],
            time=None if self.time is None else self.time[rows],
            keys={name: key[rows] for name, key in self.keys.items()},
            row_lines=None if self.row_lines is None else self.row_lines[rows],
            row_numbers=rows,
        )


def read_source(path: str | Path, max_bytes: int = MAX_BYTES) -> Source:
    """The content of a file.

    Raises:
        UsageError: it cannot be read, or unpacks to more than `max_bytes`.
    """
    try:
        data = Path(path).read_bytes()
        if data[:2] == b"\x1f\x8b":
            data = _unpacked(str(path), data, max_bytes)
    except FileNotFoundError:
        raise UsageError(f"{path}: no such file") from None
    except IsADirectoryError:
        raise UsageError(f"{path}: is a folder; name a file") from None
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise UsageError(f"{path}: damaged gzip file: {error}") from None
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror or error}") from None
    return Source(str(path), data, max_bytes)


def _unpacked(path: str, data: bytes, max_bytes: int) -> bytes:
    """What a gzip file unpacks to. Raises `UsageError` where that is more than `max_bytes`.

    A file that says so itself is not kept while it is measured.
    """
    if int.from_bytes(data[-4:], "little") > max_bytes:  # RFC 1952, ISIZE: what it says itself
        with gzip.GzipFile(fileobj=io.BytesIO(data)) as packed:
            size = 0
            while size <= max_bytes and (piece := packed.read(_PIECE_BYTES)):
                size += len(piece)
        if size > max_bytes:
            raise too_large(path, f"more than {max_bytes:,} bytes", max_bytes)
    member = zlib.decompressobj(wbits=31)
    unpacked = member.decompress(data, max_bytes + 1)
    if member.unused_data or not (member.eof or len(unpacked) > max_bytes):
        # Cut off, or of several members, which would be copied for each: at leisure.
        with gzip.GzipFile(fileobj=io.BytesIO(data)) as packed:
            unpacked = packed.read(max_bytes + 1)
    if len(unpacked) > max_bytes:
        raise too_large(path, f"more than {max_bytes:,} bytes", max_bytes)
    return unpacked


def too_large(path: str, found: str, max_bytes: int) -> UsageError:
    """The error for a file that would unpack to more than it may."""
    return UsageError(
        f"{path}: unpacks to {found}, the limit is {max_bytes:,}; split the file, or raise the limit with --max-bytes"
    )


def positional(path: str, wanted: Wanted, found: int) -> list[int]:
    """The indices of the value columns in a file whose columns have no names."""
    names = wanted.columns
    if len(names) != found:
        raise UsageError(
            f"{path}: the file has {found} columns and no header, --columns names {len(names)} "
            f"({', '.join(names)}); name all of them in order"
        )
    for name in wanted.apart:
        if name not in names:
            option = "--time-column" if name in wanted.time else "the column"
            raise UsageError(f'{path}: {option} "{name}" is not among --columns{suggest(name, names)}')
    return [i for i, name in enumerate(names) if name not in wanted.apart]


def together(columns: Sequence[pl.Series]) -> pl.Series | None:
    """One column of time: the only one as it is, or the texts of several with a blank between; None of none."""
    import polars as pl

    if len(columns) < 2:
        return columns[0] if columns else None
    parts = [column.cast(pl.String).str.strip_chars() for column in columns]
    return (
        pl.DataFrame([part.alias(str(number)) for number, part in enumerate(parts)])
        .select(pl.concat_str(pl.all(), separator=" "))
        .to_series()
    )


def as_text(column: pl.Series) -> pl.Series:
    """A column of names or codes as text; what is missing is empty. A whole number has no decimals."""
    import polars as pl

    if column.dtype.is_float() and bool((column.drop_nulls().drop_nans() % 1 == 0).all()):
        column = column.fill_nan(None).cast(pl.Int64, strict=False)
    return column.cast(pl.String).str.strip_chars().fill_null("")


def named(path: str, wanted: Sequence[str], header: Sequence[str], advice: str = "") -> list[int]:
    """The indices of the wanted columns in a header; `advice` is added where one is missing."""
    for name in wanted:
        if name not in header:
            raise UsageError(f'{path}: no column "{name}"{suggest(name, _shown(header))}{advice}')
        if header.count(name) > 1:
            raise UsageError(
                f'{path}: the header has {header.count(name)} columns "{name}"; make their names '
                "differ, or pass over the header (--skip-rows) and name all columns in order (--columns)"
            )
    return [header.index(name) for name in wanted]


def _shown(names: Sequence[str]) -> list[str]:
    """Names as a message can hold them: not all of hundreds, none without end, none that moves the cursor."""
    shown = [name if name.isprintable() else ascii(name)[1:-1] for name in names[:_SHOWN_MAX]]
    return [name if len(name) <= _SHOWN_MAX else name[:_SHOWN_MAX] + "…" for name in shown]


def inexact(place: str, value: object) -> UsageError:
    """The error for an integer that a float64 would round."""
    return UsageError(f"{place}: {value} does not fit float64 exactly; scale the values down, or subtract an offset")
