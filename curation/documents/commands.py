"""`sensorloom dataset documents`. What it needs is imported when it runs."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any


def register(actions: Any) -> None:
    """Add the action's parser."""
    action = actions.add_parser(
        "documents",
        help="write a dataset's card, datasheet and collection log",
        description="README.md (a card for Hugging Face), datasheet.md (seven sections) and collection.md, of what is "
        "counted and what dataset.toml says; what nobody said is listed. `dataset export --format hf` writes them "
        "beside its files, and croissant.json.",
        epilog="example: sensorloom dataset documents site/dataset --out docs/pumps",
    )
    action.add_argument("path", metavar="DATASET", help="the dataset's folder")
    action.add_argument("--out", required=True, metavar="DIR", help="a folder that is not there yet")
    action.add_argument("--json", action="store_true", help="print one JSON object: all facts")
    action.set_defaults(run=run_documents)


def run_documents(args: argparse.Namespace) -> int:
    """`sensorloom dataset documents`."""
    import time

    import msgspec

    from curation.documents.documents import TOOL, write_documents
    from curation.exports.content import WHOLE, content_of
    from curation.exports.publishing import published
    from windowing.dataset.reader import open_dataset

    dataset = open_dataset(args.path)
    content = content_of(dataset, {WHOLE: dataset}, dataset.attributes, {})
    with published(Path(args.out), "documents") as folder:
        facts = write_documents(dataset, content, folder, made_ns=time.time_ns(), tool=TOOL, export=False)
    if args.json:
        print(msgspec.json.encode(facts).decode())
        return 0
    print(f"{args.out}: README.md, datasheet.md, collection.md of {facts.windows:,} windows")
    for key in facts.missing:
        print(f"  nobody said {key}")
    return 0
