"""What one timeline shows, held together: a log, its archive, what is in them, and what marks must fit."""

from __future__ import annotations

import asyncio
import contextlib
import time
import weakref
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from ingest.archive.reading import Answer, Question, under
from ingest.errors import SensorloomError, TransientError, WireError
from ingest.log.protocol import MARKS, READINGS, Entry, Log, LogBatch, partition_of
from ingest.records import Channel, MarkAdd, MarkEdit, MarkRetract
from ingest.records import Mark as MarkEvent
from ingest.schemas import SchemaRegistry
from ingest.wire import decode, encode
from timeline import protocol
from timeline.history.catalog import Catalog
from timeline.history.following import RETRY_S, Follower
from timeline.history.live import FEED_MAX, Live, News
from timeline.history.logindex import LogIndex
from timeline.history.past import ArchivePast, Past, archived_catalog
from timeline.marks import acts
from timeline.marks.acts import RefusedError, Who
from timeline.marks.floor import Floor
from timeline.marks.markbook import MarkBook
from timeline.protocol import Accepted, Act, Changed, Rejected
from timeline.protocol.positions import placed_answer

KEYS: Final = "123456789"
LARGE: Final = 500_000
"""A log with more records is shown while it is read for the first time; that of another one is waited for."""
_WARM: Final = 1_500
"""About as many points as a screen has."""
_LOST_MAX: Final = 100
_SEEN_S: Final = 10.0
"""So long an act waits for what the log had before it; then it is to be sent again."""


@dataclass(frozen=True, slots=True)
class Settings:
    """What is shown."""

    name: str
    log: str
    """Its URL."""
    archive: Path | None = None
    classes: tuple[str, ...] = ()
    """Labels that there may be; none: any."""
    offered: tuple[str, ...] = ()
    """Further labels for the palette, such as those of rules."""


