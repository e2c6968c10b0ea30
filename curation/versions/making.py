"""`sensorloom dataset version`: the next version decided, checked for leaks, and written.

The page of the ledger is the commit. Who finds its number taken looks again: what the other made is the version before.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import msgspec
import numpy as np
import polars as pl

from curation.consent import require_consent
from curation.versions.deciding import (
    FIRST,
    Difference,
    Held,
    Level,
    difference,
    level_of,
    level_of_split,
    next_number,
    raised,
)
from curation.versions.splitting import AskedSplit, pinned_split
from ingest.engine.disk import DiskFiles
from ingest.engine.ledger import append_page
from ingest.engine.manifest import encode_document
from ingest.engine.plan import folder_of
from ingest.engine.store import Exists, FileStore, Store
from ingest.errors import UsageError
from ingest.showing import counted
from windowing.dataset.catalog import Chains, dataset_root
from windowing.dataset.configs import read_config
from windowing.dataset.dividing import Leak
from windowing.dataset.leaks import NEARNESS
from windowing.dataset.pinned import PinnedPart, PinnedSplit, encode_split
from windowing.dataset.reader import Dataset, open_dataset
from windowing.dataset.versionchecks import copy_name, digests_of
from windowing.dataset.versions import (
    FORMAT,
    VERSIONS,
    ChainCut,
    LeakChecks,
    Number,
    Version,
    VersionBody,
    read_versions,
)

NOW: Final = "now"
"""What people call the newest cut, which is no version yet."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What somebody wants of the next version."""

    level: Level = Level.NOTHING
    """At least; NOTHING: what the change makes."""
    note: str = ""
    split: AskedSplit = field(default_factory=AskedSplit)
    near: bool = True
    """Look for nearly equal windows too."""
    allow_leaks: str = ""
    """Why leaks may be."""
    dry: bool = False
    """Say what would be made, and make nothing."""


class Made(msgspec.Struct, frozen=True):
    """What came of it."""

    number: str | None
    """Of the new version; None: nothing has changed, or leaks forbid it."""
    previous: str
    because: tuple[str, ...]
    windows: int
    labels: dict[str, int]
    parts: dict[str, int]
    leaks: tuple[Leak, ...] = ()
    dry: bool = False


async def make_version(
    path: str | Path, asked: Asked, *, time_ns: int, author: str, store: Store | None = None
) -> Made:
    """Make the next version of a dataset; `store` is of its folder, by default the disk.

    Raises:
        UsageError: there is no dataset, or people's consent is missing in it; the level is less than the change, or the
            split cannot be made.
        CorruptError: the dataset is damaged.
    """
    root = dataset_root(path)
    store = store or FileStore(DiskFiles(root), secrets.token_hex(8))
    while True:
        versions = read_versions(root)  # before the cut, so that it lies behind them
        made = await _attempt(store, root, versions, asked, time_ns, author)
        if made is not None:
            return made


async def _attempt(
    store: Store, root: Path, versions: list[Version], asked: Asked, time_ns: int, author: str
) -> Made | None:
    """One attempt; None where another one came before it."""
    dataset = open_dataset(root)
    require_consent(dataset.contents.config, "version")
    newest = versions[-1] if versions else None
    before = None if newest is None else open_dataset(root, version=str(newest.number))
    split = pinned_split(dataset, asked.split, None if before is None else before.source.pinned)
    now = held(dataset, split)
    level, because = Level.MINOR, tuple[str, ...](["the first version"])
    if before is not None:
        level, because = level_of(difference(held(before, before.source.pinned), now))
        of_split, words = level_of_split(before.source.pinned, split)
        level, because = max(level, of_split), (*because, *words)
        if newest is not None and newest.erased:
            level, because = Level.MAJOR, (f"{counted(newest.erased, 'window')} erased", *because)
    body = _body(root, dataset, now, split, newest, because, asked)
    if level is Level.NOTHING:
        await write_copies(store, root)
        return _made(None, body)
    number = FIRST if newest is None else next_number(newest.number, raised(level, asked.level, because))
    body = msgspec.structs.replace(body, number=str(number))
    leaks = find_leaks(dataset, split, near=asked.near)
    if leaks and not asked.allow_leaks:
        return _made(None, body, leaks)
    if asked.dry:
        return _made(number, body, leaks, dry=True)
    if split is not None:
        body = msgspec.structs.replace(body, leaks=_checks(leaks, asked))
        ref, data = encode_split(split)
        await store.put([(ref.name, (data,))])
    try:
        await append_page(
            store,
            root,
            VERSIONS,
            msgspec.to_builtins(body),
            time_ns=time_ns,
            author=author,
            number=len(versions),
        )
    except Exists:
        return None
    await write_copies(store, root)
    return _made(number, body, leaks)


