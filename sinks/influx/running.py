"""The sink as a service: readings, marks and agents' status of a log into a database."""

from __future__ import annotations

import asyncio
import secrets
from collections import Counter
from dataclasses import dataclass, field
from typing import Final

from ingest.engine.disk import DiskFiles
from ingest.engine.genesis import NAME as GENESIS
from ingest.engine.genesis import claim_genesis
from ingest.engine.rhythm import Limits
from ingest.engine.telling import Notice
from ingest.log.protocol import READINGS, Log
from ingest.opening import check_out, open_log
from service.crew import Ahead, Crew, Minute, Observe
from sinks.influx.config import SinkConfig
from sinks.influx.database import Database
from sinks.influx.operators import InfluxOperator
from sinks.influx.refusals import Refusals
from sinks.influx.store import Refused, SinkStore

_MIB: Final = 1 << 20


def limits_of(seconds: float) -> Limits:
    """When points are sealed, and so written: at least so often."""
    return Limits(seal_bytes=4 * _MIB, held_bytes=32 * _MIB, seal_seconds=seconds)


@dataclass(frozen=True, slots=True)
class SinkOptions:
    """What `sensorloom sink influx` is asked to do."""

    config: SinkConfig
    instance: str
    """This worker's lasting name; no two that are at work at once may share it."""
    secret: str = ""
    until_idle: bool = False
    """End when everything is written that was in the log at the start."""
    limits: Limits = field(default_factory=lambda: limits_of(5.0))


@dataclass(slots=True)
class SinkResult:
    """What a run did."""

    finished: bool = False
    """Everything is written up to the ends that `until_idle` took at the start."""
    counts: Counter[str] = field(default_factory=Counter)
    """What its seals counted, by reason."""
    refused: dict[str, int] = field(default_factory=dict)
    """Points that the database did not take, by reason."""
    refused_ever: dict[str, int] = field(default_factory=dict)
    """The same, of all runs into this database from this folder."""


class Contact:
    """The database as its people hear of it: that it is away once, however many partitions wait for it, and when it is
    back. `write` is called in threads."""

    def __init__(self, database: Database, url: str, observe: Observe) -> None:
        self._database, self._url, self._observe = database, url, observe
        self._told: set[str] = set()
        """What was told since it answered last."""

    def write(self, data: bytes) -> Refusals:
        """See `Database.write`."""
        refused = self._database.write(data)
        told, self._told = self._told, set()
        if told:
            self._observe(Notice("noted", -1, 0, f"{self._url}: answers again; going on"), "")
        return refused

    def observe(self, event: Ahead | Minute | Notice, topic: str) -> None:
        """Tell what a worker tells."""
        if isinstance(event, Notice) and event.kind == "waiting" and event.text.startswith(self._url):
            if event.text in self._told:
                return
            self._told.add(event.text)
        self._observe(event, topic)


async def run_sink(options: SinkOptions, observe: Observe, stop: asyncio.Event | None = None) -> SinkResult:
    """Write until the log is drained, or until `stop` is set; without one: until SIGINT or SIGTERM.

    Raises:
        UsageError: the folder belongs to another log or database, or the database refuses this writer.
        SensorloomError: what the engine cannot go on from; what was written stays, and a later run goes on behind it.
    """
    config = options.config
    check_out(config.out, "a folder of its own")
    database = Database(config.target, options.secret)
    log = open_log(config.log)
    try:
        for text in await asyncio.to_thread(database.check):
            observe(Notice("noted", -1, 0, text), "")
        return await _run(options, log, database, observe, stop)
    finally:
        await log.close()
        database.close()


async def _run(
    options: SinkOptions, log: Log, database: Database, observe: Observe, stop: asyncio.Event | None
) -> SinkResult:
    config, result, token = options.config, SinkResult(), secrets.token_hex(8)
    told: set[str] = set()

    def tell(text: str) -> None:
        if text not in told:
            told.add(text)
            observe(Notice("noted", -1, 0, text), "")

    def on_notice(notice: Notice) -> None:
        if notice.entry is not None:
            result.counts.update(notice.entry.counts)

    contact = Contact(database, config.target.url, observe)
    crew = Crew(
        log,
        contact.observe,
        instance=options.instance,
        until_idle=options.until_idle,
        retry_seconds=options.limits.retry_seconds,
    )
    refused = Refused(config.out, tell)

    async def hire(topic: str) -> None:
        operator = InfluxOperator(topic, config.target.name, config.thin_ns, config.target.batch)
        folder = config.out / topic
        store = SinkStore(DiskFiles(folder), token, contact.write, refused)
        where = str(folder / GENESIS)
        genesis = await crew.insist(lambda: claim_genesis(store, log, operator, topic, token, where=where))
        group = f"sensorloom-{genesis.id}-{operator.name}"
        await crew.hire(folder, store, operator, genesis, group, options.limits, on_notice=on_notice)

    try:
        async with crew.at_work(READINGS, stop):
            for topic in config.topics:
                await hire(topic)
            await crew.work()
    finally:
        result.refused, result.refused_ever = dict(refused.run), dict(refused.counts)
    result.finished = options.until_idle and not crew.stopped
    return result
