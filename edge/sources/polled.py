"""A source that is asked at a steady pace, and answers with a message each time.

The pace is the agent's own clock; an answer that takes longer than that costs the questions that were due meanwhile.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Hashable, Iterable
from typing import ClassVar, Final

from edge.protocol import Arrival, Interruption, Settled
from edge.sources.backoff import Backoff
from edge.sources.clock import boottime_ns, now

NO_ANSWER: Final = "no_answer"
DELAYS_S: Final = (0.2, 10.0)
SLOW_NS: Final = 10_000_000
"""Values of an answer that took longer may be of any time since the question."""


class PollError(Exception):
    """A poll gave nothing. The text says why, and what to do."""


class PolledSource:
    """Polls what `_poll` asks; the rest of `edge.protocol.Source`."""

    tells_wait: ClassVar[bool] = False
    """How long an answer took is how uncertain its time is."""

    def __init__(self, name: str, poll_ns: int) -> None:
        self._name = name
        self._poll_ns = poll_ns
        self._is_closed = False
        self._is_unheard = False
        """What it said before the next answer is lost, and that was not announced."""
        self.waiting_for = ""
        """See `edge.protocol.Source`."""

    async def _poll(self) -> bytes:
        """An answer. Raises `PollError`."""
        raise NotImplementedError

    def _let_go(self) -> None:
        """Nothing is asked any more."""

    @property
    def trouble(self) -> str:
        """See `edge.protocol.Source`."""
        return ""

    @property
    def missing(self) -> str:
        """See `edge.protocol.Source`: nobody keeps what it says meanwhile."""
        return NO_ANSWER if self.waiting_for else ""

    @property
    def heard_ns(self) -> int | None:
        """See `edge.protocol.Source`: between two polls it says nothing."""
        return None

    async def open(self) -> None:
        """See `edge.protocol.Source`: returns when it has answered."""
        self._is_closed = False
        await self._answer(Backoff(*DELAYS_S))

    async def arrivals(self) -> AsyncIterator[Arrival | Interruption]:
        """See `edge.protocol.Source`."""
        due_ns, poll_ns = boottime_ns(), self._poll_ns
        while not self._is_closed:
            await asyncio.sleep(max(0.0, (due_ns - boottime_ns()) / 1e9))
            asked_ns = boottime_ns()
            try:
                data = await self._poll()
            except PollError as error:
                self._fail(error)
                await self._answer(Backoff(*DELAYS_S))
                due_ns = boottime_ns()
                continue
            stamps = now()
            if self._is_unheard:
                self._is_unheard = False
                yield Interruption(NO_ANSWER, *stamps)
            took_ns = stamps[0] - asked_ns
            waited_ns = took_ns if self.tells_wait and took_ns > SLOW_NS else 0
            yield Arrival(data, *stamps, is_message=True, waited_ns=waited_ns)
            late_ns = max(0, boottime_ns() - due_ns)
            due_ns += poll_ns * (1 + late_ns // poll_ns)

    async def _answer(self, backoff: Backoff) -> None:
        """Ask until there is an answer."""
        while not self._is_closed:
            try:
                await self._poll()
            except PollError as error:
                self._fail(error)
                await asyncio.sleep(backoff.next_s())
            else:
                self.waiting_for = ""
                return

    def _fail(self, error: PollError) -> None:
        self._is_unheard = True
        self.waiting_for = f"{self._name}: {error}"

    def ack(self, token: Hashable) -> None:
        """See `edge.protocol.Source`: nobody waits for an acknowledgement."""

    def settled(self) -> Settled:
        """See `edge.protocol.Source`: no answer comes twice."""
        return Settled()

    def again(self) -> None:
        """See `edge.protocol.Source`: what was not asked for is gone."""

    async def close(self) -> None:
        """See `edge.protocol.Source`."""
        self._is_closed = True
        self._let_go()

    def left(self) -> Iterable[Arrival | Interruption]:
        """See `edge.protocol.Source`: an answer is taken as it comes."""
        return ()
