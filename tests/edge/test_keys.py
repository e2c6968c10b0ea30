"""What people are told of agent.toml's keys."""

from __future__ import annotations

import tomllib

import pytest

from edge.decoders import DECODERS, decoder_type
from edge.keys import SOURCE, TABLES, synonyms
from edge.protocol import Key
from edge.sources import SOURCES, source_type

GROUPS = {
    **{f"[{name}]": keys for name, keys in TABLES.items()},
    "[[source]]": SOURCE,
    **{name: source_type(name, "here").keys for name in SOURCES},
    **{name: decoder_type(name, "here").keys for name in DECODERS},
}


@pytest.mark.parametrize("keys", GROUPS.values(), ids=GROUPS)
def test_each_example_is_toml_and_each_text_a_sentence(keys: dict[str, Key]) -> None:
    for name, key in keys.items():
        tomllib.loads(f"{name} = {key.example}")
        assert key.meaning.endswith("."), name
        assert not set(key.synonyms) & set(keys), name


@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize("decoder", DECODERS)
def test_no_key_has_two_meanings_in_one_table(source: str, decoder: str) -> None:
    assert not set(SOURCE) & {*GROUPS[source], *GROUPS[decoder]}
    for name in set(GROUPS[source]) & set(GROUPS[decoder]):  # one bound for what is sent and what is read
        own, theirs = GROUPS[source][name], GROUPS[decoder][name]
        assert (name, own.kind, own.default) == ("max_message", theirs.kind, theirs.default)
    assert not set(synonyms(GROUPS[source])) & set(GROUPS[source])
