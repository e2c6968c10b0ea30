"""The archive service: every record of a log's readings, marks and stream descriptions into an archive's folder."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from ingest.archive.merging import ArchiveMerger, ends_an_output, newest_append_ns
from ingest.archive.operator import ArchiveOperator
from ingest.engine.disk import DiskFiles
from ingest.engine.genesis import NAME as GENESIS
from ingest.engine.genesis import claim_genesis
from ingest.engine.keeping import Keep
from ingest.engine.merging import MERGE_EVERY, Merging
from ingest.engine.rhythm import Limits
from ingest.engine.store import FileStore
from ingest.engine.telling import Notice
from ingest.log.protocol import MARKS, READINGS, STREAMS, Log
from ingest.opening import check_out, open_log
from service.crew import Crew, Observe

ARCHIVED: Final = (READINGS, MARKS, STREAMS)
"""What is archived of a log: all that windows and labels are made of."""


@dataclass(frozen=True, slots=True)
class ArchiveOptions:
    """What `sensorloom archive run` is asked to do."""

    log: str
    out: Path
    instance: str
    """This worker's lasting name; no two that are at work at once may share it."""
    until_idle: bool = False
    """End when everything is sealed that was in the log at the start."""
    limits: Limits = field(default_factory=Limits)
    merge_every: int = MERGE_EVERY
    """So many seals of a chain are merged."""
    keep_ns: int | None = None
    """How long readings are kept, by their append time; None: for good. Marks and descriptions stay."""
    now_ns: Callable[[], int] = time.time_ns
    """The clock that says what is old."""


@dataclass(slots=True)
class ArchiveResult:
    """What a run did."""

    finished: bool = False
    """Everything is sealed up to the ends that `until_idle` took at the start."""
    counts: Counter[str] = field(default_factory=Counter)
    """What its seals counted, by reason."""
    files: int = 0
    bytes: int = 0


async def run_archive(options: ArchiveOptions, observe: Observe, stop: asyncio.Event | None = None) -> ArchiveResult:
    """Archive until the log is drained, or until `stop` is set; without one: until SIGINT or SIGTERM.

    Raises:
        UsageError: the folder is an archive of another log.
        SensorloomError: what the engine cannot go on from; what was sealed stays, and a later run goes on behind it.
    """
    check_out(options.out, "the archive's folder")
    log = open_log(options.log)
    try:
        return await _run(options, log, observe, stop)
    finally:
        await log.close()


async def _run(options: ArchiveOptions, log: Log, observe: Observe, stop: asyncio.Event | None) -> ArchiveResult:
    result, token = ArchiveResult(), secrets.token_hex(8)
    crew = Crew(
        log,
        observe,
        instance=options.instance,
        until_idle=options.until_idle,
        retry_seconds=options.limits.retry_seconds,
    )

    def on_notice(notice: Notice) -> None:
        if notice.entry is not None:
            result.counts.update(notice.entry.counts)
            result.files += len(notice.entry.files)
            result.bytes += sum(ref.bytes for ref in notice.entry.files)

    async def hire(topic: str) -> None:
        operator, folder = ArchiveOperator(topic), options.out / topic
        store, root = FileStore(DiskFiles(folder), token), FileStore(DiskFiles(options.out), token)
        where = str(folder / GENESIS)
        claim = lambda: claim_genesis(store, log, operator, topic, token, where=where, root=root)  # noqa: E731
        genesis = await crew.insist(claim)
        group = f"sensorloom-{genesis.id}-{operator.name}"
        keep = None
        if options.keep_ns is not None and topic == READINGS:
            keep = Keep(options.keep_ns, options.now_ns, ends_an_output, newest_append_ns)
        merging = Merging(ArchiveMerger(), options.now_ns, options.merge_every, keep=keep)
        await crew.hire(folder, store, operator, genesis, group, options.limits, merging=merging, on_notice=on_notice)

    async with crew.at_work(READINGS, stop):
        for topic in ARCHIVED:
            await hire(topic)
        await crew.work()
    result.finished = options.until_idle and not crew.stopped
    return result
