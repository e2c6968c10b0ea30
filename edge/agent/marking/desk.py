"""The desk: acts of buttons and of the shell made durable, each in the spool's queues like what rules mark.

What the disk does not take waits in memory and goes with the next: `waiting` says how many, and nobody is told that it
is durable before it is.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Final

from edge.agent.marking.book import Act, Add, Begun, Book, Dropped, Open, Refused, Retract
from edge.agent.marking.events import Dated, entry_of, words_of
from edge.agent.marking.journal import Journal, form
from edge.spool.entries import HELD_MARK, key_of
from edge.spool.spool import Spool
from ingest.errors import SensorloomError
from ingest.log.protocol import Entry

WAITING_MAX: Final = 10_000
"""So many of the newest marks wait in memory while the disk takes nothing."""
RETRY_S: Final = 1.0
SEEN_NS: Final = 2_000_000_000
"""So old what is known of an open range may become on the disk: that much a mark is shorter after a kill."""
LOOK_S: Final = 0.1


class Desk:
    """Where marks of this device are made."""

    def __init__(
        self,
        spool: Spool,
        book: Book,
        journal: Journal,
        kernel_boot: bytes,
        dated: Dated,
        report: Callable[[str], None],
        durable: Callable[[], None] = lambda: None,
        ended: Callable[[Open], None] = lambda _: None,
    ) -> None:
        self.book = book
        self.made = 0
        """Marks, with those that wait."""
        self.retracted = 0
        self.lost = 0
        """Marks that memory did not hold while the disk took nothing."""
        self.open: dict[str, Open] = dict(book.state.open)
        """What is open, as the disk has it."""
        self._spool = spool
        self._journal = journal
        self._kernel_boot = kernel_boot
        self._dated = dated
        self._report = report
        self._durable = durable
        self._ended = ended
        """Told of what was open and is no more."""
        self._waiting: list[Entry] = []
        self._trouble = ""
        self._writing = asyncio.Lock()

    @property
    def waiting(self) -> int:
        """Marks that are in memory only."""
        return len(self._waiting)

    @property
    def trouble(self) -> str:
        """What the disk said when it last took nothing; empty where it took all."""
        return self._trouble

    async def carry_out(self, acts: Sequence[Act]) -> bool:
        """Make acts durable, and tell of them; whether they are. What is refused is told only."""
        for act in acts:
            if isinstance(act, Add | Dropped):
                self._ended(act.open)
        self._waiting += [
            entry_of(act, self._kernel_boot, self._dated) for act in acts if isinstance(act, Add | Retract)
        ]
        over = len(self._waiting) - WAITING_MAX
        if over > 0:
            self.lost += over
            self._report(f"marks: {over} are lost: the disk takes nothing, and memory holds {WAITING_MAX:,}")
            del self._waiting[:over]
        is_durable = await self._write()
        for act in acts:
            self._tell(act)
        return is_durable

    async def run(self, now_ns: Callable[[], int]) -> None:
        """What ends by itself, what is seen to be open, and what the disk did not take; until cancelled."""
        saved_ns = now_ns()
        while True:
            await asyncio.sleep(LOOK_S if self.book.state.open else RETRY_S)
            at_ns = now_ns()
            acts = self.book.due(at_ns)
            self.book.seen([key for key, opened in self.book.state.open.items() if not _is_button(opened.kind)], at_ns)
            if acts or self._waiting or self._trouble:
                await self.carry_out(acts)
            elif self.book.state.open and at_ns - saved_ns >= SEEN_NS:
                saved_ns = at_ns
                await self._write()

    async def close(self, at_ns: int) -> None:
        """The agent is told to end: so does a recording that was asked for. What else is open goes on at the next."""
        keys = [key for key, opened in self.book.state.open.items() if opened.kind == "take"]
        self.book.seen(list(self.book.state.open), at_ns)
        await self.carry_out([act for key in keys for act in self.book.end(key, at_ns, "", "")])

    async def _write(self) -> bool:
        async with self._writing:
            entries, state = list(self._waiting), form(self.book.state)
            is_open = dict(self.book.state.open)
            try:
                await asyncio.to_thread(_commit, self._spool, self._journal, entries, state)
            except SensorloomError as error:
                if not self._trouble:
                    self._report(f"marks: waiting for the disk: {error}")
                self._trouble = str(error)
                return False
            if self._trouble:
                self._report("marks: the disk takes them again")
            self._trouble = ""
            del self._waiting[: len(entries)]
            self.open = is_open
        if entries:
            self._durable()
        return True

    def _tell(self, act: Act) -> None:
        if isinstance(act, Add):
            self.made += 1
            self._report(f"mark {words_of(act.open)}, {_span(act)}{f': {act.note}' if act.note else ''}")
        elif isinstance(act, Retract):
            self.retracted += 1
            self._report(f"mark of {act.made.device} taken back, by {act.made.author}")
        elif isinstance(act, Begun):
            self._report(f"begun: {words_of(act.open)}")
        elif isinstance(act, Dropped):
            self._report(f"ended without a mark: {words_of(act.open)}")
        elif isinstance(act, Refused):
            self._report(f"no mark: {act.words}")


def _commit(spool: Spool, journal: Journal, entries: Sequence[Entry], state: bytes) -> None:
    """Marks, then what is open: a kill between both makes a mark again, which is the same one."""
    held = [entry for entry in entries if key_of(entry.key).kind == HELD_MARK]
    known = [entry for entry in entries if key_of(entry.key).kind != HELD_MARK]
    if known:
        spool.urgent.commit(known)
    if held:
        spool.readings.commit(held)
    journal.save(state)


def _is_button(kind: str) -> bool:
    return kind in ("press", "wait", "hold")


def _span(act: Add) -> str:
    span_ns = act.end_ns - act.open.start_ns
    return f"{span_ns / 1e9:,.1f} s" if span_ns else "an instant"
