"""One source's pipeline: its arrivals through its decoder to its device's recorder, its acknowledgements the way back.

Whatever fails on the way is tried again; what is lost for good goes to the recorder as an interruption.
"""

from __future__ import annotations

import asyncio
import traceback
from collections import Counter
from collections.abc import Callable, Collection, Hashable, Iterable, Sequence
from pathlib import Path
from typing import Final, TypeAlias

from edge.agent.hearing import Hearing
from edge.agent.members import Devices, Member
from edge.agent.schedule import CommitSchedule
from edge.decoders import decoder_of
from edge.decoders.guard import GuardedDecoder
from edge.decoders.repetitions import Remembering
from edge.devices import BAD_STREAM, NAME_BYTES, NO_DEVICE, STREAM_TAKEN, TOO_MANY, why_no_device, why_no_stream
from edge.protocol import Arrival, Decoder, Fault, Frame, Interruption, Read, Source, SourceConfig
from edge.recording.fixes import Fixes
from edge.sources.backoff import Backoff
from edge.sources.clock import now
from edge.spool.entries import Identities
from ingest.errors import PermanentError, SensorloomError
from ingest.showing import printable

RESTART_S: Final = (1.0, 60.0)
Missing: TypeAlias = dict[str, str]
"""Why what a stream's sensor says now is lost, by stream: nobody hears it."""


def missing_of(device: str, pipelines: Iterable[Pipeline]) -> Missing:
    """The streams of a device that nobody hears now."""
    return {stream: one.missing for one in pipelines for stream in one.streams_of(device) if one.missing}


def heard_of(device: str, pipelines: Iterable[Pipeline]) -> dict[str, int | None]:
    """Up to when (CLOCK_BOOTTIME) all that the streams of a device said has surely come; None: up to now."""
    return {stream: p.source.heard_ns for p in pipelines if not p.ended for stream in p.streams_of(device)}


