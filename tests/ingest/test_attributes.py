"""Attributes of recordings: which names and values are taken, and how words become them."""

from __future__ import annotations

import pytest

from ingest.attributes import MAX_ATTRIBUTES, check_attributes, parse_attributes
from ingest.errors import UsageError
from ingest.records import RecordingStart
from ingest.wire import decode, encode


def test_words_become_attributes_sorted_by_name() -> None:
    assert list(parse_attributes(["subject=u07", "site=B=2"], "--set").items()) == [("site", "B=2"), ("subject", "u07")]
    assert parse_attributes([], "--set") == {}


@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("subject", "NAME=VALUE"),
        ("Subject=u", "no attribute's name"),
        ("=u", "no attribute's name"),
        ("a b=u", "no attribute's name"),
        ("device=u", "already"),
        ("label=u", "already"),
        ("subject=", "1 to 200"),
        ("subject=a\nb", "1 to 200"),
        ("subject=" + 201 * "x", "1 to 200"),
    ],
)
def test_what_is_no_attribute_is_refused_with_words(word: str, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        parse_attributes([word], "--set")


def test_a_name_twice_too_many_names_and_values_of_other_types_are_refused() -> None:
    with pytest.raises(UsageError, match="twice"):
        parse_attributes(["a=1", "a=2"], "--set")
    with pytest.raises(UsageError, match="at most"):
        check_attributes({f"a{number}": "x" for number in range(MAX_ATTRIBUTES + 1)}, "here")
    with pytest.raises(UsageError, match="here: age: found 7"):
        check_attributes({"age": 7}, "here")


def test_a_start_carries_them_and_one_of_before_has_none() -> None:
    start = RecordingStart("d", "r", b"boot", 5, "import", attributes={"subject": "u07"})
    assert decode(encode(start)) == start
    older = encode(RecordingStart("d", "r", b"boot", 5, "import"))
    assert older[1] == 0x99  # an array of nine
    cut = older[:1] + b"\x98" + older[2:-1]  # as it was before there were attributes
    assert decode(cut) == RecordingStart("d", "r", b"boot", 5, "import")
