"""The demo: the whole live line for a while, sensors to labelled shards, by the functions that the commands run.

    virtual sensors ─► serial port, MQTT broker ─► edge agent ─► spool ─► LOG ─► windows, rules, labels ─► shards
                   └─► one that speaks into the log itself ────────────────┘

Agent and windowing service run at the same time, as tasks of one process. When the sensors fall silent, the agent
publishes what it has and ends, and the windowing service goes on until it is idle. Then the books are made up: what
was said and read against what lies in the log, what the rules marked against the truth.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
import signal
import socket
import sys
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, NamedTuple, TypeVar

from edge.agent.agent import Agent
from edge.config import load_config
from ingest.engine.rhythm import Limits
from ingest.engine.telling import Notice
from ingest.errors import PermanentError, TransientError
from ingest.log.protocol import READINGS, Log
from ingest.opening import open_log
from service.crew import Ahead, Minute
from service.report import TOLD
from service.run import RunOptions, run_service
from simulators.balance import InLog, ends_of, read_back
from simulators.broker import EmbeddedBroker
from simulators.patience import Patience
from simulators.playing import Happening, Play, SensorReport
from simulators.scenario import load_scenario
from simulators.site import LIVE_SPEED, SPEED, Site, claim, timeline_words
from simulators.watching import SoFar, Watch
from windowing.dataset.belongings import RULES

T = TypeVar("T")
SEAL_S: Final = 2.0
"""How often the windowing service makes visible what it has: one sees it grow."""
TICK_S: Final = 0.05
LOOKS: Final = 600
"""How often one looks, with a tick between, at an agent that connects or reads and finds it where it was: 30 s."""
_MS: Final = 1_000_000


@dataclass(frozen=True, slots=True)
class Lived:
    """What came of the time that the line was alive, each part as it says itself."""

    sensors: Sequence[SensorReport]
    events: Sequence[Happening]
    near_misses: Sequence[Happening]
    figures: Mapping[str, float]
    """The agent's."""
    log: Mapping[str, InLog]
    """What the log holds of each device, read back."""
    seconds: float
    """Of event time."""
    ended_early: bool


class _Ending(NamedTuple):
    """What a person asks for: with one signal an end in good order, with two an end at once."""

    early: asyncio.Event
    at_once: asyncio.Event


def run_demo(
    folder: Path, log_url: str, seconds: float, seed: int, watch: Watch, *, live: bool = False
) -> tuple[Site, Lived]:
    """Run the line for `seconds` on the wall's clock; `watch` is told what is going on. `live`: as fast as life, and
    with a timeline on it in the browser.

    SIGINT and SIGTERM end it early and in good order; a second one ends it at once.

    Raises:
        UsageError: something is in `folder` already, or `log_url` names no log.
        SensorloomError: the log cannot be reached; what the agent and the windowing service raise.
        KeyboardInterrupt: a second signal came.
    """
    return asyncio.run(_run(folder, log_url, seconds, seed, watch, LIVE_SPEED if live else SPEED))


async def _run(folder: Path, log_url: str, seconds: float, seed: int, watch: Watch, speed: int) -> tuple[Site, Lived]:
    log = open_log(log_url)
    try:
        since = await ends_of(log)  # before anything is written: a log that cannot be reached is told now
        claim(folder)
        past_s = 0.0 if speed == LIVE_SPEED else seconds * speed
        start_ns = (time.time_ns() - int(past_s * 1e9)) // _MS * _MS
        site = Site(folder, log_url, seed, seconds, start_ns, f"127.0.0.1:{_free_port()}", speed)
        site.write()
        watch.tell(f"four devices for {seconds:g} s, {site.pace}; everything lies in {folder}")
        with _ended_by_signals(watch) as ending:
            play, figures = await _live(site, log, watch, ending.early)
            watch.stage("drain")
            result = await run_service(_windowing(site, until_idle=True), _Observer(watch), ending.at_once)
        if not result.finished:
            raise KeyboardInterrupt
        done = play.finish()
        lived = Lived(
            sensors=done.sensors,
            events=play.events(),
            near_misses=play.near_misses(),
            figures=figures,
            log=await read_back(log, since, site.devices),
            seconds=(done.end_ns - done.start_ns) / 1e9,
            ended_early=ending.early.is_set(),
        )
        return site, lived
    finally:
        await log.close()


