"""`sensorloom agent configure|command`: what is said to agents from afar, through the log, and what they answer."""

from __future__ import annotations

import argparse
import asyncio
import difflib
import os
import secrets
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any, Final

import msgspec

from edge.config import load_config
from edge.fieldcommands import action, span_s
from edge.remote import TEXT_BYTES, read_overlay, revision_of
from ingest.commandline import Prose, say, say_aside
from ingest.errors import SensorloomError, TransientError, UsageError
from ingest.log.protocol import CONFIG, CONTROL, STATUS, Bounds, Entry, Log, partition_of
from ingest.opening import open_log
from ingest.records import (
    Birth,
    Change,
    Command,
    CommandResult,
    Configuration,
    Death,
    Heartbeat,
    Record,
)
from ingest.showing import printable
from ingest.times import NS
from ingest.units import exact_time
from ingest.who import who
from ingest.wire import decode, encode

_EXAMPLES: Final = """\
examples:
  sensorloom agent configure pump-7 faster.toml --log kafka://10.0.0.2:9092
  sensorloom agent configure pump-7 faster.toml --dry-run --log segments:log
  sensorloom agent configure pump-7 --reset --log kafka://10.0.0.2:9092
  sensorloom agent configure --list --log kafka://10.0.0.2:9092
"""
_FETCH_S: Final = 0.5
_TRYING: Final = "trying"


def register_configure(actions: Any) -> None:
    """Add `agent configure`."""
    text = "put a configuration for an agent that runs elsewhere into the log, and wait for what it answers"
    configure = action(actions, "configure", _configure, text)
    configure.formatter_class, configure.epilog = Prose, _EXAMPLES
    configure.add_argument("device", nargs="?", metavar="DEVICE", help="the agent's own device")
    configure.add_argument("file", nargs="?", metavar="FILE", help="[[source]] tables, and `without`: TOML")
    configure.add_argument("--log", required=True, metavar="URL", help="the log that the agent publishes to")
    configure.add_argument("--reset", action="store_true", help="the agent's local file alone holds again")
    configure.add_argument("--list", action="store_true", help="which configuration each agent was given, and runs")
    configure.add_argument(
        "-c", "--config", metavar="FILE", help="check it against this copy of the agent's local file"
    )
    configure.add_argument("--dry-run", action="store_true", help="show the difference and what is wrong; put nothing")
    _add_waiting(configure, "5min")
    configure.add_argument("--since", default="1h", metavar="DURATION", help="with --list: as far back (by default 1h)")


def register_command(actions: Any) -> None:
    """Add `agent command`."""
    text = "have an agent say to a sensor what its local file names, and wait for what it answers"
    command = action(actions, "command", _command, text)
    command.epilog = "example: sensorloom agent command pump-7 imu zero --log kafka://10.0.0.2:9092"
    command.add_argument("device", metavar="DEVICE", help="the agent's own device")
    command.add_argument("source", metavar="SOURCE", help="the source's name")
    command.add_argument("name", metavar="NAME", help="one of the source's `commands`")
    command.add_argument("--log", required=True, metavar="URL", help="the log that the agent publishes to")
    _add_waiting(command, "30s")


def _add_waiting(parser: argparse.ArgumentParser, default: str) -> None:
    parser.add_argument("--author", metavar="NAME", help="who says so (by default user@host)")
    parser.add_argument(
        "--wait", default=default, metavar="DURATION", help=f"so long for the answer (by default {default})"
    )


def _configure(args: argparse.Namespace) -> int:
    if args.list:
        return asyncio.run(_list(args))
    if not args.device or bool(args.file) is args.reset:
        raise UsageError("agent configure: say DEVICE and FILE, or DEVICE and --reset, or --list")
    return asyncio.run(_put(args, "" if args.reset else _text_of(args.file), span_s(args.wait, "--wait")))


