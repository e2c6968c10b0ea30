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
from edge.agent.overview import SourceView
from edge.agent.pipeline import Pipeline
from edge.agent.schedule import CommitSchedule
from edge.agent.views import Now, source_view
from edge.agent.watch import diagnosis_of, glance_at
from edge.config import AgentConfig
from edge.decoders import decoder_type
from edge.protocol import Source, SourceConfig
from edge.recording.recorder import Previous, Recorder
from edge.sources import source_type
from edge.sources.clock import now
from edge.spool.entries import Identities
from ingest.times import NS

LOOK_S: Final = 0.25
"""How often it is looked whether all is over; the sources are looked at once a second, as an agent does."""


class Trial:
    """One configuration's sources, read until they are told to end; `token` makes its name at brokers its own."""

    def __init__(self, config: AgentConfig, token: str) -> None:
        clock = system_clock(config.clock.trust)
        self._recorders = {
            device: Recorder(
                device, b"", [one for one in config.sources if one.device == device], config.rules, Previous(), clock
            )
            for device in config.devices
        }
        self._schedule = CommitSchedule(1.0, lambda: 0)
        self._said: dict[str, str] = {}
        """By source, why it failed last."""
        self._pipelines = [self._pipeline(source, f"{token}{number}") for number, source in enumerate(config.sources)]
        self._diagnoses = [diagnosis_of(source) for source in config.sources]
        self._findings: list[list[str]] = [[] for _ in config.sources]
        self._begun_ns = self._looked_ns = now()[0]

    def _pipeline(self, config: SourceConfig, token: str) -> Pipeline:
        decoder = decoder_type(config.decoder, config.where).from_config(config)
        recorder, report = self._recorders[config.device], self._reporter(config.name)
        return Pipeline(config, _passing(config, token), decoder, recorder, Identities({}), self._schedule, report)

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
        counters = (self._recorders[one.config.device].counters[one.config.stream] for one in self._pipelines)
        return enough is not None and all(counter.samples >= enough for counter in counters)

    def look(self, *, is_last: bool = False) -> None:
        """Find what is wrong now, and forget what was recorded; `is_last`: nobody will look any longer."""
        now_ns = self._looked_ns = now()[0]
        for recorder in self._recorders.values():
            recorder.flush(now_ns)
        self._schedule.make_room()
        for number, (pipeline, diagnosis) in enumerate(zip(self._pipelines, self._diagnoses, strict=True)):
            pipeline.hand_over()
            glance = glance_at(pipeline, self._recorders[pipeline.config.device], now_ns)
            if is_last and pipeline.ended:
                glance = replace(glance, is_open=True)  # what a file has said is all that it says
            found = diagnosis.conclude(glance) if is_last else diagnosis.look(glance)
            texts = [finding.text for finding in found]
            said = self._said.get(pipeline.config.name)
            self._findings[number] = [said, *texts] if said and not glance.samples else texts

    def views(self) -> list[SourceView]:
        """What is known of each source now."""
        at = Now(*now())
        return [self._view(number, at) for number in range(len(self._pipelines))]

    def _view(self, number: int, at: Now) -> SourceView:
        pipeline = self._pipelines[number]
        view = source_view(pipeline, self._recorders[pipeline.config.device], self._findings[number], at)
        return view if view.rate_hz is not None else msgspec.structs.replace(view, rate_hz=_counted_hz(pipeline, view))


def _is_done(task: asyncio.Task[None]) -> bool:
    return task.done()


def _counted_hz(pipeline: Pipeline, view: SourceView) -> float | None:
    """How many samples a second came, where that says something of the sensor."""
    hearing = pipeline.hearing
    if hearing.first_ns is None or hearing.heard_ns is None or hearing.waited or pipeline.config.type == "replay":
        return None
    span_ns, laps = hearing.heard_ns - hearing.first_ns, hearing.arrivals - 1
    return view.samples * laps / hearing.arrivals * NS / span_ns if span_ns > 0 and view.samples else None


def _passing(config: SourceConfig, token: str) -> Source:
    """The source of a table, which leaves nothing where it reads."""
    if config.type == "mqtt":
        from edge.sources.mqtt.settings import passing, settings  # their library: only where it is configured
        from edge.sources.mqtt.source import MqttSource

        return MqttSource(passing(settings(config), token))
    source: Source = source_type(config.type, config.where).from_config(config)
    return source
