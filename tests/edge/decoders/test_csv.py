from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.decoders.csv.decoder import CsvDecoder
from edge.decoders.lines import MAX_LINE_BYTES
from edge.protocol import Fault, Frame
from ingest.errors import UsageError
from tests.edge.configs import source_config
from tests.edge.decoders.splitting import check_splits, faults, reasons, run, samples


def new(**options: object) -> CsvDecoder:
    return CsvDecoder.from_config(source_config(**options))  # type: ignore[arg-type]


def test_lines_become_one_frame() -> None:
    (frame,) = new().feed(b"1,2,3\r\n-4, 5.5,6e-1\n7,8")
    assert isinstance(frame, Frame)
    np.testing.assert_array_equal(frame.values, [[1, 2, 3], [-4, 5.5, 0.6]])
    assert (frame.times_ns, frame.offset) == (None, 20)


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b"1,2", "columns"),
        (b"1,2,3,4", "columns"),
        (b"1,2,x", "number"),
        (b"1,2,1_0", "number"),
        (b"1,2,inf", "number"),
        (b"1,2,\xff", "number"),
        (b",,nan", "missing"),
        (b"1" * (MAX_LINE_BYTES + 1), "too_long"),
        (b"x,y,z", "header"),
    ],
)
def test_a_line_that_is_no_sample_is_a_fault(line: bytes, reason: str) -> None:
    found = run(new(), [b"1,2,3\n" + line + b"\n4,5,6\n"])
    assert samples(found) == [((1, 2, 3), None), ((4, 5, 6), None)]
    assert faults(found) == [Fault(reason, 6, 0 if reason == "header" else 1)]


def test_comments_and_empty_lines_say_nothing_and_a_missing_cell_is_nan() -> None:
    found = run(new(), [b"# t\n\n \r\n1,,nan\n"])
    assert found == [((1.0, float("-inf"), float("-inf")), None)]


def test_what_is_torn_at_the_end_is_a_fault_not_a_value() -> None:
    assert run(new(), [b"1,2,3\n4,5,6"]) == [((1, 2, 3), None), Fault("torn", 6)]


def test_times_columns_and_separators() -> None:
    decoder = new(channels=("y", "x"), columns=["t", "x", "temp", "y"], time_column="t", time_unit="ms", separator=";")
    assert run(decoder, [b"t;x;temp;y\n1700000000000.25;1;9;2\nnow;1;9;2\n"]) == [
        Fault("header", 0, 0),
        ((2.0, 1.0), 1_700_000_000_000_250_000),
        Fault("number", 34),
    ]
    assert run(new(separator="whitespace"), [b"  1\t2 3 \n"]) == [((1, 2, 3), None)]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"columns": ["x", "y"]}, '"z" is missing'),
        ({"columns": ["x", "x", "y", "z"]}, "each once"),
        ({"separator": "ab"}, "one character"),
        ({"time_column": "t", "time_unit": "m"}, "unknown unit"),
        ({"columns": "x"}, "expected a list"),
    ],
)
def test_wrong_options_are_refused(options: dict[str, object], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        new(**options)


CELL = st.sampled_from([b"1", b"-2.5", b"1e3", b"", b"nan", b"x", b"1_0", b" 7 ", b"inf", b"\xff", b"#", b"9" * 2500])
LINE = st.lists(CELL, min_size=1, max_size=4).map(b",".join)


@given(st.lists(LINE, max_size=8), st.lists(st.integers(0, 30_000), max_size=8), st.booleans())
def test_any_split_gives_the_same(lines: list[bytes], places: list[int], ended: bool) -> None:
    check_splits(new, b"\n".join(lines) + (b"\n" if ended else b""), places)


@given(st.binary(max_size=200), st.lists(st.integers(0, 200), max_size=5))
def test_any_bytes_give_the_same(data: bytes, places: list[int]) -> None:
    check_splits(new, data, places)


def test_memory_is_bounded() -> None:
    decoder = new()
    found = [item for _ in range(100) for item in decoder.feed(b"1" * 1000)]
    assert reasons(run(decoder, [b"\n1,2,3\n"], reset=False)) == []
    assert [type(item) for item in found] == [Fault]
