"""Every byte of a dataset against what its manifests say; every problem is reported, none stops the rest.

Checked are: every manifest document's hash and its links to the one before it, checkpoints against the entries they
sum up, what was merged against the rows that the entries had, the existence, size and hash of every file, the states
that the service would go on from, each shard's header and shape, and each window's hash in the index against its bytes.
A problem names the windows that it affects.
What is missing is known from `belongs/` and `heads/` (see `windowing.dataset.belongings`); in a dataset of before there
were these, a chain whose newest entry was removed is only shorter.
"""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

import numpy as np
import polars as pl

from ingest.engine.chain import check_place
from ingest.engine.erasing import COUNT as ERASED_COUNT
from ingest.engine.genesis import NAME as GENESIS
from ingest.engine.genesis import Genesis
from ingest.engine.heads import HEADS, ChainHead, head_name
from ingest.engine.ledger import read_ledger
from ingest.engine.manifest import (
    CHECKPOINT_EVERY,
    FileRef,
    Manifest,
    checkpoint_name,
    decode_checkpoint,
    decode_entry,
    decode_merged,
    entry_name,
    sha256_of,
    summarise,
)
from ingest.engine.plan import folder_of
from ingest.errors import CorruptError, SensorloomError
from windowing.config import FILE
from windowing.dataset.belongings import (
    REMEDY,
    RUN_MENDS,
    WINDOWS,
    Belongings,
    operator_folders,
    read_belongings,
)
from windowing.dataset.catalog import (
    KEPT_STATES,
    check_hash,
    dataset_root,
    read_checked,
    read_genesis,
    windows_folder,
)
from windowing.dataset.configs import read_config
from windowing.dataset.exclusions import EXCLUSIONS, read_exclusions
from windowing.dataset.index import parse_index
from windowing.dataset.labelled import CLASSES
from windowing.dataset.signals import map_bytes, view_windows
from windowing.dataset.versionchecks import check_versions
from windowing.fold.shards import row_hash
from windowing.spec import WindowSpec


@dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong with a file, and which windows it affects."""

    file: str
    problem: str
    windows: tuple[str, ...] = ()
    """The ids of the affected windows, as far as the index can still say."""


@dataclass(slots=True)
class Report:
    """What was read, and what is wrong with it."""

    problems: list[Problem] = field(default_factory=list)
    entries: int = 0
    files: int = 0
    bytes: int = 0
    windows: int = 0
    again: int = 0
    """Windows that are there once more, cut of samples that came again: opening leaves them out."""
    versions: int = 0
    unreferenced: int = 0
    """Files that no manifest names: a crash leaves such; they are not part of the dataset, and harm nothing."""

    def add(self, file: Path, error: object, windows: tuple[str, ...] = ()) -> None:
        """Note a problem; many an error names the file itself."""
        self.problems.append(Problem(str(file), str(error).removeprefix(f"{file}: "), windows))


Advance: TypeAlias = Callable[[int], None]
"""Is told how many more bytes were read."""


@dataclass(slots=True)
class _Room:
    """An operator's folder: what its manifests name."""

    folder: Path
    window: WindowSpec | None
    """What its shards hold; None where dataset.toml does not say."""
    files: list[FileRef] = field(default_factory=list)
    states: list[tuple[FileRef, Path]] = field(default_factory=list)
    """The states of each chain's last entries, with the later entry whose creation outdates them."""
    retired: set[str] = field(default_factory=set)
    """Files that were merged and stay for a while."""

    def all(self) -> list[FileRef]:
        return [*self.files, *(ref for ref, _ in self.states)]

    def of(self, kind: str) -> list[FileRef]:
        return [ref for ref in self.files if ref.name.startswith(f"{kind}/")]


