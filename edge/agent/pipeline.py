"""One source's pipeline: its arrivals through its decoder to its device's recorder, its acknowledgements the way back.

Whatever fails on the way is tried again; what is lost for good goes to the recorder as an interruption.
"""

from __future__ import annotations

import asyncio
import traceback
from collections.abc import Callable, Collection, Hashable, Iterable
from pathlib import Path
from typing import Final, TypeAlias

from edge.agent.hearing import Hearing
from edge.agent.schedule import CommitSchedule
from edge.decoders.guard import GuardedDecoder
from edge.protocol import Arrival, Decoder, Fault, Frame, Interruption, Read, Source, SourceConfig
from edge.recording.recorder import Recorder
from edge.sources.backoff import Backoff
from edge.sources.clock import now
from edge.spool.entries import Identities
from ingest.errors import PermanentError, SensorloomError

RESTART_S: Final = (1.0, 60.0)
Missing: TypeAlias = dict[str, str]
"""Why what a stream's sensor says now is lost, by stream: nobody hears it."""


def missing_of(device: str, pipelines: Iterable[Pipeline]) -> Missing:
    """The streams of a device that nobody hears now."""
    own = (pipeline for pipeline in pipelines if pipeline.config.device == device)
    return {pipeline.config.stream: pipeline.missing for pipeline in own if pipeline.missing}


def heard_of(device: str, pipelines: Iterable[Pipeline]) -> dict[str, int | None]:
    """Up to when (CLOCK_BOOTTIME) all that the streams of a device said has surely come; None: up to now."""
    return {p.config.stream: p.source.heard_ns for p in pipelines if p.config.device == device and not p.ended}


class Pipeline:
    """A source at work."""

    def __init__(
        self,
        config: SourceConfig,
        source: Source,
        decoder: Decoder,
        recorder: Recorder,
        identities: Identities,
        schedule: CommitSchedule,
        report: Callable[[str], None],
    ) -> None:
        self.config: Final = config
        self.source: Final = source
        self.repeated = 0
        """Deliveries that were known already."""
        self.ended = False
        self.failure = ""
        self.hearing: Final = Hearing(set(range(len(config.channels))))
        self._is_served = False
        self._decoder = GuardedDecoder(decoder, self._decoder_failed)
        self._was_opened = False
        self._has_failed = False
        """It was said that the decoder has a bug."""
        self._recorder = recorder
        self._identities = identities
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
        left = self._decoder.reset()
        if left:
            self._recorder.take(self.config.stream, 0, left, *self._stamp)

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
            self._recorder.listen(self.config.stream, *now())
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
        if item.is_message:
            found, fed = self._decoder.message(item.data), len(item.data) + (not item.data.endswith(b"\n"))
            self._hand_on(fed, found, item)
        elif item.reads and self._needs_each_read:
            begin = 0
            for read in (*item.reads, Read(len(item.data), item.monotonic_ns, item.wall_ns)):
                data = item.data[begin : read.end]
                own = Arrival(data, read.monotonic_ns, read.wall_ns, waited_ns=item.waited_ns)
                self._hand_on(len(data), self._decoder.feed(data), own)
                begin = read.end
        else:
            self._hand_on(len(item.data), self._decoder.feed(item.data), item)

    def _hand_on(self, fed: int, found: Collection[Frame | Fault], item: Arrival) -> None:
        self.hearing.note(item, found)
        self._recorder.take(
            self.config.stream,
            fed,
            found,
            item.monotonic_ns,
            item.wall_ns,
            reads=item.reads,
            waited_ns=item.waited_ns,
            is_message=item.is_message,
        )

    def _decoder_failed(self, error: Exception) -> None:
        if not self._has_failed:
            self._has_failed = True
            self._report(
                f'{self.config.name}: decoder "{self.config.decoder}": {_described(error)}; such lines are left out, '
                "counted as decoder_failed: tell who wrote it"
            )

    def _interrupt(self, item: Interruption) -> None:
        stream, clocks = self.config.stream, (item.monotonic_ns, item.wall_ns)
        if not item.goes_on:
            self._recorder.take(stream, 0, self._decoder.reset(), *clocks)
        self._recorder.interrupt(stream, item.reason, *clocks, item.since_ns, goes_on=item.goes_on)


def _described(error: Exception) -> str:
    """An error for people; one that nobody foresaw with its type and where it was raised."""
    if isinstance(error, SensorloomError | OSError):
        return str(error)
    frame = traceback.extract_tb(error.__traceback__)[-1]
    return f"{type(error).__name__}: {error} ({Path(frame.filename).name}:{frame.lineno})"
