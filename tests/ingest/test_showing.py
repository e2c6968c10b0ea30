from __future__ import annotations

import pytest

from ingest.errors import UsageError
from ingest.opening import open_log
from ingest.showing import counted, masked, printable, shown_bytes


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("kafka://u:p@host:9092/site", "kafka://***@host:9092/site"),
        ("kafka://a:1,u:secret@b:2", "kafka://***@b:2"),
        ("mqtts://only-a-token@broker", "mqtts://***@broker"),
        ('"u:p@h:9092" is no address', '"***@h:9092" is no address'),
        ("mail me@example.org about it", "mail me@example.org about it"),
        ("kafka://host:9092", "kafka://host:9092"),
    ],
)
def test_a_secret_is_not_printed_back(text: str, expected: str) -> None:
    assert masked(text) == expected


@pytest.mark.parametrize(
    "url",
    [
        "kafka://u:hunter2@host:9092",
        "kafka://a:9092,u:hunter2@host:9092",
        "kafkas://u:hunter2@host",
        "kafka://u:hunter2@host:9092?partitions=x",
        "kafka://u:hunter2@host:9092/si te",
    ],
)
def test_no_error_of_a_logs_url_prints_its_secret(url: str) -> None:
    with pytest.raises(UsageError) as found:
        open_log(url)
    assert "hunter2" not in str(found.value)
    assert "***@" in str(found.value)


def test_what_a_terminal_may_act_upon_is_escaped() -> None:
    assert printable("pump\x1b]0;pwned\x07") == "pump\\x1b]0;pwned\\x07"
    assert printable("a\r\nb\u202ec\x9b") == "a\\r\\nb\\u202ec\\x9b"
    assert printable("grün °C 水") == "grün °C 水"


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"1,2,3", "1,2,3"),
        (b"G\x00\r\xff", "G\\x00\\r…"),
        ("°C".encode(), "°C"),
        (b"x" * 20, "x" * 9 + "…"),
        (b"\x80" * 9, "\\x80\\x80…"),
    ],
)
def test_bytes_are_shown_short_and_escaped(data: bytes, expected: str) -> None:
    assert shown_bytes(data, 10) == expected


def test_one_is_one() -> None:
    assert [counted(number, "mark") for number in (0, 1, 1000)] == ["0 marks", "1 mark", "1,000 marks"]