class Pipeline:
    """A source at work."""

    def __init__(
        self,
        config: SourceConfig,
        source: Source,
        decoder: Decoder,
        devices: Devices,
        identities: Identities,
        schedule: CommitSchedule,
        report: Callable[[str], None],
        fixes: Fixes | None = None,
    ) -> None:
        self.config: Final = config
        self.source: Final = source
        self.repeated = 0
        """Deliveries that were known already."""
        self.ended = False
        self.failure = ""
        self.hearing: Final = _hearing(config)
        """Of all that it brings."""
        self.members: Final[dict[tuple[str, str], Member]] = {}
        """By device and stream."""
        self._streams: dict[str, list[str]] = {}
        """The same by device."""
        self.refused: Final[Counter[str]] = Counter()
        """What is of no device that is recorded: messages, or samples where fields tell the devices apart."""
        self._devices = devices
        self._is_served = False
        self._identities = identities
        self._decoder = self._guarded(decoder)
        self._opened: tuple[int, int] | None = None
        """CLOCK_BOOTTIME and wall time from when on its source is heard: of when it was opened first, where nothing had
        kept it from that."""
        self._was_opened = False
        self._has_failed = False
        """It was said that the decoder has a bug."""
        self._fixes = fixes
        """Of a receiver that numbers its pulses by what it says."""
        if fixes is not None:
            fixes.reset()
        self._schedule = schedule
        self._report = report
        self._needs_each_read = config.clock == "arrival" and config.rate is None
        """The time of each read is all that is known of its samples; else the newest one's will do for several."""
        self._tokens: list[Hashable] = []
        """Of arrivals that are not durable yet, in their order."""
        self._stamp = (0, 0)
        """CLOCK_BOOTTIME and wall time of the newest arrival."""
        self._given_up = False
        """Arrivals were given up without an acknowledgement: their sender may deliver them again."""
        self._told_refused: Counter[str] = Counter()
        self._only: Member | None = None
        """Of a source of one device."""
        if not config.is_family:
            recorder = devices.recorders[config.device]
            self._only = self._add(Member(config, recorder, self._decoder, self.hearing))

    @property
    def missing(self) -> str:
        """Why what the sensor says now is lost; empty where it is not (`edge.protocol.Source.missing`)."""
        return "" if self.ended else self.source.missing

    @property
    def waiting_for(self) -> str:
        """What keeps its source from delivering; empty also while nobody wants it to: before the start, and at the
        end."""
        return self.source.waiting_for if self._is_served and not self.ended else ""

    @property
    def is_open(self) -> bool:
        """Its source delivers what the sensor says."""
        return self._is_served and not self.ended and not self.source.waiting_for

    def name_of(self, member: Member) -> str:
        """What a stream that it feeds is called in messages: as the source, and by the device, and its own name, where
        it has several."""
        if not self.config.is_family:
            return self.config.name
        own = f"{self.config.name} of {member.config.device}"
        return f"{own}/{member.config.stream}" if self.config.has_streams else own

    def streams_of(self, device: str) -> Sequence[str]:
        """The streams of a device that it feeds."""
        return self._streams.get(device, ())

    def _add(self, member: Member) -> Member:
        config = member.config
        self.members[config.device, config.stream] = member
        self._streams.setdefault(config.device, []).append(config.stream)
        return member

    async def serve(self) -> None:
        """Take what the source brings, until its end. One that breaks is begun again; one that cannot work ends."""
        backoff = Backoff(*RESTART_S)
        try:
            while True:
                try:
                    self._is_served = True
                    await self._take_all(backoff)
                    self.end()
                    return
                except PermanentError as error:
                    self.failure = f"{self.config.name}: {error}"
                    self._report(self.failure)
                    self.end()
                    return
                except Exception as error:  # whatever it is: a source that fails ends no other one
                    self._report(f"{self.config.name}: {_described(error)}; trying again")
                    if self._stamp != (0, 0):
                        self._interrupt(Interruption("source_failed", *self._stamp))
                await self._close()
                await asyncio.sleep(backoff.next_s())
        finally:
            await self._close()

    async def _close(self) -> None:
        self._is_served = False
        try:
            await self.source.close()
            self._take_left()
        except Exception as error:
            self._report(f"{self.config.name}: {_described(error)}, while it was closed")

    def end(self) -> None:
        """Nothing comes any more: what is half a line is a fault."""
        if self.ended:
            return
        self._take_left()
        self.ended = True
        self._reset(self.members.values(), self._stamp)

    def _take_left(self) -> None:
        """What a source that was closed has brought before, and nobody has taken yet."""
        if not self.ended:
            for item in self.source.left():
                self._take_any(item)

    # --- acknowledgements

    def hand_over(self) -> list[Hashable]:
        """The tokens of what was collected for the commit that is made now."""
        self._identities.settle(self.config.name, *self.source.settled())
        tokens, self._tokens = self._tokens, []
        return tokens

    def acknowledge(self, tokens: list[Hashable]) -> None:
        """What came with these is durable. What was given up before may come again: the disk takes something."""
        for token in tokens:
            self.source.ack(token)
        if self._given_up:
            self._given_up = False
            self.source.again()

    def put_back(self, tokens: list[Hashable]) -> None:
        """What came with these is not durable yet: it goes with a later commit."""
        self._tokens = tokens + self._tokens

    def give_up(self, tokens: list[Hashable]) -> None:
        """What came with these will never be durable, and is not acknowledged."""
        self._given_up |= bool(tokens)

    # --- arrivals

    async def _take_all(self, backoff: Backoff) -> None:
        await self.source.open()  # one that could not be opened at first says so itself, by an `Interruption`
        if not self._was_opened:
            self._was_opened = True
            self._opened = now()
            for member in self.members.values():
                member.recorder.listen(member.config.stream, *self._opened)
        async for item in self.source.arrivals():
            self._take_any(item)
            backoff.reset()
            await self._schedule.room(len(item.data) if isinstance(item, Arrival) else 0)

    def _take_any(self, item: Arrival | Interruption) -> None:
        if isinstance(item, Interruption):
            self._interrupt(item)
        else:
            self._take(item)

    def _take(self, item: Arrival) -> None:
        self._stamp = item.monotonic_ns, item.wall_ns
        if self._opened is not None:  # what a source brings before this task has its turn behind `open` was heard, too
            self._opened = min(self._opened, self._stamp)
        if item.token is not None:
            self._tokens.append(item.token)
        if item.urgent:  # the sender waits for its acknowledgements, and drops what does not fit meanwhile
            self._schedule.at_once()
        if item.identity:
            if item.redelivered:
                self._identities.settle(self.config.name, *self.source.settled())
            if item.redelivered and self._identities.is_known(self.config.name, item.identity):
                self.repeated += 1
                return
            self._identities.note(self.config.name, item.identity)
        if not (item.device or item.stream):
            self._decode(item, self._decoder, self._only)
        else:
            member = self._member(item.device, item.stream, 1, by_source=True)
            if member is not None and member.decoder is not None:
                self._decode(item, member.decoder, member)

    def _decode(self, item: Arrival, decoder: GuardedDecoder, member: Member | None) -> None:
        if item.is_message and not item.data:
            self._hand_on(member, 0, (), item)  # it says nothing: MQTT takes a kept message back so
        elif item.is_message:
            found, fed = decoder.message(item.data), len(item.data) + (not item.data.endswith(b"\n"))
            self._hand_on(member, fed, found, item)
        elif item.reads and self._needs_each_read:
            begin = 0
            for read in (*item.reads, Read(len(item.data), item.monotonic_ns, item.wall_ns)):
                data = item.data[begin : read.end]
                own = Arrival(data, read.monotonic_ns, read.wall_ns, waited_ns=item.waited_ns)
                self._hand_on(member, len(data), decoder.feed(data), own)
                begin = read.end
        else:
            self._hand_on(member, len(item.data), decoder.feed(item.data), item)

    def _hand_on(self, member: Member | None, fed: int, found: Collection[Frame | Fault], item: Arrival) -> None:
        self.hearing.note(item, found)
        if self._fixes is not None:
            self._fixes.hear(fed, item.reads, item.monotonic_ns, item.waited_ns)
            self._fixes.take(found)
        if member is None:
            self._share(fed, found, item)
        else:
            if member is not self._only:
                member.hearing.note(item, found)
            member.take(item, fed, found)

    def _share(self, fed: int, found: Collection[Frame | Fault], item: Arrival) -> None:
        """Each device's samples to its own recorder; what nobody knows whose it was may be of any of them."""
        parts: dict[str, list[Frame | Fault]] = {}
        for one in found:
            if isinstance(one, Fault) and one.reason == NO_DEVICE:
                self._refuse(NO_DEVICE, "", 1)
            else:
                parts.setdefault(one.device, []).append(one)
        nobodys = parts.pop("", [])
        for device, own in parts.items():
            member = self._member(device, "", sum(map(_samples, own)), by_source=False)
            if member is not None:
                member.take_part(item, fed, own)
        for member in self.members.values() if nobodys else ():
            member.take_part(item, fed, nobodys)

    # --- devices

    def _member(self, device: str, stream: str, count: int, *, by_source: bool) -> Member | None:
        """Whose these are, so many messages or samples; None where they are left out, which is counted."""
        known = self.members.get((device or self.config.device, stream or self.config.stream))
        return known or self._join(self.config.of(device, stream), count, by_source=by_source)

    def _join(self, config: SourceConfig, count: int, *, by_source: bool) -> Member | None:
        """A device, or a stream of one, from which nothing has come before. Where its source tells it apart, its
        decoder is its own."""
        reason = why_no_device(config.device) or why_no_stream(config.stream)
        if not reason and len(self.members) >= self.config.max_devices:
            reason = TOO_MANY
        recorder = None if reason else self._devices.join(config)
        if recorder is None:
            name = f"{config.device}/{config.stream}" if self.config.has_streams else config.device
            self._refuse(reason or STREAM_TAKEN, name, count)
            return None
        if self.config.has_streams:
            self._devices.described(config)
        decoder = None
        if by_source:
            decoder = self._guarded(decoder_of(config))
        member = self._add(Member(config, recorder, decoder, _hearing(config)))
        if self._opened is not None:
            recorder.listen(config.stream, *self._opened)
        return member

    def _refuse(self, reason: str, name: str, count: int) -> None:
        self.refused[reason] += count
        if self.refused[reason] >= 2 * self._told_refused[reason]:
            self._told_refused[reason] = self.refused[reason]
            words = f"{self.refused[reason]:,} left out, {reason}: {refusal(self.config, reason, name)}"
            self._report(f"{self.config.name}: {words}")

    def _guarded(self, decoder: Decoder) -> GuardedDecoder:
        if isinstance(decoder, Remembering) and self.config.type != "replay":  # a file that is read again is read anew
            decoder.recall(self._identities.repetitions(self.config.name))
        return GuardedDecoder(decoder, self._decoder_failed)

    def _decoder_failed(self, error: Exception) -> None:
        if not self._has_failed:
            self._has_failed = True
            self._report(
                f'{self.config.name}: decoder "{self.config.decoder}": {_described(error)}; such lines are left out, '
                "counted as decoder_failed: tell who wrote it"
            )

    def _interrupt(self, item: Interruption) -> None:
        clocks, is_whose = (item.monotonic_ns, item.wall_ns), bool(item.device or item.stream)
        own = self._member(item.device, item.stream, 1, by_source=True) if is_whose else None
        members = list(self.members.values()) if not is_whose else [] if own is None else [own]
        if not (item.goes_on or item.is_whole):
            self._reset(members, clocks)
        for member in members:
            member.recorder.interrupt(
                member.config.stream, item.reason, *clocks, item.since_ns, goes_on=item.goes_on, is_whole=item.is_whole
            )

    def _reset(self, members: Collection[Member], clocks: tuple[int, int]) -> None:
        """What decoders hold is whole, or a fault."""
        if self._fixes is not None:
            self._fixes.reset()
        shared = self._decoder.reset() if self._only is None and any(one.decoder is None for one in members) else []
        for member in members:
            left = shared if member.decoder is None else member.decoder.reset()
            if left:
                member.recorder.take(member.config.stream, 0, left, *clocks)


