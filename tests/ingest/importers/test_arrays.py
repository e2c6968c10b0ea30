"""Packed files are bounded before they are unpacked, and integers are exact or refused."""

from __future__ import annotations

import contextlib
import gzip
import io
import tracemalloc
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from ingest.errors import UsageError
from ingest.importers.marks import read_marks
from ingest.importers.tables import Source, Table, read_source, read_table
from tests.ingest.importers.reading_back import want


def parquet(limit: int = 10**9, **columns: Any) -> Source:
    buffer = io.BytesIO()
    pl.DataFrame(columns).write_parquet(buffer)
    return Source("f.parquet", buffer.getvalue(), limit)


def npy(array: object) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, np.asarray(array))
    return buffer.getvalue()


def read(source: Source, columns: str = "x") -> Table:
    return read_table(source, want(columns))


def test_a_gzip_file_that_unpacks_to_too_much_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "bomb.csv.gz"
    path.write_bytes(gzip.compress(b"t,x\n" + b"0,0\n" * 250_000))
    with pytest.raises(
        UsageError, match=r"bomb.csv.gz: unpacks to more than 999,999 bytes, the limit is 999,999; .*--max"
    ):
        read_source(path, 999_999)
    assert len(read_source(path, 1_000_004).data) == 1_000_004
    path.write_bytes(gzip.compress(b"0,0\n" * 5_000_000))
    tracemalloc.start()
    with pytest.raises(UsageError, match="unpacks to more than 10,000,000 bytes"):
        read_source(path, 10_000_000)
    assert tracemalloc.get_traced_memory()[1] < 9_000_000, "what is too much is not kept"
    tracemalloc.stop()


def test_a_gzip_file_of_several_members_is_one_text(tmp_path: Path) -> None:
    path = tmp_path / "a.csv.gz"
    path.write_bytes(b"".join(gzip.compress(b"%d,%d\n" % (i, i)) for i in range(5)))
    assert read_source(path, 20).data == b"0,0\n1,1\n2,2\n3,3\n4,4\n"
    with pytest.raises(UsageError, match="unpacks to more than 19 bytes"):
        read_source(path, 19)
    path.write_bytes(gzip.compress(b"1,1\n") + b"rubbish")
    with pytest.raises(UsageError, match="damaged gzip file"):
        read_source(path)


def test_an_array_that_unpacks_to_too_much_is_refused() -> None:
    buffer = io.BytesIO()
    np.savez_compressed(buffer, x=np.zeros(200_000))
    with pytest.raises(UsageError, match="unpacks to 1,600,128 bytes, the limit is 1,000,000"):
        read(Source("f.npz", buffer.getvalue(), 1_000_000))
    assert len(read(Source("f.npz", buffer.getvalue(), 1_600_128)).values) == 200_000


def test_a_parquet_file_of_too_many_rows_is_refused() -> None:
    source = parquet(799_999, x=np.zeros(100_000), t=np.arange(100_000))
    with pytest.raises(UsageError, match="unpacks to 100,000 rows, 800,000 bytes, the limit is 799,999"):
        read(source)
    assert len(read(Source(source.path, source.data, 800_000)).values) == 100_000


def test_a_header_that_promises_more_than_the_file_has_is_refused() -> None:
    data = npy(np.zeros(4)).replace(b"(4,), }", b"(4" + b"0" * 12 + b",), }")
    with pytest.raises(
        UsageError, match=r"its header promises 32,000,000,000,000 bytes, the file has \d+; it is cut off"
    ):
        read(Source("f.npy", data))
    with pytest.raises(UsageError, match="its header promises 32 bytes, the file has 31"):
        read(Source("f.npy", npy(np.zeros(4))[:-1]))


@pytest.mark.parametrize(
    "members",
    [("[Content_Types].xml", "xl/workbook.xml"), ("mimetype", "META-INF/manifest.xml"), ()],
    ids=["xlsx", "ods", "xls"],
)
def test_a_spreadsheet_is_named_as_one_whatever_is_to_be_imported(tmp_path: Path, members: tuple[str, ...]) -> None:
    path = tmp_path / "sheet"
    path.write_bytes(bytes.fromhex("d0cf11e0a1b11ae1") + bytes(2000))
    if members:
        with zipfile.ZipFile(path, "w") as archive:
            for member in members:
                archive.writestr(member, "<a/>")
    with pytest.raises(UsageError, match="a spreadsheet that cannot be read|holds nothing that can be imported"):
        read(read_source(path))
    with pytest.raises(UsageError, match="a spreadsheet that cannot be read|holds nothing that can be imported"):
        read_marks(path)


