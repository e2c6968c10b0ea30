"""The windowing service: the windows operator and the labels operator in one process, on the exactly-once engine."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import signal
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, TypeAlias

from ingest.engine.disk import DiskFiles
from ingest.engine.operator import Operator
from ingest.engine.service import Limits, Notice, Worker
from ingest.engine.store import FileStore
from ingest.errors import (
    CorruptError,
    CorruptLogError,
    LogConfigError,
    StateVersionError,
    StoreFullError,
    UsageError,
)
from ingest.log.opening import open_log
from ingest.log.protocol import MARKS, READINGS, Bounds, Log
from labeling.sink import LabelsOperator
from windowing.catalog import LABELS, WINDOWS
from windowing.founding import Source, claim_config, claim_genesis, read_anchors
from windowing.genesis import NAME as GENESIS
from windowing.genesis import Genesis
from windowing.metering import Metered
from windowing.operator import WindowOperator

_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM)


@dataclass(frozen=True, slots=True)
class RunOptions:
    """What `wavemark window run` is asked to do."""

    config: Path
    log: str
    out: Path
    instance: str
    """This worker's lasting name; no two that are at work at once may share it."""
    group: str | None = None
    """What the names of the consumer groups begin with; None: the dataset's own."""
    until_idle: bool = False
    """End when everything is sealed that was in the log at the start."""
    limits: Limits = field(default_factory=Limits)


@dataclass(slots=True)
class RunResult:
    """What a run did."""

    finished: bool = False
    """Everything is sealed up to the ends that `until_idle` took at the start."""
    counts: Counter[str] = field(default_factory=Counter)
    """What the seals of windows in this run counted, by reason."""
    bytes: int = 0
    """Of the readings that this run took, as they lie in the log."""


@dataclass(frozen=True, slots=True)
class Ahead:
    """What lies in a topic when a run begins."""

    topic: str
    bounds: Mapping[int, Bounds]


Observe: TypeAlias = Callable[[Ahead | Notice, str], None]
"""Is told what lies ahead in each topic, then everything that a worker does, with its topic."""


async def run_service(options: RunOptions, observe: Observe) -> RunResult:
    """Window and label until the log is drained, or until SIGINT or SIGTERM.

    Raises:
        UsageError: a wrong configuration, or a dataset of other windows or another log.
        WavemarkError: what the engine cannot go on from; what was sealed stays, and a later run goes on behind it.
    """
    source = Source.read(options.config)
    if options.out.exists() and not options.out.is_dir():
        raise UsageError(f"--out: {options.out} is a file; name the dataset's folder")
    log = open_log(options.log)
    try:
        return await _Service(options, log, observe).run(source)
    finally:
        await log.close()


class _Service:
    def __init__(self, options: RunOptions, log: Log, observe: Observe) -> None:
        self._options = options
        self._log = log
        self._observe = observe
        self._token = secrets.token_hex(8)
        self._workers: list[tuple[str, Worker]] = []
        """Each with its operator's folder."""
        self._stopped = False
        self._trouble: LogConfigError | None = None
        self._result = RunResult()

    async def run(self, source: Source) -> RunResult:
        with self._ended_by_signals():
            window, folder = source.config.window, f"{WINDOWS}/{source.config.window.id}"
            labels = LabelsOperator()
            genesis, label_genesis = await self._found(source, folder, labels)
            anchors = await read_anchors(self._log, genesis.pinned) if genesis.pinned else ()
            windows = Metered(WindowOperator(window, anchors), self._meter)
            group = self._options.group or f"wavemark-{genesis.id}"
            ends = [
                await self._hire(folder, windows, genesis, f"{group}-{windows.name}"),
                await self._hire(LABELS, labels, label_genesis, f"{group}-{labels.name}"),
            ]
            await self._work(ends if self._options.until_idle else [None, None])
        if self._trouble is not None:
            raise self._trouble
        self._result.finished = self._options.until_idle and not self._stopped
        return self._result

    async def _found(self, source: Source, folder: str, labels: LabelsOperator) -> tuple[Genesis, Genesis]:
        """The geneses of windows and labels; waits, visibly, where there is no room for them."""
        window, told = source.config.window, ""
        while True:
            try:
                await claim_config(self._store(""), source, self._options.out)
                genesis = await claim_genesis(
                    self._store(folder),
                    self._log,
                    WindowOperator(window),
                    READINGS,
                    self._token,
                    where=str(self._options.out / folder / GENESIS),
                    window=source.window,
                    pin=window.anchor == "mark",
                )
                where = str(self._options.out / LABELS / GENESIS)
                store = self._store(LABELS)
                return genesis, await claim_genesis(store, self._log, labels, MARKS, self._token, where=where)
            except StoreFullError as error:
                if self._stopped:
                    raise
                if str(error) != told:
                    told = str(error)
                    self._observe(Notice("waiting", -1, 0, told), "")
                await asyncio.sleep(self._options.limits.retry_seconds)

    def _store(self, folder: str) -> FileStore:
        return FileStore(DiskFiles(self._options.out / folder), self._token)

    async def _hire(self, folder: str, operator: Operator, genesis: Genesis, group: str) -> dict[int, int]:
        """A worker for an operator; the ends of its topic's partitions now."""
        topic = genesis.topic
        bounds = await self._log.bounds(topic)
        self._observe(Ahead(topic, bounds), topic)

        def observe(notice: Notice) -> None:
            if notice.kind == "recovered" and notice.partition >= genesis.partitions:
                self._trouble = LogConfigError(
                    f"{topic}: partition {notice.partition} was added; the dataset was begun with "
                    f"{genesis.partitions}: devices have moved between partitions; use another --out"
                )
                self._stop()
            if notice.entry is not None and topic == READINGS:
                self._result.counts.update(notice.entry.counts)
            self._observe(notice, topic)

        worker = Worker(
            self._log,
            self._store(folder),
            operator,
            topic=topic,
            group=group,
            instance=self._options.instance,
            limits=self._options.limits,
            observe=observe,
        )
        self._workers.append((folder, worker))
        if self._stopped:
            self._stop()
        return {partition: bound.end for partition, bound in bounds.items()}

    async def _work(self, untils: Sequence[Mapping[int, int] | None]) -> None:
        """Run all workers to their end; the failure of one ends the others cleanly."""
        tasks = [
            asyncio.create_task(_run_in(self._options.out / folder, worker, until))
            for (folder, worker), until in zip(self._workers, untils, strict=True)
        ]
        done, pending = await asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION)
        if pending:
            for _, worker in self._workers:
                worker.stop()
            await asyncio.wait(pending)
        for task in sorted(tasks, key=lambda task: task not in done):
            task.result()

    def _meter(self, size: int) -> None:
        self._result.bytes += size

    def _stop(self) -> None:
        self._stopped = True
        for _, worker in self._workers:
            worker.stop()

    @contextlib.contextmanager
    def _ended_by_signals(self) -> Iterator[None]:
        loop = asyncio.get_running_loop()
        for number in _SIGNALS:
            loop.add_signal_handler(number, self._stop)
        try:
            yield
        finally:
            for number in _SIGNALS:
                loop.remove_signal_handler(number)


async def _run_in(folder: Path, worker: Worker, until: Mapping[int, int] | None) -> None:
    """Run a worker; its errors name files in the operator's folder, which is put before them."""
    try:
        await worker.run(until)
    except CorruptLogError:
        raise
    except (CorruptError, StateVersionError) as error:
        raise type(error)(f"{folder}/{error}") from error
