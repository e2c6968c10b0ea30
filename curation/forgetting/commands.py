"""`sensorloom dataset forget`. What a command needs is imported when it runs."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from curation.forgetting.erasure import Proof


def register(actions: Any) -> None:
    """Add the action to `sensorloom dataset`."""
    action = actions.add_parser(
        "forget",
        help="erase a device, a recording or a person from a dataset, its versions and archives",
        description="Erases windows, marks, states and what archives have, in every version, and deletes the files at "
        "once. The log is told, so that nothing of it is windowed or imported again. Every byte is looked through "
        "afterwards; the places are listed, also those that are not ours to clean. Exit code 1 where something is "
        "left. There is no way back. Services at work go on by themselves.",
        epilog="example: sensorloom dataset forget site/dataset subject=u07 --log segments:site/log "
        "--archive site/archive --reason 'asked for on 3 March'",
    )
    add = action.add_argument
    add("path", metavar="DATASET", help="the dataset's folder")
    add("whom", metavar="WHOM", help="DEVICE, DEVICE/RECORDING, or ATTRIBUTE=VALUE as in subject=u07")
    add("--log", metavar="URL", required=True, help="the log of the dataset, which is told")
    add("--archive", metavar="DIR", action="append", default=[], help="an archive of that log; may be given again")
    add("--reason", metavar="TEXT", required=True, help="why; it is kept, unless it names whom")
    add("--json", action="store_true", help="print one JSON object")
    action.set_defaults(run=run_forget)
    _register_retain(actions)


def _register_retain(actions: Any) -> None:
    action = actions.add_parser(
        "retain",
        help="erase what is older than it may be kept",
        description="Erases windows, recordings and marks that ended longer ago than dataset.toml's [privacy] "
        "retention, in every version, and what given archives have of them. The places are listed, also those that are "
        "not ours to clean; versions say how many windows they lost. There is no way back: --dry-run only counts. Run "
        "it daily.",
        epilog="example: sensorloom dataset retain site/dataset --archive site/archive --dry-run",
    )
    add = action.add_argument
    add("path", metavar="DATASET", help="the dataset's folder")
    add("--older-than", metavar="AGE", help="as in 90d or 8760h; without it, what dataset.toml says")
    add("--archive", metavar="DIR", action="append", default=[], help="an archive of its log; may be given again")
    add("--dry-run", action="store_true", help="say what would be erased, and erase nothing")
    add("--json", action="store_true", help="print one JSON object")
    action.set_defaults(run=run_retain)


def run_forget(args: argparse.Namespace) -> int:
    """`sensorloom dataset forget`; 1 where something is left."""
    import asyncio
    import time
    from pathlib import Path

    from curation.forgetting.erasure import forget
    from ingest.opening import open_log
    from ingest.who import who

    archives = [Path(archive).expanduser().absolute() for archive in args.archive]

    async def work() -> Proof:
        log = open_log(args.log)
        try:
            return await forget(
                args.path, args.whom, log, archives, reason=args.reason, time_ns=time.time_ns(), author=who()
            )
        finally:
            await log.close()

    proof = asyncio.run(work())
    return _tell(proof, as_json=args.json)


def run_retain(args: argparse.Namespace) -> int:
    """`sensorloom dataset retain`; 1 where something is left."""
    import asyncio
    import time
    from pathlib import Path

    from curation.forgetting.retention import retain
    from ingest.who import who

    archives = [Path(archive).expanduser().absolute() for archive in args.archive]
    asked = {"older_than": args.older_than, "dry": args.dry_run}
    proof = asyncio.run(retain(args.path, archives, **asked, time_ns=time.time_ns(), author=who()))
    if not args.json:
        print(proof.asked)
    return _tell(proof, as_json=args.json, dry=args.dry_run)


def _tell(proof: Proof, *, as_json: bool, dry: bool = False) -> int:
    import msgspec

    if as_json:
        print(msgspec.json.encode(proof).decode())
    else:
        for place in proof.places:
            state = "not ours" if not place.ours else "would be" if dry else "clean" if place.clean else "LEFT"
            print(f"{state:9} {place.place}: {place.what}")
    return 0 if proof.clean else 1
