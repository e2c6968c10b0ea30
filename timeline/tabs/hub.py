"""All tabs of one server: who looks, and what all of them hear of."""

from __future__ import annotations

import asyncio
import contextlib
import time
import uuid
from collections import defaultdict
from collections.abc import Iterable, Sequence
from itertools import chain, islice
from pathlib import Path
from typing import Final

from timeline import protocol
from timeline.history.live import News, Redescribed
from timeline.marks.acts import MAY, Who
from timeline.people.neighbours import EVERY_S, Neighbours
from timeline.protocol import Changed
from timeline.site import Timeline
from timeline.tabs.liveframes import LiveFrames
from timeline.tabs.tab import Tab

TICK_S: Final = 0.25
"""How often what may have changed is told."""
PEOPLE_TICKS: Final = 4
"""People's places are told once in so many ticks at most: each tells as many tabs as there are of as many people."""
READING_TICKS: Final = 4
"""How often it is told how far a log has been read."""
TABS_MAX: Final = 1_000
PEOPLE_TOLD_MAX: Final = 64
"""So many others a tab is told of: all of a thousand to each of a thousand would be too much."""


class Hub:
    """The tabs of a server."""

    def __init__(self, timeline: Timeline, people: Path | None = None) -> None:
        """`people` is the folder by which servers of one site know of one another's people."""
        self.timeline = timeline
        self.tabs: set[Tab] = set()
        self._id = uuid.uuid4().hex[:12]
        self._people_changed = False
        self._people_told = -PEOPLE_TICKS
        self._neighbours = None if people is None else Neighbours(people, timeline.settings.name, self._id)
        self._elsewhere: tuple[protocol.Person, ...] = ()
        self._told: tuple[int, int, tuple[protocol.Label, ...], str] = (0, 0, (), "")
        self._ticks = 0
        self._was_read = False
        timeline.on_news = self._hear
        timeline.on_mark = self._hear_mark
        timeline.hears = lambda device: any(tab.hears(device) for tab in self.tabs)

    def now(self) -> protocol.Ns:
        """This server's clock."""
        return str(time.time_ns())

    def welcome(self, who: Who) -> protocol.Welcome:
        """What a tab is told first."""
        timeline = self.timeline
        return protocol.Welcome(
            protocol.PROTOCOL,
            self.now(),
            self._id,
            timeline.settings.name,
            who.user,
            who.role,
            MAY[who.role],
            timeline.palette(),
            timeline.devices(),
        )

    def recording(self, device: str, name: str) -> protocol.Recording:
        """A recording as it is now."""
        it = self.timeline.catalog.recordings[device][name]
        return protocol.Recording(name, device, str(it.start_ns), str(it.until_ns) if it.ended else None, it.reason)

    def people_changed(self) -> None:
        """Somebody came, went, or looks elsewhere: the others are told soon."""
        self._people_changed = True

    async def run(self) -> None:
        """Tell the tabs what changed, until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._keep_company())
            while True:
                await asyncio.sleep(TICK_S)
                self.tick()

    async def _keep_company(self) -> None:
        """Hear of the people at other servers, and tell of those here."""
        neighbours = self._neighbours
        if neighbours is None:
            return
        try:
            while True:
                people = [tab.person for tab in self.tabs if tab.person is not None]
                with contextlib.suppress(OSError):  # a full disk: nobody marks worse for it
                    found = await asyncio.to_thread(neighbours.exchange, people, time.time_ns())
                    self._people_changed |= found != self._elsewhere
                    self._elsewhere = found
                await asyncio.sleep(EVERY_S)
        finally:
            neighbours.leave()

    def tick(self) -> None:
        """Tell the tabs what has changed."""
        self._ticks += 1
        tabs = [tab for tab in self.tabs if tab.person is not None]
        if self._people_changed and self._ticks - self._people_told >= PEOPLE_TICKS:
            self._people_changed, self._people_told = False, self._ticks
            here = {tab.person.tab: tab.person for tab in tabs if tab.person is not None}
            company = Company(({it.tab: it for it in self._elsewhere} | here).values())  # who has come over is here now
            for tab in tabs:
                assert tab.person is not None
                tab.say(protocol.People(company.of(tab.person)))
        messages = [*self._news(), *self._reading()]
        for tab in tabs:
            tab.hear_queues()
            for message in messages:
                tab.say(message)

    def _news(self) -> list[protocol.ToPage]:
        """What is another one than was told last: devices, labels, what is wrong with the log."""
        timeline, told = self.timeline, self._told
        now = timeline.catalog.version, len(timeline.registry.known), timeline.palette(), timeline.trouble
        self._told = now
        messages: list[protocol.ToPage] = []
        if now[:2] != told[:2]:
            messages.append(protocol.Devices(timeline.devices()))
        if now[2] != told[2]:
            messages.append(protocol.Labels(now[2]))
        if now[3] != told[3]:
            messages.append(protocol.Trouble("log", now[3]))
        return messages

    def _reading(self) -> list[protocol.ToPage]:
        """How far the first reading of the log has come, now and then, and once that it has ended."""
        was_read, self._was_read = self._was_read, self.timeline.is_read
        if was_read or (not self._was_read and self._ticks % READING_TICKS):
            return []
        return [self.timeline.reading()]

    def _hear(self, news: Sequence[News]) -> None:
        first: list[protocol.ToPage] = []
        if any(isinstance(it, Redescribed) for it in news):
            first = self._news()  # before the samples: they would lie on an axis of another unit
        live = LiveFrames(self.timeline)
        for tab in self.tabs:
            for message in first if tab.person is not None else ():
                tab.say(message)
            tab.hear(news, live)

    def _hear_mark(self, changed: Changed) -> None:
        for tab in self.tabs:
            tab.hear_mark(changed)


class Company:
    """Who looks, as each of them is told."""

    def __init__(self, people: Iterable[protocol.Person]) -> None:
        self._people = tuple(people)
        self._at: defaultdict[str | None, list[protocol.Person]] = defaultdict(list)
        for it in self._people:
            self._at[it.device].append(it)

    def of(self, person: protocol.Person) -> tuple[protocol.Person, ...]:
        """Whom a person is told of: `PEOPLE_TOLD_MAX` at most, those at the same device first."""
        elsewhere = (it for it in self._people if it.device != person.device)
        others = (it for it in chain(self._at[person.device], elsewhere) if it.tab != person.tab)
        return tuple(islice(others, PEOPLE_TOLD_MAX))
