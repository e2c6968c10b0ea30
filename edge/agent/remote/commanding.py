"""Commands for sensors from the log: only those that the local file names, each once, none that is old.

That a command is begun is durable before anything of it is written: after a crash it is not repeated, and its answer
says that nobody knows.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Final, Protocol

import msgspec

from edge.agent.following import follow
from edge.agent.pipeline import Pipeline
from edge.agent.remote.answers import Answers
from edge.config import AgentConfig
from edge.protocol import Commanded
from ingest.errors import SensorloomError
from ingest.files import as_log_errors, put
from ingest.log.protocol import CONTROL, Log, LogBatch, partition_of
from ingest.records import Command
from ingest.settings import suggest
from ingest.wire import decode

NAME: Final = "commands"
DONE, REFUSED, FAILED, UNKNOWN = "done", "refused", "failed", "unknown"
SAY_S: Final = 8.0
"""So long writing may take."""
_KNOWN: Final = 1000
"""So many are remembered; while they are, no more are carried out."""


class Reading(Protocol):
    """The agent, as far as its sensors can be told something."""

    config: AgentConfig

    @property
    def pipelines(self) -> Iterable[Pipeline]:
        """Those at work now."""
        ...


class Begun(msgspec.Struct, frozen=True):
    """A command that was seen; it is over once it was answered."""

    command: Command
    is_over: bool = False


def judged(
    command: Command, named: Mapping[str, Mapping[str, bytes]], now_ns: int, max_age_ns: int, *, is_clock_set: bool
) -> str:
    """Why a command is refused; empty where it is carried out. `named`: by source, what can be said. Pure."""
    if not is_clock_set:
        return "the clock of the device is not set: how old the command is is not known"
    age_ns = now_ns - command.time_ns
    if abs(age_ns) > max_age_ns:
        words = "old" if age_ns > 0 else "ahead of the device's clock"
        return f"is {abs(age_ns) / 1e9:,.0f} s {words}, and max_age is {max_age_ns / 1e9:g} s; give it again"
    if command.source not in named:
        return f'no source "{command.source}" takes commands{suggest(command.source, named)}'
    if command.name not in named[command.source]:
        known = named[command.source]
        return f'{command.source}: the local file has no command "{command.name}"{suggest(command.name, known)}'
    return ""


def still_known(begun: Iterable[Begun], now_ns: int, max_age_ns: int) -> list[Begun]:
    """Those that could come again, or are not over. Pure."""
    return [one for one in begun if not one.is_over or abs(now_ns - one.command.time_ns) <= 2 * max_age_ns]


class Commander:
    """Takes commands for one agent."""

    def __init__(
        self,
        agent: Reading,
        log: Log,
        answers: Answers,
        is_clock_set: Callable[[], bool],
        report: Callable[[str], None],
    ) -> None:
        config = agent.config
        self._agent = agent
        self._device = config.device.encode()
        self._max_age_ns = config.remote.max_age_ns
        self._log = log
        self._answers = answers
        self._is_clock_set = is_clock_set
        self._report = report
        self._path: Path = config.spool_dir / NAME
        self._begun: dict[str, Begun] = {}
        """By id."""
        self._not_before_ns = 0
        """What was given earlier may have been carried out: it is not known."""

    async def run(self) -> None:
        """Until cancelled."""
        await asyncio.to_thread(self._load)
        for one in [one for one in self._begun.values() if not one.is_over]:
            await self._answer(one.command, UNKNOWN, "the agent ended while it was carried out; it is not repeated")
        await follow(self._log, CONTROL, self._start, self._see, self._report)

    async def _start(self, log: Log, topic: str) -> Mapping[int, int]:
        """What was given before is too old, whenever it is read."""
        partition = partition_of(self._device, await log.ensure(topic))
        found = await log.since(topic, max(0, time.time_ns() - 2 * self._max_age_ns))
        return {partition: found[partition]}

    async def _see(self, batch: LogBatch) -> None:
        for key, value in zip(batch.keys, batch.values, strict=True):
            if bytes(key) != self._device:
                continue
            try:
                record = decode(bytes(value))
            except SensorloomError as error:
                self._report(f"command: {error}; left out")
                continue
            if isinstance(record, Command) and record.id not in self._begun:
                await self._do(record)

    async def _do(self, command: Command) -> None:
        named = {
            one.config.name: one.source.commands for one in self._agent.pipelines if isinstance(one.source, Commanded)
        }
        named = {name: known for name, known in named.items() if known}
        now_ns = time.time_ns()
        why = judged(command, named, now_ns, self._max_age_ns, is_clock_set=self._is_clock_set())
        if command.time_ns < self._not_before_ns:
            why = why or "what was carried out before is not known any more; give it again"
        elif len(self._begun) >= _KNOWN:
            why = why or f"{_KNOWN} commands are as young as this one: too many"
        self._begun[command.id] = Begun(command)
        try:
            await asyncio.to_thread(self._save, now_ns)
        except SensorloomError as error:
            why = why or f"cannot be noted, and might be repeated: {error}"
        if why:
            await self._answer(command, REFUSED, why)
            return
        source = next(one.source for one in self._agent.pipelines if one.config.name == command.source)
        assert isinstance(source, Commanded)
        try:
            async with asyncio.timeout(SAY_S):
                await source.say(command.name)
        except TimeoutError:
            await self._answer(command, FAILED, f"{command.source}: was not written within {SAY_S:g} s")
        except Exception as error:  # whatever a port or a plug-in raises: it was not written, and sensors are read on
            await self._answer(command, FAILED, f"{command.source}: {error}")
        else:
            await self._answer(command, DONE, "")

    async def _answer(self, command: Command, outcome: str, reason: str) -> None:
        why = f": {reason}" if reason else ""
        self._report(f"command {command.source}: {command.name} by {command.author}: {outcome}{why}")
        await self._answers.command(command, outcome, reason)
        self._begun[command.id] = Begun(command, is_over=True)
        try:
            await asyncio.to_thread(self._save, time.time_ns())
        except SensorloomError as error:
            self._report(f"{self._path}: {error}: what was answered may be answered again after a restart")

    def _load(self) -> None:
        try:
            found = msgspec.msgpack.decode(self._path.read_bytes(), type=list[Begun])
        except FileNotFoundError:
            found = []
        except (OSError, msgspec.MsgspecError) as error:
            found, self._not_before_ns = [], time.time_ns()
            self._report(
                f"{self._path}: cannot be read ({error}): which commands were carried out is not known any more"
            )
        self._begun = {one.command.id: one for one in found}

    def _save(self, now_ns: int) -> None:
        """Durable when this returns. It may wait for the disk, and raises what a commit raises."""
        self._begun = {one.command.id: one for one in still_known(self._begun.values(), now_ns, self._max_age_ns)}
        with as_log_errors(self._path):
            put(self._path, msgspec.msgpack.encode(list(self._begun.values())))
