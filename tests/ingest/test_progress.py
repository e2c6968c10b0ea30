"""Progress shows a bar at a terminal and lines elsewhere."""

from __future__ import annotations

import io

import pytest

from ingest import progress
from ingest.progress import Progress


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_long_work_prints_lines_where_there_is_no_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "LINE_EVERY_S", 0.0)
    out = io.StringIO()
    with Progress("import", 2000, "samples", out) as bar:
        bar.advance(500)
        bar.advance(1000)
    assert out.getvalue() == "import: 500 of 2,000 (25 %) samples\nimport: 1,500 of 2,000 (75 %) samples\n"
    assert bar.done == 1500


def test_an_unknown_total_is_not_invented(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "LINE_EVERY_S", 0.0)
    out = io.StringIO()
    with Progress("read", None, "records", out) as bar:
        bar.advance(3)
    assert out.getvalue() == "read: 3 records\n"


def test_short_work_prints_nothing() -> None:
    out = io.StringIO()
    with Progress("import", 10, "samples", out) as bar:
        bar.advance(10)
    assert out.getvalue() == ""


def test_a_terminal_gets_a_bar() -> None:
    out = Terminal()
    with Progress("import", 10, "samples", out) as bar:
        bar.advance(4)
    assert "import" in out.getvalue()
    assert "samples" in out.getvalue()
