"""What a seed chooses: how long things take, what fails, who dies and when.

A `Process` is one run of one program on the simulated machine. Everything it does in the world goes through
`Process.step`, so that it can be slow, sleep like a zombie, or die, between any two of its operations. Death raises
`Crash`, and raises it again on every further step: a `finally` block of a dead program cannot touch the world.
"""

from __future__ import annotations

import asyncio
import random
import types
from collections.abc import Callable, Generator
from dataclasses import dataclass
from enum import Enum
from typing import TypeVar

T = TypeVar("T")


class Crash(BaseException):  # not an Exception: no handler of the code under test may survive its own death
    """The process is dead."""


class Phase(Enum):
    """Where in an operation a crash falls."""

    BEFORE = "before"
    TORN = "torn"
    """In the middle of a write; of any other operation: before it."""
    AFTER = "after"


@dataclass(frozen=True, slots=True)
class CrashPoint:
    """Die at the process's file operation number `op` (from 0, over all its plans)."""

    op: int
    phase: Phase
    power: bool = False
    """A power cut: every process of the machine dies, and the disk forgets what was not fsynced."""


@dataclass(frozen=True, slots=True)
class Faults:
    """How often what goes wrong: probabilities per occasion, in `[0, 1]`."""

    slow: float = 0.0
    """Per operation: it takes up to 50 ms instead of none."""
    zombie: float = 0.0
    """Per file operation or log call: the process sleeps for up to `zombie_s_max`."""
    zombie_s_max: float = 60.0
    kill: float = 0.0
    """Per file operation: the process dies before, within or after it."""
    power_cut: float = 0.0
    """Per file operation: the machine's power fails."""
    disk_full: float = 0.0
    """Per write or fsync: the disk has no room, from now for up to 20 s."""
    unavailable: float = 0.0
    """Per append or fetch: it raises and did nothing."""
    lost_ack: float = 0.0
    """Per append: some or all of it is in the log, and it raises all the same."""
    duplicate: float = 0.0
    """Per append: the client sends it again after an acknowledgement that it did not see."""
    hole: float = 0.0
    """Per record: offsets are skipped before it, as transaction markers do in Kafka."""
    small_batch: float = 0.0
    """Per fetch and partition: it brings few records."""
    rebalance: float = 0.0
    """Per poll: the group gives its partitions out anew, whoever still works on them."""
    expel: float = 0.0
    """Per poll: another member of the group is taken for dead while it works on."""
    stale: float = 0.0
    """Per poll of a member that lost partitions: it does not hear of it yet."""


CALM = Faults()


class Chance:
    """A seeded source of decisions."""

    def __init__(self, rng: random.Random, faults: Faults = CALM) -> None:
        self.rng = rng
        self.faults = faults

    def hits(self, probability: float) -> bool:
        """Whether something of this probability happens now; draws nothing where it is 0."""
        return probability > 0 and self.rng.random() < probability


@types.coroutine
def _turn() -> Generator[None, None, None]:
    """Let the others act, as `asyncio.sleep(0)` does."""
    yield


class Process:
    """One run of a program: alive until it dies, and then dead for ever."""

    def __init__(
        self,
        name: str,
        chance: Chance,
        *,
        crash_at: CrashPoint | None = None,
        cut_power: Callable[[], None] | None = None,
    ) -> None:
        self.name = name
        self.chance = chance
        self.alive = True
        self.file_ops = 0
        self._crash_at = crash_at
        self._cut_power = cut_power

    def kill(self) -> None:
        """Die, from outside: the next step raises."""
        self.alive = False

    def check(self) -> None:
        """Raise `Crash` where the process is dead."""
        if not self.alive:
            raise Crash(self.name)

    async def step(self) -> None:
        """The moment before an operation: time passes, others act, and the process may be dead after it."""
        self.check()
        rng, faults = self.chance.rng, self.chance.faults  # not `hits`: half of what a storm does are such moments
        if faults.zombie > 0 and rng.random() < faults.zombie:
            await asyncio.sleep(rng.uniform(0.0, faults.zombie_s_max))
        elif faults.slow > 0 and rng.random() < faults.slow:
            await asyncio.sleep(rng.random() * 0.05)
        else:
            await _turn()
        self.check()

    def next_crash(self) -> tuple[Phase, bool] | None:
        """Number the next file operation; where in it the process dies, and whether by a power cut."""
        op, self.file_ops = self.file_ops, self.file_ops + 1
        point = self._crash_at
        if point is not None and op == point.op:
            return point.phase, point.power
        chance = self.chance
        power = chance.hits(chance.faults.power_cut)
        if power or chance.hits(chance.faults.kill):
            return chance.rng.choice(tuple(Phase)), power
        return None

    def die(self, *, power: bool) -> None:
        """Die now, alone or with the whole machine. Raises `Crash`."""
        if power and self._cut_power is not None:
            self._cut_power()
        self.alive = False
        raise Crash(self.name)

    async def offload(self, work: Callable[[], T], /) -> T:
        """Stands for `asyncio.to_thread`: time passes, then the work is done in one go."""
        await self.step()
        return work()
