"""The agent: sources in, records into the spool once a second, the spool into the log. The thin shell over the core.

A sample's way: a source's arrival → its decoder → the device's recorder (`edge.agent.pipeline`) → at the next commit
chunks in the spool, with one fsync for all of them → the source's acknowledgement (`edge.agent.committer`) → the
publisher. Whatever fails on the way is tried again; what is lost for good is counted and announced.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import Final, NamedTuple

from edge.agent.answering import answering
from edge.agent.clock import ClockWatch, offset_ns
from edge.agent.clones import CloneWatch
from edge.agent.committer import Committer, Marker
from edge.agent.figures import by_device, lost_words, marked, published, recorded, refused, spooled
from edge.agent.lineup import Exchanged, Lineup, Shared
from edge.agent.marking.book import Open, button_key
from edge.agent.marking.buttons import Buttons
from edge.agent.marking.control import Clerk, desk_of, listening
from edge.agent.marking.desk import Desk
from edge.agent.marking.journal import load
from edge.agent.memory import give_back
from edge.agent.metrics import serve_metrics
from edge.agent.notices import Notices
from edge.agent.overview import Overview, SourceView
from edge.agent.pipeline import Missing, missing_of
from edge.agent.publisher import Publisher
from edge.agent.pulses import PulseWatch, pulses_of
from edge.agent.releases import Releases
from edge.agent.remote.answers import Answers
from edge.agent.remote.configuring import Configurator
from edge.agent.remote.listening import Listeners
from edge.agent.remote.serving import end_all
from edge.agent.schedule import CommitSchedule
from edge.agent.service import FROM_NOBODY, ServiceManager, introduce
from edge.agent.startup import begin, check_ground, claimed, edge_rules
from edge.agent.status import About, Status
from edge.agent.unwritten import Unwritten
from edge.agent.views import Now, not_begun, open_views, pipeline_views
from edge.agent.watch import Watch
from edge.config import AgentConfig
from edge.corrections import calibrated_ahead
from edge.errors import SourceFailedError, UnwrittenError
from edge.recording.batching import describe
from edge.recording.fixes import Fixes
from edge.recording.recorder import Recorder
from edge.sources.clock import boottime_ns
from edge.spool.spool import Spool
from ingest.log.protocol import Log
from ingest.log.segments.head import boot_id
from ingest.showing import masked
from ingest.units import exact_time

NAME: Final = "name"
"""The attribute of a recording that somebody asked for."""
FAREWELL_S: Final = 5.0
"""How long an agent that is told to stop goes on publishing; what is left waits in the spool."""
_LAST_COMMITS: Final = 25
"""How often the last commit is tried, within `FAREWELL_S`."""


class _Parts(NamedTuple):
    """What a run is made of."""

    spool: Spool
    schedule: CommitSchedule
    clock: ClockWatch
    committer: Committer
    publisher: Publisher
    desk: Desk
    buttons: Buttons


class _Silenced(NamedTuple):
    """When sources were heard no more."""

    monotonic_ns: int
    missing: Mapping[str, Missing]
    """By device, what nobody had heard already."""


class Agent:
    """Runs one configuration for one boot."""

    def __init__(
        self,
        config: AgentConfig,
        log: Log,
        boot: bytes,
        version: str,
        report: Callable[[str], None],
        manager: ServiceManager = FROM_NOBODY,
    ) -> None:
        self.config = config
        self.boot = boot
        self.clones = CloneWatch(config.devices, boot)
        self.recorders: dict[str, Recorder] = {}
        """By device."""
        self.spool: Spool | None = None
        self.publisher: Publisher | None = None
        self.watch: Watch | None = None
        self._begun_s = time.monotonic()
        self._unwritten: Unwritten | None = None
        self._clock: ClockWatch | None = None
        pps, receiver = config.clock.pps, config.clock.receiver
        self._fixes = {receiver: Fixes()} if pps and receiver else {}
        self._pulses = PulseWatch(pulses_of(pps), report, self._fixes.get(receiver)) if pps else None
        self._desk: Desk | None = None
        self._buttons: Buttons | None = None
        self._lost: Mapping[tuple[str, str], int] = {}
        """Samples that no disk took up to the end, by device and stream."""
        self._log = log
        self._version = version
        self._report = report
        self._manager = manager
        self._kernel_boot = boot_id()
        self._rules = edge_rules(config)
        self._lineup = Lineup(config.sources, report)
        self.pipelines = self._lineup.pipelines
        self._parts: _Parts | None = None
        self._configurator: Configurator | None = None
        releases = Releases.of(os.environ, config.spool_dir)
        self._status = Status(config.devices, config.agent, boot, log, releases, _about(version, config))

    async def run(self, stop: asyncio.Event) -> dict[str, float]:
        """Run until `stop` is set, or until every source has come to its end and the log has all; the figures.

        Raises:
            UsageError: the spool lies on a network file system.
            SpoolBusyError: another agent runs on the spool.
            SourceFailedError: a source cannot work as it is configured.
            UnwrittenError: the spool's disk took nothing up to the end; the figures of what is lost.
        """
        ground = await asyncio.to_thread(check_ground, self.config.spool_dir)
        if ground:
            self._report(ground)
        for name, words in calibrated_ahead(self.config.sources, time.time_ns()).items():
            self._report(f"{name}: {words}")
        self.spool = spool = await claimed(self.config.spool_dir, self.config.spool)
        try:
            parts = self._parts = await asyncio.to_thread(self._begin, spool)
            self.watch = Watch(self.pipelines, self._log, self._report)
            commit_ns = parts.schedule.interval_ns
            background = [
                asyncio.create_task(parts.publisher.run(self.config.descriptions)),
                asyncio.create_task(parts.committer.run(parts.schedule, parts.clock, self._manager.alive)),
                asyncio.create_task(self._status.beat(self._figures_by_device, spool)),
                asyncio.create_task(self._status.announce(spool)),
                asyncio.create_task(self._status.watch(self.clones, self._report)),
                asyncio.create_task(self.watch.run()),
                asyncio.create_task(parts.desk.run(boottime_ns)),
                *([asyncio.create_task(parts.buttons.run())] if self.config.buttons else []),
                asyncio.create_task(give_back()),
                asyncio.create_task(introduce(self._manager, self.pipelines, self.overview, commit_ns)),
            ]
            if self._pulses is not None:
                refresh = partial(parts.clock.refresh, self.recorders.values())
                background.append(asyncio.create_task(self._pulses.run(refresh)))
            if self.config.metrics is not None:
                background.append(asyncio.create_task(serve_metrics(self.config.metrics, self.overview, self._report)))
            try:
                await parts.desk.carry_out(
                    parts.desk.book.begin_anew(button_key(one.name) for one in self.config.buttons)
                )
                clerk = Clerk(parts.desk, self._dated, self.recorders, self._record)
                folder = self.config.spool_dir
                async with answering(folder, self.overview), listening(folder, clerk):
                    silenced = await self._serve(stop, background, self._remote(parts))
                await self._finish(stop, parts, background, silenced)
            finally:
                await end_all(background)
            figures = self.figures()
        finally:
            await asyncio.to_thread(spool.close)
        if self._lost:
            raise UnwrittenError(lost_words(self.config, self._lost))
        failures = [pipeline.failure for pipeline in self.pipelines if pipeline.failure]
        if failures:
            raise SourceFailedError("; ".join(failures))
        return figures

    def figures(self) -> dict[str, float]:
        """Counters by name, as its end shows them."""
        return recorded(self.recorders) | self._common_figures()

    def _figures_by_device(self) -> dict[str, dict[str, float]]:
        """The same, as heartbeats carry them."""
        return by_device(self.recorders, self._common_figures())

    def _common_figures(self) -> dict[str, float]:
        found: dict[str, float] = {
            "repeated": sum(pipeline.repeated for pipeline in self.pipelines),
            "conflicts": self.clones.conflicts,
        } | refused(self.pipelines)
        if self.spool is not None and self._unwritten is not None:
            found |= spooled(self.spool, self._unwritten.refused_samples)
        if self._desk is not None and self._buttons is not None:
            found |= marked(self._desk, self._buttons.missed)
        if self._pulses is not None:
            found |= self._pulses.figures
        if self.publisher is not None:
            found |= published(self.publisher.figures)
        return found

    def overview(self) -> Overview:
        """What this agent says of itself now."""
        config, now = self.config, Now(boottime_ns(), time.time_ns())
        return Overview(
            version=self._version,
            agent=config.agent,
            config=config.path,
            pid=os.getpid(),
            up_s=time.monotonic() - self._begun_s,
            log=masked(config.log),
            log_waiting_for=self._log.trouble or ("" if self.publisher is None else self.publisher.waiting_for),
            spool=str(config.spool_dir),
            figures=self.figures(),
            sources=[view for number in range(len(config.sources)) for view in self._views(number, now)],
            time=exact_time(now.wall_ns),
            time_ns=now.wall_ns,
            buttons=[] if self._buttons is None else self._buttons.views(),
            open=[] if self._desk is None else open_views(self._desk.open, now.monotonic_ns),
            config_hash=config.digest,
            revision=config.revision,
            configured="" if self._configurator is None else self._configurator.words,
            pps="" if self._pulses is None else self._pulses.words,
            pps_trouble="" if self._pulses is None else self._pulses.trouble,
        )

    async def apply(self, config: AgentConfig, patience_ns: int) -> Exchanged:
        """Read what this says from now on, instead of what is read now; all else of it is as it was.

        Raises:
            UsageError: nothing was changed.
        """
        parts = self._parts
        assert parts is not None

        def swapped() -> None:
            self.config = config
            self._status.about = _about(self._version, config)
            parts.committer.describe(config.descriptions)

        done = await self._lineup.change(config.sources, patience_ns, parts.committer.committing, swapped)
        if self.watch is not None:
            self.watch.forget({*done.plan.leave, *(one.name for one in done.plan.come)})
        if done.gone:
            await self._status.gone(done.gone, parts.spool)
        return done

    def _remote(self, parts: _Parts) -> list[asyncio.Task[None]]:
        """Who listens to what comes through the log, as far as the local file allows it."""
        config = self.config
        answers = Answers(config.device, config.agent, self.boot, parts.spool, parts.publisher.notify)
        found = Listeners.of(self, self._log, answers, lambda: parts.clock.now.is_set, self._report)
        self._configurator = found.configurator
        return found.begin()

    def _dated(self, device: str, monotonic_ns: int) -> tuple[int, bool]:
        """An instant of CLOCK_BOOTTIME as the samples of a device have it; of another one as the first one's do."""
        recorder = self.recorders.get(device) or next(iter(self.recorders.values()), None)
        if recorder is not None:
            return recorder.dated(monotonic_ns, self._offset_ns(monotonic_ns))
        waits = (
            self._clock is not None and not self._clock.now.is_set and self.config.rules.holds_unsynced
        )  # no source has found a device yet
        return (monotonic_ns, True) if waits else (monotonic_ns + self._offset_ns(monotonic_ns), False)

    def _offset_ns(self, monotonic_ns: int) -> int:
        return offset_ns() if self._clock is None else self._clock.offset_ns(monotonic_ns)

    def _record(self, device: str, monotonic_ns: int, name: str) -> None:
        """A recording of its own begins then, or is over."""
        recorder = self.recorders.get(device)
        if recorder is not None:  # else a source has not found it again since a start
            recorder.begin_anew(monotonic_ns, {NAME: name} if name else {})

    def _ended(self, opened: Open) -> None:
        if opened.kind == "take" and opened.name:
            self._record(opened.device, min(opened.until_ns, boottime_ns()), "")

    def _views(self, number: int, now: Now) -> list[SourceView]:
        """Of a source; of one of several devices also of each of them."""
        source = self.config.sources[number]
        if not self.pipelines:
            return [not_begun(source)]
        findings = {} if self.watch is None else self.watch.findings
        return pipeline_views(self.pipelines[number], findings, now)

    def _begin(self, spool: Spool) -> _Parts:
        """Take up what earlier boots left, put the parts together, and say that this boot is there."""
        config = self.config
        pulses = None if self._pulses is None else self._pulses.clock
        clock = self._clock = ClockWatch(config.clock.trust, spool.folder, self._kernel_boot, self._report, pulses)
        begun = begin(config, self.boot, spool, lambda: clock.now, clock.clocks.offsets_ns, self._rules)
        self._status.born(spool)
        begun.devices.found = self._device_found
        self.recorders = recorders = begun.devices.recorders
        schedule = CommitSchedule(config.fsync_interval_ns / 1e9, lambda: sum(map(_pending_bytes, recorders.values())))
        self._lineup.begin(Shared(begun.devices, begun.identities, schedule, self._fixes))
        self.publisher = Publisher(self._log, spool, clock.clocks, self._kernel_boot, self._report)
        self._unwritten = Unwritten(begun.first, begun.identities, self._kernel_boot)
        committer = Committer(
            spool,
            self.pipelines,
            recorders,
            self._unwritten,
            Marker(spool, self._rules, begun.marks),
            self.publisher,
            Notices(self._report),
            self._report,
            keeps_oldest=config.spool.drop == "newest",
        )
        begun.devices.described = lambda config: committer.describe([describe(config)])
        state, told = load(spool.folder)
        if told:
            self._report(told)
        desk = desk_of(config, spool, state, self._dated, self._report, self.publisher.notify, self._ended)
        self._desk, self._buttons = desk, Buttons(config.buttons, desk, self._report)
        return _Parts(spool, schedule, clock, committer, self.publisher, desk, self._buttons)

    def _device_found(self, device: str) -> None:
        self._status.found(device)
        self.clones.found(device)

    async def _serve(
        self, stop: asyncio.Event, background: list[asyncio.Task[None]], remote: list[asyncio.Task[None]]
    ) -> _Silenced:
        """Until all sources are at their end, or a stop."""
        self._lineup.serving.start(self.pipelines)
        serving, stopping = asyncio.create_task(self._lineup.serving.run()), asyncio.create_task(_wait(stop))
        try:
            looked = [serving, stopping, *background, *remote]
            done, _ = await asyncio.wait(looked, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
            missing = {device: missing_of(device, self.pipelines) for device in self.recorders}
            return _Silenced(boottime_ns(), missing)
        finally:
            await end_all(remote)  # first: nothing begins any more
            await end_all([serving, stopping])

    async def _finish(
        self, stop: asyncio.Event, parts: _Parts, background: list[asyncio.Task[None]], silenced: _Silenced
    ) -> None:
        """End the recordings, commit the rest, publish it as far as there is time."""
        self._manager.stopping()
        await parts.desk.close(boottime_ns())
        for pipeline in self.pipelines:
            pipeline.end()
        reason = "stopped" if stop.is_set() else "end_of_file"
        for device, recorder in self.recorders.items():
            recorder.end(reason, silenced.monotonic_ns, silenced.missing.get(device, {}))
        await self._commit_last(parts)
        await asyncio.to_thread(self._status.died, parts.spool, reason)
        parts.publisher.notify()
        drained = asyncio.create_task(parts.publisher.drained())
        stopping = asyncio.create_task(_farewell(stop))
        await asyncio.wait([drained, stopping, background[0]], return_when=asyncio.FIRST_COMPLETED)
        await end_all([drained, stopping])
        if parts.spool.readings.backlog:
            self._report(f"{parts.spool.readings.backlog} records wait in the spool for the next start")

    async def _commit_last(self, parts: _Parts) -> None:
        """Try for as long as an agent may take to end; then what the disk did not take is lost, and a gap if that
        fits. Else the next start says how far this boot reached."""
        for _ in range(_LAST_COMMITS):
            if await parts.committer.commit(parts.schedule, final=True):
                return
            await asyncio.sleep(FAREWELL_S / _LAST_COMMITS)
        self._lost = parts.committer.give_up()
        await parts.committer.commit(parts.schedule, final=True)


def _about(version: str, config: AgentConfig) -> About:
    return About(version, config.digest, config.revision)


def _pending_bytes(recorder: Recorder) -> int:
    return recorder.pending_bytes


async def _wait(stop: asyncio.Event) -> None:
    await stop.wait()


async def _farewell(stop: asyncio.Event) -> None:
    await stop.wait()
    await asyncio.sleep(FAREWELL_S)