async def _live(site: Site, log: Log, watch: Watch, end: asyncio.Event) -> tuple[Play, dict[str, float]]:
    """Sensors, broker, agent and windowing service at once, until the sensors have said everything, or `end`.

    The sensors, silent now, and the agent's figures.
    """
    play = Play(replace(load_scenario(site.scenario), broker=None), lambda line: None)
    agent = Agent(
        load_config(site.agent), log, secrets.token_bytes(16), "demo", lambda line: watch.tell(f"agent: {line}")
    )
    agent_stop, windowing_stop = asyncio.Event(), asyncio.Event()
    service = run_service(_windowing(site), _Observer(watch), windowing_stop)
    async with (
        _broker(site),  # for longer than the sensors need it: until the agent has all of it
        _running(service, windowing_stop) as windowing,
        _running(agent.run(agent_stop), agent_stop) as reading,
        contextlib.AsyncExitStack() as stack,
    ):
        others = [windowing, reading]
        await _beside(others, stack.enter_async_context(play))
        await _beside(others, _until(lambda: [] if end.is_set() else _unconnected(agent)))
        if site.speed == LIVE_SPEED:
            await stack.enter_async_context(_timeline(site, watch))
        showing = asyncio.create_task(_show(watch, play, end))
        stack.callback(showing.cancel)
        await _beside(others, play.speak())
        await _beside(others, _until(lambda: _unread(_samples(agent), play.sensors)))
        agent_stop.set()
        figures = await reading
    return play, figures


@contextlib.asynccontextmanager
async def _broker(site: Site) -> AsyncIterator[None]:
    host, _, port = site.broker.rpartition(":")
    broker = EmbeddedBroker(host, int(port))
    await broker.start()
    try:
        yield
    finally:
        await broker.stop()


@contextlib.asynccontextmanager
async def _timeline(site: Site, watch: Watch) -> AsyncIterator[None]:
    """The timeline's server, a process of its own: what it tells, with the link that opens it, `watch` is told."""
    words = [*timeline_words(site.folder, site.log), "--listen", f"127.0.0.1:{_free_port()}"]
    server = await asyncio.create_subprocess_exec(
        *(sys.executable, "-u", "-m", *words),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        start_new_session=True,  # Ctrl-C is ours: it ends the sensors first
    )
    telling = asyncio.create_task(_tell(server, watch))
    try:
        yield
    finally:
        if server.returncode is None:
            server.terminate()
        await asyncio.gather(server.wait(), telling)


async def _tell(server: asyncio.subprocess.Process, watch: Watch) -> None:
    assert server.stdout is not None
    async for line in server.stdout:
        watch.tell(line.decode(errors="replace").rstrip())


@contextlib.asynccontextmanager
async def _running(job: Coroutine[Any, Any, T], stop: asyncio.Event) -> AsyncIterator[asyncio.Task[T]]:
    """A task in the background; it is over behind the block. What it raises is told by who waits for it."""
    task = asyncio.create_task(job)
    try:
        yield task
    finally:
        stop.set()
        await asyncio.wait([task])
        failure = task.exception()
    if failure is not None:
        raise failure


async def _beside(others: Sequence[asyncio.Task[Any]], job: Coroutine[Any, Any, T]) -> T:
    """The job's result. When one of the others ends meanwhile, which none should, the job ends too: raises why."""
    task = asyncio.create_task(job)
    try:
        await asyncio.wait([task, *others], return_when=asyncio.FIRST_COMPLETED)
        for other in others:
            if other.done():
                other.result()
                raise PermanentError("demo: the agent or the windowing service ended by itself")
        return await task
    finally:
        task.cancel()
        await asyncio.wait([task])