def held(dataset: Dataset, split: PinnedSplit | None) -> Held:
    """What a version or a cut holds."""
    table = dataset.columns(("window", "label"))
    part = None
    if split is not None:
        part = pl.Series([*split.shares, None], dtype=pl.String).gather(
            np.where((at := split.parts(dataset.columns)) < 0, len(split.shares), at)
        )
    hashes = pl.Series(np.ascontiguousarray(dataset.hashes()).view("V16").reshape(-1).tolist(), dtype=pl.Binary)
    parts = pl.Series([None] * len(table), dtype=pl.String) if part is None else part
    table = table.with_columns(hashes.alias("hash"), parts.alias("part"))
    upto = dataset.source.opening.cuts[0].pages
    current = read_config(dataset.contents.root, upto["configs"])
    toml = "" if current.page is None else current.page.toml
    return Held(table, dataset.classes, toml, dataset.rules)


def _body(
    root: Path,
    dataset: Dataset,
    now: Held,
    split: PinnedSplit | None,
    newest: Version | None,
    because: tuple[str, ...],
    asked: Asked,
) -> VersionBody:
    windows, labels = dataset.contents.windows, dataset.contents.labels
    return VersionBody(
        format=FORMAT,
        number="",
        previous="" if newest is None else str(newest.number),
        because=list(because),
        note=asked.note,
        spec=dataset.contents.config.window.id,
        chains={each.folder.relative_to(root).as_posix(): chain_cuts(each) for each in (windows, labels)},
        pages=dict(dataset.source.opening.cuts[0].pages),
        classes=list(dataset.classes),
        windows=len(dataset),
        labels=dict(sorted(now.table["label"].fill_null("").value_counts().iter_rows())),
        parts={} if split is None else dict(sorted(now.table["part"].fill_null("").value_counts().iter_rows())),
        totals=dict(sorted(windows.totals.items())),
        digests=digests_of(dataset, split),
        splits=None if split is None else encode_split(split)[0],
    )


def chain_cuts(chains: Chains) -> dict[str, ChainCut]:
    """How much the chains of an operator have now."""
    found = {}
    for name, head in chains.heads.items():
        rows: dict[str, int] = {}
        for ref in chains.files_of[name]:
            rows[folder_of(ref.name)] = rows.get(folder_of(ref.name), 0) + ref.rows
        found[name] = ChainCut(head.seq, head.through, rows)
    return found


def find_leaks(dataset: Dataset, split: PinnedSplit | None, *, near: bool) -> tuple[Leak, ...]:
    """What leaks between the parts of a split. Raises `UsageError`, `CorruptError`."""
    if split is None:
        return ()
    parts = {name: dataset.stepped(PinnedPart(name, split)) for name in split.shares}
    return dataset.leaks(parts, by=split.by, near=NEARNESS if near else None)


def _checks(leaks: tuple[Leak, ...], asked: Asked) -> LeakChecks:
    found: dict[str, int] = {}
    for leak in leaks:
        found[leak.kind] = found.get(leak.kind, 0) + max(1, len(leak.windows))
    return LeakChecks(found, asked.near, asked.allow_leaks if leaks else "")


async def write_copies(store: Store, root: Path) -> None:
    """Write the readable copies that are missing, or are not what the ledger says."""
    for version in read_versions(root):
        name, data = copy_name(version.number), encode_document(version.body)
        path = root / name
        if not path.exists() or path.read_bytes() != data:
            await store.put([(name, (data,))])


def _made(number: Number | None, body: VersionBody, leaks: tuple[Leak, ...] = (), *, dry: bool = False) -> Made:
    return Made(
        None if number is None else str(number),
        body.previous,
        tuple(body.because),
        body.windows,
        body.labels,
        body.parts,
        leaks,
        dry,
    )


def compare(path: str | Path, before: str, now: str) -> Difference:
    """What differs between two versions; "now" is the newest cut, "latest" the newest version.

    Raises:
        UsageError: there is no such version.
        CorruptError: the dataset is damaged.
    """
    opened = [open_dataset(path, version=None if asked == NOW else asked) for asked in (before, now)]
    splits = [each.source.pinned for each in opened]
    if now == NOW and before != NOW:
        splits[1] = _carried_on(opened[1], splits[0])
    return difference(*(held(each, split) for each, split in zip(opened, splits, strict=True)))


def _carried_on(dataset: Dataset, split: PinnedSplit | None) -> PinnedSplit | None:
    """The split that the next version would have."""
    try:
        return pinned_split(dataset, AskedSplit(), split)
    except UsageError:
        return split
