"""Documents of a dataset, or of an export, written where they belong."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

import msgspec

from curation.documents.collected import CollectionFacts
from curation.documents.croissant import ROW, SHARD, VERSIONS, DescribedFile, croissant
from curation.documents.facts import DatasetFacts, facts_of
from curation.documents.texts import card, collection_log, datasheet
from curation.exports.content import Content
from ingest.engine.ledger import read_ledger
from ingest.engine.manifest import FileRef
from ingest.units import exact_time
from windowing.dataset.configs import CONFIGS
from windowing.dataset.exclusions import read_exclusions
from windowing.dataset.reader import Dataset

TOOL: Final = "sensorloom"
_IN_PLACE: Final = ("t0_ns", "t1_ns", "coverage", "label", "y", "share")
CROISSANT: Final = {"1.0": "croissant-1.0.json", "1.1": "croissant.json"}


def write_documents(
    dataset: Dataset,
    content: Content,
    folder: Path,
    *,
    made_ns: int,
    tool: str,
    export: bool,
    collected: CollectionFacts | None = None,
) -> DatasetFacts:
    """Write README.md, datasheet.md, collection.md, and beside the Parquet files of an export croissant.json (1.1) and
    croissant-1.0.json; what they were made of. `collected` is what the log says. Raises `CorruptError`."""
    facts = facts_of(dataset, content, made_ns=made_ns, tool=tool)
    texts = {
        "README.md": card(facts, exported=export),
        "datasheet.md": datasheet(facts),
        "collection.md": collection_log(facts, list(_events(dataset, facts)), _streams(dataset), collected),
    }
    if export:
        files = [_file(part.name, path, folder) for part in content.parts
                 for path in sorted((folder / "data").glob(f"{part.name}-*.parquet"))]  # fmt: skip
        columns = {name: str(kind) for name, kind in content.parts[0].table.schema.items()}
        texts |= _croissants(facts, files, columns)
    for name, text in texts.items():
        (folder / name).write_text(text, encoding="utf-8")
    return facts


def write_in_place(facts: DatasetFacts, content: Content, parts: Mapping[str, Dataset], folder: Path, out: Path) -> int:
    """Write croissant.json (1.1) and croissant-1.0.json of a version where it lies into `folder`, which will be `out`,
    and a table of each part's windows: where each is, its times and labels, nobody's names. How many shards they name.
    """
    import polars as pl

    files, named, columns = [], dict[str, DescribedFile](), dict[str, str]()
    for part in content.parts:
        dataset = parts[part.name]
        places, known = dataset.columns((SHARD, ROW)), dataset.contents.shards
        paths = {name: _relative(known[name], out) for name in places[SHARD].unique().to_list()}
        named |= {known[name][1].sha256: _shard(known[name], path) for name, path in paths.items()}
        table = pl.concat([places, part.table.select(_IN_PLACE)], how="horizontal")
        table = table.with_columns(pl.col(SHARD).replace_strict(paths, return_dtype=pl.String))
        path = folder / f"windows-{part.name}.parquet"
        table.write_parquet(path)
        files.append(_file(part.name, path, folder))
        columns = {name: str(kind) for name, kind in table.schema.items()}
    shards = sorted(named.values(), key=lambda it: it.path)
    for name, text in _croissants(facts, files, columns, shards).items():
        (folder / name).write_text(text, encoding="utf-8")
    return len(shards)


def _relative(shard: tuple[Path, FileRef], out: Path) -> str:
    folder, ref = shard
    return os.path.relpath((folder / ref.name).resolve(), out.resolve())


def _shard(shard: tuple[Path, FileRef], path: str) -> DescribedFile:
    return DescribedFile("", path, shard[1].bytes, shard[1].sha256)


def _croissants(
    facts: DatasetFacts,
    files: list[DescribedFile],
    columns: Mapping[str, str],
    shards: list[DescribedFile] | None = None,
) -> dict[str, str]:
    """The documents by their names."""
    found = {}
    for version in VERSIONS:
        document = msgspec.json.encode(croissant(facts, files, columns, version, shards))
        found[CROISSANT[version]] = msgspec.json.format(document, indent=2).decode() + "\n"
    return found


def _file(part: str, path: Path, folder: Path) -> DescribedFile:
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return DescribedFile(part, str(path.relative_to(folder)), path.stat().st_size, digest)


def _events(dataset: Dataset, facts: DatasetFacts) -> Iterator[tuple[str, str]]:
    """Times and what happened then; nobody's name."""
    for each in facts.label_sources:
        yield each.first, f"{each.role} ({each.tool}): the first of {each.marks:,} marks that count"
        yield each.last, f"{each.role} ({each.tool}): the last of them"
    for part in dataset.contents.parts:
        for page in read_ledger(part.root, CONFIGS):
            yield exact_time(page.time_ns), f"configuration {page.number} began to count"
        for gone in read_exclusions(part.root):
            undone = ", taken back since" if gone.undone else ""
            yield exact_time(gone.time_ns), f"a range was taken out{undone}: {gone.what.reason}"


def _streams(dataset: Dataset) -> Iterator[tuple[str, ...]]:
    """A row a stream: its rate, channels with units, and in how many recordings it came."""
    import polars as pl

    streams = dataset.contents.streams
    keys = ("stream", "rate_hz", "channels", "units")
    counted = streams.group_by(keys, maintain_order=True).agg(pl.struct("device", "recording").n_unique().alias("of"))
    for stream, rate, channels, units, count in counted.sort("stream").iter_rows():
        told = ", ".join(f"{name} ({unit})" for name, unit in zip(channels, units, strict=True))
        yield stream, "by its times" if rate is None else f"{rate:g}", told, f"{count:,}"
