"""Named states: what a table of them must be, and which values are none of them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.errors import UsageError
from ingest.states import MAX_CODE, MAX_STATES, check_states, least_type, parse_option, parse_states, unnamed

DOOR = ((0, "raised"), (1, "down"))


def test_a_table_and_a_text_say_the_same() -> None:
    assert check_states({"1": "down", "0": "raised"}, "x") == DOOR
    assert parse_states("1 = down, 0=raised", "x") == DOOR


def test_codes_may_be_negative_and_names_have_one_spelling() -> None:
    assert check_states({"-1": "Fe\u0301vrier"}, "x") == ((-1, "F\u00e9vrier"),)


@pytest.mark.parametrize(
    ("table", "found"),
    [
        ({}, "found 0 states"),
        ({str(code): f"s{code}" for code in range(MAX_STATES + 1)}, f"found {MAX_STATES + 1} states"),
        ({"up": "raised"}, '"up" is no code'),
        ({"1.5": "raised"}, '"1.5" is no code'),
        ({str(MAX_CODE + 1): "raised"}, "is no code; use whole numbers up to 16777216"),
        ({"0": 7}, "found 7, expected a name in quotes"),
        ({"0": ""}, "expected a name in quotes"),
        ({"0": " raised"}, "expected a name in quotes"),
        ({"0": "ra\nised"}, "expected a name in quotes"),
        ({"0": "x" * 101}, "has 101 characters, expected up to 100"),
        ({"0": "raised", "1": "raised"}, "each code and each name is given once"),
        ({"0": "\u00e9", "1": "e\u0301"}, "each code and each name is given once"),
        ({"0": "raised", "+0": "down"}, "each code and each name is given once"),
    ],
)
def test_what_is_no_enumeration_is_refused_with_what_was_found(table: dict[str, object], found: str) -> None:
    with pytest.raises(UsageError, match="^agent.toml: values") as caught:
        check_states(table, "agent.toml: values")
    assert found in str(caught.value)


@pytest.mark.parametrize("text", ["", "0", "raised", "0=raised,1", "0=raised,0=down", "0=raised,,"])
def test_a_text_that_is_no_list_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="^--values"):
        parse_states(text, "--values")


def test_options_name_their_channel_or_are_of_the_only_one() -> None:
    assert parse_option(["0=raised,1=down"], ["gate"], "--values") == {"gate": DOOR}
    assert parse_option(["a:b:0=raised,1=down", "c: -1=x:y"], ["a:b", "c"], "--values") == {
        "a:b": DOOR,
        "c": ((-1, "x:y"),),
    }
    assert parse_option([], ["gate"], "--values") == {}


@pytest.mark.parametrize(
    ("texts", "found"),
    [
        (["0=raised"], "say which channel's, as in CHANNEL:0=shut,1=open"),
        (["gte:0=raised"], 'unknown channel "gte"; known: flow, gate. Did you mean "gate"'),
        (["gate:0=raised", "gate:1=down"], "gate is given twice"),
        (["gate:0=raised,2"], '--values: gate: found "2"'),
    ],
)
def test_options_that_say_too_little_are_refused(texts: list[str], found: str) -> None:
    with pytest.raises(UsageError, match="^--values") as caught:
        parse_option(texts, ["gate", "flow"], "--values")
    assert found in str(caught.value)


def test_a_missing_value_is_no_wrong_one() -> None:
    values = np.array([0.0, 1.0, 2.0, 0.5, np.nan, np.inf])
    assert unnamed(values, DOOR).tolist() == [False, False, True, True, False, True]
    assert unnamed(np.array([[0, 7]], np.int16), DOOR).tolist() == [[False, True]]


@pytest.mark.parametrize(
    ("codes", "dtype"),
    [((0, 1), "int8"), ((0, 200), "uint8"), ((-1, 200), "int16"), ((0, 60_000), "uint16"), ((0, MAX_CODE), "int32")],
)
def test_the_least_type_holds_every_code(codes: tuple[int, ...], dtype: str) -> None:
    assert least_type([tuple((code, str(code)) for code in codes)]) == dtype


@given(st.integers(-MAX_CODE, MAX_CODE))
def test_a_float32_holds_every_code(code: int) -> None:
    assert int(np.float32(code)) == code
