"""Configuration is strict, and says where and what is known."""

from __future__ import annotations

from pathlib import Path

import pytest

from ingest.errors import UsageError
from ingest.settings import check_keys, meant, suggest
from ingest.tomlfile import read_toml


def test_a_file_is_read(tmp_path: Path) -> None:
    path = tmp_path / "dataset.toml"
    path.write_text('name = "pumps"\n[window]\nlength = "2.56s"\n')
    assert read_toml(path) == {"name": "pumps", "window": {"length": "2.56s"}}


@pytest.mark.parametrize(
    ("content", "message"),
    [(None, "no such file"), (b"name = ", "not TOML: "), (b"name = '\xff'", "not TOML: ")],
    ids=["missing", "broken", "not UTF-8"],
)
def test_a_bad_file_is_named(tmp_path: Path, content: bytes | None, message: str) -> None:
    path = tmp_path / "dataset.toml"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(UsageError, match=f"dataset.toml: {message}"):
        read_toml(path)


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="directory"):
        read_toml(tmp_path)


def test_known_keys_pass() -> None:
    check_keys({"length": 1, "hop": 2}, ["hop", "length", "rate"], "dataset.toml: window")


def test_an_unknown_key_is_named_with_its_path_and_the_nearest_known_one() -> None:
    with pytest.raises(UsageError) as caught:
        check_keys({"lenght": 1}, ["length", "hop"], "dataset.toml: window")
    assert str(caught.value) == (
        'dataset.toml: window: unknown key "lenght"; known: hop, length. Did you mean "length"?'
    )


def test_nothing_near_is_not_guessed() -> None:
    assert suggest("zzz", ["length", "hop"]) == "; known: hop, length."


MQTT = {
    "broker": ("server", "host", "url"),
    "ca_file": ("cert",),
    "password_file": ("password",),
    "qos": (),
    "topic": (),
    "username": (),
}
SYNONYMS = {other: name for name, others in MQTT.items() for other in others}


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("server", "broker"),
        ("Host", "broker"),
        ("hots", "broker"),
        ("password", "password_file"),
        ("passwordFile", "password_file"),
        ("user-name", "username"),
        ("CERT", "ca_file"),
        ("tpoic", "topic"),
        ("parity", ""),
        ("frobnicate", ""),
    ],
)
def test_another_name_is_known_before_the_nearest(word: str, expected: str) -> None:
    assert meant(word, MQTT, SYNONYMS) == expected


def test_another_name_of_what_is_not_known_here_is_none() -> None:
    assert meant("baudrate", ["rate", "port"], {"baudrate": "baud"}) != "baud"


def test_an_unknown_key_is_told_with_its_place() -> None:
    with pytest.raises(UsageError, match=r'^a\.toml: unknown key "server"; known: .*\. Did you mean "broker"\?$'):
        check_keys({"qos": 1, "server": "x"}, MQTT, "a.toml", SYNONYMS)
