"""A scenario, played: every sensor speaks at its time, and the truth is written down."""

from __future__ import annotations

import asyncio
import contextlib
import csv
import time
from collections.abc import Callable, Coroutine, Iterable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Final, NamedTuple, Self

import numpy as np

from ingest.chunker import Limits
from ingest.errors import MissingLibraryError
from ingest.times import NS
from ingest.units import format_time
from simulators.disturbance import Damage, disturb
from simulators.recording import Episode, Recording
from simulators.scenario import Scenario, SensorPlan, ViaLog, ViaMqtt, ViaSerial
from simulators.speech import Utterance, records, speak
from simulators.voices import LogVoice, MqttVoice, SerialVoice, Voice

AT_ONCE: Final = 200
"""Utterances that are said in one go when time presses."""
FAREWELL_S: Final = 5.0
PREPARING_NS: Final = 300_000_000
REST_S: Final = 0.005
"""No sensor rests for less: what is due meanwhile is said together."""
_MS: Final = 1_000_000


class Happening(NamedTuple):
    """Something that was to be seen in a device's data."""

    device: str
    episode: Episode


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
        self._said_ns = 0
        """The time of what was said last."""

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
                    async with asyncio.timeout(max(wait_s, REST_S)):
                        await stop.wait()
            if stop.is_set():
                break
            batch.append(utterance)
        await self._say(batch)

    async def _say(self, batch: list[Utterance]) -> None:
        await self.voice.say(batch)
        self._said_ns = batch[-1].t_ns if batch else self._said_ns
        self.report.utterances += len(batch)
        self.report.samples += sum(utterance.samples for utterance in batch)
        self.report.unheard = self.voice.unheard

    def finish(self, end_ns: int) -> None:
        """Complete the report for the time up to `end_ns`."""
        self.report.unheard = self.voice.unheard
        gaps = () if self.recording is None else self.recording.gaps
        self.report.gap_samples = sum(gap.samples for gap in gaps if gap.end_ns <= self._said_ns)
        self.report.near_misses = len(self.near_misses(end_ns))
        self.report.events = len(self.events(end_ns))

    def events(self, end_ns: int) -> list[Happening]:
        """Its true events up to `end_ns`."""
        return self._until(end_ns, () if self.recording is None else self.recording.events)

    def near_misses(self, end_ns: int) -> list[Happening]:
        """What only looked like one up to `end_ns`."""
        return self._until(end_ns, () if self.recording is None else self.recording.near_misses)

    def _until(self, end_ns: int, episodes: tuple[Episode, ...]) -> list[Happening]:
        begun = [episode for episode in episodes if episode.start_ns < end_ns]
        return [Happening(self.plan.device, Episode(it.kind, it.start_ns, min(it.end_ns, end_ns))) for it in begun]


