"""`sensorloom dataset version`, `versions` and `diff`. What a command needs is imported when it runs."""

from __future__ import annotations

import argparse
from typing import Any


def register(actions: Any) -> None:
    """Add the actions to `sensorloom dataset`."""
    _register_version(actions)
    action = actions.add_parser(
        "versions",
        help="the versions that there are",
        description="The versions of a dataset, the newest first.",
        epilog="example: sensorloom dataset versions site/dataset",
    )
    action.add_argument("path", metavar="DATASET", help="the dataset's folder")
    action.add_argument("--json", action="store_true", help="print one JSON array")
    action.set_defaults(run=run_versions)
    action = actions.add_parser(
        "diff",
        help="what differs between two versions",
        description="Windows, labels by class, parts of the split, and configuration: what the second has other than "
        'the first. "now" is the dataset as it is, "latest" its newest version.',
        epilog="example: sensorloom dataset diff site/dataset 1.0.0 1.1.0",
    )
    action.add_argument("path", metavar="DATASET", help="the dataset's folder")
    action.add_argument("before", metavar="A", nargs="?", default="latest", help="a version (default: latest)")
    action.add_argument("now", metavar="B", nargs="?", default="now", help="another one (default: now)")
    action.add_argument("--json", action="store_true", help="print one JSON object")
    action.set_defaults(run=run_diff)


def _register_version(actions: Any) -> None:
    action = actions.add_parser(
        "version",
        help="make an immutable version of a dataset as it is",
        description="A version selects windows with their labels and their part of a split, for ever; it copies "
        "nothing. Its number says what changed: MAJOR where labels or parts are other ones or windows went, MINOR "
        "where windows, labels or parts came, PATCH where only the configuration is another one. Where nothing "
        "has changed, none is made. With a split, leaks between its parts forbid the version.",
        epilog="example: sensorloom dataset version site/dataset --split train=0.7,val=0.1,test=0.2 --by subject",
    )
    add = action.add_argument
    add("path", metavar="DATASET", help="the dataset's folder")
    levels = action.add_mutually_exclusive_group()
    for level in ("major", "minor", "patch"):
        levels.add_argument(
            f"--{level}", dest="level", action="store_const", const=level, help=f"at least a {level.upper()} number"
        )
    add("--note", metavar="TEXT", default="", help="what people should know of it")
    add("--split", metavar="PART=SHARE,…", help="the parts; without it, those of the version before")
    add("--by", metavar="GROUP", help="what lies in one part whole: an attribute, device, recording; or time")
    add(
        "--no-stratify",
        dest="stratified",
        action="store_false",
        default=None,
        help="shares of labels may differ",
    )
    add("--seed", type=int, metavar="N", help="of the order in which equal groups are taken")
    add("--embargo", metavar="TIME", help="of a split by time: what lies around a cut is in no part")
    add("--folds", type=int, metavar="K", help="keep K folds of the groups too, for ds.folds()")
    add("--resplit", action="store_true", help="split anew; without it, a group stays in the part that it has")
    add("--skip-near", action="store_true", help="look for equal windows, not for nearly equal ones, which takes long")
    add("--allow-leaks", metavar="WHY", default="", help="make it in spite of leaks; the reason is kept")
    add("--dry-run", action="store_true", help="say what would be made, and make nothing")
    add("--json", action="store_true", help="print one JSON object")
    action.set_defaults(run=run_version)


def run_version(args: argparse.Namespace) -> int:
    """`sensorloom dataset version`; 1 where leaks forbid it."""
    import asyncio
    import time

    from curation.versions.deciding import Level
    from curation.versions.making import Asked, make_version
    from curation.versions.splitting import AskedSplit
    from curation.versions.telling import render_made
    from ingest.units import parse_duration
    from ingest.who import who

    split = AskedSplit(
        None if args.split is None else parse_shares(args.split),
        args.by,
        args.stratified,
        args.seed,
        None if args.embargo is None else parse_duration(args.embargo),
        args.folds,
        args.resplit,
    )
    level = Level.NOTHING if args.level is None else Level[args.level.upper()]
    asked = Asked(level, args.note, split, not args.skip_near, args.allow_leaks, args.dry_run)
    made = asyncio.run(make_version(args.path, asked, time_ns=time.time_ns(), author=who()))
    print(_json(made) if args.json else render_made(made))
    return 1 if made.leaks and made.number is None else 0


def run_versions(args: argparse.Namespace) -> int:
    """`sensorloom dataset versions`."""
    from curation.versions.telling import listed, render_versions
    from windowing.dataset.catalog import dataset_root
    from windowing.dataset.versions import read_versions

    versions = [listed(version) for version in read_versions(dataset_root(args.path))]
    print(_json(versions) if args.json else render_versions(versions))
    return 0


def run_diff(args: argparse.Namespace) -> int:
    """`sensorloom dataset diff`."""
    from curation.versions.making import compare
    from curation.versions.telling import render_difference

    found = compare(args.path, args.before, args.now)
    print(_json(found) if args.json else render_difference(found, args.before, args.now))
    return 0


def parse_shares(text: str) -> dict[str, float]:
    """`train=0.7,test=0.3` as a table. Raises `UsageError`."""
    from ingest.errors import UsageError

    shares: dict[str, float] = {}
    for piece in text.split(","):
        name, _, share = piece.partition("=")
        try:
            value = float(share)
        except ValueError:
            raise UsageError(f'version: --split: found "{piece}", expected PART=SHARE, as in train=0.7') from None
        if not name.strip() or name.strip() in shares:
            raise UsageError(f'version: --split: found "{piece}": each part has a name of its own')
        shares[name.strip()] = value
    return shares


def _json(value: object) -> str:
    import msgspec

    return msgspec.json.encode(value).decode()
