"""The agent: sources in, records into the spool once a second, the spool into the log. The thin shell over the core.

A sample's way: a source's arrival → its decoder → the device's recorder → at the next commit chunks in the spool, with
one fsync for all of them → the source's acknowledgement → the publisher. Whatever fails on the way is tried again;
what is lost for good is counted and announced.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Hashable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from edge.clock import load_offsets, offset_ns, save_offset, system_clock
from edge.config import AgentConfig
from edge.decoders import decoder_type
from edge.dropping import SPOOL_FULL, Refusals
from edge.entries import (
    IDENTITIES,
    STATUS,
    DeviceTail,
    Identities,
    Tail,
    description,
    identities,
    read_tail,
    reading,
    urgent,
)
from edge.presence import Presence
from edge.protocol import Arrival, Decoder, Interruption, Source, SourceConfig
from edge.publisher import Clocks, Publisher
from edge.recorder import Held, Previous, Recorder
from edge.sources import source_type
from edge.sources.backoff import Backoff
from edge.spool import Spool
from ingest.errors import PermanentError, StoreFullError, WavemarkError
from ingest.log.protocol import STATUS as STATUS_TOPIC
from ingest.log.protocol import Entry, Log
from ingest.log.segments.head import boot_id
from ingest.records import Birth, Chunk, Death, Heartbeat, Progress, Record, RecordingEnd
from ingest.wire import decode, encode

if TYPE_CHECKING:
    from edge.rules import EdgeRules

PENDING_BYTES: Final = 2_000_000
"""What sources may bring between two commits; more, and they wait for a commit at once."""
UNWRITTEN_BYTES: Final = 8_000_000
"""What is kept in memory while the disk takes nothing; chunks beyond it are given up, counted and announced."""
HEARTBEAT_S: Final = 10.0
FAREWELL_S: Final = 5.0
"""How long an agent that is told to stop goes on publishing; what is left waits in the spool."""
_LAST_COMMITS: Final = 25
"""How often the last commit is tried, within `FAREWELL_S`."""
_RESTART_S: Final = (1.0, 60.0)


@dataclass(eq=False, slots=True)
class Unit:
    """A source at work."""

    config: SourceConfig
    source: Source
    decoder: Decoder
    tokens: list[Hashable] = field(default_factory=list)
    """Of arrivals that are not durable yet, in their order."""
    stamp: tuple[int, int] = (0, 0)
    """CLOCK_MONOTONIC and wall time of the newest arrival."""
    repeated: int = 0
    """Deliveries that were known already."""
    given_up: bool = False
    """Arrivals were given up without an acknowledgement: their sender may deliver them again."""
    ended: bool = False
    failure: str = ""


@dataclass(slots=True)
class _Write:
    """An entry on its way to the disk; `record` is what it holds, if that may be given up or must follow what is."""

    entry: Entry
    record: Record | None = None
    kernel_boot: bytes = b""


class Agent:
    """Runs one configuration for one boot."""

    def __init__(self, config: AgentConfig, log: Log, boot: bytes, version: str, report: Callable[[str], None]) -> None:
        self.config = config
        self.boot = boot
        self.presence = Presence(config.devices, boot)
        self.units = [
            Unit(source, source_type(source.type, source.where).from_config(source), _decoder(source))
            for source in config.sources
        ]
        self._log = log
        self._version = version
        self._report = report
        self._kernel_boot = boot_id()
        self._clock = system_clock(config.clock.trust)
        self._spool: Spool | None = None
        self._recorders: dict[str, Recorder] = {}
        self._identities = Identities()
        self._refusals = Refusals()
        self._unwritten: list[_Write] = []
        self._marks: list[Entry] = []
        """Made, and not yet in the urgent queue."""
        self._committing = asyncio.Lock()
        self._commit_now = asyncio.Event()
        self._room = asyncio.Event()
        self._said: dict[str, str] = {}
        self._rules = _edge_rules(config)
        self.publisher: Publisher | None = None

    # --- the run

    async def run(self, stop: asyncio.Event) -> dict[str, float]:
        """Run until `stop` is set, or until every source has come to its end and the log has all; the figures.

        Raises:
            SpoolBusyError: another agent runs on the spool.
            PermanentError: every source failed for good.
        """
        self._spool = spool = await asyncio.to_thread(Spool, self.config.spool_dir, self.config.spool)
        try:
            clocks = await asyncio.to_thread(self._begin, spool)
            self.publisher = Publisher(self._log, spool, clocks, self._kernel_boot, self._report)
            background = [
                asyncio.create_task(self.publisher.run(self.config.descriptions)),
                asyncio.create_task(self._commit_for_ever(clocks)),
                asyncio.create_task(self._beat()),
                asyncio.create_task(self._watch()),
            ]
            try:
                await self._serve_all(stop, background)
                await self._finish(stop, self.publisher, background)
            finally:
                await _end_all(background)
            figures = self.figures()
        finally:
            await asyncio.to_thread(spool.close)
        failures = [unit.failure for unit in self.units if unit.failure]
        if failures:
            raise PermanentError("; ".join(failures))
        return figures

    def _begin(self, spool: Spool) -> Clocks:
        """Take up what earlier boots left, and say that this one is there."""
        newest = spool.readings.tail_entries()
        tail = read_tail(newest)
        self._identities = Identities(tail.identities)
        offsets = load_offsets(spool.folder)
        if self._clock.is_set:
            with suppress(OSError):
                offsets = save_offset(spool.folder, self._kernel_boot, offset_ns())
        entries = [description(found) for found in self.config.descriptions]
        ends = [_end_of(device, known) for device, known in tail.devices.items() if known.is_open]
        entries += ends
        if self._rules is not None:
            from edge.rules import unfinished

            self._marks = self._rules.feed(unfinished(newest, tail) + ends, time.time_ns())
        self._unwritten = list(map(_Write, entries))  # they go with the first commit: a full disk must not keep us out
        now_ns, agent, digest = time.time_ns(), self.config.agent, self.config.digest
        births = [Birth(device, agent, self.boot, now_ns, self._version, digest) for device in self.config.devices]
        with suppress(WavemarkError):
            spool.urgent.commit([urgent(STATUS, birth.device, birth) for birth in births])
        self._recorders = {device: self._recorder(device, tail, offsets) for device in self.config.devices}
        return Clocks(offsets)

    def _recorder(self, device: str, tail: Tail, offsets_ns: Mapping[bytes, int]) -> Recorder:
        known = tail.devices.get(device)
        previous = Previous() if known is None else Previous(known.boot, _reach_ns(known, offsets_ns))
        sources = [source for source in self.config.sources if source.device == device]
        return Recorder(device, self.boot, sources, self.config.rules, previous, self._clock)

    async def _serve_all(self, stop: asyncio.Event, background: list[asyncio.Task[None]]) -> None:
        """Until all sources are at their end, or a stop."""

        async def serve() -> None:
            async with asyncio.TaskGroup() as group:
                for unit in self.units:
                    group.create_task(self._serve(unit))

        serving, stopping = asyncio.create_task(serve()), asyncio.create_task(_wait(stop))
        try:
            done, _ = await asyncio.wait([serving, stopping, *background], return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            await _end_all([serving, stopping])

    async def _finish(self, stop: asyncio.Event, publisher: Publisher, background: list[asyncio.Task[None]]) -> None:
        """End the recordings, commit the rest, publish it as far as there is time."""
        for unit in self.units:
            if not unit.ended:
                self._end_unit(unit)
        reason = "stopped" if stop.is_set() else "end_of_file"
        for recorder in self._recorders.values():
            recorder.end(reason, time.monotonic_ns())
        for _ in range(_LAST_COMMITS):
            if await self._commit(final=True):
                break
            await asyncio.sleep(FAREWELL_S / _LAST_COMMITS)
        spool = self._spool
        assert spool is not None
        now_ns = time.time_ns()
        deaths = [Death(device, self.config.agent, self.boot, now_ns, reason) for device in self.config.devices]
        with suppress(WavemarkError):
            await asyncio.to_thread(spool.urgent.commit, [urgent(STATUS, death.device, death) for death in deaths])
        publisher.notify()
        drained = asyncio.create_task(publisher.drained())
        stopping = asyncio.create_task(_farewell(stop))
        await asyncio.wait([drained, stopping, background[0]], return_when=asyncio.FIRST_COMPLETED)
        await _end_all([drained, stopping])
        if spool.readings.backlog:
            self._report(f"{spool.readings.backlog} records wait in the spool for the next start")

    # --- sources

    async def _serve(self, unit: Unit) -> None:
        """Take what one source brings, until its end. One that breaks is begun again; one that cannot work ends."""
        backoff = Backoff(*_RESTART_S)
        try:
            while True:
                try:
                    missing = unit.source.missing
                    await unit.source.open()
                    if missing:
                        self._interrupt(unit, Interruption(missing, time.monotonic_ns(), time.time_ns()))
                    async for item in unit.source.arrivals():
                        self._take(unit, item)
                        backoff.reset()
                        await self._wait_for_room()
                    self._end_unit(unit)
                    return
                except PermanentError as error:
                    unit.failure = f"{unit.config.name}: {error}"
                    self._report(unit.failure)
                    self._end_unit(unit)
                    return
                except (WavemarkError, OSError) as error:
                    self._report(f"{unit.config.name}: {error}; trying again")
                    if unit.stamp != (0, 0):
                        self._interrupt(unit, Interruption("source_failed", *unit.stamp))
                await unit.source.close()
                await asyncio.sleep(backoff.next_s())
        finally:
            await unit.source.close()

    def _take(self, unit: Unit, item: Arrival | Interruption) -> None:
        if isinstance(item, Interruption):
            self._interrupt(unit, item)
            return
        unit.stamp = item.monotonic_ns, item.wall_ns
        if item.token is not None:
            unit.tokens.append(item.token)
        if item.urgent:  # the sender waits for its acknowledgements, and drops what does not fit meanwhile
            self._commit_now.set()
        if item.identity:
            if item.redelivered and self._identities.is_known(unit.config.name, item.identity):
                unit.repeated += 1
                return
            self._identities.note(unit.config.name, item.identity)
        found = list(unit.decoder.feed(item.data))
        recorder = self._recorders[unit.config.device]
        recorder.take(unit.config.stream, len(item.data), found, item.monotonic_ns, item.wall_ns)

    def _interrupt(self, unit: Unit, item: Interruption) -> None:
        recorder = self._recorders[unit.config.device]
        left = list(unit.decoder.reset())
        recorder.take(unit.config.stream, 0, left, item.monotonic_ns, item.wall_ns)
        recorder.interrupt(unit.config.stream, item.reason, item.monotonic_ns, item.wall_ns)

    def _end_unit(self, unit: Unit) -> None:
        unit.ended = True
        left = list(unit.decoder.reset())
        if left:
            recorder = self._recorders[unit.config.device]
            recorder.take(unit.config.stream, 0, left, *unit.stamp)

    async def _wait_for_room(self) -> None:
        if sum(recorder.pending_bytes for recorder in self._recorders.values()) > PENDING_BYTES:
            self._room.clear()
            self._commit_now.set()
            await self._room.wait()

    # --- commits

    async def _commit_for_ever(self, clocks: Clocks) -> None:
        interval_s = self.config.fsync_interval_ns / 1e9
        while True:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._commit_now.wait(), interval_s)
            self._commit_now.clear()
            await self._look_at_clock(clocks)
            await self._commit()
            self._tell_waiting()

    async def _commit(self, *, final: bool = False) -> bool:
        """Everything that was collected into the spool, with one fsync; then the sources may acknowledge.

        False where the disk did not take it.
        """
        spool = self._spool
        assert spool is not None
        async with self._committing:
            tokens = [(unit, unit.tokens) for unit in self.units]
            for unit in self.units:
                unit.tokens = []
            writes = self._collect(spool, final=final)
            self._room.set()
            try:
                if writes:
                    await asyncio.to_thread(spool.readings.commit, [write.entry for write in writes])
            except WavemarkError as error:
                self._keep(writes, tokens, "disk_full" if isinstance(error, StoreFullError) else "disk_failed")
                self._say("spool", str(error))
                return False
            self._unwritten = []
            self._say("spool", "")
            for unit, held in tokens:
                for token in held:
                    unit.source.ack(token)
                if unit.given_up:
                    unit.given_up = False
                    unit.source.again()
        await self._mark(spool, [write.entry for write in writes])
        if self.publisher is not None:
            self.publisher.notify()
            shown = [write.record for write in writes if not write.kernel_boot]
            self.publisher.offer_live([record for record in shown if isinstance(record, Chunk)])
        return True

    async def _mark(self, spool: Spool, entries: list[Entry]) -> None:
        """Let the rules see what is durable now; marks are fsynced at once, in the queue that goes first."""
        if self._rules is None:
            return
        self._marks += await asyncio.to_thread(self._rules.feed, entries, time.time_ns())
        if self._marks:
            with suppress(WavemarkError):  # a disk that takes nothing is told by the readings; the marks wait here
                await asyncio.to_thread(spool.urgent.commit, self._marks)
                self._marks = []

    def _collect(self, spool: Spool, *, final: bool) -> list[_Write]:
        """What was not written yet, and what was collected since. A full spool that keeps the oldest refuses chunks."""
        now_ns = time.monotonic_ns()
        fresh = [
            self._write(held)
            for device, recorder in self._recorders.items()
            for held in recorder.flush(now_ns, self._missing(device))
        ]
        size = sum(len(write.entry.value) for write in fresh)
        if self.config.spool.drop == "newest" and not final and not spool.readings.has_room(size):
            fresh = self._refuse(fresh, SPOOL_FULL)
        else:
            fresh = [*map(_Write, self._refusals.take()), *fresh]
        noted = self._identities.take()
        if noted:
            fresh.append(_Write(identities(noted)))
        return self._unwritten + fresh

    def _missing(self, device: str) -> dict[str, str]:
        """The streams of a device that nobody hears now, and why."""
        units = (unit for unit in self.units if unit.config.device == device and not unit.ended)
        return {unit.config.stream: unit.source.missing for unit in units if unit.source.missing}

    def _write(self, held: Held) -> _Write:
        record, kernel_boot = held.record, self._kernel_boot if held.held else b""
        device: str = record.device  # type: ignore[union-attr]
        return _Write(reading(device, record, kernel_boot), record, kernel_boot)

    def _refuse(self, writes: list[_Write], reason: str) -> list[_Write]:
        """What is left when the chunks are given up. Progress goes with them: it would pass what was not announced."""
        kept: list[_Write] = []
        for write in writes:
            if isinstance(write.record, Chunk):
                self._refusals.refuse(write.record, reason, write.kernel_boot)
            elif isinstance(write.record, RecordingEnd):
                kept += [*map(_Write, self._refusals.take()), write]
            elif not isinstance(write.record, Progress):
                kept.append(write)
        return kept

    def _keep(self, writes: list[_Write], tokens: list[tuple[Unit, list[Hashable]]], reason: str) -> None:
        """The disk took nothing: keep it for the next time, as far as memory is allowed for it.

        What is given up is not acknowledged: a sender that waits for that will deliver it again.
        """
        if sum(len(write.entry.value) for write in writes) > UNWRITTEN_BYTES:
            writes = self._refuse(writes, reason)
            self._identities.forget([write.entry for write in writes])
            writes = [write for write in writes if not write.entry.key.startswith(IDENTITIES)]
            for unit, held in tokens:
                unit.given_up |= bool(held)
        else:
            for unit, held in tokens:
                unit.tokens = held + unit.tokens
        self._unwritten = writes

    async def _look_at_clock(self, clocks: Clocks) -> None:
        found = system_clock(self.config.clock.trust)
        if found == self._clock:
            return
        self._clock = found
        self._report("the system's clock is set" if found.is_set else "the system's clock is no longer to be believed")
        for recorder in self._recorders.values():
            recorder.set_clock(found, time.monotonic_ns())
        if found.is_set:
            offset = offset_ns()
            with suppress(OSError):
                await asyncio.to_thread(save_offset, self.config.spool_dir, self._kernel_boot, offset)
            clocks.offsets_ns[self._kernel_boot] = offset
            clocks.changed.set()

    # --- telling

    def _tell_waiting(self) -> None:
        for unit in self.units:
            self._say(unit.config.name, unit.source.waiting_for)

    def _say(self, who: str, what: str) -> None:
        """Report what someone waits for, when it changes."""
        if what != self._said.get(who, ""):
            self._said[who] = what
            self._report(f"{who}: waiting for {what}" if what else f"{who}: goes on")

    async def _beat(self) -> None:
        """Say regularly that this agent is alive; a beat that cannot be said is not said later."""
        while True:
            now_ns, figures = time.time_ns(), self.figures()
            beats = [Heartbeat(d, self.config.agent, self.boot, now_ns, figures) for d in self.config.devices]
            with suppress(WavemarkError):
                await self._log.append(STATUS_TOPIC, [Entry(beat.device.encode(), encode(beat)) for beat in beats])
            await asyncio.sleep(HEARTBEAT_S)

    async def _watch(self) -> None:
        """Look for others who speak for this agent's devices."""
        backoff = Backoff(*_RESTART_S)
        while True:
            try:
                await self._log.ensure(STATUS_TOPIC)
                bounds = await self._log.bounds(STATUS_TOPIC)
                reader = self._log.reader(STATUS_TOPIC, {partition: found.end for partition, found in bounds.items()})
                try:
                    while True:
                        for batch in await reader.fetch(1.0):
                            self._see(batch.values)
                finally:
                    await reader.close()
            except WavemarkError:
                await asyncio.sleep(backoff.next_s())

    def _see(self, values: object) -> None:
        for value in values:  # type: ignore[attr-defined]
            with suppress(WavemarkError):
                conflict = self.presence.see(decode(bytes(value)))
                if conflict is not None:
                    self._report(str(conflict))

    def figures(self) -> dict[str, float]:
        """Counters by name, as heartbeats carry them."""
        found: dict[str, float] = {}
        for device, recorder in self._recorders.items():
            for stream, counters in recorder.counters.items():
                name = f"{device}/{stream}" if len(self._recorders) > 1 else stream
                found[f"{name}.samples"] = counters.samples
                found[f"{name}.chunks"] = counters.chunks
                for reason, count in counters.lost.items():
                    found[f"{name}.lost.{reason}"] = count
        found["repeated"] = sum(unit.repeated for unit in self.units)
        found["conflicts"] = self.presence.conflicts
        if self._spool is not None:
            found |= _spool_figures(self._spool)
        if self.publisher is not None:
            done = self.publisher.figures
            found |= {"published.records": done.records, "published.bytes": done.bytes, "lag_s": round(done.lag_s, 3)}
            found |= {"retries": done.retries, "live": done.live}
        return found


