"""What all tests of listening have in common."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture(autouse=True)
def _soon_enough(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Listening ends when enough was heard, however long it may last."""
    monkeypatch.setattr("edge.agent.probe.listening.BYTES_MOST", 2000)
    monkeypatch.setattr("edge.agent.probe.topics.BYTES_MOST", 400)
    for bound in ("RATE_OFF", "ROUGH_RATE_OFF"):  # how fast a test's sensor speaks is a busy machine's matter
        monkeypatch.setattr(f"edge.agent.diagnosis.{bound}", 1e9)
    monkeypatch.chdir(tmp_path)
