"""`sensorloom archive`. What a command needs is imported when it runs."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any, Final

from ingest.commandline import say_aside

_HOUR_NS: Final = 3_600 * 10**9
_EXAMPLE: Final = "sensorloom archive run --log segments:site/log --out site/archive"


def register(subparsers: Any) -> None:
    """Add the command's parser."""
    parser = subparsers.add_parser(
        "archive", help="keep a log's records for good: as Parquet, beside the log", epilog=f"example: {_EXAMPLE}"
    )
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    action = actions.add_parser(
        "run",
        help="the archive service",
        description="Keep every record of a log's readings, marks and stream descriptions as Parquet, and go on with "
        "what comes. Start it again after any end: it goes on behind its last seal. Several may run at once, each with "
        "its own --instance. `sensorloom window batch` cuts windows from what it wrote.",
        epilog=f"example: {_EXAMPLE}",
    )
    add = action.add_argument
    add("--log", required=True, metavar="URL", help="segments:DIR or kafka://host:9092[,host:9092]")
    add("--out", required=True, metavar="ARCHIVE", help="the archive's folder, on a local disk")
    add("--until-idle", action="store_true", help="end when everything is sealed that is in the log now")
    add("--instance", metavar="NAME", help="this worker's lasting name; by default made of host and process")
    add("--keep", metavar="AGE", help="keep readings for so long, as in 90d or 2160h; without it for good")
    add("--seal-bytes", default="64MiB", metavar="SIZE", help="seal after so much of each partition (%(default)s)")
    add("--seal-seconds", default="300", metavar="S", help="seal at least so often (%(default)s)")
    add("--json", action="store_true", help="print one JSON object at the end")
    action.set_defaults(run=run_archive_command)
    _register_show(actions)
    action = actions.add_parser(
        "verify",
        help="read every byte of an archive",
        description="Read every file of an archive; name what is damaged or missing. Exit code 1 where something is.",
        epilog="example: sensorloom archive verify site/archive",
    )
    action.add_argument("archive", metavar="ARCHIVE", help="the archive's folder")
    action.add_argument("--json", action="store_true", help="print one JSON object")
    action.set_defaults(run=run_verify)


def _register_show(actions: Any) -> None:
    example = "sensorloom archive show site/archive pump-7 acc --from 2026-01-01T00:00:00Z --points 40"
    action = actions.add_parser(
        "show",
        help="a stream's past, and what the log has beyond it",
        description="Show a stream in a span of time: the lowest and highest values of about as many stretches as "
        "there are points, or the samples themselves, where these are few.",
        epilog=f"example: {example}",
    )
    add = action.add_argument
    add("archive", metavar="ARCHIVE", help="the archive's folder")
    add("device", metavar="DEVICE", help="a device's name")
    add("stream", metavar="STREAM", help="one of its streams")
    add("--from", dest="start", required=True, metavar="TIME", help="from this time on, as in 2026-01-01T00:00:00Z")
    add("--to", dest="end", metavar="TIME", help="up to this time; by default an hour later")
    add("--points", type=int, default=60, metavar="N", help="about so many stretches (%(default)s)")
    add("--log", metavar="URL", help="the log that was archived: what it has beyond the archive is shown too")
    add("--json", action="store_true", help="print one JSON object")
    action.set_defaults(run=run_show)


def run_show(args: argparse.Namespace) -> int:
    """`sensorloom archive show`; 1 where there is nothing."""
    import asyncio

    from ingest.archive.history import History
    from ingest.archive.reading import Answer, Question
    from ingest.archive.showing import as_json, as_lines
    from ingest.errors import UsageError
    from ingest.opening import check_begun, open_log
    from ingest.units import parse_time

    start_ns = parse_time(args.start)
    end_ns = parse_time(args.end) if args.end else start_ns + _HOUR_NS
    if end_ns <= start_ns or args.points < 1:
        raise UsageError(f"--from {args.start}: the span ends before it begins, or has no points")
    question = Question(args.device, args.stream, start_ns, end_ns, args.points)

    async def ask() -> Answer | None:
        if args.log is not None:
            check_begun(args.log)
        log = None if args.log is None else open_log(args.log)
        try:
            return await History(Path(args.archive), log).ask(question)
        finally:
            if log is not None:
                await log.close()

    found = asyncio.run(ask())
    if found is None:
        say_aside(f"sensorloom: {args.device} {args.stream}: nothing from {args.start} on{_kept(args)}")
        return 1
    if args.json:
        import msgspec

        print(msgspec.json.encode(as_json(found)).decode())
    else:
        print("\n".join(as_lines(found)))
    return 0


