"""`sensorloom window`. What a command needs is imported when it runs."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING, Any, Final

from ingest.errors import UsageError

if TYPE_CHECKING:
    from service.run import RunOptions

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
    add("--until-idle", action="store_true", help="end when everything is sealed that is in the log now")
    add("--group", metavar="NAME", help="begin the consumer groups' names so, instead of with the dataset's own id")
    add("--instance", metavar="NAME", help="this worker's lasting name; by default made of host and process")
    add("--seal-bytes", default="16MiB", metavar="SIZE", help="seal after so much output (%(default)s)")
    add("--seal-seconds", default="60", metavar="S", help="seal at least so often (%(default)s)")
    add("--json", action="store_true", help="print one JSON object at the end")
    action.set_defaults(run=run_window)


def run_window(args: argparse.Namespace) -> int:
    """`sensorloom window run`; 1 where `--until-idle` was ended before it was done."""
    import asyncio

    from ingest.log.opening import check_begun
    from service.report import Progressing, closing_figures, render_closing
    from service.run import run_service

    options = _run_options(args)
    if options.until_idle:
        check_begun(options.log)
    with Progressing(options.until_idle) as progressing:
        result = asyncio.run(run_service(options, progressing.observe))
    if options.until_idle or args.json:
        figures = closing_figures(options.out, result)
        print(_json(figures) if args.json else render_closing(figures))
    if options.until_idle and not result.finished:
        print("sensorloom: ended before the log was drained; run it again to go on", file=sys.stderr)
        return 1
    return 0


def _run_options(args: argparse.Namespace) -> RunOptions:
    import os
    import socket
    from pathlib import Path

    from ingest.engine.worker import Limits
    from ingest.units import parse_size
    from service.run import RunOptions

    try:
        seconds = float(args.seal_seconds)
    except ValueError:
        seconds = -1.0
    if not 0 < seconds < float("inf"):
        raise UsageError(f'--seal-seconds: found "{args.seal_seconds}"; use a number above 0')
    seal_bytes = parse_size(args.seal_bytes)
    if seal_bytes <= 0:
        raise UsageError(f'--seal-bytes: found "{args.seal_bytes}"; use a size above 0, as in 16MiB')
    return RunOptions(
        config=Path(args.config),
        log=args.log,
        out=Path(args.out),
        instance=args.instance or f"{socket.gethostname()}-{os.getpid()}",
        group=args.group,
        until_idle=args.until_idle,
        limits=Limits(seal_bytes=seal_bytes, seal_seconds=seconds),
    )


def _json(value: object) -> str:
    import msgspec

    return msgspec.json.encode(value).decode()
