"""Do versions still select what they did? Their documents, splits, windows and labels against what was written."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from ingest.engine.ledger import page_name
from ingest.engine.manifest import encode_document
from ingest.errors import CorruptError, SensorloomError, UsageError
from windowing.dataset.belongings import REMEDY
from windowing.dataset.pinned import PinnedSplit, read_split
from windowing.dataset.versions import (
    VERSIONS,
    Digests,
    Number,
    Version,
    labels_digest,
    parse_number,
    read_versions,
    splits_digest,
    windows_digest,
)

if TYPE_CHECKING:
    from windowing.dataset.reader import Dataset

Note = Callable[[Path, object], None]
"""Is told of a file, and what is wrong with it."""


def digests_of(dataset: Dataset, split: PinnedSplit | None) -> Digests:
    """The digests of all windows of an opening, split so. Raises `CorruptError`."""
    part = None if split is None else split.parts(dataset.columns)
    return Digests(
        windows_digest(dataset.columns(("window",))["window"].to_list(), dataset.hashes()),
        labels_digest(dataset.source.labelled.labels),
        splits_digest(() if split is None else list(split.shares), part),
    )


def copy_name(number: Number) -> str:
    """The name of a version's readable copy."""
    return f"{VERSIONS}/{number}.json"


def check_versions(root: Path, note: Note) -> int:
    """Check all versions of the dataset in `root`; how many there are."""
    try:
        versions = read_versions(root)
    except CorruptError as error:
        note(root / VERSIONS, error)
        return 0
    known = {str(version.number) for version in versions}
    for path in sorted((root / VERSIONS).glob("*.json")):
        if parse_number(path.stem) is not None and path.stem not in known:
            note(path, f"is no version that {VERSIONS}/ has a page of; remove it, or {REMEDY}")
    for version in versions:
        _check_copy(root, version, note)
        try:
            if version.body.splits is not None:
                read_split(root, version.body.splits)
        except CorruptError as error:
            assert version.body.splits is not None
            note(root / version.body.splits.name, error)
            continue
        _check_content(root, version, note)
    return len(versions)


def _check_copy(root: Path, version: Version, note: Note) -> None:
    path = root / copy_name(version.number)
    if not path.exists():
        note(path, "is missing; the next `sensorloom dataset version` writes it again")
    elif path.read_bytes() != encode_document(version.body):
        page = page_name(VERSIONS, version.page)
        note(path, f"is not what {page} says; the next `sensorloom dataset version` writes it again")


def _check_content(root: Path, version: Version, note: Note) -> None:
    from windowing.dataset.reader import open_dataset

    where = root / page_name(VERSIONS, version.page)
    try:
        dataset = open_dataset(root, version=str(version.number))
        if dataset.source.unsure:
            note(where, f"version {version.number}: an erasure is not finished; do `sensorloom dataset forget` again")
            return
        found, was = digests_of(dataset, dataset.source.pinned), version.body.digests
    except (SensorloomError, UsageError) as error:
        note(where, f"version {version.number} cannot be opened: {error}")
        return
    for what in ("windows", "labels", "splits"):
        if getattr(found, what) != getattr(was, what):
            note(where, f"version {version.number} selects other {what} than when it was made; {REMEDY}")
