"""`sensorloom log topics|cat|stats`, and what commands on logs have in common."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import sys
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeVar

import msgspec

from ingest.commandline import Prose, complaint
from ingest.errors import CorruptLogError, UsageError
from ingest.exact import with_exact_times
from ingest.log.protocol import Log
from ingest.opening import check_begun, open_log
from ingest.showing import printable
from ingest.units import format_time, parse_time

T = TypeVar("T")
Subparsers = Any
"""What `ArgumentParser.add_subparsers` returns; argparse has no public name for it."""


def register(subparsers: Subparsers) -> None:
    """Add the command `log`."""
    looking = subparsers.add_parser("log", help="look into a log")
    views = looking.add_subparsers(dest="view", metavar="VIEW", required=True)
    _register_log(views)


def add_command(subparsers: Subparsers, name: str, purpose: str, epilog: str) -> argparse.ArgumentParser:
    """A command whose help ends with `epilog`: see `Prose`."""
    parser: argparse.ArgumentParser = subparsers.add_parser(
        name,
        help=purpose,
        description=purpose[0].upper() + purpose[1:] + ".",
        epilog=epilog,
        formatter_class=Prose,
        allow_abbrev=False,
    )
    return parser


def add_log(parser: argparse.ArgumentParser, purpose: str, *, creates: bool, required: bool = True) -> None:
    """The options `--log` and `--json`; `creates`: topics that are missing are made."""
    parser.add_argument("--log", required=required, metavar="URL", help=f"{purpose}: segments:DIR or kafka://host:9092")
    if creates:
        parser.add_argument("--partitions", type=int, metavar="N", help="of topics that do not exist yet")
    parser.add_argument("--json", action="store_true", help="report as JSON")


def _register_log(views: Subparsers) -> None:
    topics = add_command(
        views, "topics", "list the topics of a log", "example: sensorloom log topics --log segments:log"
    )
    add_log(topics, "look into", creates=False)
    topics.set_defaults(run=run_log_topics)
    cat = add_command(
        views,
        "cat",
        "print the records of a topic, one a line",
        "example: sensorloom log cat readings --device pump-7 --until-idle --log segments:log\n\n"
        "A chunk's line shows its first and last sample in their units; with --json it holds all of them.",
    )
    cat.add_argument(
        "topic", metavar="TOPIC", help="readings, marks, streams, status …: sensorloom log topics lists them"
    )
    cat.add_argument("--device", help="only this device's records")
    cat.add_argument(
        "--from",
        dest="since",
        metavar="TIME",
        help="only records that reach to this time or past it; a day before is looked at",
    )
    cat.add_argument("--until-idle", action="store_true", help="end at the end the log has now, do not follow it")
    cat.add_argument("--limit", type=int, metavar="N", help="end after so many records")
    add_log(cat, "look into", creates=False)
    cat.set_defaults(run=run_log_cat)
    stats = add_command(
        views,
        "stats",
        "show what a log's partitions hold",
        "example: sensorloom log stats --device pump-7 --log segments:log",
    )
    stats.add_argument("--device", help="also count this device's chunks, samples and bytes by stream")
    stats.add_argument("--group", help="also show how far this consumer group is behind")
    add_log(stats, "look into", creates=False)
    stats.set_defaults(run=run_log_stats)


def with_log(args: argparse.Namespace, work: Callable[[Log], Awaitable[T]]) -> T:
    """What `work` gives for the log of `--log`, which must be there unless the command creates it."""
    partitions = getattr(args, "partitions", None)
    if partitions is not None and partitions < 1:
        raise UsageError(f"--partitions: found {partitions}, expected 1 or more")

    if not hasattr(args, "partitions"):
        check_begun(args.log)

    async def run() -> T:
        log = open_log(args.log, partitions=partitions)
        try:
            return await work(log)
        finally:
            await log.close()

    return asyncio.run(run())


# --- what imports share -----------------------------------------------------------------------------------------------


def parse_origin(text: str | None) -> tuple[str, int] | None:
    """The value and the instant of `VALUE=TIME`. Raises `UsageError`."""
    if text is None:
        return None
    value, _, time = text.partition("=")
    if not value.strip() or not time:
        raise UsageError(f'--origin: found "{text}", expected VALUE=TIME, as in 12.5=2026-01-01T00:00:00Z')
    return value.strip(), time_of_option("--origin", time)


def time_of_option(option: str, text: str) -> int:
    """A time that an option gives. Raises `UsageError` that names the option."""
    try:
        return parse_time(text)
    except UsageError as error:
        raise UsageError(f"{option}: {error}") from None


def report_import(summary: dict[str, Any], *, as_json: bool) -> None:
    """A summary whose notes are on stderr already."""
    report(summary if as_json else {name: it for name, it in summary.items() if name != "notes"}, as_json=as_json)


def report(summary: dict[str, Any], *, as_json: bool) -> None:
    """A summary as one JSON object, or as lines of name and value."""
    if as_json:
        print(to_json(summary))
        return
    width = max(len(name) for name in summary)
    for name, value in summary.items():
        shown = name.removesuffix("_ns")
        if shown != name:
            value = format_time(value) if value else "-"
        elif isinstance(value, list):
            value = ", ".join(_flat(item) if isinstance(item, dict) else str(item) for item in value) or "-"
        elif isinstance(value, dict):
            value = _flat(value)
        elif isinstance(value, int) and not isinstance(value, bool):
            value = f"{value:,}"
        print(f"{shown.replace('_', ' '):<{width}}  {value}")


def _flat(values: dict[str, Any]) -> str:
    return ", ".join(f"{name} {value}" for name, value in values.items()) or "-"


# --- log --------------------------------------------------------------------------------------------------------------


def run_log_topics(args: argparse.Namespace) -> int:
    """`sensorloom log topics`."""

    async def work(log: Log) -> list[dict[str, Any]]:
        rows = []
        for topic, partitions in sorted((await log.topics()).items()):
            records = sum(end - begin for begin, end in (await log.bounds(topic)).values())
            rows.append({"topic": topic, "partitions": partitions, "records": records})
        return rows

    rows = with_log(args, work)
    if args.json:
        print(to_json({"log": args.log, "topics": rows}))
    else:
        print_table(rows)
    _tell_if_empty(args.log, rows)
    return 0


def _tell_if_empty(url: str, rows: Sequence[Any]) -> None:
    """Nothing is an answer that a mistyped address gives as well."""
    from ingest.inspection import NO_TOPIC

    if not rows:
        print(complaint(f"{url}: {NO_TOPIC}"), file=sys.stderr)


def run_log_cat(args: argparse.Namespace) -> int:
    """`sensorloom log cat`: ends at a signal, unless `--until-idle` or `--limit` ends it before."""
    from ingest.inspection import Describer, check_device, records

    since = None if args.since is None else time_of_option("--from", args.since)
    if args.limit is not None and args.limit < 1:
        raise UsageError(f"--limit: found {args.limit}, expected 1 or more")

    damage = _Damage()

    async def work(log: Log) -> None:
        describer, printed = Describer(log), 0
        async with contextlib.aclosing(
            records(log, args.topic, args.device, since, until_idle=args.until_idle, on_damage=damage.tell)
        ) as all_:
            async for located in all_:
                line = to_json(await describer.data(located)) if args.json else await describer.line(located)
                print(line if args.json else printable(line), flush=not args.until_idle)
                printed += 1
                if printed == args.limit:
                    return
        if args.device and not printed:
            await check_device(log, args.topic, args.device)

    with_log(args, work)
    return damage.code


class _Damage:
    """Tells on stderr what cannot be read; the command goes on without it, and ends with 1."""

    code = 0

    def tell(self, error: CorruptLogError) -> None:
        self.code = 1
        print(complaint(f"sensorloom: {error}"), file=sys.stderr)


def run_log_stats(args: argparse.Namespace) -> int:
    """`sensorloom log stats`."""
    from ingest.inspection import check_device, partition_figures, stream_figures
    from ingest.log.protocol import READINGS

    damage = _Damage()

    async def work(log: Log) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
        partitions = await partition_figures(log, args.group)
        streams = await stream_figures(log, args.device, damage.tell) if args.device else {}
        if args.device and not streams:
            await check_device(log, READINGS, args.device)
        return partitions, [{"stream": name, **figures.as_dict()} for name, figures in sorted(streams.items())]

    partitions, streams = with_log(args, work)
    _tell_if_empty(args.log, partitions)
    if args.group and partitions and all(row["lag"] is None for row in partitions):
        print(complaint(f'no group "{args.group}" has read anything here'), file=sys.stderr)
    if args.json:
        told = {"log": args.log, "partitions": partitions}
        print(to_json(told | ({"device": args.device, "streams": streams} if args.device else {})))
        return damage.code
    print_table(partitions)
    if args.device:
        print(f"\n{printable(args.device)}:" if streams else f"\n{printable(args.device)}: neither chunks nor gaps")
        print_table([row | {"recordings": len(row["recordings"])} for row in streams])
    return damage.code


def to_json(value: Any) -> str:
    """One line of JSON, each instant as text, too; NaN becomes null."""
    return msgspec.json.encode(with_exact_times(value)).decode()


def print_table(rows: Sequence[dict[str, Any]]) -> None:
    """Print rows of equal keys as aligned columns."""
    if not rows:
        return
    shown = [{name.removesuffix("_ns"): _cell(name, value) for name, value in row.items()} for row in rows]
    widths = {name: max(len(name), *(len(row[name]) for row in shown)) for name in shown[0]}
    for row in [{name: name for name in widths}, *shown]:
        print(printable("  ".join(row[name].ljust(width) for name, width in widths.items()).rstrip()))


def _cell(name: str, value: Any) -> str:
    if value is None:
        return "-"
    return format_time(value) if name.endswith("_ns") else f"{value:,}" if isinstance(value, int) else str(value)
