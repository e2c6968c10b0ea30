"""The windowing service: windows, labels and, where there are any, rules in one process, on the exactly-once engine."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import signal
import time
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypedDict, TypeVar

from ingest.engine.disk import DiskFiles
from ingest.engine.genesis import NAME as GENESIS
from ingest.engine.genesis import Genesis, claim_genesis, keep_heads
from ingest.engine.merging import MERGE_EVERY, Merger, Merging, Untouched
from ingest.engine.operator import Operator
from ingest.engine.rhythm import Limits
from ingest.engine.store import FileStore
from ingest.engine.telling import Notice
from ingest.errors import (
    UsageError,
)
from ingest.log.protocol import MARKS, READINGS, Log
from ingest.opening import check_out, open_log
from ingest.schemas import SchemaRegistry
from ingest.who import who
from labeling.merging import TableMerger
from labeling.sink import LabelsOperator
from service.anchors import anchor_choice, read_anchors
from service.classing import LabelsStore, note, number_classes, numbers_so_far
from service.configuration import Source
from service.crew import Crew, Observe
from service.labelling import Labelling, labelling_of
from service.metering import Metered
from windowing.dataset.belongings import LABELS, RULES, WINDOWS, read_belongings
from windowing.dataset.configs import claim_config
from windowing.dataset.labelled import Choice
from windowing.dataset.merging import WindowsMerger
from windowing.fold.anchors import AnchorMark, Layout
from windowing.fold.operator import WindowOperator
from windowing.fold.remarks import notes_on, rules_without_streams

if TYPE_CHECKING:
    from labeling.rules.compile import RuleSet

T = TypeVar("T")
LABELS_SECONDS: Final = 10.0
"""Rules' marks are sealed so often at most: all day long they would leave 40,000 files a day at 2 s. People's come at
once."""
_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM)
HEADS_SECONDS: Final = 60.0
"""The heads of all chains are copied so often, and at the end."""


@dataclass(frozen=True, slots=True)
class RunOptions:
    """What `sensorloom window run` is asked to do."""

    config: Path
    log: str
    out: Path
    instance: str
    """This worker's lasting name; no two that are at work at once may share it."""
    group: str | None = None
    """What the names of the consumer groups begin with; None: the dataset's own."""
    until_idle: bool = False
    """End when everything is sealed that was in the log at the start."""
    after: Path | None = None
    """Another dataset of the same log, after which a new one goes on."""
    limits: Limits = field(default_factory=Limits)
    merge_every: int = MERGE_EVERY
    """So many seals of a chain are merged."""
    archive: Path | None = None
    """Read this archive of the log, and of the log itself only the marks; where `log` is "", those of the archive."""
    complete: bool = False
    """Take in what came late as well, as if `[window]` said so."""


@dataclass(slots=True)
class RunResult:
    """What a run did."""

    finished: bool = False
    """Everything is sealed up to the ends that `until_idle` took at the start."""
    counts: Counter[str] = field(default_factory=Counter)
    """What the seals of windows in this run counted, by reason."""
    bytes: int = 0
    """Of the readings that this run took, as they lie in the log."""
    before: Labelling | None = None
    """How the dataset was labelled before this run, where that was otherwise."""


async def run_service(options: RunOptions, observe: Observe, stop: asyncio.Event | None = None) -> RunResult:
    """Window and label until the log is drained, or until `stop` is set; without one: until SIGINT or SIGTERM.

    Raises:
        UsageError: a wrong configuration, or a dataset of other windows or another log.
        SensorloomError: what the engine cannot go on from; what was sealed stays, and a later run goes on behind it.
    """
    source = Source.read(options.config, complete=options.complete)
    if source.config.window.complete and options.archive is None:
        raise UsageError(f"{options.config}: complete: a stream is cut as it comes; use `window batch` with an archive")
    check_out(options.out, "the dataset's folder")
    if options.after is not None and options.after.resolve() == options.out.resolve():
        raise UsageError(f"--after: {options.after} is --out itself; name a new folder there")
    if options.archive is not None and not options.log and source.rules is not None:
        raise UsageError(f"{options.config}: rules mark in a log; say where it is (--log), or take out `rules`")
    log = await _open(options, complete=source.config.window.complete)
    try:
        return await _Service(options, log, observe).run(source, stop)
    finally:
        await log.close()


