"""`sensorloom backup` and `sensorloom status`. What a command needs is imported when it runs."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any, Final

_SITE: Final = (
    "SITE is a folder that holds a log of segments, an archive, the datasets made of them, or several of these: "
    "site/log, site/archive, site/dataset."
)


def register(subparsers: Any) -> None:
    """Add the commands' parsers."""
    _register_backup(subparsers)
    _register_status(subparsers)


def _register_backup(subparsers: Any) -> None:
    parser = subparsers.add_parser(
        "backup",
        help="copy a site that may be at work: what was made of its log, then the log",
        description="Copy a site's datasets and archives and then its log while agents and workers go on, fsync what "
        "was copied and open it. Into the same folder again, only what is new is copied. The copy is a site itself: to "
        f"restore, copy it back with any tool, or go on where it lies. {_SITE}",
        epilog="example: sensorloom backup site /mnt/backup/site",
    )
    parser.add_argument("site", metavar="SITE", help="the site's folder")
    parser.add_argument("to", metavar="DEST", help="where the copy goes; made where it is missing")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.set_defaults(run=run_backup)


def run_backup(args: argparse.Namespace) -> int:
    """`sensorloom backup`."""
    from service.backup import backup

    report = backup(Path(args.site), Path(args.to))
    if args.json:
        print(_json(report.as_dict()))
        return 0
    for name, chains in report.datasets.items():
        print(f"{name}: {sum(seq + 1 for seq in chains.values()):,} entries in {len(chains)} chains; opened")
    for name, chains in report.archives.items():
        print(f"{name}: {sum(seq + 1 for seq in chains.values()):,} entries in {len(chains)} chains")
    for name, topics in report.logs.items():
        print(f"{name}: " + ", ".join(f"{topic} {records:,}" for topic, records in topics.items()) + " records")
    print(
        f"{report.copied_files:,} files copied, {report.copied_bytes:,} bytes; {report.kept_files:,} were there already"
    )
    return 0


def _register_status(subparsers: Any) -> None:
    parser = subparsers.add_parser(
        "status",
        help="how a site is: silent devices, lag, the last hour, the disk",
        description="Say which devices are silent since when, how far datasets lag behind their log, what the last "
        f"hour brought, and how long the disk lasts at this pace. Exit code 1 where something is trouble. {_SITE}",
        epilog="example: sensorloom status site",
    )
    add = parser.add_argument
    add("site", metavar="SITE", help="the site's folder")
    add(
        "--silent-after",
        default="10min",
        metavar="T",
        help="a device is silent that sent nothing for so long (%(default)s)",
    )
    add("--gone-after", default="30d", metavar="T", help="and no longer waited for after so long (%(default)s)")
    add("--lag-max", default="10min", metavar="T", help="records may wait so long to be sealed (%(default)s)")
    add("--days", type=float, default=7.0, metavar="N", help="the disk must last so many days (%(default)s)")
    add("--json", action="store_true", help="print one JSON object")
    parser.set_defaults(run=run_status)


def run_status(args: argparse.Namespace) -> int:
    """`sensorloom status`; 1 where something is trouble."""
    import time

    from ingest.units import parse_duration
    from service.site import find_site
    from service.status import Bounds, site_status

    silent_ns, gone_ns, lag_ns = map(parse_duration, (args.silent_after, args.gone_after, args.lag_max))
    bounds = Bounds(silent_ns, gone_ns, lag_ns, args.days)
    status = site_status(find_site(args.site), time.time_ns(), bounds)
    if args.json:
        print(_json(status))
    else:
        from service.statusview import show

        show(status)
    return 1 if status.trouble else 0


def _json(value: object) -> str:
    import msgspec

    from ingest.exact import with_exact_times

    return msgspec.json.encode(with_exact_times(msgspec.to_builtins(value))).decode()