def _text_of(path: str) -> str:
    try:
        data = Path(path).read_bytes()[: TEXT_BYTES + 1]
        return data.decode()
    except OSError as error:
        raise UsageError(f"{path}: cannot be read: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise UsageError(f"{path}: is no UTF-8 text: byte {error.start}") from None


async def _put(args: argparse.Namespace, text: str, wait_s: float) -> int:
    """Check, show the difference, put it, and tell what becomes of it."""
    over = read_overlay(text) if text else None
    if args.config:
        checked = load_config(args.config, os.environ, over)
        _say(
            args,
            f"{args.config}: allows it; {len(checked.sources)} sources: {', '.join(s.name for s in checked.sources)}",
        )
    log = open_log(args.log)
    try:
        known = (await _given(log, args.device)).get(args.device)
        before = "" if known is None else known.text
        lines = difflib.unified_diff(before.splitlines(), text.splitlines(), "given before", "now", lineterm="")
        for line in lines:
            _say(args, line)
        revision = revision_of(text)
        if args.dry_run:
            _say(args, f"configuration {revision or 'none'}: not put")
            return 0
        ends = await _ends(log)
        order = Configuration(args.device, revision, text, args.author or who(), time.time_ns())
        await log.append(CONFIG, [Entry(args.device.encode(), encode(order))])
        _say(args, f"configuration {revision or 'none'} of {args.device}: put; waiting for its agent")

        def is_answer(record: Record) -> bool:
            return isinstance(record, Change) and record.what == "configuration" and record.new == revision

        async for answer in _answers(log, ends, args.device, is_answer, wait_s):
            assert isinstance(answer, Change)
            _tell(args, answer)
            if answer.outcome != _TRYING:
                return 0 if answer.outcome == "taken" else 1
    finally:
        await log.close()
    return _unanswered(args, wait_s)


def _command(args: argparse.Namespace) -> int:
    return asyncio.run(_order(args, span_s(args.wait, "--wait")))


async def _order(args: argparse.Namespace, wait_s: float) -> int:
    log = open_log(args.log)
    try:
        ends = await _ends(log)
        own = secrets.token_hex(8)
        order = Command(args.device, own, args.source, args.name, args.author or who(), time.time_ns())
        await log.append(CONTROL, [Entry(args.device.encode(), encode(order))])

        def is_answer(record: Record) -> bool:
            return isinstance(record, CommandResult) and record.id == own

        async for answer in _answers(log, ends, args.device, is_answer, wait_s):
            assert isinstance(answer, CommandResult)
            _tell(args, answer)
            return 0 if answer.outcome == "done" else 1
    finally:
        await log.close()
    return _unanswered(args, wait_s)


def _say(args: argparse.Namespace, text: str) -> None:
    """Beside the answer, which alone is on standard output with `--json`."""
    (say_aside if args.json else say)(text)


def _tell(args: argparse.Namespace, answer: Change | CommandResult) -> None:
    if args.json:
        print(msgspec.json.encode(_as_data(answer)).decode(), flush=True)
    else:
        why = f": {answer.reason}" if answer.reason else ""
        print(printable(f"{exact_time(answer.time_ns)}  {answer.outcome.replace('_', ' ')}{why}"), flush=True)


def _as_data(answer: Change | CommandResult) -> dict[str, Any]:
    return {name: value for name, value in msgspec.structs.asdict(answer).items() if name != "boot"}


def _unanswered(args: argparse.Namespace, wait_s: float) -> int:
    raise TransientError(
        f"{args.device}: no answer within {wait_s:g} s; its agent answers when it is there, if [remote] allow of its "
        "agent.toml says so: see sensorloom agent configure --list"
    )


# --- the log


async def _ends(log: Log) -> dict[int, int]:
    """Behind what `status` has now."""
    await log.ensure(STATUS)
    return {partition: found.end for partition, found in (await log.bounds(STATUS)).items()}


async def _given(log: Log, device: str | None = None) -> dict[str, Configuration]:
    """The newest configuration of each device, or of one."""
    count = await log.ensure(CONFIG)
    bounds = await log.bounds(CONFIG)
    if device is not None:
        own = partition_of(device.encode(), count)
        bounds = {own: bounds[own]}
    found: dict[str, Configuration] = {}
    async for record in _records(log, CONFIG, {partition: one.begin for partition, one in bounds.items()}, bounds):
        if isinstance(record, Configuration):
            found[record.device] = record
    return found


async def _records(log: Log, topic: str, start: dict[int, int], bounds: dict[int, Bounds]) -> AsyncIterator[Record]:
    """What a topic has from there up to its bounds; what cannot be read is left out."""
    left = {partition for partition, at in start.items() if at < bounds[partition].end}
    reader = log.reader(topic, start)
    try:
        while left:
            for batch in await reader.fetch(_FETCH_S):
                for value in batch.values:
                    try:
                        yield decode(bytes(value))
                    except SensorloomError:
                        continue
                if batch.next_offset >= bounds[batch.partition].end:
                    left.discard(batch.partition)
    finally:
        await reader.close()


async def _answers(
    log: Log, ends: dict[int, int], device: str, is_answer: Callable[[Record], bool], wait_s: float
) -> AsyncIterator[Record]:
    """What an agent says from there on, for so long."""
    own = partition_of(device.encode(), len(ends))
    reader, until_s = log.reader(STATUS, {own: ends[own]}), time.monotonic() + wait_s
    try:
        while time.monotonic() < until_s:
            for batch in await reader.fetch(_FETCH_S):
                for value in batch.values:
                    try:
                        record = decode(bytes(value))
                    except SensorloomError:
                        continue
                    if is_answer(record):
                        yield record
    finally:
        await reader.close()


# --- the list


async def _list(args: argparse.Namespace) -> int:
    log, since_ns = open_log(args.log), time.time_ns() - int(span_s(args.since, "--since") * NS)
    try:
        given = await _given(log)
        await log.ensure(STATUS)
        bounds = await log.bounds(STATUS)
        said: dict[str, dict[str, Any]] = {}
        async for record in _records(log, STATUS, await log.since(STATUS, since_ns), bounds):
            _note(said, record)
    finally:
        await log.close()
    rows = [_row(device, given.get(device), said.get(device, {})) for device in sorted({*given, *said})]
    if args.json:
        print(msgspec.json.encode(rows).decode())
    else:
        for row in rows:
            print(printable(_words(row)))
    return 0


def _note(said: dict[str, dict[str, Any]], record: Record) -> None:
    """What a status record says of what runs. Pure."""
    if isinstance(record, Birth | Heartbeat) and record.version:
        ran = {"version": record.version, "config_hash": record.config_hash, "runs": record.revision}
        said.setdefault(record.device, {}).update(ran, ended="")
    elif isinstance(record, Death):
        said.setdefault(record.device, {})["ended"] = record.reason
    elif isinstance(record, Change) and record.what == "configuration":
        became = {"answered": record.new, "outcome": record.outcome, "reason": record.reason}
        own = said.setdefault(record.device, {})
        own.update(became)
        runs = {"taken": record.new, "rolled_back": record.old}.get(record.outcome)
        if runs is not None and own.get("runs", runs) != runs:  # a heartbeat says it minutes later
            own.update(runs=runs, config_hash="")


def _row(device: str, given: Configuration | None, said: dict[str, Any]) -> dict[str, Any]:
    wanted = None if given is None else {"revision": given.revision, "author": given.author, "time_ns": given.time_ns}
    return {"device": device, "given": wanted, **said}


def _words(row: dict[str, Any]) -> str:
    given = row["given"]
    wanted = "given nothing" if given is None else f"given {given['revision'] or 'none'} by {given['author']}"
    if "runs" not in row:
        return f"{row['device']}: {wanted}; its agent was not heard"
    runs = f"runs {row['runs'] or 'its file alone'}, version {row['version']}"
    runs += f", hash {row['config_hash']}" if row["config_hash"] else ""
    end = f"; ended: {row['ended']}" if row.get("ended") else ""
    became = ""
    if "outcome" in row:
        why = f": {row['reason']}" if row["reason"] else ""
        became = f"; {row['answered'] or 'none'} {row['outcome'].replace('_', ' ')}{why}"
    return f"{row['device']}: {wanted}; {runs}{became}{end}"
