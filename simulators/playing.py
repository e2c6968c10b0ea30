"""A scenario, played: every sensor speaks at its time, and the truth is written down."""

from __future__ import annotations

import asyncio
import contextlib
import csv
import time
from collections.abc import Callable, Coroutine, Iterable, Iterator
from dataclasses import asdict, dataclass, field
from typing import Any, Final

import numpy as np

from ingest.chunker import Limits
from ingest.times import NS
from ingest.units import format_time
from simulators.disturbance import Damage, disturb
from simulators.recording import Recording
from simulators.scenario import Scenario, SensorPlan, ViaLog, ViaMqtt, ViaSerial
from simulators.speech import Utterance, records, speak
from simulators.voices import LogVoice, MqttVoice, SerialVoice, Voice

AT_ONCE: Final = 200
"""Utterances that are said in one go when time presses."""
FAREWELL_S: Final = 5.0
PREPARING_NS: Final = 300_000_000
_MS: Final = 1_000_000


@dataclass(slots=True)
class SensorReport:
    """What one sensor did."""

    device: str
    stream: str
    kind: str
    via: str
    samples: int = 0
    """Said, each counted once."""
    utterances: int = 0
    gap_samples: int = 0
    """Never sensed, of the time that was played."""
    unheard: int = 0
    events: int = 0
    near_misses: int = 0
    damage: Damage = field(default_factory=Damage)


@dataclass(slots=True)
class Report:
    """What a simulation did."""

    start_ns: int
    end_ns: int
    """Of event time; earlier than planned where it was ended early."""
    truth: str
    sensors: list[SensorReport]

    def as_dict(self) -> dict[str, Any]:
        """Plain data."""
        return asdict(self)


class _Part:
    """One sensor: its recording, its voice, and its report as it grows."""

    def __init__(self, plan: SensorPlan, scenario: Scenario) -> None:
        self.plan = plan
        self.scenario = scenario
        self.report = SensorReport(plan.device, plan.stream, plan.kind, type(plan.via).__name__[3:].lower())
        self.recording: Recording | None = None
        self.voice: Voice = self._voice()

    def _voice(self) -> Voice:
        match self.plan.via:
            case ViaSerial() as via:
                return SerialVoice(via)
            case ViaMqtt() as via:
                return MqttVoice(via)
            case ViaLog() as via:
                description = self.plan.make(self.scenario.seed, 0, 1.0).description
                return LogVoice(via, self.plan.device, description)

    def utterances(self, t0_ns: int) -> Iterator[Utterance]:
        """What is heard of it, in order."""
        made = self.recording = self.plan.make(self.scenario.seed, t0_ns, self.scenario.seconds)
        if isinstance(self.plan.via, ViaLog):
            said = records(made, self.plan.device, Limits())
        else:
            said = speak(made, self.plan.style)
        rng = np.random.default_rng((self.scenario.seed, self.plan.number, 1))
        return disturb(rng, said, self.plan.faults, self.report.damage)

    async def speak(self, utterances: Iterable[Utterance], t0_ns: int, begin_s: float, stop: asyncio.Event) -> None:
        """Say each when it is due, until `stop`: `begin_s` on the loop's clock is `t0_ns`."""
        loop = asyncio.get_running_loop()
        batch: list[Utterance] = []
        for utterance in utterances:
            wait_s = begin_s + (utterance.t_ns - t0_ns) / (NS * self.scenario.speed) - loop.time()
            if batch and (wait_s > 0 or len(batch) >= AT_ONCE):
                await self._say(batch)
                batch = []
            if wait_s > 0:
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(stop.wait(), wait_s)
            if stop.is_set():
                break
            batch.append(utterance)
        await self._say(batch)

    async def _say(self, batch: list[Utterance]) -> None:
        await self.voice.say(batch)
        self.report.utterances += len(batch)
        self.report.samples += sum(utterance.samples for utterance in batch)

    def finish(self, end_ns: int) -> list[list[str]]:
        """Complete the report for the time up to `end_ns`; the rows of its true events."""
        made = self.recording
        if made is None:
            return []
        self.report.unheard = self.voice.unheard
        self.report.gap_samples = sum(gap.samples for gap in made.gaps if gap.end_ns <= end_ns)
        self.report.near_misses = sum(episode.start_ns < end_ns for episode in made.near_misses)
        events = [event for event in made.events if event.start_ns < end_ns]
        self.report.events = len(events)
        return [
            [self.plan.device, format_time(event.start_ns), format_time(min(event.end_ns, end_ns)), event.kind]
            for event in events
        ]


