"""An agent in a test: the doubles of `simulators`, and the source type `fed`."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from simulators.doubles.agent import TIMEOUT_S, Running, fed_config, running
from simulators.doubles.log import FlakyLog
from simulators.doubles.source import WALL, FedSource, S, source_type

__all__ = ["TIMEOUT_S", "WALL", "FedSource", "FlakyLog", "Running", "S", "fed", "fed_config", "running"]


@pytest.fixture
def fed(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The source type `fed` exists."""
    monkeypatch.setattr("edge.agent.publisher.RETRY_S", (0.01, 0.05))
    with source_type("fed"):
        yield
