"""All tabs of one server: who looks, and what all of them hear of."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import Sequence
from typing import Final

from timeline import protocol
from timeline.acts import MAY, Who
from timeline.live import News
from timeline.protocol import Changed
from timeline.site import Timeline
from timeline.tab import Tab

TICK_S: Final = 0.25
"""How often people's places, and what else may have changed, are told."""
TABS_MAX: Final = 1_000


class Hub:
    """The tabs of a server."""

    def __init__(self, timeline: Timeline) -> None:
        self.timeline = timeline
        self.tabs: set[Tab] = set()
        self._id = uuid.uuid4().hex[:12]
        self._people_changed = False
        self._told: tuple[int, int, tuple[protocol.Label, ...], str] = (0, 0, (), "")
        timeline.on_news = self._hear
        timeline.on_mark = self._hear_mark

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
        while True:
            await asyncio.sleep(TICK_S)
            self._tick()

    def _tick(self) -> None:
        timeline, tabs = self.timeline, [tab for tab in self.tabs if tab.person is not None]
        if self._people_changed:
            self._people_changed = False
            people = [tab.person for tab in tabs if tab.person is not None]
            for tab in tabs:
                tab.say(protocol.People(tuple(it for it in people if it is not tab.person)))
        version, described, labels, trouble = self._told
        now = timeline.catalog.version, len(timeline.registry.known), timeline.palette(), timeline.trouble
        self._told = now
        messages: list[protocol.ToPage] = []
        if now[:2] != (version, described):
            messages.append(protocol.Devices(timeline.devices()))
        if now[2] != labels:
            messages.append(protocol.Labels(now[2]))
        if now[3] != trouble:
            messages.append(protocol.Trouble("log", now[3]))
        for tab in tabs:
            for message in messages:
                tab.say(message)

    def _hear(self, news: Sequence[News]) -> None:
        for tab in self.tabs:
            tab.hear(news)

    def _hear_mark(self, changed: Changed) -> None:
        for tab in self.tabs:
            tab.hear_mark(changed)
