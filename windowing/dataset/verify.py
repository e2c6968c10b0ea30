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
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

import numpy as np
import polars as pl

from ingest.engine.heads import HEADS
from ingest.engine.ledger import read_ledger
from ingest.engine.manifest import FileRef
from ingest.errors import CorruptError, SensorloomError
from windowing.config import FILE
from windowing.dataset.belongings import WINDOWS, operator_folders, read_belongings
from windowing.dataset.catalog import check_hash, dataset_root, read_checked, windows_folder
from windowing.dataset.chainchecks import Room, read_room
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
            read_room(each, window if each == folder else None, belongings, self._report.add)
            for each in operator_folders(root)
        ]
        self._report.entries = sum(room.entries for room in self._rooms)
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


def _check_room(room: Room, report: Report, advance: Advance) -> None:
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


def _check_indexes(room: Room, report: Report, advance: Advance) -> dict[str, pl.DataFrame]:
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


def _check_shard(room: Room, ref: FileRef, rows: pl.DataFrame | None, report: Report) -> None:
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


def _damaged(room: Room, path: Path, ref: FileRef, rows: pl.DataFrame | None) -> tuple[str, ...]:
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
