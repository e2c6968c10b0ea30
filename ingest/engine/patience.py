"""Waiting for what passes by itself: a full disk, a log that is away."""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final, TypeVar

from ingest.errors import TransientError

T = TypeVar("T")
_NUMBER: Final = re.compile(r"\d[\d,.]*")


@dataclass(frozen=True, slots=True)
class Patience:
    """Does a step until it succeeds, or until `stop` is set."""

    stop: asyncio.Event
    retry_seconds: float

    async def outlast(
        self,
        step: Callable[[], Awaitable[T]],
        passing: tuple[type[TransientError], ...],
        tell: Callable[[str], None],
        given_up: Callable[[], bool] = lambda: False,
    ) -> T:
        """The step's result, tried again after each error of the kinds in `passing`; `tell` hears each text once, and
        not again where only its numbers have changed (bytes that are free, the name of a temporary file).

        Raises:
            TransientError: the last one, where it is asked to stop, or `given_up` says so.
        """
        told = ""
        while True:
            try:
                return await step()
            except passing as error:
                if self.stop.is_set() or given_up():
                    raise
                text = str(error)
                if _NUMBER.sub("#", text) != told:
                    told = _NUMBER.sub("#", text)
                    tell(text)
                await self.pause()

    async def pause(self) -> None:
        """Wait a little, and no longer than until `stop` is set."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self.retry_seconds):
                await self.stop.wait()
