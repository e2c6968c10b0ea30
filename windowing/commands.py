"""`sensorloom dataset`. What a command needs is imported when it runs."""

from __future__ import annotations

import argparse
from typing import Any, Final

from ingest.commandline import say_aside

SHOWN_WINDOWS_MAX: Final = 5


def register(subparsers: Any) -> Any:
    """Add the command's parser; what takes further actions (see `curation.commands`)."""
    parser = subparsers.add_parser(
        "dataset", help="see and check a dataset", epilog="example: sensorloom dataset status site/dataset"
    )
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    text, example = "one hash over every window's id and bytes", "sensorloom dataset digest site/dataset"
    action = actions.add_parser("digest", help=text, description=text, epilog=f"example: {example}")
    action.add_argument("path", metavar="DATASET", help="the dataset's folder")
    action.add_argument("--json", action="store_true", help="print one JSON object")
    action.set_defaults(run=run_digest)
    _register_exclude(actions)
    return actions


def _register_exclude(actions: Any) -> None:
    action = actions.add_parser(
        "exclude",
        help="take a range of a device out of a dataset, or put it back",
        description="Windows that touch the range leave the dataset at every later opening, and are counted; no file "
        "is changed for it, and --undo puts them back. Without a device: list what was taken out.",
        epilog="example: sensorloom dataset exclude site/dataset pump-7 --from 2026-03-01T08:00:00Z "
        "--to 2026-03-01T09:30:00Z --reason 'sensor was loose'",
    )
    add = action.add_argument
    add("path", metavar="DATASET", help="the dataset's folder")
    add("device", metavar="DEVICE", nargs="?", help="whose windows; leave it out to list what was taken out")
    add("--from", dest="since", metavar="TIME", help="the range's first instant")
    add("--to", dest="until", metavar="TIME", help="where it ends, itself no longer in it")
    add("--recording", metavar="R", help="only of this recording; all of it where no range is given")
    add("--reason", metavar="TEXT", help="why; it is kept, with your name and the time")
    add("--undo", type=int, metavar="NUMBER", help="take back the exclusion of this number")
    add("--json", action="store_true", help="print one JSON object")
    action.set_defaults(run=run_exclude)


def run_digest(args: argparse.Namespace) -> int:
    """`sensorloom dataset digest`."""
    from windowing.dataset.digest import dataset_digest

    digest = dataset_digest(args.path)
    print(_json(digest._asdict()) if args.json else f"{digest.digest}  {digest.windows} windows")
    return 0


def run_exclude(args: argparse.Namespace) -> int:
    """`sensorloom dataset exclude`."""
    import asyncio

    from ingest.errors import UsageError
    from ingest.units import parse_time
    from windowing.dataset.excluding import Asked, change, list_exclusions, render_exclusions

    if args.device is None and args.undo is None:
        listed = list_exclusions(args.path)
        print(_json(listed) if args.json else render_exclusions(listed))
        return 0
    if args.device is not None and args.undo is not None:
        raise UsageError("exclude: give a device, or --undo with a number")
    since, until = (None if text is None else parse_time(text) for text in (args.since, args.until))
    asked = Asked(args.device, since, until, args.recording, args.reason or "", args.undo)
    changed = asyncio.run(change(args.path, asked))
    print(_json(changed) if args.json else render_exclusions([changed]))
    return 0


def run_verify(args: argparse.Namespace) -> int:
    """`sensorloom dataset verify` of a dataset (`curation.exports.commands`: also of exports); 1 where anything is
    damaged."""
    from ingest.progress import Progress
    from ingest.showing import counted
    from windowing.dataset.verify import Verification

    verification = Verification(args.path)
    with Progress("verify", verification.bytes, "bytes") as progress:
        report = verification.run(progress.advance)
    if args.json:
        print(_json(report))
        return 1 if report.problems else 0
    for problem in report.problems:
        shown = ", ".join(problem.windows[:SHOWN_WINDOWS_MAX])
        more = ", …" if len(problem.windows) > SHOWN_WINDOWS_MAX else ""
        affected = f" [{len(problem.windows)} windows: {shown}{more}]" if problem.windows else ""
        say_aside(f"{problem.file}: {problem.problem}{affected}")
    print(
        f"{report.entries} manifest entries, {report.files} files, {report.bytes:,} bytes, {report.windows} windows"
        + (f", {counted(report.versions, 'version')}: " if report.versions else ": ")
        + (f"{len(report.problems)} problems" if report.problems else "all as written")
        + (f"; {report.again:,} windows were cut again, the first ones count" if report.again else "")
        + (f"; {report.unreferenced} files of unfinished seals, harmless" if report.unreferenced else "")
    )
    return 1 if report.problems else 0


def _json(value: object) -> str:
    import msgspec

    return msgspec.json.encode(value).decode()
