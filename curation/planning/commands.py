"""`sensorloom dataset status`, `dropped`, `report`. What they need is imported when they run."""

from __future__ import annotations

import argparse
import sys
import time
from typing import Any, Final

WATCH_S: Final = 5.0


def register(actions: Any) -> None:
    """Add the actions' parsers."""
    action = actions.add_parser(
        "status",
        help="what it holds, in figures",
        description="What it holds, in figures; how far it is from its plan, and how good what is there is.",
        epilog="example: sensorloom dataset status site/dataset --json",
    )
    action.add_argument("path", metavar="DATASET", help="the dataset's folder")
    action.add_argument("--json", action="store_true", help="print one JSON object")
    action.add_argument("--watch", action="store_true", help=f"again every {WATCH_S:g} s, until Ctrl-C")
    action.set_defaults(run=run_status)
    action = actions.add_parser(
        "dropped",
        help="list the windows that are not in it",
        description="List the windows that are not in it, with place and reason.",
        epilog="example: sensorloom dataset dropped site/dataset --reason gap",
    )
    action.add_argument("path", metavar="DATASET", help="the dataset's folder")
    action.add_argument("--reason", metavar="R", help="gap, edge, coverage, no_stream, trim, excluded or undone alone")
    action.add_argument("--json", action="store_true", help="print one JSON array")
    action.set_defaults(run=run_dropped)
    action = actions.add_parser(
        "report",
        help="write a page that shows it",
        description="Write one HTML page, which needs no network: coverage, balance, examples, outliers, drift since "
        "a version, and how far the plan is.",
        epilog="example: sensorloom dataset report site/dataset --out report.html",
    )
    action.add_argument("path", metavar="DATASET", help="the dataset's folder")
    action.add_argument("--out", required=True, metavar="FILE", help="the page; what is there is replaced")
    action.add_argument(
        "--against", metavar="V", help='what drifted since a version (default: the newest, if there is one; or "none")'
    )
    action.add_argument("--json", action="store_true", help="print one JSON object")
    action.set_defaults(run=run_report)


def run_status(args: argparse.Namespace) -> int:
    """`sensorloom dataset status`."""
    import msgspec

    from curation.planning.outlook import outlook, render_outlook
    from windowing.dataset.status import dataset_status, render_status

    def once() -> str:
        status = dataset_status(args.path)
        found = outlook(args.path, status)
        if args.json:
            return msgspec.json.encode(msgspec.to_builtins(status) | msgspec.to_builtins(found)).decode()
        return f"{render_status(status)}\n{render_outlook(found)}"

    while True:
        text = once()
        if args.watch and sys.stdout.isatty():
            print("\x1b[2J\x1b[H", end="")
        print(text, flush=True)
        if not args.watch:
            return 0
        try:
            time.sleep(WATCH_S)
        except KeyboardInterrupt:
            return 0


def run_dropped(args: argparse.Namespace) -> int:
    """`sensorloom dataset dropped`."""
    import msgspec

    from curation.planning.dropped import dropped, render_dropped
    from windowing.dataset.reader import open_dataset

    runs = [run for run in dropped(open_dataset(args.path)) if args.reason in (None, run.reason)]
    print(msgspec.json.encode(runs).decode() if args.json else render_dropped(runs))
    return 0


def run_report(args: argparse.Namespace) -> int:
    """`sensorloom dataset report`."""
    from pathlib import Path

    import msgspec

    from curation.planning.report import findings_of, write_report
    from windowing.dataset.reader import open_dataset
    from windowing.dataset.versions import LATEST, read_versions

    dataset = open_dataset(args.path)
    since = args.against or (LATEST if read_versions(Path(args.path)) else "none")
    against = None if since == "none" else open_dataset(args.path, version=since)
    findings = findings_of(dataset, against)
    write_report(dataset, findings, Path(args.out), made_ns=time.time_ns())
    if args.json:
        print(msgspec.json.encode(findings).decode())
        return 0
    print(f"{args.out}: {len(dataset):,} windows")
    for line in findings.told:
        print(f"  {line}")
    return 0
