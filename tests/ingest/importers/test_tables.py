"""Every kind of file gives the same columns; what cannot be read is an error that names its line."""

from __future__ import annotations

import gzip
import io
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from ingest.errors import UsageError
from ingest.importers.tables import Source, Table, read_source, read_table
from tests.ingest.importers.reading_back import want
from tests.support.data import data_dir


def text(content: str | bytes, columns: str, time: str | None = None) -> Table:
    data = content if isinstance(content, bytes) else content.encode()
    return read_table(Source("f.csv", data), want(columns, time))


def test_hapt_equals_numpys_own_reader() -> None:
    path = data_dir() / "hapt" / "raw" / "acc_exp01_user01.txt.gz"
    table = read_table(read_source(path), want("x,y,z", None))
    with gzip.open(path) as file:
        expected = np.loadtxt(file)
    assert table.values.dtype == np.float64
    assert np.array_equal(table.values, expected)
    assert table.place(0).endswith("txt.gz: line 1")


@pytest.mark.parametrize(
    "content",
    ["1 2 3\n4 5 6", "1  2\t3\n  4 5 6  \n", "1\t2\t3\r\n4\t5\t6\r\n", "\ufeff1,2,3\n4,5,6\n\n", "\n1;2; 3\n4;5;6"],
    ids=["spaces", "uneven", "tabs", "bom", "semicolons"],
)
def test_text_without_a_header_has_its_columns_in_order(content: str) -> None:
    assert text(content, "x,y,z").values.tolist() == [[1, 2, 3], [4, 5, 6]]
    table = text(content, "t,y,z", "t")
    assert table.values.tolist() == [[2, 3], [5, 6]]
    assert table.time is not None
    assert table.time.to_list() == ["1", "4"]


def test_between_blanks_a_short_row_is_an_error_and_na_is_not() -> None:
    with pytest.raises(UsageError, match="line 2: found 2 columns, expected 3; write NA where a cell is missing"):
        text("1 2 3\n4  5\n6 7 8", "x,y,z")
    values = text("1 2 3\n4 NA 5\n", "x,y,z").values
    assert np.array_equal(values, np.array([[1, 2, 3], [4, np.nan, 5]]), equal_nan=True)


def test_between_tabs_an_empty_cell_is_one() -> None:
    values = text("1\t2\t3\n4\t\t5\n", "x,y,z").values
    assert np.array_equal(values, np.array([[1, 2, 3], [4, np.nan, 5]]), equal_nan=True)
    assert text("flow rate\tb\n1\t2\n", "flow rate").values.tolist() == [[1]]


def test_a_header_gives_the_columns_their_names_spaces_after_commas_or_not() -> None:
    table = text('evento, inicio, "fim"\n a, 16.1, 18.5\n', "fim,inicio")
    assert table.values.tolist() == [[18.5, 16.1]]


def test_driver_behaviors_intervals_are_read() -> None:
    table = read_table(
        read_source(data_dir() / "driver_behavior" / "trip17" / "groundTruth.csv"), want("fim", "inicio")
    )
    assert table.values[:2].tolist() == [[18.5], [27.6]]
    assert table.time is not None
    assert table.time.str.strip_chars().to_list()[:2] == ["16.1", "25.1"]


@pytest.mark.parametrize("cell", ["", "NA", " ", "nan", "null", '""'])
def test_an_empty_cell_is_missing(cell: str) -> None:
    values = text(f"a,b\n1,2\n3,{cell}\n", "a,b").values
    assert np.array_equal(values, np.array([[1, 2], [3, np.nan]]), equal_nan=True)


def test_beijings_missing_values_are_counted_as_the_file_has_them() -> None:
    path = data_dir() / "beijing_air" / "PRSA_Data_Huairou_20130301-20170228.csv.gz"
    table = read_table(read_source(path), want("SO2,NO2", None))
    with gzip.open(path, "rt") as file:
        rows = [line.split(",") for line in file][1:]
    assert int(np.isnan(table.values).sum()) == sum(row[i] == "NA" for row in rows for i in (7, 8))


