"""Sources and decoders of other packages: found by their entry points, which only cost whoever names one."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge import plugins
from edge.decoders import decoder_type
from edge.sources import source_type
from edge.sources.exec.source import ExecSource
from ingest.errors import UsageError


@pytest.fixture
def other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An installed package with a source `mine`, and one that would take the place of `exec`."""
    about = tmp_path / "mine-1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: mine\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text("[sensorloom.sources]\nmine = mine_of_another:Mine\nexec = no_such:Thing\n")
    (tmp_path / "mine_of_another.py").write_text("class Mine:\n    pass\n")
    monkeypatch.syspath_prepend(str(tmp_path))


@pytest.mark.usefixtures("other")
def test_a_source_of_another_package_is_found_and_none_takes_the_place_of_ours() -> None:
    assert source_type("mine", "here").__name__ == "Mine"
    assert source_type("exec", "here") is ExecSource
    with pytest.raises(UsageError, match=r'here: unknown source type "mime"; known: .*Did you mean "mine"'):
        source_type("mime", "here")


def test_for_what_is_ours_no_package_is_looked_through(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def looked_through(group: str) -> list[object]:
        asked.append(group)
        return []

    monkeypatch.setattr(plugins, "entry_points", looked_through)
    source_type("exec", "here")
    decoder_type("csv", "here")
    assert asked == []
