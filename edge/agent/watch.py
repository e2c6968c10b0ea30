"""The look at the sources, once a second: what they wait for, and what is wrong with what they bring."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from typing import Final

from edge.agent.diagnosis import REFUSED, Diagnosis, Finding, Glance
from edge.agent.members import Member
from edge.agent.notices import Notices
from edge.agent.pipeline import Pipeline
from edge.decoders import decoder_type
from edge.protocol import SourceConfig
from edge.sources import clock
from ingest.log.protocol import Log

EVERY_S: Final = 1.0
SURE: Final = 0.003
"""A learned rate is believed once it is known to this part of it."""


class Watch:
    """Looks, and tells what people should know."""

    def __init__(self, pipelines: Sequence[Pipeline], log: Log, report: Callable[[str], None]) -> None:
        self.findings: dict[str, list[Finding]] = {}
        """What is wrong now, by source; of one of several devices also by `members.named` of each."""
        self._pipelines = pipelines
        self._log = log
        self._report = report
        self._waiting = Notices(report, patience=1)
        self._remarked: set[str] = set()
        self._diagnoses: dict[str, Diagnosis] = {}

    async def run(self) -> None:
        """Look once a second, until cancelled."""
        while True:
            await asyncio.sleep(EVERY_S)
            try:
                self.look(clock.now()[0])
            except Exception as error:  # what only looks must not end what works
                self._waiting.say("the look at the sources", f"a repair: {error!r}; tell who wrote it")

    def forget(self, names: Collection[str]) -> None:
        """These sources, and their devices, are others now, or gone."""
        for name in [*self._diagnoses]:
            if name in names or name.partition(" of ")[0] in names:
                del self._diagnoses[name]
                self.findings.pop(name, None)
        for name in names:
            self._waiting.say(name, "")

    def look(self, now_ns: int) -> None:
        """Look once; `now_ns` is of the clock that stamps arrivals."""
        self._waiting.say("log", self._log.trouble)
        for text in self._log.remarks:
            if text not in self._remarked:
                self._remarked.add(text)
                self._report(f"the log: {text}")
        for pipeline in self._pipelines:
            name = pipeline.config.name
            if pipeline.waiting_for or pipeline.is_open:  # one that ends, or is begun again, does not go on
                self._waiting.say(name, pipeline.waiting_for)
            if pipeline.config.is_family:
                self._look(name, pipeline.config, glance_at(pipeline, None, now_ns))
            for member in list(pipeline.members.values()):
                glance = glance_at(pipeline, member, now_ns)
                self._look(pipeline.name_of(member), member.config, glance)

    def _look(self, name: str, config: SourceConfig, glance: Glance) -> None:
        diagnosis = self._diagnoses.get(name)
        if diagnosis is None:
            diagnosis = self._diagnoses[name] = diagnosis_of(config)
        self.findings[name] = found = diagnosis.look(glance)
        for text in diagnosis.news(found, glance.at_ns):
            self._report(f"{name}: {text}")


def diagnosis_of(config: SourceConfig) -> Diagnosis:
    """Who looks at a source of this configuration."""
    return Diagnosis(config, decoder_type(config.decoder, config.where).keys)


def glance_at(pipeline: Pipeline, member: Member | None, now_ns: int) -> Glance:
    """What is known of a source now, as far as it feeds this stream; None: of one of several devices as a whole."""
    hearing = pipeline.hearing if member is None else member.hearing
    recorders = [
        (one.recorder, one.config.stream) for one in (pipeline.members.values() if member is None else [member])
    ]
    rate = recorders[0][0].rates.get(recorders[0][1]) if member is not None else None
    refused: Counter[str] = Counter()
    for recorder, stream in recorders:
        refused.update({reason: n for reason, n in recorder.counters[stream].lost.items() if reason in REFUSED})
    refused["not_rising"] = refused.pop("time", 0) - hearing.faults.get("time", 0)  # the rest was read well
    is_told = member is None and bool(pipeline.members)  # of each of its devices
    is_whole = member is None or member.hearing is pipeline.hearing
    return Glance(
        now_ns,
        trouble=pipeline.source.trouble if is_whole else "",
        is_open=pipeline.is_open,
        arrivals=hearing.arrivals,
        size_bytes=hearing.size_bytes,
        waited=hearing.waited,
        heard_ns=hearing.heard_ns,
        samples=sum(recorder.counters[stream].samples for recorder, stream in recorders),
        decoded=hearing.samples,
        faults={} if is_told else dict(refused) | hearing.faults,
        bad=() if is_told else hearing.bad,
        newest=hearing.newest,
        rate_hz=None if rate is None or rate.uncertainty_hz > SURE * rate.nominal_hz else rate.found_hz,
        absent=[] if is_told else [list(pipeline.config.channels)[number] for number in sorted(hearing.absent)],
    )
