"""TOML files, and what is none."""

from __future__ import annotations

from pathlib import Path

import pytest

from ingest.errors import UsageError
from ingest.tomlfile import read_toml


@pytest.mark.parametrize("content", [b"a = ", b"a = '\xff'", b"a = " + b"9" * 5000])
def test_what_is_no_toml_is_refused_by_name(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "agent.toml"
    path.write_bytes(content)
    with pytest.raises(UsageError, match=r"agent\.toml: not TOML: "):
        read_toml(path)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no such file"):
        read_toml(tmp_path / "agent.toml")


def test_a_byte_order_mark_and_the_line_ends_of_windows_are_taken(tmp_path: Path) -> None:
    path = tmp_path / "agent.toml"
    path.write_bytes(b"\xef\xbb\xbfa = 1\r\nb = 2\r\n")
    assert read_toml(path) == {"a": 1, "b": 2}


def test_what_is_no_utf_8_is_named_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "agent.toml"
    path.write_bytes(b"a = 1\n# caf\xe9\n")
    with pytest.raises(UsageError, match=r"line 2 has the byte 0xE9, which is no UTF-8; save the file as UTF-8"):
        read_toml(path)