async def play(scenario: Scenario, tell: Callable[[str], None]) -> Report:
    """Play it to its end, or until this task is cancelled: then everything is closed in good order all the same.

    `tell` is given lines for people.

    Raises:
        WavemarkError: a broker or a log cannot be reached, a port's path is taken.
    """
    parts = [_Part(plan, scenario) for plan in scenario.sensors]
    async with contextlib.AsyncExitStack() as stack:
        if scenario.broker is not None:
            from simulators.broker import EmbeddedBroker

            broker = EmbeddedBroker(*scenario.broker)
            await broker.start()
            stack.push_async_callback(broker.stop)
            tell(f"MQTT broker at {broker.url} (3.1.1)")
        for part in parts:
            stack.push_async_callback(part.voice.close)
        for part in parts:
            if isinstance(part.plan.via, ViaSerial):
                tell(f"{part.plan.device}/{part.plan.stream} speaks at {part.plan.via.port} when somebody reads there")
        await _together(part.voice.open() for part in parts)
        end_ns = await _speak(scenario, parts, t0_ns := _start_ns(scenario))
    rows = [row for part in parts for row in part.finish(end_ns)]
    if scenario.truth is not None:
        _write_truth(scenario, rows)
    return Report(t0_ns, end_ns, str(scenario.truth or ""), [part.report for part in parts])


def _start_ns(scenario: Scenario) -> int:
    """A moment from now, as there is something to prepare, unless the scenario says it."""
    return scenario.start_ns if scenario.start_ns is not None else (time.time_ns() + PREPARING_NS) // _MS * _MS


async def _speak(scenario: Scenario, parts: list[_Part], t0_ns: int) -> int:
    """All at once; the event time that was reached."""
    speeches = [part.utterances(t0_ns) for part in parts]
    loop = asyncio.get_running_loop()
    begin_s = loop.time()
    if scenario.start_ns is None:
        begin_s += t0_ns / NS - time.time()
    planned_ns = t0_ns + int(scenario.seconds * NS)
    stop = asyncio.Event()
    tasks = [
        asyncio.create_task(part.speak(speech, t0_ns, begin_s, stop))
        for part, speech in zip(parts, speeches, strict=True)
    ]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION)
    except asyncio.CancelledError:
        task = asyncio.current_task()
        if task is not None:
            task.uncancel()
        stop.set()
        planned_ns = max(t0_ns, min(planned_ns, t0_ns + int((loop.time() - begin_s) * scenario.speed * NS)))
        await asyncio.wait(tasks, timeout=FAREWELL_S)  # what is being said is said, and counted
    finally:
        await _end(tasks)
    return planned_ns


async def _end(tasks: list[asyncio.Task[None]]) -> None:
    """None of them goes on; raises what one of them raised."""
    for task in tasks:
        task.cancel()
    for result in await asyncio.gather(*tasks, return_exceptions=True):
        if isinstance(result, Exception):
            raise result


async def _together(jobs: Iterable[Coroutine[Any, Any, None]]) -> None:
    """Run them all; when one fails, or this is cancelled, the others end too."""
    tasks = [asyncio.create_task(job) for job in jobs]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION)
    finally:
        await _end(tasks)


def _write_truth(scenario: Scenario, rows: list[list[str]]) -> None:
    """A marks file, whole or not at all."""
    path = scenario.truth
    assert path is not None
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(path.name + ".tmp")
    with temporary.open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["device", "start", "end", "label"])
        writer.writerows(sorted(rows))
    temporary.replace(path)
