"""The sources of a configuration read for a moment: as an agent reads them, and nothing is kept of it.

Pipelines and recorders are the agent's own, so that what is said of a source is said in its words. There is no spool
and no log: what recorders give is thrown away, and nothing is acknowledged. At a broker a name of its own is used, and
a session that ends with the connection.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import Final

import msgspec

from edge.agent.clock import system_clock
from edge.agent.diagnosis import Diagnosis
from edge.agent.members import Devices, Member
from edge.agent.overview import SourceView
from edge.agent.pipeline import Pipeline
from edge.agent.schedule import CommitSchedule
from edge.agent.views import Now, family_view, source_view
from edge.agent.watch import diagnosis_of, glance_at
from edge.config import AgentConfig
from edge.decoders import decoder_of
from edge.protocol import Source, SourceConfig
from edge.recording.recorder import Recorder
from edge.recording.terms import Previous
from edge.sources import source_type, sources_of
from edge.sources.clock import now
from edge.spool.entries import Identities
from ingest.times import NS

LOOK_S: Final = 0.25
"""How often it is looked whether all is over; the sources are looked at once a second, as an agent does."""


class Trial:
    """One configuration's sources, read until they are told to end; `token` makes its name at brokers its own."""

    def __init__(self, config: AgentConfig, token: str) -> None:
        clock = system_clock(config.clock.trust)
        self._devices = Devices(lambda device, sources: Recorder(device, b"", sources, config.rules, Previous(), clock))
        self._devices.name(config.sources)
        self._schedule = CommitSchedule(1.0, lambda: 0)
        self._said: dict[str, str] = {}
        """By source, why it failed last."""
        tokens = {source.name: f"{token}{number}" for number, source in enumerate(config.sources)}
        ways = sources_of(config.sources, lambda source: passing_source(source, tokens[source.name]))
        self._pipelines = [self._pipeline(source, way) for source, way in zip(config.sources, ways, strict=True)]
        self._diagnoses: dict[str, Diagnosis] = {}
        self._findings: dict[str, list[str]] = {}
        """By source, and of one of several devices by each."""
        self._looked_ns = 0

    def _pipeline(self, config: SourceConfig, way: Source) -> Pipeline:
        report = self._reporter(config.name)
        return Pipeline(config, way, decoder_of(config), self._devices, Identities({}), self._schedule, report)

    def _reporter(self, name: str) -> Callable[[str], None]:
        def report(text: str) -> None:
            self._said[name] = text.removeprefix(f"{name}: ")

        return report

    async def run(self, seconds: float, stop: asyncio.Event, *, enough: int | None = None) -> list[SourceView]:
        """Read for so long, or until `stop`, or until every source is at its end or has given `enough` samples; what
        was found of each."""
        serving = [asyncio.create_task(pipeline.serve()) for pipeline in self._pipelines]
        ends_ns = now()[0] + int(seconds * NS)
        try:
            while not (stop.is_set() or now()[0] >= ends_ns or self._has(enough) or all(map(_is_done, serving))):
                await asyncio.wait(serving, timeout=min(LOOK_S, max(0.0, (ends_ns - now()[0]) / NS)))
                if now()[0] - self._looked_ns >= NS:
                    self.look()
            self.look(is_last=True)
            return self.views()
        finally:
            for task in serving:
                task.cancel()
            await asyncio.gather(*serving, return_exceptions=True)

    def _has(self, enough: int | None) -> bool:
        return enough is not None and all(
            one.members and all(each.recorder.counters[each.config.stream].samples >= enough for each in _members(one))
            for one in self._pipelines
        )

    def look(self, *, is_last: bool = False) -> None:
        """Find what is wrong now, and forget what was recorded; `is_last`: nobody will look any longer."""
        now_ns = self._looked_ns = now()[0]
        for recorder in self._devices.recorders.values():
            recorder.flush(now_ns)
        self._schedule.make_room()
        for pipeline in self._pipelines:
            pipeline.hand_over()
            members: list[Member | None] = [*_members(pipeline)]
            for member in members or [None]:
                self._look(pipeline, member, now_ns, is_last=is_last)

    def _look(self, pipeline: Pipeline, member: Member | None, now_ns: int, *, is_last: bool) -> None:
        name = pipeline.config.name if member is None else pipeline.name_of(member)
        if name not in self._diagnoses:
            self._diagnoses[name] = diagnosis_of(pipeline.config)
        diagnosis, glance = self._diagnoses[name], glance_at(pipeline, member, now_ns)
        if is_last and pipeline.ended:
            glance = replace(glance, is_open=True)  # what a file has said is all that it says
        found = diagnosis.conclude(glance) if is_last else diagnosis.look(glance)
        texts = [finding.text for finding in found]
        said = self._said.get(pipeline.config.name)
        self._findings[name] = [said, *texts] if said and not glance.samples else texts

    def views(self) -> list[SourceView]:
        """What is known of each source now; of one of several devices of each of them, as soon as there is one."""
        at = Now(*now())
        return [view for pipeline in self._pipelines for view in self._views(pipeline, at)]

    def _views(self, pipeline: Pipeline, at: Now) -> list[SourceView]:
        if not pipeline.members:
            return [family_view(pipeline, self._findings.get(pipeline.config.name, []), at)]
        views = []
        for member in _members(pipeline):
            view = source_view(pipeline, member, self._findings.get(pipeline.name_of(member), []), at)
            hz = view.rate_hz if view.rate_hz is not None else _counted_hz(member, view)
            views.append(msgspec.structs.replace(view, rate_hz=hz))
        return views


def _members(pipeline: Pipeline) -> list[Member]:
    return list(pipeline.members.values())


def _is_done(task: asyncio.Task[None]) -> bool:
    return task.done()


def _counted_hz(member: Member, view: SourceView) -> float | None:
    """How many samples a second came, where that says something of the sensor."""
    hearing = member.hearing
    if hearing.first_ns is None or hearing.heard_ns is None or hearing.waited or member.config.type == "replay":
        return None
    span_ns, laps = hearing.heard_ns - hearing.first_ns, hearing.arrivals - 1
    return view.samples * laps / hearing.arrivals * NS / span_ns if span_ns > 0 and view.samples else None


def passing_source(config: SourceConfig, token: str) -> Source:
    """The source of a table, which leaves nothing where it reads."""
    made = source_type(config.type, config.where)
    passing: Callable[[SourceConfig, str], Source] | None = getattr(made, "passing", None)
    return made.from_config(config) if passing is None else passing(config, token)
