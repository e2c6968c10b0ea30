"""What cases beside the decoder do not say of csv: refused options, and that its quick ways are the slow one."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.decoders.csv.decoder import CsvDecoder
from edge.decoders.lines import MAX_LINE_BYTES, is_long
from edge.protocol import RAW_BYTES, Fault, Frame
from ingest.errors import UsageError
from tests.edge.configs import source_config
from tests.edge.decoders.splitting import check_splits, reasons, run, samples


def new(**options: object) -> CsvDecoder:
    return CsvDecoder.from_config(source_config(**options))  # type: ignore[arg-type]


def test_lines_become_one_frame() -> None:
    (frame,) = new().feed(b"1,2,3\r\n-4, 5.5,6e-1\n7,8")
    assert isinstance(frame, Frame)
    np.testing.assert_array_equal(frame.values, [[1, 2, 3], [-4, 5.5, 0.6]])
    assert (frame.times_ns, frame.offset) == (None, 20)


def test_channels_are_picked_out_of_the_columns() -> None:
    (frame,) = new(channels=("z", "x"), columns=["x", "y", "z"]).feed(b"1,2,3\n4,5,6\n")
    assert isinstance(frame, Frame)
    np.testing.assert_array_equal(frame.values, [[3, 1], [6, 4]])


def test_a_fault_says_where_and_shows_the_line() -> None:
    long = b"1" * (MAX_LINE_BYTES + 1)
    found = run(new(), [b"1,2,3\n1,2,x\n" + long + b"\n4,5,6\n7"])
    assert found == [
        ((1, 2, 3), None),
        Fault("number", 6, 1, b"1,2,x"),
        Fault("too_long", 12, -1, long[:RAW_BYTES]),
        ((4, 5, 6), None),
        Fault("torn", 12 + len(long) + 7, 1, b"7"),
    ]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"columns": ["x", "y"]}, '"z" is missing'),
        ({"columns": ["x", "x", "y", "z"]}, "each once"),
        ({"separator": "ab"}, "one character"),
        ({"separator": "\n"}, "one character"),
        ({"time_column": "t", "time_unit": "m"}, "unknown unit"),
        ({"columns": "x"}, "expected a list"),
        ({"decimal": ";"}, 'found ";"'),
        ({"decimal": ","}, "not the separator"),
        ({"time_column": "t", "timezone": "Berlin"}, "tzdata"),
        ({"time_column": "t", "timezone": "../etc/passwd"}, "tzdata"),
        ({"time_column": "t", "timezone": "+25:00"}, "an offset"),
        ({"time_column": "t", "time_unit": "ms", "timezone": "UTC"}, 'take "timezone" out'),
    ],
)
def test_wrong_options_are_refused(options: dict[str, object], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        new(**options)


NUMBER = st.one_of(
    st.floats(allow_nan=False, allow_infinity=False).map(repr),
    st.integers(-(10**30), 10**30).map(str),
    st.from_regex(r"[+-]?[0-9]{0,3}\.?[0-9]{0,20}(e[+-]?[0-9]{1,3})?", fullmatch=True),
)


@given(st.lists(NUMBER.filter(bool), min_size=3, max_size=3), st.sampled_from([",", ";", "\t", "whitespace", "ä"]))
def test_quick_and_slow_ways_read_the_same_numbers(words: list[str], separator: str) -> None:
    line = (" " if separator == "whitespace" else separator).join(words).encode() + b"\n"
    quick, slow = (run(new(separator=separator), [data]) for data in (line, line + b"x\n"))
    assert quick == slow[:-1]
    try:
        wanted = [float(word) if word != "-" else math.nan for word in words]
    except ValueError:
        assert reasons(quick) == ["number"]
    else:
        if all(map(math.isfinite, wanted)):
            assert samples(quick) == [(tuple(wanted), None)]


@pytest.mark.parametrize("separator", [",", "whitespace"])
def test_an_empty_line_is_no_sample_of_one_column_either(separator: str) -> None:
    assert run(new(channels=("x",), separator=separator), [b"\n", b"\n1\n"]) == [((1,), None)]


@given(st.lists(st.integers(0, 9), max_size=30), st.integers(1, 8))
def test_a_long_line_is_found_wherever_it_is(sizes: list[int], most: int) -> None:
    assert is_long(b"\n".join(b"x" * size for size in sizes), most) == any(size > most for size in sizes)


CELL = st.sampled_from([b"1", b"-2.5", b"1e3", b"", b"nan", b"x", b"1_0", b" 7 ", b"inf", b"\xff", b"#", b"9" * 2500])
LINE = st.lists(CELL, min_size=1, max_size=4).map(b",".join)


@given(st.lists(LINE, max_size=8), st.lists(st.integers(0, 30_000), max_size=8), st.booleans())
def test_any_split_gives_the_same(lines: list[bytes], places: list[int], ended: bool) -> None:
    check_splits(new, b"\n".join(lines) + (b"\n" if ended else b""), places)


@given(st.binary(max_size=200), st.lists(st.integers(0, 200), max_size=5))
def test_any_bytes_give_the_same(data: bytes, places: list[int]) -> None:
    check_splits(new, data, places)
