"""A source that is asked at a steady pace, and answers with a message each time.

The pace is the agent's own clock; an answer that takes longer than that costs the questions that were due meanwhile,
which are counted, and told where most answers do.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Hashable, Iterable
from typing import ClassVar, Final

from edge.protocol import Arrival, Interruption, Settled
from edge.sources.backoff import Backoff
from edge.sources.clock import boottime_ns, now

NO_ANSWER: Final = "no_answer"
DELAYS_S: Final = (0.2, 10.0)
SLOW_NS: Final = 10_000_000
"""Values of an answer that took longer may be of any time since the question."""

TROUBLE_NS: Final = 60_000_000_000
TROUBLES_LEAST: Final = 3
"""So many questions of the last minute without an answer are told although there are others."""


SLOW_OF: Final = 5
"""Of so many of the newest answers more than half must have taken longer than the pace for that to be told."""


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
        self.waiting_for = self._why = ""
        """See `edge.protocol.Source`; the newest one."""
        self._failed_ns: deque[int] = deque(maxlen=999)
        """When there was no answer."""
        self._took_ns: deque[int] = deque(maxlen=SLOW_OF)
        """How long the newest answers took."""
        self.left_out = 0
        """Questions that were due while an answer was waited for."""

    async def _poll(self) -> bytes:
        """An answer. Raises `PollError`."""
        raise NotImplementedError

    async def _answer(self) -> bytes:
        """`_poll`, which a library may go on from although it was cancelled as the answer came: `asyncio.wait_for` of
        Python 3.11 then swallows that, and nobody would ask to stop again."""
        try:
            return await self._poll()
        finally:
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                raise asyncio.CancelledError

    def _let_go(self) -> None:
        """Nothing is asked any more."""

    @property
    def trouble(self) -> str:
        """See `edge.protocol.Source`: answers come, and again and again there is none, or it takes too long."""
        since_ns = boottime_ns() - TROUBLE_NS
        while self._failed_ns and self._failed_ns[0] < since_ns:
            self._failed_ns.popleft()
        count = len(self._failed_ns)
        if self.waiting_for:
            return ""
        if count < TROUBLES_LEAST:
            return self._slowness()
        return f"{self._why}: so it was {count} times in the last minute"

    def _slowness(self) -> str:
        slow = sorted(took for took in self._took_ns if took > self._poll_ns)
        if 2 * len(slow) <= SLOW_OF:
            return ""
        took_s, poll_s = slow[len(slow) // 2] / 1e9, self._poll_ns / 1e9
        return (
            f"{self._name}: an answer takes {took_s:.3g} s, and poll is {poll_s:.3g} s: {self.left_out:,} questions "
            "were left out; say a longer poll, or see why it is slow"
        )

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
        backoff = Backoff(*DELAYS_S)
        while not self._is_closed:
            try:
                await self._answer()
            except PollError as error:
                self._fail(error)
                await asyncio.sleep(backoff.next_s())
            else:
                self.waiting_for = ""
                return

    async def arrivals(self) -> AsyncIterator[Arrival | Interruption]:
        """See `edge.protocol.Source`. A question without an answer is asked again sooner than the next one were due."""
        due_ns, poll_ns, backoff = boottime_ns(), self._poll_ns, Backoff(*DELAYS_S)
        while not self._is_closed:
            await asyncio.sleep(max(0.0, (due_ns - boottime_ns()) / 1e9))
            asked_ns = boottime_ns()
            try:
                data = await self._answer()
            except PollError as error:
                self._fail(error)
                due_ns = boottime_ns() + int(backoff.next_s() * 1e9)
                continue
            stamps = now()
            self.waiting_for = ""
            backoff.reset()
            if self._is_unheard:
                self._is_unheard = False
                yield Interruption(NO_ANSWER, *stamps)
            took_ns = stamps[0] - asked_ns
            waited_ns = took_ns if self.tells_wait and took_ns > SLOW_NS else 0
            yield Arrival(data, *stamps, is_message=True, waited_ns=waited_ns)
            self._took_ns.append(took_ns)
            self.left_out += max(0, took_ns - 1) // poll_ns
            late_ns = max(0, boottime_ns() - due_ns)
            due_ns += poll_ns * (1 + late_ns // poll_ns)

    def _fail(self, error: PollError) -> None:
        self._is_unheard = True
        self._failed_ns.append(boottime_ns())
        self._why = self.waiting_for = f"{self._name}: {error}"

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
