"""Buttons at work: their lines read as the source `gpio` reads any, and what was pressed made durable and confirmed."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Final

import numpy as np

from edge.agent.marking.book import Act, Add, Dropped, Refused, Retract, button_key, range_key
from edge.agent.marking.desk import Desk
from edge.agent.marking.leds import DURABLE, REFUSED, UNDONE, Leds
from edge.agent.marking.panel import Panel
from edge.agent.notices import Notices
from edge.agent.overview import ButtonView
from edge.buttontables import Button
from edge.decoders.scans.decoder import row_type
from edge.protocol import Arrival, Interruption
from edge.sources.backoff import Backoff
from edge.sources.kernel import KernelSource

LOOK_S: Final = 0.1
_RESTART_S: Final = (1.0, 60.0)
_ROW: Final = row_type(1)


class Buttons:
    """All of an agent's."""

    def __init__(self, buttons: Sequence[Button], desk: Desk, report: Callable[[str], None]) -> None:
        self._buttons = buttons
        self._desk = desk
        self._report = report
        self._panel = Panel(buttons, desk.book)
        self._leds = Leds({button.name: button.led for button in buttons}, report)
        self._sources = {button.name: _source(button) for button in buttons}
        self._counts = dict.fromkeys(self._sources, 0)
        self._said = dict.fromkeys(self._sources, "")
        self._waiting = Notices(report, patience=1)

    @property
    def missed(self) -> int:
        """Edges that came too fast to be kept."""
        return self._panel.missed

    async def run(self) -> None:
        """Until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._leds.run())
            group.create_task(self._look())
            for button in self._buttons:
                group.create_task(self._serve(button.name))

    def views(self) -> list[ButtonView]:
        """What people are told of each."""
        lit = set(self._lit())
        return [
            ButtonView(
                name=button.name,
                device=button.device,
                does=button.does,
                marks=self._counts[button.name],
                is_open=button.name in lit,
                waiting_for=self._sources[button.name].waiting_for,
                said=self._said[button.name],
            )
            for button in self._buttons
        ]

    async def _serve(self, name: str) -> None:
        backoff = Backoff(*_RESTART_S)
        while True:
            try:
                await self._take_all(name)
            except Exception as error:  # whatever it is: a button that fails ends no other one, nor the agent
                self._report(f"button {name}: {error!r}; trying again")
            await self._sources[name].close()
            await asyncio.sleep(backoff.next_s())

    async def _take_all(self, name: str) -> None:
        source, is_first = self._sources[name], True
        self._panel.lost(name)
        await source.open()
        try:
            async for item in source.arrivals():
                if isinstance(item, Interruption):
                    is_first = True
                    self._panel.lost(name)
                    continue
                is_first = await self._take(name, item, is_first=is_first)
        finally:
            await source.close()

    async def _take(self, name: str, item: Arrival, *, is_first: bool) -> bool:
        for row in np.frombuffer(item.data, _ROW):
            at_ns, is_down = int(row["time_ns"]), bool(row["values"][0])
            if is_first:
                acts = self._panel.stands(name, at_ns, is_down=is_down)
            else:
                acts = self._panel.edge(name, at_ns, is_down=is_down, missed=int(row["missed"]))
            is_first = False
            await self._carry_out(name, acts)
        return is_first

    async def _carry_out(self, name: str, acts: Sequence[Act]) -> None:
        """Make it durable, then say so: also that a button is held, which is in the book alone."""
        is_durable = await self._desk.carry_out(acts)
        self._leds.show_open(self._lit())
        for act in acts:
            if isinstance(act, Refused) or (not is_durable and not isinstance(act, Dropped)):
                self._leds.sign(name, REFUSED)
                self._said[name] = act.words if isinstance(act, Refused) else self._desk.trouble
            elif isinstance(act, Add):
                self._counts[name] += 1
                self._said[name] = ""
                self._leds.sign(name, DURABLE)
            elif isinstance(act, Retract | Dropped):
                self._leds.sign(name, UNDONE)

    def _lit(self) -> list[str]:
        """Those whose range is open, on the disk too."""
        is_open = self._desk.open
        return [
            button.name
            for button in self._buttons
            if any(
                key in is_open and is_open[key].kind in ("hold", "range")
                for key in (button_key(button.name), range_key(button.device, button.start or button.stop))
            )
        ]

    async def _look(self) -> None:
        """What is due as nothing comes: long presses, and what the lines wait for."""
        while True:
            await asyncio.sleep(LOOK_S)
            for name, source in self._sources.items():
                self._waiting.say(f"button {name}", source.waiting_for)
                acts = self._panel.heard(name, source.heard_ns) if source.heard_ns else []
                if acts:
                    await self._carry_out(name, acts)
            self._leds.show_open(self._lit())


def _source(button: Button) -> KernelSource:
    from edge.sources.gpio.chip import Chip  # its library: only where there are buttons

    return KernelSource(Chip(button.settings))