def _kept(args: argparse.Namespace) -> str:
    """Since when the device's partition is kept, where it is not from its begin on."""
    from ingest.archive.topic import archived_topics
    from ingest.log.protocol import READINGS, partition_of
    from ingest.units import format_time

    topic = archived_topics(Path(args.archive))[READINGS]
    since_ns = topic.partition(partition_of(args.device.encode(), topic.genesis.partitions)).kept_since_ns
    return "" if since_ns is None else f"; of what was appended before {format_time(since_ns)} nothing is kept"


def run_archive_command(args: argparse.Namespace) -> int:
    """`sensorloom archive run`; 1 where `--until-idle` was ended before it was done."""
    import asyncio

    from ingest.opening import check_begun, is_begun
    from service.archiving import ArchiveOptions, run_archive
    from service.limits import age_of, limits_of, worker_name
    from service.report import Progressing

    options = ArchiveOptions(
        log=args.log,
        out=Path(args.out),
        instance=args.instance or worker_name(),
        until_idle=args.until_idle,
        limits=limits_of(args.seal_bytes, args.seal_seconds),
        keep_ns=None if args.keep is None else age_of(args.keep),
    )
    if options.until_idle or options.out.exists():
        check_begun(options.log)
    elif not is_begun(options.log):
        say_aside(f"sensorloom: {options.log}: there is no log yet; one is begun here")
    with Progressing(options.until_idle, "archive", "samples") as progressing:
        result = asyncio.run(run_archive(options, progressing.observe))
    counts = result.counts
    records = sum(count for reason, count in counts.items() if reason.startswith("records."))
    samples = counts["samples"]
    if args.json:
        import msgspec

        figures = {"finished": result.finished, "records": records, "samples": samples, "files": result.files}
        print(msgspec.json.encode({**figures, "bytes": result.bytes, "counts": dict(sorted(counts.items()))}).decode())
    elif options.until_idle:
        each = f", {result.bytes / samples:.2f} bytes a sample" if samples else ""
        print(f"this run: {records:,} records with {samples:,} samples in {result.files:,} files{each}")
    if options.until_idle and not result.finished:
        print("sensorloom: ended before the log was drained; run it again to go on", file=sys.stderr)
        return 1
    return 0


def run_verify(args: argparse.Namespace) -> int:
    """`sensorloom archive verify`; 1 where something is damaged or missing."""
    import msgspec

    from ingest.archive.topic import ArchivedPartition, archived_topics
    from ingest.commandline import complaint
    from ingest.errors import CorruptError
    from ingest.progress import Progress

    problems: list[str] = []
    partitions: list[ArchivedPartition] = []
    records = 0
    for topic in archived_topics(Path(args.archive)).values():
        for number in range(topic.genesis.partitions):
            try:
                partitions.append(topic.partition(number))
            except CorruptError as error:
                problems.append(str(error))
    size = sum(partition.size for partition in partitions)
    with Progress("verify", size, "bytes") as progress:
        for partition in partitions:
            problems += partition.check(progress.advance)
            records += sum(ref.rows for ref in partition.records)
    if args.json:
        print(msgspec.json.encode({"records": records, "bytes": size, "problems": problems}).decode())
    else:
        for problem in problems:
            print(complaint(problem), file=sys.stderr)
        print(f"{records:,} records in {size:,} bytes: {len(problems) or 'no'} problems")
    return 1 if problems else 0