def _edge_rules(config: AgentConfig) -> EdgeRules | None:
    if config.rule_set is None:
        return None
    from edge.rules import EdgeRules  # the rules' grammar is built at import: only where rules run

    return EdgeRules(config.rule_set, config.descriptions)


def _decoder(source: SourceConfig) -> Decoder:
    return decoder_type(source.decoder, source.where).from_config(source)


def _reach_ns(known: DeviceTail, offsets_ns: Mapping[bytes, int]) -> int:
    """How far a boot reached, UTC; 0 where its clock was never set."""
    if not known.kernel_boot:
        return known.reach_ns
    offset = offsets_ns.get(known.kernel_boot)
    return 0 if offset is None else known.reach_ns + offset


def _end_of(device: str, known: DeviceTail) -> Entry:
    """The end of a recording that an earlier boot left open."""
    end = RecordingEnd(device, known.recording, known.boot, known.reach_ns, "agent_died")
    return reading(device, end, known.kernel_boot)


def _spool_figures(spool: Spool) -> Mapping[str, float]:
    stats = spool.readings.stats
    return {
        "spool.bytes": spool.readings.size_bytes,
        "spool.backlog": spool.readings.backlog,
        "spool.dropped_samples": stats.dropped_samples,
        "spool.damaged_records": stats.damaged_records,
        "spool.payload_bytes": stats.payload_bytes,
        "spool.written_bytes": stats.written_bytes,
        "spool.fsyncs": stats.fsyncs,
    }


async def _end_all(tasks: list[asyncio.Task[None]]) -> None:
    """Cancel tasks until they end: `asyncio.wait_for` of Python 3.11 may swallow a cancellation."""
    left: set[asyncio.Task[None]] = set(tasks)
    while left:
        for task in left:
            task.cancel()
        _, left = await asyncio.wait(left, timeout=0.5)
    await asyncio.gather(*tasks, return_exceptions=True)


async def _wait(stop: asyncio.Event) -> None:
    await stop.wait()


async def _farewell(stop: asyncio.Event) -> None:
    await stop.wait()
    await asyncio.sleep(FAREWELL_S)
