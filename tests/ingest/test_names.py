"""One spelling for one name, and the numbers of names that were spelled in several ways."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from ingest.names import normal, numbered

COMPOSED, DECOMPOSED = "caf\u00e9", "cafe\u0301"


def test_what_looks_alike_is_alike() -> None:
    assert COMPOSED != DECOMPOSED
    assert normal(DECOMPOSED) == normal(COMPOSED) == COMPOSED
    assert normal("run") == "run"


def test_every_name_keeps_its_number_and_the_first_of_two_spellings_has_it() -> None:
    assert numbered(["run", DECOMPOSED]) == ("run", COMPOSED)
    assert numbered([COMPOSED, DECOMPOSED, "run"]) == (COMPOSED, DECOMPOSED, "run")
    assert numbered([DECOMPOSED, COMPOSED, "run"]) == (COMPOSED, DECOMPOSED, "run")
    assert numbered(["run", "run", "stop"]) == ("run", "stop")


@given(st.lists(st.text("ae\u0301\u0323\u00e9\u1eb9", max_size=4)))
def test_places_are_distinct_and_normal_where_a_name_comes_first(names: list[str]) -> None:
    found, places = numbered(names), list(dict.fromkeys(names))
    assert len(found) == len(set(found)) == len(places)
    seen: set[str] = set()
    for name, place in zip(found, places, strict=True):
        assert normal(name) == normal(place)
        assert name == normal(place) or normal(place) in seen
        seen.add(normal(place))
