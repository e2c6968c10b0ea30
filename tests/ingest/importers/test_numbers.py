"""The sample type is the smallest that is exact; nothing is rounded unasked."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.errors import UsageError
from ingest.importers.numbers import choose, pack


def chosen(values: list[list[float]], wanted: str = "auto", dtype: str = "float64") -> str:
    return choose(np.array(values, dtype=dtype), wanted, lambda row: f"line {row + 2}")


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([[-32768, 32767]], "int16"),
        ([[0, 32768]], "int32"),
        ([[0.5, 2**20 + 0.125]], "float32"),
        ([[1, np.nan]], "float32"),
        ([[2**31, np.nan]], "float32"),
        ([[2**31 + 1, 0]], "float64"),
        ([[0.1, 0]], "float64"),
        ([[np.inf, 1]], "float32"),
        ([[0]] * 2000 + [[0.1]], "float64"),
    ],
)
def test_auto_takes_the_smallest_exact_type(values: list[list[float]], expected: str) -> None:
    assert chosen(values) == expected


def test_integers_of_a_file() -> None:
    assert chosen([[2**31 - 1]], dtype="int64") == "int32"
    assert chosen([[2**31 + 1]], dtype="int64") == "float64"
    assert chosen([[200]], dtype="uint8") == "int16"
    with pytest.raises(UsageError, match="line 3: .*does not fit float64 exactly"):
        chosen([[1], [2**53 + 1]], dtype="int64")


@pytest.mark.parametrize(
    ("values", "wanted", "message"),
    [
        ([[1.0], [0.5]], "int16", "line 3: 0.5 does not fit --dtype int16 exactly"),
        ([[1.0], [300]], "uint8", "line 3: 300.0 does not fit --dtype uint8"),
        ([[1.0], [np.nan]], "int32", "line 3: a missing cell does not fit --dtype int32"),
        ([[1.0], [1e39]], "float32", "line 3: 1e\\+39 does not fit --dtype float32"),
        ([[1.0]], "float16", '--dtype: unknown type "float16"; known: auto, .*Did you mean "float64"'),
    ],
)
def test_a_type_that_does_not_fit_is_refused_with_the_line(
    values: list[list[float]], wanted: str, message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        chosen(values, wanted)


def test_a_float32_that_was_asked_for_rounds() -> None:
    assert chosen([[0.1]], "float32") == "float32"


@given(st.lists(st.floats() | st.integers(-(2**40), 2**40).map(float), min_size=1, max_size=30))
def test_packed_values_are_the_same_numbers(values: list[float]) -> None:
    column = np.array(values)[:, None]
    packed = pack(column, choose(column, "auto", str))
    assert np.array_equal(packed.astype(np.float64), column, equal_nan=True)
    assert packed.flags.c_contiguous