class Verification:
    """`Verification(path).run(advance)`: the manifests are read at once, the `bytes` that they name by `run`.

    Raises:
        UsageError: there is no dataset.
    """

    def __init__(self, path: str | Path) -> None:
        root = self._root = dataset_root(path)
        self._report = Report()
        belongings = read_belongings(root)
        for missing in belongings.missing:
            self._report.add(missing.file, missing.problem)
        window, folder = _window(root, self._report)
        try:
            read_exclusions(root)
        except CorruptError as error:
            self._report.add(root / EXCLUSIONS, error)
        _read_classes(root, self._report)
        self._rooms = [
            _read_room(each, window if each == folder else None, belongings, self._report)
            for each in operator_folders(root)
        ]
        self.bytes = sum(ref.bytes for room in self._rooms for ref in room.all())
        """How many bytes there are to read."""

    def run(self, advance: Advance) -> Report:
        """Read every file; the report."""
        for room in self._rooms:
            _check_room(room, self._report, advance)
        self._report.versions = check_versions(self._root, self._report.add)
        return self._report


def _window(root: Path, report: Report) -> tuple[WindowSpec | None, Path]:
    """What the windows are, and where they lie."""
    try:
        current = read_config(root)
        if current.problem is not None:
            report.add(root / FILE, current.problem)
        return current.config.window, windows_folder(root, current.config, current.window)
    except SensorloomError as error:
        report.add(root / FILE, error)
        return None, root / WINDOWS


def _read_classes(root: Path, report: Report) -> None:
    try:
        read_ledger(root, CLASSES)
    except CorruptError as error:
        report.add(root / CLASSES, error)


def _read_room(folder: Path, window: WindowSpec | None, belongings: Belongings, report: Report) -> _Room:
    room = _Room(folder, window)
    known = folder in belongings.geneses  # what is wrong with its genesis is in the report then
    try:
        genesis = read_genesis(folder)
        if genesis is not None:
            _read_document(folder / GENESIS)
    except CorruptError as error:
        if not known:
            report.add(folder / GENESIS, error)
        genesis = belongings.geneses.get(folder)
    heads = belongings.heads_of(folder)
    for chain in sorted((folder / "manifest").glob("*/")):
        if genesis is not None and chain.name not in _chain_names(genesis):
            report.add(chain, f"a chain that the genesis does not have; it has {genesis.partitions} partitions")
        entries = list(_read_chain(room, f"manifest/{chain.name}", genesis, heads, report))
        report.entries += len(entries)
        room.files += _files(room, chain.name, entries, report)
        newest = max((entry.seq for entry in entries), default=-1)
        needed = {ref: entry.seq for entry in entries if entry.seq > newest - KEPT_STATES for ref in entry.states}
        room.states += [
            (ref, folder / entry_name(f"manifest/{chain.name}", seq + KEPT_STATES)) for ref, seq in needed.items()
        ]
    return room


def _files(room: _Room, chain: str, entries: list[Manifest], report: Report) -> list[FileRef]:
    """The files that a chain's entries have, after merging."""
    own = [ref for entry in entries for ref in entry.files]
    ref = entries[-1].merged if entries else None
    if ref is None:
        return own
    path = room.folder / ref.name
    try:
        merged = decode_merged(read_checked(room.folder, ref), ref)
    except CorruptError as error:
        report.add(path, f"{error}: what older entries have cannot be found without it")
        return [ref for ref in own if (room.folder / ref.name).exists()]
    room.retired.update(name for retired in merged.retired for name in retired.names)
    last = room.folder / entry_name(f"manifest/{chain}", merged.last)
    if last.exists() and sha256_of(last.read_bytes()) != merged.last_sha256:
        report.add(path, f"was made of another entry than {last.name}; {REMEDY}")
    before = [entry for entry in entries if entry.seq <= merged.last]
    if len(before) == merged.last + 1:
        had, has = _rows(ref for entry in before for ref in entry.files), _rows(merged.files)
        had.subtract(_erased(entries[-1]))
        had = +had
        if had != has:
            report.add(path, f"has {dict(has)} rows, the entries before it had {dict(had)}")
    return [*merged.files, *(ref for entry in entries if entry.seq > merged.last for ref in entry.files), ref]


def _erased(head: Manifest) -> Counter[str]:
    """How many rows went of each folder, since they were to be forgotten."""
    begin = f"{ERASED_COUNT}."
    return Counter({name[len(begin) :]: count for name, count in head.totals.items() if name.startswith(begin)})