async def _until(missing: Callable[[], Sequence[str]]) -> None:
    """Until nothing is missing. Raise `TransientError` where the same is for long, each in its own words."""
    patience = Patience(LOOKS)
    while words := missing():
        if not patience.lasts(tuple(words)):
            raise TransientError(f"demo: {'; '.join(words)}, and for {LOOKS * TICK_S:g} s nothing came")
        await asyncio.sleep(TICK_S)


def _unconnected(agent: Agent) -> list[str]:
    if not agent.pipelines:
        return ["the agent does not begin"]
    waited = [pipeline.source.waiting_for for pipeline in agent.pipelines]
    return [f"the agent waits: {what}" for what in waited if what]


def _samples(agent: Agent) -> dict[tuple[str, str], int]:
    """How many the agent has got, by device and stream."""
    return {
        (device, stream): counters.samples
        for device, recorder in agent.recorders.items()
        for stream, counters in recorder.counters.items()
    }


def _unread(read: Mapping[tuple[str, str], int], sensors: Sequence[SensorReport]) -> list[str]:
    """Whose samples the agent has not all got, of those that were said and heard; sensors that it does not read say
    nothing here."""
    missing: list[str] = []
    for sensor in sensors:
        heard = sensor.samples - sensor.unheard
        count = read.get((sensor.device, sensor.stream), heard)
        if count < heard:
            missing.append(f"{sensor.device}/{sensor.stream}: the agent has read {count:,} samples of {heard:,}")
    return missing


async def _show(watch: Watch, play: Play, end: asyncio.Event) -> None:
    """Keep the watch up to date, and let the sensors fall silent at an early end; until cancelled."""
    begin_s = time.monotonic()
    while True:
        watch.so_far.seconds = time.monotonic() - begin_s
        watch.so_far.samples = sum(sensor.samples for sensor in play.sensors)
        watch.show()
        if end.is_set():
            play.stop()
        await asyncio.sleep(TICK_S)


class _Observer:
    """Hears what the windowing service tells, in any of its runs."""

    def __init__(self, watch: Watch) -> None:
        self._watch = watch

    def __call__(self, event: Ahead | Minute | Notice, told_as: str) -> None:
        if not isinstance(event, Notice):
            return
        if event.kind in TOLD:
            self._watch.tell(f"windowing: {event.text}")
        if event.entry is not None:
            so_far: SoFar = self._watch.so_far
            so_far.windows += event.entry.counts.get("windows", 0) * (told_as == READINGS)
            so_far.marks += event.entry.counts.get("marks", 0) * (told_as == RULES)
            self._watch.show()


def _windowing(site: Site, *, until_idle: bool = False) -> RunOptions:
    """What `sensorloom window run` would be told."""
    instance = f"demo-{socket.gethostname()}-{os.getpid()}"
    limits = Limits(seal_seconds=SEAL_S)
    return RunOptions(site.config, site.log, site.dataset, instance, until_idle=until_idle, limits=limits)


def _free_port() -> int:
    """A port of loopback on which nobody listens now."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


@contextlib.contextmanager
def _ended_by_signals(watch: Watch) -> Iterator[_Ending]:
    """Within the block SIGINT and SIGTERM ask for an end, also where a shell had SIGINT ignored."""
    loop, ending = asyncio.get_running_loop(), _Ending(asyncio.Event(), asyncio.Event())

    def end() -> None:
        if ending.early.is_set():
            ending.at_once.set()
        else:
            watch.tell("ending early; what was read is brought in (once more: at once)")
            ending.early.set()

    numbers = (signal.SIGINT, signal.SIGTERM)
    before = [signal.getsignal(number) for number in numbers]
    for number in numbers:
        loop.add_signal_handler(number, end)
    try:
        yield ending
    finally:
        for number, handler in zip(numbers, before, strict=True):
            loop.remove_signal_handler(number)
            signal.signal(number, handler)
