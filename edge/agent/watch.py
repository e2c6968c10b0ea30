"""The look at the sources, once a second: what they wait for, and what is wrong with what they bring."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from edge.agent.diagnosis import REFUSED, Diagnosis, Finding, Glance
from edge.agent.notices import Notices
from edge.agent.pipeline import Pipeline
from edge.decoders import decoder_type
from edge.protocol import SourceConfig
from edge.recording.recorder import Recorder
from edge.sources import clock
from ingest.log.protocol import Log

EVERY_S: Final = 1.0
SURE: Final = 0.003
"""A learned rate is believed once it is known to this part of it."""


class Watch:
    """Looks, and tells what people should know."""

    def __init__(
        self, pipelines: Sequence[Pipeline], recorders: Mapping[str, Recorder], log: Log, report: Callable[[str], None]
    ) -> None:
        self.findings: dict[str, list[Finding]] = {}
        """What is wrong now, by source."""
        self._pipelines = pipelines
        self._recorders = recorders
        self._log = log
        self._report = report
        self._waiting = Notices(report, patience=1)
        self._remarked: set[str] = set()
        self._diagnoses = {pipeline.config.name: diagnosis_of(pipeline.config) for pipeline in pipelines}

    async def run(self) -> None:
        """Look once a second, until cancelled."""
        while True:
            await asyncio.sleep(EVERY_S)
            try:
                self.look(clock.now()[0])
            except Exception as error:  # what only looks must not end what works
                self._waiting.say("the look at the sources", f"a repair: {error!r}; tell who wrote it")

    def look(self, now_ns: int) -> None:
        """Look once; `now_ns` is of the clock that stamps arrivals."""
        self._waiting.say("log", self._log.trouble)
        for text in self._log.remarks:
            if text not in self._remarked:
                self._remarked.add(text)
                self._report(f"the log: {text}")
        for pipeline in self._pipelines:
            name = pipeline.config.name
            self._waiting.say(name, pipeline.waiting_for)
            diagnosis = self._diagnoses[name]
            recorder = self._recorders[pipeline.config.device]
            self.findings[name] = found = diagnosis.look(glance_at(pipeline, recorder, now_ns))
            for text in diagnosis.news(found, now_ns):
                self._report(f"{name}: {text}")


def diagnosis_of(config: SourceConfig) -> Diagnosis:
    """Who looks at a source of this configuration."""
    return Diagnosis(config, decoder_type(config.decoder, config.where).keys)


def glance_at(pipeline: Pipeline, recorder: Recorder, now_ns: int) -> Glance:
    """What is known of a source now; `recorder` is its device's."""
    hearing, stream = pipeline.hearing, pipeline.config.stream
    counters, rate = recorder.counters[stream], recorder.rates.get(stream)
    refused = {reason: count for reason, count in counters.lost.items() if reason in REFUSED}
    refused["not_rising"] = refused.pop("time", 0) - hearing.faults.get("time", 0)  # the rest was read well
    return Glance(
        now_ns,
        trouble=pipeline.source.trouble,
        is_open=pipeline.is_open,
        arrivals=hearing.arrivals,
        size_bytes=hearing.size_bytes,
        waited=hearing.waited,
        heard_ns=hearing.heard_ns,
        samples=counters.samples,
        decoded=hearing.samples,
        faults=refused | hearing.faults,
        bad=hearing.bad,
        newest=hearing.newest,
        rate_hz=None if rate is None or rate.uncertainty_hz > SURE * rate.nominal_hz else rate.found_hz,
        absent=[list(pipeline.config.channels)[number] for number in sorted(hearing.absent)],
    )
