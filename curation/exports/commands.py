"""`sensorloom dataset export`. What it needs is imported when it runs."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ingest.commandline import say_aside

if TYPE_CHECKING:
    from curation.exports.exporting import Exported
    from windowing.dataset.reader import Dataset

_FORMATS = "parquet, hf, tfrecord, webdataset, npz, numpy, csv, edge-impulse"


def register(actions: Any) -> None:
    """Add the action's parser."""
    action = actions.add_parser(
        "export",
        help="write a dataset as other tools read it",
        description="Writes windows and labels, opens the result again with the library that will read it (where it is "
        "installed; else with a reader of its own), compares every bit, and only then gives it its name.",
        epilog="example: sensorloom dataset export site/dataset --format hf --out pumps-hf "
        "--split train=0.8,test=0.2 --pseudonyms key.txt --k 5",
    )
    add = action.add_argument
    add("path", metavar="DATASET", help="the dataset's folder")
    add("--format", required=True, metavar="FORMAT", help=_FORMATS)
    add("--out", required=True, metavar="DIR", help="a folder that is not there yet")
    add("--version", metavar="V", help='as it was at a version, "latest" for the newest, with the parts that it keeps')
    add("--split", metavar="SHARES", help="parts, as in train=0.8,test=0.2; else a version's, or all is one part")
    add("--by", metavar="ATTRIBUTE", help="what never lies in two parts; the subject, else the device")
    add("--seed", type=int, default=0, metavar="N", help="of the split (0)")
    add("--unlabelled", action="store_true", help="windows without a label too, with class -1")
    add("--attributes", metavar="A,B", help='the attributes that go out, "" for none; all, under pseudonyms none')
    add("--pseudonyms", metavar="KEYFILE", help="devices, recordings and subjects by keyed HMAC")
    add("--recipient", default="", metavar="NAME", help="who gets it: others get other pseudonyms under the same key")
    add("--places", metavar="FILE", help="TOML: zones without positions, cells, or noise with a budget")
    add("--k", type=int, metavar="K", help="fail unless each combination of attributes is of at least K people")
    add("--hmac-key", metavar="FILE", help="the key that Edge Impulse's files are signed with")
    add("--cbor", action="store_true", help="Edge Impulse's files as CBOR")
    add("--json", action="store_true", help="print one JSON object")
    action.set_defaults(run=run_export)
    _register_verify(actions)


def _register_verify(actions: Any) -> None:
    text = "read every byte of a dataset or an export, name what is damaged"
    action = actions.add_parser(
        "verify", help=text, description=text, epilog="example: sensorloom dataset verify site/dataset"
    )
    action.add_argument("path", metavar="DATASET", help="the folder of a dataset, or of an export or a copy of one")
    action.add_argument("--json", action="store_true", help="print one JSON object")
    action.set_defaults(run=run_verify)


def run_verify(args: argparse.Namespace) -> int:
    """`sensorloom dataset verify`; 1 where anything is damaged."""
    from curation.exports.checksums import check_files, is_export

    folder = Path(args.path)
    if not is_export(folder):
        from windowing.commands import run_verify as run_verify_dataset

        return run_verify_dataset(args)
    import msgspec

    found = check_files(folder)
    if args.json:
        print(msgspec.json.encode(found._asdict()).decode())
        return 1 if found.problems else 0
    for file, problem in found.problems:
        say_aside(f"{folder / file}: {problem}")
    said = f"{len(found.problems)} problems" if found.problems else "all as written"
    print(f"an export of {found.files} files, {found.bytes:,} bytes: {said}")
    return 1 if found.problems else 0


def run_export(args: argparse.Namespace) -> int:
    """`sensorloom dataset export`."""
    import time
    from functools import partial

    import msgspec

    from curation.documents.documents import TOOL, write_documents
    from curation.exports.exporting import Asked, export
    from curation.exports.places import load_places
    from curation.exports.pseudonyms import Pseudonyms
    from windowing.dataset.reader import open_dataset

    dataset = open_dataset(args.path, version=args.version)
    asked = Asked(
        args.format,
        Path(args.out),
        None if args.attributes is None else tuple(name for name in args.attributes.split(",") if name),
        None if args.pseudonyms is None else Pseudonyms(_key(args.pseudonyms, "--pseudonyms"), args.recipient),
        None if args.places is None else load_places(args.places, dataset.channels),
        args.k,
        args.unlabelled,
        None if args.hmac_key is None else _key(args.hmac_key, "--hmac-key"),
        args.cbor,
    )
    document = partial(write_documents, dataset, made_ns=time.time_ns(), tool=TOOL, export=True)
    parts = parts_of(dataset, args.split, args.by, args.seed)
    exported = export(dataset, parts, asked, document if args.format in ("hf", "parquet") else None)
    for note in exported.notes:
        say_aside(f"export: {note}")
    print(msgspec.json.encode(exported).decode() if args.json else _rendered(exported))
    return 0


def parts_of(dataset: Dataset, shares: str | None, by: str | None, seed: int) -> dict[str, Dataset] | None:
    """The parts of `--split`, else those that a version keeps; None where there are none. Raises `UsageError`."""
    from ingest.errors import UsageError

    if shares is None:
        if by is not None:
            raise UsageError("export: --by says by what --split divides; give --split, as in train=0.8,test=0.2")
        pinned = dataset.source.pinned
        return None if pinned is None else {name: dataset.part(name) for name in pinned.shares}
    pairs = [each.partition("=") for each in shares.split(",")]
    try:
        found = {name.strip(): float(share) for name, _, share in pairs}
    except ValueError:
        raise UsageError(f'export: --split: found "{shares}", expected shares, as in train=0.8,test=0.2') from None
    wrong = next((name for name in found if not name.isidentifier()), None)
    if wrong is not None or len(found) < len(pairs):
        raise UsageError(f'export: --split: found "{shares}"; give each part a name of its own, of letters and digits')
    return dict(dataset.split(found, by=by, seed=seed))


def _key(path: str, option: str) -> bytes:
    from ingest.errors import UsageError
    from ingest.files import explained

    try:
        return Path(path).read_bytes().strip()
    except OSError as error:
        raise UsageError(f"export: {option}: {explained(error, path)}") from None


def _rendered(exported: Exported) -> str:
    parts = ", ".join(f"{name} {count:,}" for name, count in exported.windows.items())
    gone = "".join(f"; left out, {reason}: {count:,}" for reason, count in exported.left_out.items())
    again = f"read again by {exported.read_again_by}: all as written"
    return f"{exported.out}: {exported.format}, {parts} windows{gone}; {again}"
