"""Lamps and buzzers that say what became of a press.

One short flash: the mark is on the disk. Two: the last one is taken back. One long: nothing was done, or the disk takes
nothing. On: a range is open. What the log has makes no sign: a mark that is on the disk gets there.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Final

from edge.buttontables import Led
from edge.sources.gpio.settings import Settings

if TYPE_CHECKING:
    import gpiod

SHORT_S: Final = 0.1
LONG_S: Final = 1.0
DURABLE: Final = (SHORT_S,)
UNDONE: Final = (SHORT_S, SHORT_S)
REFUSED: Final = (LONG_S,)
RETRY_S: Final = 5.0
LOOK_S: Final = 1.0
"""So often a lamp without a sign is driven as it should be: where its chip went it is let go, and looked for again."""
_PENDING_MAX: Final = 8
"""So many signs of one lamp wait for those before."""


class Lamp:
    """One line that is driven."""

    def __init__(self, led: Led, report: Callable[[str], None]) -> None:
        self._led = led
        self._report = report
        self._request: gpiod.LineRequest | None = None
        self._offset = 0
        self._label = ""
        """Of the chip that had it."""
        self._tried_s = -RETRY_S
        self._signs: asyncio.Queue[tuple[float, ...]] = asyncio.Queue(_PENDING_MAX)
        self._is_steady = False
        self._trouble = ""

    def sign(self, flashes: tuple[float, ...]) -> None:
        """Flash so often and long, behind what waits."""
        with contextlib.suppress(asyncio.QueueFull):
            self._signs.put_nowait(flashes)

    def steady(self, *, is_on: bool) -> None:
        """What it is between signs."""
        if is_on != self._is_steady:
            self._is_steady = is_on
            self.sign(())

    async def run(self) -> None:
        """Show what there is to show, until cancelled; then it is off."""
        try:
            self._set(is_on=False)
            while True:
                flashes = await self._next()
                if flashes:
                    self._set(is_on=False)
                    await asyncio.sleep(SHORT_S)
                for flash_s in flashes:
                    self._set(is_on=True)
                    await asyncio.sleep(flash_s)
                    self._set(is_on=False)
                    await asyncio.sleep(SHORT_S)
                self._set(is_on=self._is_steady)
        finally:
            self._set(is_on=False)
            self._release()

    async def _next(self) -> tuple[float, ...]:
        """The next sign; none where it is time to look at the lamp."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(LOOK_S):
                return await self._signs.get()
        return ()

    def _set(self, *, is_on: bool) -> None:
        """A lamp that is away keeps nobody from marking; it is told once, and looked for again."""
        try:
            if self._request is None:
                if time.monotonic() - self._tried_s < RETRY_S:
                    return
                self._tried_s = time.monotonic()
                self._request, self._offset, self._label = _requested(self._led, self._label)
            _drive(self._request, self._offset, is_on=is_on)
        except Exception as error:  # of any kind: libgpiod has several
            self._release()
            if str(error) != self._trouble:
                self._trouble = str(error)
                self._report(f"led {self._led.line}: {self._led.chip or 'gpio'}: {error}")
        else:
            self._trouble = ""

    def _release(self) -> None:
        request, self._request = self._request, None
        if request is not None:
            with contextlib.suppress(OSError):
                request.release()


class Leds:
    """The lamps of some buttons, each once."""

    def __init__(self, by_button: Mapping[str, Led | None], report: Callable[[str], None]) -> None:
        self._by_button = by_button
        self._lamps = {led: Lamp(led, report) for led in by_button.values() if led is not None}

    def sign(self, button: str, flashes: tuple[float, ...]) -> None:
        """A sign for who pressed."""
        led = self._by_button.get(button)
        if led is not None:
            self._lamps[led].sign(flashes)

    def show_open(self, buttons: Iterable[str]) -> None:
        """These have something open."""
        lit = {self._by_button.get(name) for name in buttons}
        for led, lamp in self._lamps.items():
            lamp.steady(is_on=led in lit)

    async def run(self) -> None:
        """Until cancelled."""
        if self._lamps:
            async with asyncio.TaskGroup() as group:
                for lamp in self._lamps.values():
                    group.create_task(lamp.run())


def _requested(led: Led, label: str) -> tuple[gpiod.LineRequest, int, str]:
    import gpiod
    from gpiod.line import Direction, Value

    from edge.sources.gpio.chip import CONSUMER, find_chip, offset_of

    with find_chip(Settings(led.chip, (led.line,)), label) as chip:
        offset = offset_of(chip, led.line)
        settings = gpiod.LineSettings(
            direction=Direction.OUTPUT, active_low=led.active_low, output_value=Value.INACTIVE
        )
        return chip.request_lines({offset: settings}, CONSUMER), offset, chip.get_info().label


def _drive(request: gpiod.LineRequest, offset: int, *, is_on: bool) -> None:
    from gpiod.line import Value

    request.set_value(offset, Value.ACTIVE if is_on else Value.INACTIVE)
