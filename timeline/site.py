"""What one timeline shows, held together: a log, its archive, what is in them, and what marks must fit."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from ingest.errors import SensorloomError, TransientError, WireError
from ingest.log.protocol import MARKS, READINGS, Entry, Log, LogBatch, partition_of
from ingest.records import Mark as MarkEvent
from ingest.records import MarkAdd, MarkEdit, MarkRetract
from ingest.schemas import SchemaRegistry
from ingest.wire import decode, encode
from timeline import acts, protocol
from timeline.acts import RefusedError, Who
from timeline.catalog import Catalog
from timeline.following import RETRY_S, Follower
from timeline.live import Live, News
from timeline.logindex import LogIndex
from timeline.markbook import MarkBook
from timeline.past import ArchivePast, Past, archived_catalog
from timeline.protocol import Accepted, Act, Changed, Rejected

KEYS: Final = "123456789"
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
        self.past: Past
        self.live: Live
        self._log = log
        self._marks = Follower(log, MARKS, self._take_marks, durable=True)
        self._readings: Follower | None = None
        self._partitions = 0
        self._floor: dict[int, int] | None = None
        self._undescribed = ""

    async def open(self) -> None:
        """Look into the archive, where there is one. Raises `SensorloomError`."""
        start: dict[int, int] = {}
        index = None
        if self.settings.archive is not None:
            self.catalog, start = await asyncio.to_thread(archived_catalog, self.settings.archive)
            self.past = ArchivePast(self.settings.archive, self.settings.log)
        else:
            index = self.past = LogIndex(self._log, self.registry.known)
        self.live = Live(self.catalog, self.registry.known, index)
        self._readings = Follower(self._log, READINGS, self._take_readings, durable=False, start=start)

    async def run(self) -> None:
        """Follow the log until cancelled."""
        assert self._readings is not None
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._marks.run())
            tasks.create_task(self._readings.run())

    async def caught_up(self) -> None:
        """Return when everything is known that the log had when it was opened."""
        assert self._readings is not None
        await self._marks.caught_up.wait()
        await self._readings.caught_up.wait()

    async def close(self) -> None:
        """Let go of the archive."""
        if isinstance(self.past, ArchivePast):
            await self.past.close()

    @property
    def trouble(self) -> str:
        """Why the log gives nothing just now; "" where all is well."""
        readings = "" if self._readings is None else self._readings.trouble
        return self._marks.trouble or readings or self._undescribed

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
                channels = tuple(protocol.Channel(it.name, it.unit, it.low, it.high) for it in described.channels)
                rate = described.rate_num / described.rate_den if described.rate_num else None
                about = described.sensor, described.mounting
                shown.append(protocol.Stream(name, channels, rate, str(span.last_ns), *about))
            first_ns, last_ns = self.catalog.span(device) or (0, 0)
            found.append(protocol.Device(device, tuple(shown), str(first_ns), str(last_ns)))
        return tuple(found)

    # Marks.

    def doubt(self) -> None:
        """Somebody may send again what another server has written: look where the log ends before the next act."""
        self._floor = None

    async def act(self, act: Act, who: Who) -> Accepted | Rejected:
        """Do what a person asks for; it is in the log when this returns `Accepted`."""
        try:
            async with asyncio.timeout(_SEEN_S):
                partition = await self._caught_up(act.device)
            event = acts.event_of(act, who, self.book, self._fit(), time.time_ns())
            if event is None:
                return Accepted(act.act, "", self.book.mark(act.device, act.mark))
            (position,) = await self._log.append(MARKS, [Entry(event.device.encode(), encode(event))])
        except RefusedError as error:
            return error.answer(act)
        except TimeoutError:
            self.doubt()
            return Rejected(act.act, "log", self.trouble or "the log gives no answer; it is tried again", again=True)
        except SensorloomError as error:
            self.doubt()  # it may be there all the same
            return Rejected(act.act, "log", str(error), again=isinstance(error, TransientError))
        if self._floor is not None:
            self._floor[partition] = max(self._floor.get(partition, 0), position.offset + 1)
        return Accepted(act.act, f"{position.partition}:{position.offset}")

    async def _caught_up(self, device: str) -> int:
        """The device's partition, when all is known that was in the log at the last doubt, or was written here."""
        if not self._partitions:
            self._partitions = await self._log.ensure(MARKS)
        if self._floor is None:
            self._floor = {number: bounds.end for number, bounds in (await self._log.bounds(MARKS)).items()}
        partition = partition_of(device.encode(), self._partitions)
        await self._marks.reach(partition, self._floor.get(partition, 0))
        return partition

    def _fit(self) -> acts.Site:
        spans = {device: span for device in self.catalog.streams if (span := self.catalog.span(device)) is not None}
        labels = (*self.settings.classes, *self.settings.offered) if self.settings.classes else ()
        return acts.Site(spans, labels)

    # Following.

    async def _take_marks(self, batch: LogBatch) -> None:
        for offset, append_ns, value in zip(batch.offsets, batch.append_ns, batch.values, strict=True):
            try:
                record = decode(bytes(value))
            except WireError:
                continue  # the labels operator counts it
            if isinstance(record, MarkAdd | MarkEdit | MarkRetract):
                self._take_mark(record, append_ns, offset)

    def _take_mark(self, event: MarkEvent, append_ns: int, offset: int) -> None:
        changed = self.book.feed(event, append_ns, offset)
        if changed is not None:
            self.on_mark(changed)

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


def _code(name: str, taken: set[str]) -> str:
    """Two letters that no other label has, where that can be."""
    letters = [it for it in name.upper() if it.isalnum()] or ["?"]
    pairs = [letters[0] + other for other in letters[1:]] or [letters[0]]
    return next((pair for pair in pairs if pair not in taken), pairs[0])
