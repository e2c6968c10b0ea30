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
