"""The sources at work, in the order of their tables, and how they are exchanged while the agent runs.

A source whose table stays is not touched. One that leaves is closed, and what it had read is taken; then, between two
commits, its stream is described anew, and what comes in its place begins.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import NamedTuple

from edge.agent.members import Devices
from edge.agent.pipeline import Pipeline
from edge.agent.remote.planning import Heard, Plan, planned, spoke, usual_silence_ns
from edge.agent.remote.serving import Serving
from edge.agent.schedule import CommitSchedule
from edge.decoders import decoder_of
from edge.protocol import Decoder, Leaving, Source, SourceConfig
from edge.recording.fixes import Fixes
from edge.sources import sources_of
from edge.sources.clock import boottime_ns
from edge.spool.entries import Identities
from ingest.errors import UsageError


class Made(NamedTuple):
    """What a pipeline is made of."""

    config: SourceConfig
    source: Source
    decoder: Decoder


class Shared(NamedTuple):
    """What all pipelines work with."""

    devices: Devices
    identities: Identities
    schedule: CommitSchedule
    fixes: Mapping[str, Fixes]
    """Who wants to hear those of a receiver, by its source."""


class Exchanged(NamedTuple):
    """What was done."""

    plan: Plan
    fresh: Sequence[Pipeline]
    """What has begun."""
    silence_ns: Mapping[str, int]
    """Of those that spoke before, by name: for how long they may be silent at the end of a trial."""
    gone: Collection[str]
    """Devices of which nothing is read any more."""


class Lineup:
    """The pipelines of an agent."""

    def __init__(self, sources: Sequence[SourceConfig], report: Callable[[str], None]) -> None:
        """Raises `UsageError` for what cannot be a source or a decoder."""
        self.pipelines: list[Pipeline] = []
        """The same list for ever."""
        self.serving = Serving()
        self._report = report
        self._made = _made(sources)
        self._shared: Shared | None = None

    def begin(self, shared: Shared) -> None:
        """Make the pipelines of what it was made with; nobody serves them yet."""
        self._shared = shared
        self.pipelines[:] = self._pipelines(self._shared, self._made)
        self._made = []

    def _pipelines(self, shared: Shared, made: Sequence[Made]) -> list[Pipeline]:
        return [Pipeline(*one, *shared[:3], self._report, shared.fixes.get(one.config.name)) for one in made]

    async def change(
        self, sources: Sequence[SourceConfig], patience_ns: int, lock: asyncio.Lock, swapped: Callable[[], None]
    ) -> Exchanged:
        """Read these from now on. `swapped` is called while `lock`, which commits hold, is held.

        Raises:
            UsageError: one of them cannot be read beside what others have found; nothing was changed.
        """
        shared = self._shared
        assert shared is not None
        plan = planned([one.config for one in self.pipelines], sources)
        leaving = [one for one in self.pipelines if one.config.name not in plan.stay]
        freed = {whose for one in leaving for whose in one.members}
        _check_free(shared.devices, plan.come, freed)
        made = _made(plan.come)
        heard = {one.config.name: (_heard(one), one.config.expect_ns) for one in leaving}
        self.serving.hold()
        try:
            successors = {config.name: way for config, way, _ in made}
            for one in leaving:
                if isinstance(one.source, Leaving):
                    await one.source.leave(successors.get(one.config.name))
            await self.serving.stop(leaving)
            async with lock:
                for one in leaving:
                    one.end()
                gone = shared.devices.change(freed, plan.come, boottime_ns())
                fresh = self._pipelines(shared, made)
                known = {one.config.name: one for one in [*self.pipelines, *fresh]}
                self.pipelines[:] = [known[config.name] for config in sources]
                swapped()
            self.serving.start(fresh)
        finally:
            self.serving.let_go()
        spoken = {
            config.name: usual_silence_ns(*heard[config.name], patience_ns)
            for config in plan.come
            if config.name in heard and spoke(*heard[config.name], patience_ns)
        }
        return Exchanged(plan, fresh, spoken, gone)


def _check_free(devices: Devices, come: Sequence[SourceConfig], freed: Collection[tuple[str, str]]) -> None:
    for config in come:
        if not config.is_family and devices.is_taken(config) and (config.device, config.stream) not in freed:
            raise UsageError(
                f'{config.where}: stream "{config.device}/{config.stream}" is taken by what another source has found; '
                "give it another one"
            )


def _made(sources: Sequence[SourceConfig]) -> list[Made]:
    return [Made(one, way, decoder_of(one)) for one, way in zip(sources, sources_of(sources), strict=True)]


def _heard(pipeline: Pipeline) -> Heard:
    """What was heard of it up to now."""
    hearing, now_ns = pipeline.hearing, boottime_ns()
    if hearing.heard_ns is None or hearing.first_ns is None:
        return Heard(0, 0, 0)
    laps = max(1, hearing.arrivals - 1)
    return Heard(hearing.samples, now_ns - hearing.heard_ns, (hearing.heard_ns - hearing.first_ns) // laps)