def _rows(refs: Iterable[FileRef]) -> Counter[str]:
    """How many rows there are in each folder."""
    rows = Counter[str]()
    for ref in refs:
        rows[folder_of(ref.name)] += ref.rows
    return rows


def _read_document(path: Path) -> bytes:
    """A document's bytes; readers do not mind a lost final newline, but it was written."""
    data = path.read_bytes()
    if not data.endswith(b"\n"):
        raise CorruptError(f"{path}: is cut short; {REMEDY}")
    return data


def _chain_names(genesis: Genesis) -> set[str]:
    return {f"{genesis.topic}-{partition}" for partition in range(genesis.partitions)}


def _read_chain(
    room: _Room, chain: str, genesis: Genesis | None, heads: Mapping[str, ChainHead], report: Report
) -> Iterator[Manifest]:
    """The entries that can be read, in order; every fault of the chain is reported."""
    numbers = {int(path.stem) for path in (room.folder / chain).glob("[0-9]*.json")}
    before: tuple[Manifest, bytes] | None = None
    thousand: list[tuple[str, bytes]] = []
    for seq in range(max(numbers, default=-1) + 1):
        path = room.folder / entry_name(chain, seq)
        try:
            data = _read_document(path)
            entry = check_place(decode_entry(data, str(path)), seq, str(path))
        except FileNotFoundError:
            report.add(path, f"is missing from its chain: what it named is lost to readers; {REMEDY}")
            before = None
            continue
        except CorruptError as error:
            report.add(path, error)
            before = None
            continue
        head = heads.get(chain)
        if head is not None and head.seq == seq and head.sha256 != sha256_of(data):
            report.add(path, f"is another entry than {head_name(chain)} names; {REMEDY}")
        if seq == 0 or before is not None:
            _check_link(path, entry, before, report)
        if genesis is not None:
            _check_kin(path, entry, genesis, report)
        before = (entry, data)
        if seq % CHECKPOINT_EVERY == 0:
            thousand.clear()
        thousand.append((str(path), data))
        if (seq + 1) % CHECKPOINT_EVERY == 0:
            known = chain in heads and seq < max(numbers)  # it was written before the entry behind it
            _check_checkpoint(room.folder / checkpoint_name(chain, seq), thousand, report, known=known)
        yield entry


def _check_link(path: Path, entry: Manifest, before: tuple[Manifest, bytes] | None, report: Report) -> None:
    """Does an entry follow the one before it?"""
    previous = sha256_of(before[1]) if before else ""
    through = before[0].through if before else entry.begin
    totals = dict(before[0].totals) if before else {}
    for reason, count in entry.counts.items():
        totals[reason] = totals.get(reason, 0) + count
    if entry.previous != previous:
        report.add(path, f"names {entry.previous or 'nothing'} as the entry before it, which is {previous or 'none'}")
    elif entry.begin != through or entry.through < entry.begin or entry.totals != totals:
        report.add(path, f"covers offsets {entry.begin} to {entry.through}, the entry before it ends at {through}")


def _check_kin(path: Path, entry: Manifest, genesis: Genesis, report: Report) -> None:
    kin = (genesis.operator, genesis.topic, genesis.spec)
    if (entry.operator, entry.topic, entry.spec) != kin or path.parent.name != f"{entry.topic}-{entry.partition}":
        report.add(path, f"is of {entry.operator}, {entry.topic}-{entry.partition}, spec {entry.spec}, not of {kin}")


def _check_checkpoint(path: Path, thousand: list[tuple[str, bytes]], report: Report, *, known: bool) -> None:
    if not path.exists():
        if known:
            report.add(path, f"is missing; it only spares reading, and {RUN_MENDS}")
        return
    if len(thousand) < CHECKPOINT_EVERY:
        return
    try:
        if decode_checkpoint(_read_document(path), str(path)) != summarise(thousand):
            report.add(path, "sums up other entries than there are")
    except CorruptError as error:
        report.add(path, error)