@pytest.mark.parametrize(
    ("content", "columns", "message"),
    [
        ("a,b\n1,2\n3,x\n", "a,b", 'f.csv: line 3: "x" is no number'),
        ("a,b\n1,2\n3,4,5\n", "a,b", "f.csv: line 3: found 3 columns, expected 2"),
        ("1 2\n3 4 5\n", "a,b", "f.csv: line 2: found 3 columns, expected 2"),
        ("a,b\n1,2\n", "a,c", 'f.csv: no column "c"; known: a, b.'),
        ("acc_x,b\n1,2\n", "acc-x", 'Did you mean "acc_x"?'),
        ("a,a\n1,2\n", "a", 'the header has 2 columns "a"'),
        ("1,2,3\n", "x,y", "the file has 3 columns and no header, --columns names 2 (x, y)"),
        ("a,b\n", "a", "f.csv: a header and no rows"),
        ("", "a", "f.csv: the file is empty"),
        (b"\x7fELF\0\0\0", "a", "f.csv: neither text, Parquet nor NumPy"),
        (b"PAR1 and then nothing", "a", "f.csv: damaged Parquet file"),
        (b"\x93NUMPY and then nothing", "a", "f.csv: not a NumPy file"),
        (b"PK\x03\x04 and then nothing", "a", "f.csv: not a NumPy file"),
    ],
)
def test_a_bad_file_says_where_and_what(content: str | bytes, columns: str, message: str) -> None:
    with pytest.raises(UsageError) as caught:
        text(content, columns)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_time_column_without_a_header_must_be_among_the_columns() -> None:
    with pytest.raises(UsageError, match='--time-column "time" is not among --columns; known: t, x'):
        text("1,2\n", "t,x", "time")


def test_a_damaged_or_missing_file_is_named(tmp_path: Path) -> None:
    path = tmp_path / "a.csv.gz"
    path.write_bytes(gzip.compress(b"a,b\n1,2\n")[:-3])
    with pytest.raises(UsageError, match=r"a\.csv\.gz: damaged gzip file"):
        read_source(path)
    with pytest.raises(UsageError, match="no such file"):
        read_source(tmp_path / "b.csv")


def test_a_file_and_its_gzipped_form_have_one_digest(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"1 2\n")
    (tmp_path / "b").write_bytes(gzip.compress(b"1 2\n"))
    assert read_source(tmp_path / "a").digest() == read_source(tmp_path / "b").digest()


def test_parquet_keeps_its_own_types() -> None:
    table = read_table(read_source(data_dir() / "empatica_e4" / "gsr.parquet"), want("EDA", "timestamp"))
    assert table.values.shape == (30_204, 1)
    assert table.values.dtype == np.float32
    assert table.utc, "pandas noted the zone Europe/Brussels, so that the times lie in the file in UTC"


def test_parquet_with_nulls_text_and_no_note_of_pandas() -> None:
    buffer = io.BytesIO()
    pl.DataFrame({"t": [1, 2], "a": [1, None], "ok": [True, False], "s": ["x", "y"]}).write_parquet(buffer)
    source = Source("f.parquet", buffer.getvalue())
    table = read_table(source, want("a,ok", "t"))
    assert np.array_equal(table.values, np.array([[1, 1], [np.nan, 0]]), equal_nan=True)
    assert not table.utc
    assert table.place(1) == "f.parquet: row 1"
    with pytest.raises(UsageError, match='column "s" holds String, expected numbers'):
        read_table(source, want("s", "t"))


def npz(**arrays: object) -> Source:
    buffer = io.BytesIO()
    np.savez(buffer, **{name: np.asarray(array) for name, array in arrays.items()})  # type: ignore[arg-type]
    return Source("f.npz", buffer.getvalue())


def test_numpy_arrays_are_read_by_position() -> None:
    buffer = io.BytesIO()
    np.save(buffer, np.array([[1, 2], [3, 4]], dtype=">i2"))
    table = read_table(Source("f.npy", buffer.getvalue()), want("x,y", None))
    assert table.values.tolist() == [[1, 2], [3, 4]]
    assert table.values.dtype == np.dtype("<i2")
    timed = read_table(Source("f.npy", buffer.getvalue()), want("t,y", "t"))
    assert timed.time is not None
    assert (timed.time.to_list(), timed.values.tolist()) == ([1, 3], [[2], [4]])


def test_one_array_of_an_npz_needs_no_name_several_do() -> None:
    assert read_table(npz(a=[1.0, 2.0]), want("x", None)).values.tolist() == [[1], [2]]
    two = npz(left=[1, 2], right=[3, 4])
    assert read_table(two, want("x", None, "right")).values.tolist() == [[3], [4]]
    with pytest.raises(UsageError, match="holds the arrays left, right; choose one with --array"):
        read_table(two, want("x", None))
    with pytest.raises(UsageError, match='no array "rigth"; known: left, right. Did you mean "right"'):
        read_table(two, want("x", None, "rigth"))
    with pytest.raises(UsageError, match=r"found an array \(1, 1, 1\)"):
        read_table(npz(a=[[[1]]]), want("x", None))
    with pytest.raises(UsageError, match="--array a is for files of several arrays or sheets, this is none"):
        read_table(Source("f.csv", b"1,2\n"), want("x,y", None, "a"))
