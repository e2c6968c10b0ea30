"""`sensorloom window`. What a command needs is imported when it runs."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING, Any, Final

from ingest.commandline import say_aside

if TYPE_CHECKING:
    from collections.abc import Sequence

    from service.configuration import Source
    from service.run import RunOptions
    from service.survey import Survey

_RUN_EXAMPLE: Final = "sensorloom window run -c dataset.toml --log segments:site/log --out site/dataset --until-idle"


def register(subparsers: Any) -> None:
    """Add the command's parser."""
    parser = subparsers.add_parser(
        "window", help="cut a log's streams into windows: the windowing service", epilog=f"example: {_RUN_EXAMPLE}"
    )
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    action = actions.add_parser(
        "run",
        help="the windowing service",
        description="Cut and label everything in a log, and go on with what comes. Start it again after any end: "
        "it goes on behind its last seal. Several may run at once, each with its own --instance.",
        epilog=f"example: {_RUN_EXAMPLE}",
    )
    add = action.add_argument
    add("-c", "--config", required=True, metavar="FILE", help="dataset.toml")
    add("--log", required=True, metavar="URL", help="segments:DIR or kafka://host:9092[,host:9092]")
    add("--out", required=True, metavar="DATASET", help="the dataset's folder, on a local disk")
    add(
        "--after",
        metavar="OLD",
        help="begin a new dataset where this one ends, which an older version wrote: nobody may go on with it",
    )
    add("--until-idle", action="store_true", help="end when everything is sealed that is in the log now")
    add("--group", metavar="NAME", help="begin the consumer groups' names so, instead of with the dataset's own id")
    add("--instance", metavar="NAME", help="this worker's lasting name; by default made of host and process")
    add("--seal-bytes", default="16MiB", metavar="SIZE", help="seal after so much output (%(default)s)")
    add("--seal-seconds", default="60", metavar="S", help="seal at least so often (%(default)s)")
    add("--json", action="store_true", help="print one JSON object at the end")
    action.set_defaults(run=run_window, archive=None, complete=False)
    _register_batch(actions)
    _register_check(actions)


def _register_batch(actions: Any) -> None:
    example = "sensorloom window batch -c dataset.toml --archive site/archive --out dataset"
    action = actions.add_parser(
        "batch",
        help="cut the windows of an archive",
        description="Cut and label everything in an archive: the same windows, to the bit, as `window run` makes of "
        "the log that was archived, which need not be there any more. Where the log goes on, so may `window run`, into "
        "the same folder.",
        epilog=f"example: {example}",
    )
    add = action.add_argument
    add("-c", "--config", required=True, metavar="FILE", help="dataset.toml")
    add("--archive", required=True, metavar="DIR", help="the archive's folder")
    add("--log", default="", metavar="URL", help="the log that was archived, for its marks; else those of the archive")
    add("--out", required=True, metavar="DATASET", help="the dataset's folder, on a local disk")
    add("--complete", action="store_true", help="take in what came too late for the stream: windows of another kind")
    add("--seal-bytes", default="16MiB", metavar="SIZE", help="seal after so much output (%(default)s)")
    add("--json", action="store_true", help="print one JSON object at the end")
    of_a_log = {"group": None, "instance": None, "after": None, "until_idle": True, "seal_seconds": "60"}
    action.set_defaults(run=run_batch, **of_a_log)


def run_batch(args: argparse.Namespace) -> int:
    """`sensorloom window batch`: as `window run` to the end of an archive."""
    return run_window(args)


def _register_check(actions: Any) -> None:
    action = actions.add_parser(
        "check",
        help="see what a configuration would make of a log",
        description="Read a log once and tell which streams, rates and units are in it, how many windows there would "
        "be, and why others would not, with the key that changes it. Nothing is written; exit code 1 where there would "
        "be none.",
        epilog="example: sensorloom window check -c dataset.toml --log segments:site/log",
    )
    add = action.add_argument
    add("-c", "--config", required=True, metavar="FILE", help="dataset.toml")
    add("--log", required=True, metavar="URL", help="segments:DIR or kafka://host:9092[,host:9092]")
    add("--json", action="store_true", help="print one JSON object")
    action.set_defaults(run=run_check)


def run_check(args: argparse.Namespace) -> int:
    """`sensorloom window check`; 1 where there would be no windows."""
    from ingest.opening import check_begun
    from service.checking import render_report, report_of
    from service.configuration import Source

    source = Source.read(args.config)
    check_begun(args.log)
    report = report_of(_survey(args.log, source))
    print(_json(report) if args.json else render_report(report))
    _tell(report.causes)
    return 0 if report.windows else 1


def _survey(url: str, source: Source) -> Survey:
    import asyncio

    from ingest.opening import open_log
    from ingest.progress import Progress
    from service.survey import survey

    async def look() -> Survey:
        log = open_log(url)
        try:
            with Progress("check", None, "records") as progress:
                return await survey(log, source.config.window, source.counted, progress)
        finally:
            await log.close()

    return asyncio.run(look())


def _tell(causes: Sequence[str]) -> None:
    for cause in causes:
        say_aside(f"sensorloom: {cause}")


def run_window(args: argparse.Namespace) -> int:
    """`sensorloom window run`; 1 where `--until-idle` was ended before it was done."""
    import asyncio

    from ingest.opening import check_begun, check_free, is_begun
    from service.report import Progressing, closing_figures, render_closing
    from service.run import run_service
    from service.site import operator_folders

    options = _run_options(args)
    if options.until_idle or any(operator_folders(options.out)):
        check_begun(options.log or _read(options))
    elif not is_begun(options.log):
        check_free(options.log)
        say_aside(f"sensorloom: {options.log}: there is no log yet; one is begun here")
    with Progressing(options.until_idle) as progressing:
        result = asyncio.run(run_service(options, progressing.observe))
    if options.until_idle or args.json:
        figures = closing_figures(options.out, result)
        print(_json(figures) if args.json else render_closing(figures))
    if options.until_idle and not result.finished:
        print("sensorloom: ended before the log was drained; run it again to go on", file=sys.stderr)
        return 1
    if options.until_idle and not figures.dataset.counts.get("windows"):
        return _explain_nothing(options)
    return 0


def _read(options: RunOptions) -> str:
    """The URL of what is read."""
    return options.log if options.archive is None else f"archive:{options.archive}"


def _explain_nothing(options: RunOptions) -> int:
    """Say why a run made no window, in the words of `window check`."""
    from service.causes import causes
    from service.configuration import Source

    print("sensorloom: no window was made:", file=sys.stderr)
    _tell(causes(_survey(_read(options), Source.read(options.config))))
    return 1


def _run_options(args: argparse.Namespace) -> RunOptions:
    from pathlib import Path

    from service.limits import limits_of, worker_name
    from service.run import RunOptions

    return RunOptions(
        config=Path(args.config),
        log=args.log,
        out=Path(args.out),
        instance=args.instance or worker_name(),
        group=args.group,
        until_idle=args.until_idle,
        archive=Path(args.archive) if args.archive else None,
        complete=args.complete,
        after=Path(args.after) if args.after else None,
        limits=limits_of(args.seal_bytes, args.seal_seconds),
    )


def _json(value: object) -> str:
    import msgspec

    return msgspec.json.encode(value).decode()
