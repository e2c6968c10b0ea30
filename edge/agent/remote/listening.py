"""Who listens to what comes through the log, as far as an agent's local file allows it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from typing import NamedTuple, Protocol, Self

from edge.agent.pipeline import Pipeline
from edge.agent.remote.answers import Answers
from edge.agent.remote.commanding import Commander
from edge.agent.remote.configuring import Applying, Configurator
from ingest.log.protocol import Log


class Listening(Applying, Protocol):
    """The agent, as far as something can be said to it."""

    @property
    def pipelines(self) -> Iterable[Pipeline]:
        """Those at work now."""
        ...


class Listeners(NamedTuple):
    """Both, or none."""

    configurator: Configurator | None
    commander: Commander | None

    @classmethod
    def of(
        cls,
        agent: Listening,
        log: Log,
        answers: Answers,
        is_clock_set: Callable[[], bool],
        report: Callable[[str], None],
    ) -> Self:
        """Of an agent's configuration."""
        remote = agent.config.remote
        return cls(
            Configurator(agent, log, answers, report) if remote.is_configured else None,
            Commander(agent, log, answers, is_clock_set, report) if remote.is_commanded else None,
        )

    def begin(self) -> list[asyncio.Task[None]]:
        """Listen; each in a task."""
        return [asyncio.create_task(one.run()) for one in self if one is not None]
