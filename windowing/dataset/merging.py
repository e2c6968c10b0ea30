"""Small shards and their tables as larger ones: a window's bytes are the same, its index says where they are now.

A shard is written again once at most, however long a dataset grows; the index and other tables, which are small, as
often as a binary counter carries. Pure.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
import polars as pl

from ingest.engine.manifest import FileRef
from ingest.engine.operator import Draft
from ingest.engine.plan import folder_of
from labeling.merging import TableMerger, by_folder, joined, table_draft
from windowing.dataset.index import parse_index
from windowing.dataset.signals import view_windows
from windowing.fold.shards import INDEX, SIGNAL, npy_header
from windowing.spec import WindowSpec

SMALL_BYTES: Final = 4 << 20
"""A shard so large stays as it is."""


class _Place(NamedTuple):
    """Where the windows of a shard are now."""

    shard: str
    row: int
    """Of its first one."""


class WindowsMerger(TableMerger):
    """`ingest.engine.merging.Merger` of windows."""

    def __init__(self, window: WindowSpec) -> None:
        self._steps, self._channels = window.length, len(window.channels)

    def takes(self, ref: FileRef) -> bool:
        """See `Merger`; an index goes with the shards that it names, which were sealed with it."""
        return folder_of(ref.name) != SIGNAL or ref.bytes < SMALL_BYTES

    def joins(self, older: FileRef, size: int) -> bool:
        """See `Merger`; the index of an older shard would have to be written anew."""
        return folder_of(older.name) != SIGNAL and super().joins(older, size)

    def merge(self, files: Sequence[tuple[FileRef, bytes]], tag: str) -> Sequence[Draft]:
        """See `Merger`."""
        by_name = {folder_of(few[0][0].name): few for few in by_folder(files)}
        drafts, places = [], dict[str, _Place]()
        if shards := by_name.pop(SIGNAL, None):
            signal = self._signal(shards, tag)
            places = _places(shards, Path(signal.name).name)
            drafts.append(signal)
        for folder, few in by_name.items():
            table = _index(few, places) if folder == INDEX else joined(few)
            drafts.append(table_draft(few[0][0], table, tag))
        return drafts

    def _signal(self, shards: Sequence[tuple[FileRef, bytes]], tag: str) -> Draft:
        """All windows of some shards; their bytes are not copied."""
        views = [
            view_windows(np.frombuffer(data, np.uint8), Path(ref.name), self._steps, self._channels)
            for ref, data in shards
        ]
        rows = sum(len(view) for view in views)
        header = npy_header((rows, self._steps, self._channels))
        return Draft.of(SIGNAL, "s", ".npy", [header, *(view.data.cast("B") for view in views)], rows, tag)


def _places(shards: Sequence[tuple[FileRef, bytes]], name: str) -> dict[str, _Place]:
    places, row = {}, 0
    for ref, _ in shards:
        places[Path(ref.name).name] = _Place(name, row)
        row += ref.rows
    return places


def _index(files: Sequence[tuple[FileRef, bytes]], places: Mapping[str, _Place]) -> pl.DataFrame:
    """The rows of some index files, where the windows are now. Raises `CorruptError`."""
    table = pl.concat([parse_index(data, Path(ref.name), ref.rows) for ref, data in files])
    if not places:
        return table
    names = {name: place.shard for name, place in places.items()}
    rows = {name: place.row for name, place in places.items()}
    moved = table["shard"].replace_strict(rows, default=0, return_dtype=pl.Int64)
    return table.with_columns(shard=table["shard"].replace(names), row=table["row"] + moved)