def _samples(one: Frame | Fault) -> int:
    return len(one.values) if isinstance(one, Frame) else 1


def _hearing(config: SourceConfig) -> Hearing:
    return Hearing(set(range(len(config.channels))))


def refusal(config: SourceConfig, reason: str, name: str) -> str:
    """What was found of a device, or a stream of one, that is not recorded, and what to do."""
    if reason == TOO_MANY:
        return f'"{printable(name)}" is one more than max_devices = {config.max_devices}; say a larger one'
    if reason == STREAM_TAKEN:
        whole = name if config.has_streams else f"{name}/{config.stream}"
        return f'another source has the stream "{whole}" already; give one of them another stream'
    if reason == NO_DEVICE:
        return f'what device = "{config.device}" is made of is not there, or neither a text nor a whole number'
    size = len(name.encode("utf-8", "replace"))
    if size > NAME_BYTES:
        return f'"{printable(name)[:60]}…" can be no name: it has {size} bytes, and may have {NAME_BYTES}'
    if reason == BAD_STREAM:
        return f'"{printable(name)[:60]}" can be no stream: its name has a dot, a brace, a $, or spaces around it'
    return f'"{printable(name)[:60]}" can be no device\'s name: it has a slash, a brace, a $, or spaces around it'


def _described(error: Exception) -> str:
    """An error for people; one that nobody foresaw with its type and where it was raised."""
    if isinstance(error, SensorloomError | OSError):
        return str(error)
    frame = traceback.extract_tb(error.__traceback__)[-1]
    return f"{type(error).__name__}: {error} ({Path(frame.filename).name}:{frame.lineno})"
