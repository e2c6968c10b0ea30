"""What may come from afar: key by key, for each type of source."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge.config import load_config
from edge.remote import FROM_AFAR, TEXT_BYTES, Overlay, read_overlay, read_remote, revision_of
from edge.sources import SOURCES, source_type
from ingest.errors import UsageError

NEVER = {
    *("command", "commands", "start", "port", "chip", "file", "root", "bus", "part", "trigger", "inputs"),
    *("broker", "host", "tcp_port", "client_id", "username", "password_file", "ca_file", "cert_file", "key_file"),
}
"""What runs something, is a secret, names a file or a device, or says whom to connect to."""


def test_each_type_of_source_says_what_may_be_set_from_afar() -> None:
    assert FROM_AFAR.keys() == set(SOURCES)
    for name, keys in FROM_AFAR.items():
        assert keys <= source_type(name, "test").keys.keys(), name
        assert not keys & NEVER


def test_a_revision_is_of_the_text() -> None:
    assert revision_of("") == ""
    assert revision_of("without = []") == read_overlay("without = []").revision == "dbcf7e7164a7458a"
    assert read_overlay("") == Overlay("", (), ())


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("x = 1", 'unknown key "x"; known: source, without.'),
        ("source = 1", "source: found 1, expected [[source]] tables"),
        ("[[source]]\nrate = 1", '[[source]] number 1: "name" is missing'),
        ('[[source]]\nname = "a"\n[[source]]\nname = "a"', 'source "a": stands there twice'),
        ('without = ["a"]\n[[source]]\nname = "a"', 'without: "a" is among its sources'),
        ("without = 1", "without: found 1, expected a list of texts"),
        ('[[source]]\nname = "a"\nscale = { x = "${A}" }', "variables of the environment are for the local file only"),
        ("#" * (TEXT_BYTES + 1), "has 100,001 bytes, expected no more than 100,000"),
    ],
)
def test_what_is_no_configuration_is_refused(text: str, words: str) -> None:
    with pytest.raises(UsageError) as error:
        read_overlay(text)
    assert str(error.value).startswith(f"configuration {revision_of(text)}: ")
    assert words in str(error.value)


@pytest.mark.parametrize(
    ("table", "words"),
    [
        ({"allow": ["chnge"]}, 'Did you mean "change"?'),
        ({"allow": "change"}, "expected a list of texts"),
        ({"keys": ["type"]}, '"type" is never taken from afar'),
        ({"patience": "0s"}, 'patience: found "0s", expected 1s to 60min'),
        ({"max_age": "2h"}, 'max_age: found "2h", expected 1s to 60min'),
    ],
)
def test_the_local_table_is_strict(table: dict[str, object], words: str) -> None:
    with pytest.raises(UsageError, match="a.toml: remote: ") as error:
        read_remote(table, "a.toml: remote")
    assert words in str(error.value)


MQTT = """device = "pump"
log = "segments:log"
[spool]
dir = "spool"
[remote]
allow = ["change", "add"]
[template.acc]
type = "mqtt"
broker = "mqtts://b:8883"
username = "u"
password_file = "secret"
decoder = "json"
channels = { x = "g" }
[[source]]
template = "acc"
name = "one"
stream = "one"
topic = "one"
"""


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ('name = "one"\ntopic = "two"\nqos = 0', ""),
        ('name = "one"\nfields = { x = "/a" }\nnumbers_as_text = true', ""),
        ('name = "two"\ntemplate = "acc"\nstream = "two"\ntopic = "two"', ""),
        (
            'name = "two"\ntemplate = "acc"\nstream = "two"\ntopic = "two"\nbroker = "mqtt://other"',
            "broker: is taken from",
        ),
        ('name = "one"\npassword_file = "x"', "password_file: is taken from the local file only"),
        ('name = "one"\ntemplate = "acc"', "template: is taken from the local file only"),
        ('name = "two"\ntemplate = "none"', "template: a new source takes up a [template.NAME]"),
        ('name = "one"\ndecoder = "nmea"', 'unknown key "x"'),
    ],
)
def test_a_configuration_is_laid_over_the_local_file(tmp_path: Path, said: str, words: str) -> None:
    path = tmp_path / "agent.toml"
    path.write_text(MQTT)
    over = read_overlay(f"[[source]]\n{said}\n")
    if not words:
        config, local = load_config(path, {}, over), load_config(path)
        assert (config.revision, config.local_digest) == (over.revision, local.digest)
        assert config.digest != local.digest
        assert all(source.options["password_file"] == "secret" for source in config.sources)
        assert {source.base for source in config.sources} == {str(tmp_path)}
    elif "unknown" not in words:
        with pytest.raises(UsageError, match=r'configuration [0-9a-f]{16}: source "(one|two)": ') as error:
            load_config(path, {}, over)
        assert words in str(error.value)
