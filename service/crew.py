"""Workers of one process over one log: what they read, how they end together, and how they wait."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, TypeAlias, TypeVar

from ingest.engine.genesis import Genesis
from ingest.engine.merging import Merging
from ingest.engine.operator import Operator
from ingest.engine.patience import Patience
from ingest.engine.rhythm import Limits
from ingest.engine.store import Store
from ingest.engine.telling import Notice
from ingest.engine.worker import Worker
from ingest.errors import (
    CorruptError,
    CorruptLogError,
    LogConfigError,
    LogUnavailableError,
    StateVersionError,
    StoreUnavailableError,
)
from ingest.log.protocol import Bounds, Log
from service.watch import LogWatch

T = TypeVar("T")
_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM)


@dataclass(frozen=True, slots=True)
class Ahead:
    """What lies in a topic when a run begins."""

    topic: str
    bounds: Mapping[int, Bounds]


@dataclass(frozen=True, slots=True)
class Minute:
    """A minute of a service is over; where the topic ends now."""

    topic: str
    bounds: Mapping[int, Bounds]


Observe: TypeAlias = Callable[[Ahead | Minute | Notice, str], None]
"""Is told what lies ahead in each topic, then everything that a worker does, with its topic, and each minute."""


@dataclass(frozen=True, slots=True)
class Job:
    """A worker, the folder of its operator, and what it reads: a topic, up to these ends where the run has one."""

    folder: Path
    topic: str
    worker: Worker
    until: Mapping[int, int]


class Crew:
    """The workers of a run: `until_idle` has an end, where everything is sealed that was in the log at the start."""

    def __init__(self, log: Log, observe: Observe, *, instance: str, until_idle: bool, retry_seconds: float) -> None:
        self._log = log
        self._observe = observe
        self._instance = instance
        self._until_idle = until_idle
        self._jobs: list[Job] = []
        self._stopping = asyncio.Event()
        self._patience = Patience(self._stopping, retry_seconds)
        self._trouble: LogConfigError | None = None

    @property
    def stopped(self) -> bool:
        """Whether the run was ended before its own end."""
        return self._stopping.is_set()

    @property
    def size(self) -> int:
        """How many workers were hired."""
        return len(self._jobs)

    def stop(self) -> None:
        """End all workers cleanly."""
        self._stopping.set()
        for job in self._jobs:
            job.worker.stop()

    @contextlib.asynccontextmanager
    async def at_work(self, topic: str, ending: asyncio.Event | None = None) -> AsyncIterator[None]:
        """Ends by `ending`, without one by SIGINT or SIGTERM; the log is watched meanwhile, and each minute told.

        Raises:
            LogConfigError: partitions were added under the run.
        """
        with self._ended_by_signals() if ending is None else self._ended_by(ending):
            watch = LogWatch(self._log, lambda notice: self._observe(notice, ""))
            async with watch.watching(topic, lambda ends: self._observe(Minute(topic, ends), topic)):
                yield
        if self._trouble is not None:
            raise self._trouble

    async def insist(self, step: Callable[[], Awaitable[T]]) -> T:
        """Do a step of the founding; waits, visibly, where there is no room for it, or no log without an end."""
        log = () if self._until_idle else (LogUnavailableError,)
        return await self._patience.outlast(
            step, (StoreUnavailableError, *log), lambda text: self._observe(Notice("waiting", -1, 0, text), "")
        )

    async def hire(
        self,
        folder: Path,
        store: Store,
        operator: Operator,
        genesis: Genesis,
        group: str,
        limits: Limits,
        *,
        merging: Merging | None = None,
        told_as: str = "",
        on_notice: Callable[[Notice], None] = lambda notice: None,
    ) -> None:
        """A worker for the operator in `folder`, up to where its topic's partitions end now. What it does is told as
        of the topic, or as `told_as`. Small files are merged as `merging` says."""
        topic = genesis.topic
        told_as = told_as or topic
        bounds = await self.insist(lambda: self._log.bounds(topic))
        self._observe(Ahead(topic, bounds), told_as)

        def observe(notice: Notice) -> None:
            if notice.kind == "recovered" and notice.partition >= genesis.partitions:
                self._trouble = LogConfigError(
                    f"{topic}: partition {notice.partition} was added; {folder} was begun with "
                    f"{genesis.partitions}: devices have moved between partitions; use another --out"
                )
                self.stop()
            on_notice(notice)
            self._observe(notice, told_as)

        worker = Worker(
            self._log,
            store,
            operator,
            topic=topic,
            group=group,
            instance=self._instance,
            owner=genesis.id,
            after=genesis.after,
            limits=limits,
            merging=merging,
            observe=observe,
        )
        self._jobs.append(Job(folder, topic, worker, {partition: bound.end for partition, bound in bounds.items()}))
        if self.stopped:
            self.stop()

    async def work(self, makers: int | None = None) -> None:
        """Run all workers to their end; the failure of one ends the others cleanly.

        Those behind the first `makers` read what these publish: given an end, they begin when the makers are done, and
        go to where their topic ends then.
        """
        makers = self.size if makers is None else makers
        before = [asyncio.create_task(self._run(job)) for job in self._jobs[:makers]]
        tasks = [*before, *(asyncio.create_task(self._run_behind(job, before)) for job in self._jobs[makers:])]
        done, pending = await asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION)
        if pending:
            for job in self._jobs:
                job.worker.stop()
            await asyncio.wait(pending)
        # Of several failures the first is told; each is asked for, or asyncio would complain of it.
        failures = [task.exception() for task in sorted(tasks, key=lambda task: task not in done)]
        for failure in filter(None, failures):
            raise failure

    async def _run_behind(self, job: Job, before: Sequence[asyncio.Task[None]]) -> None:
        if self._until_idle and len(before) > 1:
            await asyncio.wait(before)
            bounds = await self._log.bounds(job.topic)
            job = replace(job, until={partition: bound.end for partition, bound in bounds.items()})
        await self._run(job)

    async def _run(self, job: Job) -> None:
        """Run a worker; its errors name files in the operator's folder, which is put before them."""
        try:
            await job.worker.run(job.until if self._until_idle else None)
        except CorruptLogError:
            raise
        except (CorruptError, StateVersionError) as error:
            raise type(error)(f"{job.folder}/{error}") from error

    @contextlib.contextmanager
    def _ended_by_signals(self) -> Iterator[None]:
        loop = asyncio.get_running_loop()
        for number in _SIGNALS:
            loop.add_signal_handler(number, self.stop)
        try:
            yield
        finally:
            for number in _SIGNALS:
                loop.remove_signal_handler(number)

    @contextlib.contextmanager
    def _ended_by(self, ending: asyncio.Event) -> Iterator[None]:
        async def watch() -> None:
            await ending.wait()
            self.stop()

        watching = asyncio.create_task(watch())
        try:
            yield
        finally:
            watching.cancel()
