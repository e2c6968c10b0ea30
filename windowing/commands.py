"""`sensorloom dataset`. What a command needs is imported when it runs."""

from __future__ import annotations

import argparse
import sys
from typing import Any, Final

SHOWN_WINDOWS_MAX: Final = 5


def register(subparsers: Any) -> None:
    """Add the command's parser."""
    parser = subparsers.add_parser(
        "dataset", help="see and check a dataset", epilog="example: sensorloom dataset status site/dataset"
    )
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    for name, run, text, example in (
        ("status", run_status, "what it holds, in figures", "sensorloom dataset status site/dataset --json"),
        ("digest", run_digest, "one hash over every window's id and bytes", "sensorloom dataset digest site/dataset"),
        ("verify", run_verify, "read every byte, name what is damaged", "sensorloom dataset verify site/dataset"),
    ):
        action = actions.add_parser(name, help=text, description=text, epilog=f"example: {example}")
        action.add_argument("path", metavar="DATASET", help="the dataset's folder")
        action.add_argument("--json", action="store_true", help="print one JSON object")
        action.set_defaults(run=run)


def run_status(args: argparse.Namespace) -> int:
    """`sensorloom dataset status`."""
    from windowing.dataset.status import dataset_status, render_status

    status = dataset_status(args.path)
    print(_json(status) if args.json else render_status(status))
    return 0


def run_digest(args: argparse.Namespace) -> int:
    """`sensorloom dataset digest`."""
    from windowing.dataset.digest import dataset_digest

    digest = dataset_digest(args.path)
    print(_json(digest._asdict()) if args.json else f"{digest.digest}  {digest.windows} windows")
    return 0


def run_verify(args: argparse.Namespace) -> int:
    """`sensorloom dataset verify`; 1 where anything is damaged."""
    from ingest.progress import Progress
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
        print(f"{problem.file}: {problem.problem}{affected}", file=sys.stderr)
    print(
        f"{report.entries} manifest entries, {report.files} files, {report.bytes:,} bytes, {report.windows} windows: "
        + (f"{len(report.problems)} problems" if report.problems else "all as written")
        + (f"; {report.unreferenced} files of unfinished seals, harmless" if report.unreferenced else "")
    )
    return 1 if report.problems else 0


def _json(value: object) -> str:
    import msgspec

    return msgspec.json.encode(value).decode()