ODD = 2**53 + 1


@pytest.mark.parametrize(
    "columns",
    [
        {"x": [1, ODD]},
        {"x": [None, ODD]},
        {"x": pl.Series([1, 2**64 - 1], dtype=pl.UInt64)},
        {"x": [1, ODD], "y": pl.Series([0.5, 1.5], dtype=pl.Float32)},
        {"x": pl.Series([1, ODD]).cast(pl.Decimal(38, 0))},
    ],
    ids=["alone", "beside a null", "uint64", "beside a float32", "decimal"],
)
def test_an_integer_that_a_float64_would_round_is_refused(columns: dict[str, Any]) -> None:
    with pytest.raises(
        UsageError, match=r"f.parquet: row 1: (9007199254740993|18446744073709551615) does not fit float64"
    ):
        read(parquet(**columns), ",".join(columns))


def test_integers_that_fit_keep_their_values_beside_floats_and_nulls() -> None:
    columns: dict[str, Any] = {
        "x": [None, -(2**53), 2**62],
        "y": pl.Series([0.5, 1.5, 2.5], dtype=pl.Float32),
        "z": [1, 2, 3],
    }
    values = read(parquet(**columns), "x,y,z").values
    assert np.array_equal(values, [[np.nan, 0.5, 1], [-(2.0**53), 1.5, 2], [2.0**62, 2.5, 3]], equal_nan=True)
    decimals = pl.Series(["0.1", None, "-12345678901234.5"]).cast(pl.Decimal(20, 1))
    assert np.array_equal(read(parquet(x=decimals)).values[:, 0], [0.1, np.nan, -12345678901234.5], equal_nan=True)


GOOD = [npy(np.arange(6.0).reshape(3, 2)), parquet(x=[1.0, 2.0], y=[3, 4]).data]
_archive = io.BytesIO()
np.savez_compressed(_archive, a=np.arange(6.0).reshape(3, 2))
GOOD.append(_archive.getvalue())


@settings(max_examples=300)
@given(st.sampled_from(GOOD), st.lists(st.tuples(st.integers(0, 5000), st.integers(0, 255)), max_size=4), st.booleans())
@example(GOOD[1], [(12, 127)], False)  # a page of 2 EB
def test_a_damaged_file_is_a_refusal_or_numbers(good: bytes, flips: list[tuple[int, int]], cut: bool) -> None:
    data = bytearray(good)
    for at, byte in flips:
        data[at % len(data)] = byte
    with contextlib.suppress(UsageError):
        read(Source("f", bytes(data[: len(data) // 2] if cut else data), 10**6), "x,y")


def times_of(table: Table) -> list[str]:
    assert table.time is not None
    return table.time.cast(pl.String).str.head(19).to_list()


def test_a_structured_array_is_a_table() -> None:
    fields = [("t", "M8[s]"), ("acc", ">f4", (3,)), ("state", "U4"), ("n", "i8"), ("half", "f2"), ("on", "?")]
    rows = np.zeros(3, dtype=fields)
    rows["t"] = np.datetime64("2026-01-01T00:00:00") + np.arange(3)
    rows["acc"], rows["state"], rows["n"], rows["half"] = np.arange(9).reshape(3, 3), "run", [-1, 0, 1 << 52], 0.5
    found = read_table(Source("f.npy", npy(rows)), want("*", "t", keys=("state",)))
    assert found.names == ("acc[0]", "acc[1]", "acc[2]", "n", "half", "on")
    assert found.values[:, :5].tolist() == [[0, 1, 2, -1, 0.5], [3, 4, 5, 0, 0.5], [6, 7, 8, 1 << 52, 0.5]]
    assert times_of(found) == [f"2026-01-01 00:00:0{i}" for i in range(3)]
    assert set(found.keys["state"]) == {"run"}
    with pytest.raises(UsageError, match='no column "gyro"'):
        read(Source("f.npy", npy(rows)), "gyro")
    with pytest.raises(UsageError, match='field "x" holds complex128'):
        read(Source("f.npy", npy(np.zeros(2, dtype=[("x", "c16")]))))


def test_python_objects_and_archives_of_other_files_say_what_to_do() -> None:
    with pytest.raises(UsageError, match="holds Python objects, .* save numbers"):
        read(Source("f.npy", npy(np.array([{}, 1], dtype=object))))
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("a.csv", "x\n1\n")
    with pytest.raises(UsageError, match="is a ZIP archive of a.csv; unpack it"):
        read(Source("f.zip", packed.getvalue()))
