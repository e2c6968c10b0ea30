"""Configurations from the log: read, checked, tried, and kept or rolled back; what became of each is answered."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final, Protocol

from msgspec.structs import replace

from edge.agent.following import follow
from edge.agent.lineup import Exchanged
from edge.agent.pipeline import Pipeline
from edge.agent.remote.answers import Answers
from edge.agent.remote.kept import TRIES, Asked, Kept, load, save
from edge.agent.remote.planning import Trial
from edge.config import AgentConfig, load_config
from edge.remote import read_overlay, revision_of
from edge.sources.clock import boottime_ns
from ingest.errors import SensorloomError, UsageError
from ingest.log.protocol import CONFIG, Log, LogBatch, partition_of
from ingest.records import Configuration
from ingest.wire import decode

LOOK_S: Final = 0.25
"""How often it is looked, during a trial, who speaks."""
_COMMITS: Final = 3
"""Samples are counted at commits: a trial takes at least so many."""
TAKEN, REFUSED, ROLLED_BACK, TRYING = "taken", "refused", "rolled_back", "trying"


class Applying(Protocol):
    """The agent, as far as it can be configured anew."""

    config: AgentConfig

    async def apply(self, config: AgentConfig, patience_ns: int) -> Exchanged:
        """Run with this from now on. Raises `UsageError` where nothing was changed."""
        ...


class Configurator:
    """Takes configurations for one agent."""

    def __init__(self, agent: Applying, log: Log, answers: Answers, report: Callable[[str], None]) -> None:
        self._agent = agent
        self._log = log
        self._answers = answers
        self._report = report
        self._folder: Path = agent.config.spool_dir
        self._kept = Kept()
        self._newest: Configuration | None = None
        self._came = asyncio.Event()
        self._next: int | None = None
        """Where reading goes on after the log was away."""
        self.words = ""
        """What became of the newest, for people."""

    async def run(self) -> None:
        """Until cancelled."""
        self._kept, _ = await asyncio.to_thread(load, self._folder)  # what there is to say was said at the start
        if self._kept.revision != self._agent.config.revision:
            why = "the local file, which was changed, does not allow it any more"
            await self._answers.configuration(self._kept.revision, self._agent.config.revision, ROLLED_BACK, why)
        async with asyncio.TaskGroup() as group:
            group.create_task(follow(self._log, CONFIG, self._start, self._see, self._report))
            group.create_task(self._decide_all())

    # --- what comes

    async def _start(self, log: Log, topic: str) -> Mapping[int, int]:
        partition = partition_of(self._agent.config.device.encode(), await log.ensure(topic))
        found = (await log.bounds(topic))[partition]
        known = self._next
        return {partition: known if known is not None and found.begin <= known <= found.end else found.begin}

    async def _see(self, batch: LogBatch) -> None:
        own = self._agent.config.device.encode()
        for key, value in zip(batch.keys, batch.values, strict=True):
            if bytes(key) != own:
                continue
            try:
                record = decode(bytes(value))
            except SensorloomError as error:
                self._report(f"configuration: {error}; left out")
                continue
            if isinstance(record, Configuration):
                self._newest = record
        self._next = batch.next_offset
        if self._newest is not None:
            self._came.set()

    async def _decide_all(self) -> None:
        while True:
            await self._came.wait()
            self._came.clear()
            wanted, self._newest = self._newest, None
            if wanted is None:
                continue
            try:
                await self._decide(wanted)
            except Exception as error:  # whatever it is: sensors are read on
                self._report(f"configuration {wanted.revision}: {error!r}; tell who wrote it")

    # --- what becomes of it

    async def _decide(self, wanted: Configuration) -> None:
        asked = Asked(wanted.revision, wanted.time_ns, wanted.author)
        if self._kept.decided == asked:
            return
        try:
            config = await asyncio.to_thread(self._checked, wanted)
            tries = self._kept.tries if self._kept.tried == asked else 0
            if tries >= TRIES:
                raise UsageError(f"configuration {asked.revision}: the agent ended {tries} times while it was on trial")
            if wanted.revision == self._agent.config.revision:
                await self._keep(asked, TAKEN, "it ran already")
                return
            kept = replace(self._kept, tried=asked, tries=tries + 1)
            await asyncio.to_thread(save, self._folder, kept)
        except SensorloomError as error:
            await self._keep(asked, REFUSED, str(error))
            return
        self._kept = kept
        await self._try(asked, wanted.text, config)

    def _checked(self, wanted: Configuration) -> AgentConfig:
        """The configuration with it laid over. It may wait for the disk. Raises `UsageError`."""
        running = self._agent.config
        if revision_of(wanted.text) != wanted.revision:
            raise UsageError(f"configuration {wanted.revision}: its text is not what its revision says; put it again")
        over = read_overlay(wanted.text) if wanted.text else None
        config = load_config(running.path, os.environ, over)
        if config.local_digest != running.local_digest:
            raise UsageError(
                f"{running.path}: was changed since this agent began; restart it, then put the configuration again"
            )
        return config

    async def _try(self, asked: Asked, text: str, config: AgentConfig) -> None:
        before, patience_ns = self._agent.config, _patience_ns(config)
        await self._tell(asked, TRYING, f"on trial for {patience_ns / 1e9:g} s")
        try:
            done = await self._agent.apply(config, patience_ns)
        except UsageError as error:
            await self._keep(asked, REFUSED, str(error))
            return
        why = await self._judged(done, patience_ns)
        if why:
            await self._agent.apply(before, patience_ns)
            await self._keep(asked, ROLLED_BACK, why)
        else:
            await self._keep(asked, TAKEN, "", replace(self._kept, revision=asked.revision, text=text))

    async def _judged(self, done: Exchanged, patience_ns: int) -> str:
        """Why a trial has failed; empty where it has passed."""
        if not (done.fresh or done.plan.leave):
            return ""
        trial = Trial(done.silence_ns, boottime_ns(), patience_ns)
        begun = {one.config.name: _samples(one) for one in done.fresh}
        while True:
            spoken = {one.config.name: _samples(one) - begun[one.config.name] for one in done.fresh}
            failures = {one.config.name: one.failure for one in done.fresh if one.failure}
            verdict = trial.look(boottime_ns(), spoken, failures)
            if verdict is not None:
                return verdict
            await asyncio.sleep(LOOK_S)

    async def _keep(self, asked: Asked, outcome: str, reason: str, good: Kept | None = None) -> None:
        """It is decided: the answer first, so that there is one whatever happens between; `good`, if there is a new
        last good one."""
        await self._tell(asked, outcome, reason)
        self._kept = replace(good or self._kept, decided=asked, outcome=outcome, reason=reason, tried=None, tries=0)
        try:
            await asyncio.to_thread(save, self._folder, self._kept)
        except SensorloomError as error:
            self._report(f"configuration {asked.revision}: {outcome}, which is not kept over a restart: {error}")

    async def _tell(self, asked: Asked, outcome: str, reason: str) -> None:
        why = f": {reason}" if reason else ""
        self.words = f"{asked.revision or 'none'} by {asked.author}: {outcome.replace('_', ' ')}{why}"
        self._report(f"configuration {self.words}")
        await self._answers.configuration(self._kept.revision, asked.revision, outcome, reason)


def _patience_ns(config: AgentConfig) -> int:
    return max(config.remote.patience_ns, _COMMITS * config.fsync_interval_ns)


def _samples(pipeline: Pipeline) -> int:
    return sum(one.recorder.counters[one.config.stream].samples for one in pipeline.members.values())