class Timeline:
    """A log and its marks, followed to their ends. `on_news` and `on_mark` hear what is new."""

    def __init__(self, settings: Settings, log: Log) -> None:
        self.settings = settings
        self.book = MarkBook()
        self.catalog = Catalog()
        self.registry = SchemaRegistry(log)
        self.on_news: Callable[[Sequence[News]], None] = lambda news: None
        self.on_mark: Callable[[Changed], None] = lambda changed: None
        self.hears: Callable[[str], bool] = lambda device: False
        """Whether anybody is to be told of a device's marks."""
        self._index = LogIndex(log, self.registry.known)
        self.past: Past = self._index
        self.live: Live
        self._log = log
        self._marks = Follower(log, MARKS, self._take_marks, durable=True)
        self._readings: Follower | None = None
        self._partitions = self._archived = 0
        self._floor = Floor(log, MARKS)
        self._undescribed = self._unwritten = ""
        self.lost: deque[str] = deque(maxlen=_LOST_MAX)
        """What the log deleted before it was read here, in words, until somebody takes them out to tell them."""
        self._told_lost: set[tuple[int, int]] = set()
        """By partition and first offset."""
        self._described = asyncio.Event()
        self._acts: set[asyncio.Task[Accepted | Rejected]] = set()
        self._preparing: set[asyncio.Task[None]] = set()
        self._ready = asyncio.Lock()
        self._turns: weakref.WeakValueDictionary[tuple[str, str], asyncio.Lock] = weakref.WeakValueDictionary()

    async def open(self) -> None:
        """Look into the archive, where there is one. Raises `SensorloomError`."""
        start: dict[int, int] = {}
        index = None if self.settings.archive is not None else self._index
        if self.settings.archive is not None:
            self.catalog, start = await asyncio.to_thread(archived_catalog, self.settings.archive)
            self.past = ArchivePast(self.settings.archive, self.settings.log, self._lose_tail)
            self._archived = len(start)
        self.live = Live(self.catalog, self.registry.known, index)
        self._readings = Follower(
            self._log, READINGS, self._take_readings, durable=False, start=start, lose=self._lose_readings
        )

    async def run(self) -> None:
        """Follow the log until cancelled."""
        assert self._readings is not None
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._marks.run())
            tasks.create_task(self._readings.run())
            tasks.create_task(self._describe())
            tasks.create_task(self.warm())

    async def _describe(self) -> None:
        """Read the descriptions: of an archive's streams there may be nothing new in the log that asks for them."""
        while not self._described.is_set():
            try:
                await self.registry.refresh()
                self._described.set()
            except SensorloomError:  # the followers say so
                await asyncio.sleep(RETRY_S)

    async def warm(self) -> None:
        """Ask an archive what a first tab asks, of a device in each partition: who comes first does not wait until its
        files are opened and decoded."""
        if not isinstance(self.past, ArchivePast):
            return
        devices = {partition_of(device.encode(), self._archived): device for device in self.catalog.streams}
        for device in devices.values():
            span = self.catalog.span(device)
            assert span is not None
            with contextlib.suppress(SensorloomError):  # who asks is told
                await self.past.ask(Question(device, min(self.catalog.streams[device]), span[0], span[1] + 1, _WARM))

    async def caught_up(self) -> None:
        """Return when everything is known that the log had when it was opened."""
        assert self._readings is not None
        await self.usable()
        await self._readings.caught_up.wait()

    async def usable(self) -> None:
        """Return when there is enough to begin with: all marks and descriptions, and all readings unless these are very
        many."""
        assert self._readings is not None
        await self._marks.caught_up.wait()
        await self._described.wait()
        await self._readings.begun.wait()
        if self._readings.progress.whole <= LARGE:
            await self._readings.caught_up.wait()

    @property
    def is_read(self) -> bool:
        """Whether everything is known that the log had when it was opened."""
        assert self._readings is not None
        return self._marks.caught_up.is_set() and self._readings.caught_up.is_set()

    def reading(self) -> protocol.Reading:
        """How far the first reading of the log has come."""
        assert self._readings is not None
        parts = self._marks.progress, self._readings.progress
        done, total = sum(it.done for it in parts), sum(it.whole for it in parts)
        if self.is_read:
            return protocol.Reading(done, total, "")
        share = f"{100 * done // total} % of {total:,} records" if total else "it has not said yet how much there is"
        return protocol.Reading(done, total, f"the server reads the log: {share}")

    async def close(self) -> None:
        """Give up what is under way, and let go of the archive."""
        tasks = [*self._acts, *self._preparing]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if isinstance(self.past, ArchivePast):
            await self.past.close()

    @property
    def trouble(self) -> str:
        """Why the log gives nothing just now; "" where all is well."""
        readings = "" if self._readings is None else self._readings.trouble
        return self._marks.trouble or readings or self._undescribed

    @property
    def state(self) -> str:
        """What keeps the log from being shown or marked, for whoever runs the server; "" where all is well."""
        words = self.trouble or self.reading().words or self._unwritten
        if words or self.catalog.streams:
            return words
        return f"{self.settings.log}: no device has sent anything to this log yet"

    def palette(self) -> tuple[protocol.Label, ...]:
        """Classes first, then what rules and people have used; the first nine have keys."""
        used = [label for label, count in self.book.labels.most_common() if count > 0 and label]
        names = list(dict.fromkeys((*self.settings.classes, *self.settings.offered, *used)))
        codes: set[str] = set()
        labels = []
        for number, name in enumerate(names):
            code = _code(name, codes)
            codes.add(code)
            labels.append(protocol.Label(name, code, KEYS[number : number + 1]))
        return tuple(labels)

    def devices(self) -> tuple[protocol.Device, ...]:
        """All devices with the streams that are described."""
        found = []
        for device, streams in self.catalog.descriptions(self.registry.known):
            shown = []
            for name, span, described in streams:
                channels = tuple(map(_channel, described.channels))
                rate = described.rate_num / described.rate_den if described.rate_num else None
                about = described.sensor, described.mounting
                shown.append(protocol.Stream(name, channels, rate, str(span.last_ns), *about))
            first_ns, last_ns = self.catalog.span(device) or (0, 0)
            found.append(protocol.Device(device, tuple(shown), str(first_ns), str(last_ns)))
        return tuple(found)

    def channels(self, device: str, stream: str) -> tuple[Channel, ...]:
        """As the stream is described now, which is what tabs are told; none where nobody has described it."""
        span = self.catalog.streams.get(device, {}).get(stream)
        described = None if span is None else self.registry.known.get(span.schema)
        return () if described is None else described.channels

    async def ask(self, question: Question) -> Answer | None:
        """Of history, under the stream's channels of now; see `Past.ask`."""
        answer = await self.past.ask(question)
        channels = self.channels(question.device, question.stream)
        return under(answer, channels) if answer is not None and channels else answer

    async def ask_drawn(self, question: Question) -> Answer | None:
        """As `ask`, with positions as the page draws them."""
        answer = await self.ask(question)
        channels = self.channels(question.device, question.stream)
        return placed_answer(answer, channels) if answer is not None else None

    # Marks.

    def expect(self) -> None:
        """Somebody has come who may mark, and may send again what another server has written: what the log needs for a
        first mark is made ready, and where it ends is asked, while they look."""
        self._floor.doubt()
        task = asyncio.create_task(self._prepare())
        self._preparing.add(task)
        task.add_done_callback(self._preparing.discard)

    async def _prepare(self) -> None:
        with contextlib.suppress(SensorloomError):  # whoever marks is told, and the next one who comes tries again
            async with self._ready:
                if not self._partitions:
                    partitions = await self._log.ensure(MARKS)
                    await self._log.check(MARKS, [Entry(b"", b"")])
                    self._partitions = partitions
            await self._floor.look()

    async def act(self, act: Act, who: Who) -> Accepted | Rejected:
        """Do what a person asks for; it is in the log when this returns `Accepted`.

        Acts of one mark are done one after the other, and to their end though their tab be gone: who sends one again
        over another connection meanwhile finds it in the log, rather than write it there twice.
        """
        task = asyncio.create_task(self._act_in_turn(act, who))
        self._acts.add(task)
        task.add_done_callback(self._acts.discard)
        return await asyncio.shield(task)

    async def _act_in_turn(self, act: Act, who: Who) -> Accepted | Rejected:
        turn = self._turns.setdefault((act.device, act.mark), asyncio.Lock())
        async with turn:
            return await self._act(act, who)

    async def _act(self, act: Act, who: Who) -> Accepted | Rejected:
        try:
            async with asyncio.timeout(_SEEN_S):
                await self._caught_up(act.device, act.mark)
            event = acts.event_of(act, who, self.book, self._fit(), time.time_ns())
            if event is None:
                return Accepted(act.act, "", self.book.mark(act.device, act.mark))
            (position,) = await self._log.append(MARKS, [Entry(event.device.encode(), encode(event))])
        except RefusedError as error:
            if error.code in ("device", "range") and not self.is_read:  # what it is to fit may be yet to come
                return Rejected(act.act, "log", self.reading().words, again=True)
            return error.answer(act)
        except TimeoutError:
            self._floor.doubt()
            return Rejected(act.act, "log", self.trouble or "the log gives no answer; it is tried again", again=True)
        except SensorloomError as error:
            self._floor.doubt()  # it may be there all the same
            self._unwritten = f"the log takes no marks just now: {error}"
            return Rejected(act.act, "log", str(error), again=isinstance(error, TransientError))
        self._unwritten = ""
        self._floor.wrote((act.device, act.mark), position, self._marks.positions)
        return Accepted(act.act, f"{position.partition}:{position.offset}")

    async def _caught_up(self, device: str, mark: str) -> None:
        """Return when all is known of a device's marks that was in the log at the last doubt, and of this one what was
        written here."""
        if not self._partitions:
            self._partitions = await self._log.ensure(MARKS)
        await self._floor.look()
        partition = partition_of(device.encode(), self._partitions)
        await self._marks.reach(partition, self._floor.of(partition, (device, mark)))

    def _fit(self) -> acts.Site:
        spans = {device: span for device in self.catalog.streams if (span := self.catalog.span(device)) is not None}
        labels = (*self.settings.classes, *self.settings.offered) if self.settings.classes else ()
        return acts.Site(spans, labels)

    # Following.

    async def _take_marks(self, batch: LogBatch) -> None:
        rows = zip(batch.offsets, batch.append_ns, batch.values, strict=True)
        for number, (offset, append_ns, value) in enumerate(rows):
            if number % FEED_MAX == FEED_MAX - 1:
                await asyncio.sleep(0)  # of a million marks a batch takes seconds, and people sign in meanwhile
            try:
                record = decode(bytes(value))
            except WireError:
                continue  # the labels operator counts it
            if isinstance(record, MarkAdd | MarkEdit | MarkRetract):
                self._take_mark(record, append_ns, offset)

    def _take_mark(self, event: MarkEvent, append_ns: int, offset: int) -> None:
        if not self.book.take(event, append_ns, offset) or not self.hears(event.device):
            return
        changed = self.book.changed(event)
        if changed is not None:
            self.on_mark(changed)

    def _lose_readings(self, partition: int, begin: int, end: int) -> None:
        self._tell_lost(partition, begin, end, 'what they held is shown as a gap "deleted"')
        self.live.lose(partition)

    def _lose_tail(self, partition: int, begin: int, end: int) -> None:
        """The archive stood still for longer than the log keeps what was read here meanwhile."""
        self._tell_lost(partition, begin, end, "what they held is not shown; a server that is started now says where")

    def _tell_lost(self, partition: int, begin: int, end: int, shown: str) -> None:
        if (partition, begin) in self._told_lost:
            return
        self._told_lost.add((partition, begin))
        had = "" if self.settings.archive is None else ", which the archive does not have either"
        words = f"{READINGS}-{partition}: the log no longer has offsets {begin} to {end}{had}"
        self.lost.append(f"{words}: retention was quicker; {shown}")

    async def _take_readings(self, batch: LogBatch) -> None:
        while len(batch):
            taken, news = self.live.feed(batch)
            self.on_news(news)
            batch = batch.tail(taken)
            schema = self.live.missing_schema
            while schema is not None and self.registry.get(schema) is None:
                await self.registry.refresh()
                if self.registry.get(schema) is None:
                    self._undescribed = f"{batch.keys[0].decode(errors='replace')}: nobody has described a stream yet"
                    await asyncio.sleep(RETRY_S)
            self._undescribed = ""
            await asyncio.sleep(0)


def _channel(described: Channel) -> protocol.Channel:
    states = {str(code): name for code, name in described.states}
    return protocol.Channel(described.name, described.unit, described.low, described.high, states)


def _code(name: str, taken: set[str]) -> str:
    """Two letters that no other label has, where that can be."""
    letters = [it for it in name.upper() if it.isalnum()] or ["?"]
    pairs = [letters[0] + other for other in letters[1:]] or [letters[0]]
    return next((pair for pair in pairs if pair not in taken), pairs[0])