async def _open(options: RunOptions, *, complete: bool) -> Log:
    if options.archive is None:
        return open_log(options.log)
    from ingest.archive.log import ArchiveLog  # its libraries take 40 MB and as long to load as all the rest

    archive = ArchiveLog(options.archive, open_log(options.log) if options.log else None, complete=complete)
    try:
        await archive.check_marks()
    except BaseException:
        await archive.close()
        raise
    return archive


class _Old(TypedDict, total=False):
    """Further arguments of `claim_genesis`."""

    old: FileStore
    old_where: str


def _given(result: T | BaseException) -> T:
    """The result, or raises what came instead."""
    if isinstance(result, BaseException):
        raise result
    return result


class _Service:
    def __init__(self, options: RunOptions, log: Log, observe: Observe) -> None:
        self._options = options
        self._log = log
        self._observe = observe
        self._token = secrets.token_hex(8)
        self._crew = Crew(
            log,
            observe,
            instance=options.instance,
            until_idle=options.until_idle,
            retry_seconds=options.limits.retry_seconds,
        )
        self._result = RunResult()
        self._noted: set[str] = set()

    async def run(self, source: Source, stop: asyncio.Event | None) -> RunResult:
        async with self._crew.at_work(READINGS, stop):
            await self._found_and_work(source)
        self._result.finished = self._options.until_idle and not self._crew.stopped
        return self._result

    async def _found_and_work(self, source: Source) -> None:
        source = source.founded(self._options.out)
        window, folder = source.config.window, f"{WINDOWS}/{source.config.window.id}"
        labels = LabelsOperator()
        before, numbers = labelling_of(self._options.out), numbers_so_far(self._options.out, self._options.after)
        genesis, label_genesis = await self._crew.insist(lambda: self._found(source, folder, labels, numbers))
        self._compare(before, source)
        windows = Metered(WindowOperator(window, await self._anchors(genesis)), self._meter)
        group = self._options.group or f"sensorloom-{genesis.id}"
        await self._hire(folder, windows, genesis, f"{group}-{windows.name}", WindowsMerger(window))
        if source.rules is not None:
            await self._hire_rules(source.rules, group)
        makers = self._crew.size
        await self._hire(LABELS, labels, label_genesis, f"{group}-{labels.name}", TableMerger())
        async with self._keeping_heads():
            await self._crew.work(makers)
        if self._options.until_idle and not self._crew.stopped:
            await self._look_at_streams(source)

    async def _anchors(self, genesis: Genesis) -> tuple[AnchorMark, ...]:
        """The marks that windows are anchored at; none where they are anchored elsewhere."""
        if not genesis.pinned:
            return ()
        anchors = await self._crew.insist(lambda: read_anchors(self._log, genesis.pinned, anchor_choice(genesis)))
        if anchors.others:
            self._tell(
                f"{anchors.others:,} marks are of rules that the configuration did not name when this dataset was "
                "founded: no windows begin at them"
            )
        return anchors.marks

    async def _look_at_streams(self, source: Source) -> None:
        """Tell what no worker saw: devices that say other units to other workers, rules whose streams nobody has."""
        registry = SchemaRegistry(self._log)
        await registry.refresh()
        notes = notes_on(Layout.of(source.config.window).plans, registry.descriptions)
        if source.rules is not None:
            notes += rules_without_streams(source.rules, registry.descriptions)
        for text in notes:
            if text not in self._noted:
                self._observe(Notice("noted", -1, 0, text), READINGS)

    async def _found(
        self, source: Source, folder: str, labels: LabelsOperator, numbers: Sequence[str]
    ) -> tuple[Genesis, Genesis]:
        """The geneses of windows and labels; `numbers` are the classes so far."""
        window = source.config.window
        out, root = self._options.out, self._store("")
        await claim_config(root, out, source.page, str(self._options.config), time_ns=time.time_ns(), author=who())
        await number_classes(root, self._log, out, source, numbers)
        windows = claim_genesis(
            self._store(folder),
            self._log,
            WindowOperator(window),
            READINGS,
            self._token,
            where=str(self._options.out / folder / GENESIS),
            window=source.window,
            pin=source.anchor_rules,
            root=root,
            tell=self._tell,
            **self._old(WINDOWS),
        )
        where = str(self._options.out / LABELS / GENESIS)
        marks = claim_genesis(
            self._store(LABELS), self._log, labels, MARKS, self._token, where=where, root=root, tell=self._tell
        )
        claims = await asyncio.gather(windows, marks, return_exceptions=True)
        genesis, label_genesis = (_given(claim) for claim in claims)
        return genesis, label_genesis

    def _old(self, folder: str) -> _Old:
        """Where the dataset after which this one goes on has an operator: its windows, whatever they are called, or its
        rules of the same revision."""
        if self._options.after is None:
            return {}
        at = self._options.after / folder
        if folder == WINDOWS:
            at = next((path.parent for path in at.glob(f"*/{GENESIS}")), at / GENESIS)
        elif not (at / GENESIS).exists():
            return {}
        return {"old": FileStore(DiskFiles(at), self._token), "old_where": str(at / GENESIS)}

    def _compare(self, before: Labelling | None, source: Source) -> None:
        """Remember how windows were labelled so far where that changes now, and say which rules changed."""
        now = Labelling(source.config.labels, Choice(source.page.rules))
        if before is None or not before.differs(now):
            return
        self._result.before = before
        for text in before.changes_to(now):
            self._tell(text)

    def _tell(self, text: str) -> None:
        self._observe(Notice("noted", -1, 0, text), "")

    def _store(self, folder: str) -> FileStore:
        return FileStore(*self._place(folder))

    def _limits(self, folder: str) -> Limits:
        """A mark is to be seen as soon as it is set: labels are a few kilobytes a seal."""
        limits = self._options.limits
        if folder != LABELS:
            return limits
        return replace(limits, seal_seconds=min(LABELS_SECONDS, limits.seal_seconds), prompt=True)

    def _place(self, folder: str) -> tuple[DiskFiles, str]:
        return DiskFiles(self._options.out / folder), self._token

    async def _number(self, labels: Sequence[str]) -> None:
        await note(self._store(""), self._options.out, labels)

    async def _hire_rules(self, rules: RuleSet, group: str) -> None:
        """A worker for the rules, with a folder for their revision: changed rules begin anew at the log's start."""
        from labeling.rules.operator import RulesOperator

        operator = RulesOperator(rules)
        folder = f"{RULES}/{operator.spec}"
        where = str(self._options.out / folder / GENESIS)
        genesis = await self._crew.insist(
            lambda: claim_genesis(
                self._store(folder),
                self._log,
                operator,
                READINGS,
                self._token,
                where=where,
                root=self._store(""),
                tell=self._tell,
                **self._old(folder),
            )
        )
        await self._hire(folder, operator, genesis, f"{group}-{operator.name}-{operator.spec}", Untouched())

    async def _hire(self, folder: str, operator: Operator, genesis: Genesis, group: str, merger: Merger) -> None:
        """A worker for an operator, up to where its topic's partitions end now."""

        def on_notice(notice: Notice) -> None:
            if notice.kind == "noted":
                self._noted.add(notice.text)
            if notice.entry is not None and operator.name == WINDOWS:
                self._result.counts.update(notice.entry.counts)

        place = self._options.out / folder
        store = self._store(folder) if folder != LABELS else LabelsStore(*self._place(folder), self._number)
        told_as = operator.name if operator.name == RULES else ""
        limits = self._limits(folder)
        merging = Merging(merger, time.time_ns, self._options.merge_every)
        await self._crew.hire(
            place, store, operator, genesis, group, limits, merging=merging, told_as=told_as, on_notice=on_notice
        )

    @contextlib.asynccontextmanager
    async def _keeping_heads(self) -> AsyncIterator[None]:
        """Copy the heads of all chains each minute, and at the end."""

        async def keep_on() -> None:
            while True:
                await self._keep_heads()
                await asyncio.sleep(HEADS_SECONDS)

        keeping = asyncio.create_task(keep_on())
        try:
            yield
        finally:
            keeping.cancel()
            await asyncio.wait([keeping])
            await self._keep_heads()

    async def _keep_heads(self) -> None:
        root = self._store("")
        with contextlib.suppress(OSError):  # a disk that fails is told by those who seal
            for folder, genesis in read_belongings(self._options.out).geneses.items():
                await keep_heads(self._store(str(folder.relative_to(self._options.out))), root, genesis)

    def _meter(self, size: int) -> None:
        self._result.bytes += size
