"""Records to columns at once: what comes out is what `parse` gives one by one, or nothing."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.columns import Texts, columns_of
from ingest.errors import WireError
from ingest.records import MAX_TIME_NS, MarkAdd, MarkEdit
from ingest.wire import encode, parse

WORDS = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
TIMES = st.sampled_from([0, 1, 127, 128, 255, 256, 65_535, 65_536, 2**32 - 1, 2**32, MAX_TIME_NS]) | st.integers(
    0, 2**62
)
MARKS = st.builds(
    MarkAdd, WORDS, WORDS, TIMES, TIMES, WORDS, WORDS, WORDS, st.floats(allow_nan=False), TIMES, TIMES,
    st.just({}), WORDS, st.booleans(), WORDS,
)  # fmt: skip


def rows_of(values: list[bytes]) -> list[dict[str, object]] | None:
    columns = columns_of(values, MarkAdd)
    if columns is None:
        return None
    lists = {name: each.list() if isinstance(each, Texts) else each.tolist() for name, each in columns.items()}
    return [dict(zip(lists, row, strict=True)) for row in zip(*lists.values(), strict=True)]


def plainly(values: list[bytes]) -> list[dict[str, object]]:
    found = [msgspec.structs.asdict(parse(value)) for value in values]
    return [{name: it for name, it in each.items() if name != "evidence"} for each in found]


@given(st.lists(MARKS, min_size=1, max_size=5))
def test_plain_marks_become_columns(marks: list[MarkAdd]) -> None:
    values = [encode(mark) for mark in marks]
    assert rows_of(values) == plainly(values)


@given(st.lists(MARKS, min_size=1, max_size=3), st.data())
def test_changed_bytes_are_read_as_parse_reads_them_or_not_at_all(marks: list[MarkAdd], data: st.DataObject) -> None:
    values = [bytearray(encode(mark)) for mark in marks]
    which = data.draw(st.integers(0, len(values) - 1))
    at = data.draw(st.integers(0, len(values[which]) - 1))
    match data.draw(st.sampled_from(["flip", "cut", "more"])):
        case "flip":
            values[which][at] ^= data.draw(st.integers(1, 255))
        case "cut":
            del values[which][at:]
        case _:
            values[which] += data.draw(st.binary(min_size=1, max_size=20))
    said = [bytes(value) for value in values]
    found = rows_of(said)
    try:
        assert found is None or repr(found) == repr(plainly(said))
    except WireError as error:
        raise AssertionError(f"read what is no record: {error}") from error


@pytest.mark.parametrize(
    "odd",
    [
        MarkAdd("d", "m", -1, 2, "l", "a", "t"),
        MarkAdd("d", "m", 1, 2, "l", "a", "t", evidence={"x": 1.0}),
        MarkAdd("d", "m" * 256, 1, 2, "l", "a", "t"),
        MarkEdit("d", "m", "a", "t"),
    ],
)
def test_others_are_left_to_parse(odd: MarkAdd | MarkEdit) -> None:
    good = encode(MarkAdd("d", "m", 1, 2, "l", "a", "t"))
    assert columns_of([good], MarkAdd) is not None
    assert columns_of([good, encode(odd)], MarkAdd) is None


def test_a_character_that_lies_in_two_records_is_none() -> None:
    values = [encode(MarkAdd(text, "m", 1, 2, "l", "a", "t")) for text in ("\u00e4b", "a\u00e4")]
    torn = [value.replace(b"\xc3\xa4b", b"bb\xc3").replace(b"a\xc3\xa4", b"\xa4aa") for value in values]
    assert columns_of(values, MarkAdd) is not None
    assert columns_of(torn, MarkAdd) is None
    assert columns_of([], MarkAdd) is None


def test_one_text_of_all_is_found() -> None:
    same = Texts(np.array([0, 2, 4], np.int32), b"abab")
    assert (same.only, same.list(), len(same)) == ("ab", ["ab", "ab"], 2)
    assert Texts(np.array([0, 2, 4], np.int32), b"abac").only is None
    assert Texts(np.array([0, 1, 4], np.int32), b"aaaa").only is None
    assert Texts(np.array([0, 0, 0], np.int32), b"").only == ""
