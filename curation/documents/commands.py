"""`sensorloom dataset documents`. What it needs is imported when it runs."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from curation.documents.collected import CollectionFacts
    from windowing.dataset.reader import Dataset


def register(actions: Any) -> None:
    """Add the action's parser."""
    action = actions.add_parser(
        "documents",
        help="write a dataset's card, datasheet and collection log",
        description="README.md (a card for Hugging Face), datasheet.md (seven sections) and collection.md, of what is "
        "counted and what dataset.toml says; what nobody said is listed. `dataset export --format hf` writes them "
        "beside its files, and croissant.json; so does --version, of the version's own shards, which stay where they "
        "are. With --log, agents' versions and calibrations too.",
        epilog="example: sensorloom dataset documents site/dataset --version latest --log segments:site/log --out docs",
    )
    action.add_argument("path", metavar="DATASET", help="the dataset's folder")
    action.add_argument("--out", required=True, metavar="DIR", help="a folder that is not there yet")
    action.add_argument("--version", metavar="V", help='of a version, with its parts; "latest" for the newest')
    action.add_argument("--log", metavar="URL", help="the log that the dataset was cut from")
    action.add_argument("--json", action="store_true", help="print one JSON object: all facts")
    action.set_defaults(run=run_documents)


def run_documents(args: argparse.Namespace) -> int:
    """`sensorloom dataset documents`."""
    import time

    import msgspec

    from curation.documents.documents import TOOL, write_documents, write_in_place
    from curation.exports.content import WHOLE, content_of
    from curation.exports.publishing import published
    from windowing.dataset.reader import open_dataset

    dataset = open_dataset(args.path, version=args.version)
    parts = dict(dataset.parts) or {WHOLE: dataset}
    content = content_of(dataset, parts, dataset.attributes, {})
    collected = None if args.log is None else _collected(dataset, args.log)
    with published(Path(args.out), "documents") as folder:
        facts = write_documents(
            dataset, content, folder, made_ns=time.time_ns(), tool=TOOL, export=False, collected=collected
        )
        shards = write_in_place(facts, content, parts, folder, Path(args.out)) if args.version else None
    if args.json:
        print(msgspec.json.encode(facts).decode())
        return 0
    print(f"{args.out}: README.md, datasheet.md, collection.md of {facts.windows:,} windows")
    if shards is None:
        print(
            "  no croissant.json: it names files by their hash, so it is of a version (--version latest) or an export"
        )
    else:
        print(f"  croissant.json, croissant-1.0.json: the version's windows in {shards:,} shards, where they lie")
    for key in facts.missing:
        print(f"  nobody said {key}")
    return 0


def _collected(dataset: Dataset, url: str) -> CollectionFacts:
    import asyncio

    from curation.documents.collected import read_collection
    from ingest.opening import check_begun, open_log
    from windowing.dataset.sampling import log_of

    check_begun(url)

    async def ask() -> CollectionFacts:
        log = open_log(url)
        try:
            devices = set(dataset.columns(("device",))["device"].unique())
            streams = {channel.partition(".")[0] for channel in dataset.channels}
            return await read_collection(log, devices, streams, log_of(dataset))
        finally:
            await log.close()

    return asyncio.run(ask())