class Play:
    """A scenario that is played: a context manager within which the sensors can be heard.

    Raises when it is entered:
        SensorloomError: a broker or a log cannot be reached, a port's path is taken.
    """

    def __init__(self, scenario: Scenario, tell: Callable[[str], None]) -> None:
        self._scenario = scenario
        self._tell = tell
        self._parts = [_Part(plan, scenario) for plan in scenario.sensors]
        self._stack = contextlib.AsyncExitStack()
        self._stop = asyncio.Event()
        self._start_ns = 0
        self._end_ns = 0

    async def __aenter__(self) -> Self:
        async with contextlib.AsyncExitStack() as stack:
            if self._scenario.broker is not None:
                try:
                    from simulators.broker import EmbeddedBroker
                except ModuleNotFoundError as error:
                    raise MissingLibraryError(f"{self._scenario.path}: broker", error.name, "demo") from None

                broker = EmbeddedBroker(*self._scenario.broker)
                await broker.start()
                stack.push_async_callback(broker.stop)
                self._tell(f"MQTT broker at {broker.url} (3.1.1)")
            for part in self._parts:
                stack.push_async_callback(part.voice.close)
            for part in self._parts:
                plan = part.plan
                if isinstance(plan.via, ViaSerial):
                    self._tell(f"{plan.device}/{plan.stream} speaks at {plan.via.port} when somebody reads there")
            await _together(part.voice.open() for part in self._parts)
            self._stack = stack.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Return when all that was said has arrived."""
        await self._stack.aclose()

    @property
    def sensors(self) -> list[SensorReport]:
        """What the sensors have done so far."""
        return [part.report for part in self._parts]

    def stop(self) -> None:
        """Let the sensors fall silent: `speak` returns soon."""
        self._stop.set()

    async def speak(self) -> None:
        """Say everything, each thing when it is due, to the end or until `stop`."""
        scenario, loop = self._scenario, asyncio.get_running_loop()
        t0_ns = self._start_ns = _start_ns(scenario)
        self._end_ns = planned_ns = t0_ns + int(scenario.seconds * NS)
        speeches = [part.utterances(t0_ns) for part in self._parts]
        begin_s = loop.time()
        if scenario.start_ns is None:
            begin_s += t0_ns / NS - time.time()
        tasks = [
            asyncio.create_task(part.speak(speech, t0_ns, begin_s, self._stop))
            for part, speech in zip(self._parts, speeches, strict=True)
        ]
        watching = [asyncio.create_task(_all_or_one_failed(tasks)), asyncio.create_task(_is_set(self._stop))]
        try:
            await asyncio.wait(watching, return_when=asyncio.FIRST_COMPLETED)
            if self._stop.is_set():
                reached_ns = t0_ns + int((loop.time() - begin_s) * scenario.speed * NS)
                self._end_ns = max(t0_ns, min(planned_ns, reached_ns))
                await asyncio.wait(tasks, timeout=FAREWELL_S)  # what is being said is said, and counted
        finally:
            await _end([*watching, *tasks])

    def events(self) -> list[Happening]:
        """The true events so far."""
        return [event for part in self._parts for event in part.events(self._end_ns)]

    def near_misses(self) -> list[Happening]:
        """What only looked like one so far."""
        return [episode for part in self._parts for episode in part.near_misses(self._end_ns)]

    def finish(self) -> Report:
        """Write the truth, where the scenario names a file for it; what the simulation did."""
        for part in self._parts:
            part.finish(self._end_ns)
        truth = self._scenario.truth
        if truth is not None:
            _write_truth(truth, self.events())
        return Report(self._start_ns, self._end_ns, str(truth or ""), self.sensors)


async def play(scenario: Scenario, tell: Callable[[str], None]) -> Report:
    """Play it to its end, or until this task is cancelled: then everything is closed in good order all the same.

    `tell` is given lines for people.

    Raises:
        SensorloomError: a broker or a log cannot be reached, a port's path is taken.
    """
    async with Play(scenario, tell) as played:
        speaking = asyncio.create_task(played.speak())
        try:
            await asyncio.shield(speaking)
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if task is not None:
                task.uncancel()
            played.stop()
            await speaking
    return played.finish()


def _start_ns(scenario: Scenario) -> int:
    """A moment from now, as there is something to prepare, unless the scenario says it."""
    return scenario.start_ns if scenario.start_ns is not None else (time.time_ns() + PREPARING_NS) // _MS * _MS


async def _all_or_one_failed(tasks: Iterable[asyncio.Task[None]]) -> None:
    await asyncio.wait(list(tasks), return_when=asyncio.FIRST_EXCEPTION)


async def _is_set(event: asyncio.Event) -> None:
    await event.wait()


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


def _write_truth(path: Path, events: Iterable[Happening]) -> None:
    """A marks file, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    rows = [
        [event.device, format_time(event.episode.start_ns), format_time(event.episode.end_ns), event.episode.kind]
        for event in events
    ]
    temporary = path.with_name(path.name + ".tmp")
    with temporary.open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["device", "start", "end", "label"])
        writer.writerows(sorted(rows))
    temporary.replace(path)