def _check_room(room: _Room, report: Report, advance: Advance) -> None:
    named = {ref.name for ref in room.all()}
    report.files += len(named)
    named |= room.retired
    report.unreferenced += sum(
        1
        for path in room.folder.glob("*/**/*")
        if path.is_file() and path.relative_to(room.folder).parts[0] not in ("manifest", HEADS)
        if path.relative_to(room.folder).as_posix() not in named
    )
    index = _check_indexes(room, report, advance)
    for ref in room.of("signal"):
        report.bytes += ref.bytes
        _check_shard(room, ref, index.get(Path(ref.name).name), report)
        advance(ref.bytes)
    rest = [ref for ref in room.files if not ref.name.startswith(("signal/", "index/"))]
    for ref, outdating in [*((ref, None) for ref in rest), *room.states]:
        report.bytes += ref.bytes
        try:
            data = read_checked(room.folder, ref)
            if ref.name.endswith(".parquet"):
                _check_table(data, room.folder / ref.name, ref.rows)
        except SensorloomError as error:
            if outdating is None or not outdating.exists():  # a service at work deletes the states it has outdated
                report.add(room.folder / ref.name, error)
        advance(ref.bytes)


def _check_table(data: bytes, path: Path, rows: int) -> None:
    try:
        found = len(pl.read_parquet(io.BytesIO(data)))
    except Exception as error:  # polars raises whatever its Parquet reader meets
        raise CorruptError(f"{path}: not Parquet: {error}") from None
    if found != rows:
        raise CorruptError(f"{path}: found {found} rows, its manifest says {rows}")


def _check_indexes(room: _Room, report: Report, advance: Advance) -> dict[str, pl.DataFrame]:
    """The readable rows of the index, by shard."""
    tables: list[pl.DataFrame] = []
    for ref in room.of("index"):
        path = room.folder / ref.name
        report.bytes += ref.bytes
        try:
            tables.append(parse_index(read_checked(room.folder, ref), path, ref.rows))
        except CorruptError as error:
            report.add(path, f"{error} ({ref.rows} windows cannot be found without it)")
        advance(ref.bytes)
    if not tables:
        return {}
    index = pl.concat(tables).select("window", "shard", "row", "hash", "offset")
    report.windows += len(index)
    cut = index.select("window", "offset")
    twice = cut.filter(cut.is_duplicated())["window"].unique().sort()
    if len(twice):
        report.add(room.folder / "index", "the same window is there more than once", tuple(twice))
    # Of other records: the samples came again.
    report.again += len(cut.unique()) - cut["window"].n_unique()
    shards = {Path(ref.name).name for ref in room.of("signal")}
    astray = index.filter(~pl.col("shard").is_in(shards))
    if len(astray):
        report.add(room.folder / "index", "rows name a shard that no manifest has", tuple(astray["window"]))
    return {str(name): rows for (name,), rows in index.group_by("shard")}


def _check_shard(room: _Room, ref: FileRef, rows: pl.DataFrame | None, report: Report) -> None:
    path = room.folder / ref.name
    try:
        data = map_bytes(path, ref)
        check_hash(path, data.data, ref)
    except CorruptError as error:
        report.add(path, error, _damaged(room, path, ref, rows))
        return
    if room.window is not None:
        try:
            shape = view_windows(data, path, room.window.length, len(room.window.channels)).shape
        except CorruptError as error:
            report.add(path, error)
            return
        if shape[0] != ref.rows:
            report.add(path, f"holds {shape[0]} windows, its manifest says {ref.rows}")
    wrong = _damaged(room, path, ref, rows)
    if wrong:
        report.add(path, "windows whose hash in the index is another than that of their bytes", wrong)


def _damaged(room: _Room, path: Path, ref: FileRef, rows: pl.DataFrame | None) -> tuple[str, ...]:
    """The windows of a shard whose bytes are not those that the index knows; the shard's header is not asked."""
    if rows is None or room.window is None:
        return ()
    size = 4 * room.window.length * len(room.window.channels)
    header = ref.bytes - ref.rows * size
    data = np.memmap(path, np.uint8, "r") if path.is_file() and path.stat().st_size else np.empty(0, np.uint8)
    return tuple(
        window
        for window, row, wanted in rows.select("window", "row", "hash").iter_rows()
        if row_hash(data[header + row * size : header + (row + 1) * size].data) != wanted
    )
