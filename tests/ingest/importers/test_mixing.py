"""Columns that nobody asked for, and what they tell of a file that holds several devices by turns."""

from __future__ import annotations

import io

import polars as pl
import pytest

from ingest.importers.mixing import mixed
from ingest.importers.source import Source
from ingest.importers.tables import read_table
from tests.ingest.importers.reading_back import want

TURNS = ["a", "b", "c"] * 40


@pytest.mark.parametrize("name", ["device", "Device ID", "sensor_id", "dev_eui", "node", "user", "id"])
def test_a_column_whose_name_says_so_tells_devices_apart_also_by_numbers_and_unevenly(name: str) -> None:
    assert f'the column "{name}" says 1, 2 by turns' in mixed({name: ["1"] * 9 + ["2"] * 100})


def test_a_column_of_any_name_tells_devices_apart_whose_rows_alternate() -> None:
    assert 'the column "q" says a, b, c by turns' in mixed({"time": ["1"] * 120, "q": TURNS})
    assert "a, b, c, …" in mixed({"q": list("abcdef") * 20})


@pytest.mark.parametrize(
    ("name", "cells"),
    [
        ("device", ["a"] * 120),
        ("id", [str(number) for number in range(120)]),  # numbers of rows
        ("status", ["OK"] * 112 + ["ERR"] * 8),
        ("wind", ["N", "N", "NE", "N", "NW"] * 24),
        ("label", ["walk"] * 60 + ["run"] * 60),
        ("counter", ["1", "2"] * 60),
        ("video", ["a", "b"] * 3),
    ],
)
def test_what_no_device_is_said_by_stays_unmentioned(name: str, cells: list[str]) -> None:
    assert mixed({name: cells}) == ""


def _frame() -> pl.DataFrame:
    return pl.DataFrame({"t": range(120), "device": TURNS, "x": range(120)})


def test_each_kind_of_file_is_looked_at() -> None:
    parquet, text = io.BytesIO(), _frame().write_csv().encode()
    _frame().write_parquet(parquet)
    for data in (parquet.getvalue(), text, text.replace(b",", b";"), text.replace(b",", b" ")):
        (note,) = read_table(Source("f", data), want("x", "t")).notes
        assert 'the column "device" says a, b, c by turns: does the file hold several devices?' in note
    assert read_table(Source("f", text), want("x,t", None)).notes == (note,)
    assert read_table(Source("f", _frame().drop("device").write_csv().encode()), want("x", "t")).notes == ()
