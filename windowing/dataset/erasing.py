"""A dataset's files without what is to be forgotten: windows and their index, marks, what else is kept of recordings.

The rows that went are noted by their places among all rows of their kind (`erased/`), in the very entry by which they
go: a version, which counts rows (`windowing.dataset.versions`), finds its own again, whenever it is opened.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeAlias

import numpy as np
import polars as pl
from numpy.typing import NDArray

from ingest.engine.erasing import Read, Rewritten
from ingest.engine.manifest import FileRef
from ingest.engine.operator import Draft, State
from ingest.engine.plan import folder_of
from ingest.forgetting import Forgotten
from labeling.merging import table_draft
from windowing.dataset.catalog import Chains, read_checked
from windowing.dataset.signals import view_windows
from windowing.dataset.versions import ERASED, ChainCut
from windowing.fold.shards import INDEX, SIGNAL, npy_header
from windowing.spec import WindowSpec

ERASED_SCHEMA: Final = {"seq": pl.Int64, "kind": pl.String, "row": pl.Int64}
"""The columns of an `erased` file: the entry by which a row went, the folder of its file, its place before."""
MARKS: Final = "marks"
"""The folder of what was marked."""
_OF_MARKS: Final = ("device", "id", "kind", "start_ns", "end_ns")
Bools: TypeAlias = NDArray[np.bool_]


@dataclass(frozen=True)
class DatasetEraser:
    """`ingest.engine.erasing.Eraser` of an operator's folder in a dataset."""

    whom: Forgotten
    read: Read
    clean: Callable[[State], State]
    window: WindowSpec | None = None
    """Of windows; None: the files are tables alone."""

    def files(self, refs: Sequence[FileRef], seq: int, tag: str) -> Rewritten | None:
        """See `Eraser`."""
        tables = {ref.name: self._table(ref) for ref in refs if folder_of(ref.name) not in (SIGNAL, ERASED)}
        gone = {name: self._gone(table) for name, table in tables.items() if folder_of(name) != MARKS}
        gone |= self._marks({name: table for name, table in tables.items() if folder_of(name) == MARKS})
        shards = self._shards(tables, gone)
        new: dict[str, Draft | None] = {}
        for ref in refs:
            if folder_of(ref.name) == SIGNAL and (lost := shards.get(Path(ref.name).name)) is not None:
                new[ref.name] = self._signal(ref, lost, tag)
        moved = {Path(name).name: "" if draft is None else Path(draft.name).name for name, draft in new.items()}
        for ref in refs:
            if ref.name in tables and (gone[ref.name].any() or self._is_moved(ref, tables[ref.name], moved)):
                kept = tables[ref.name].filter(~gone[ref.name])
                if folder_of(ref.name) == INDEX:
                    kept = _renumbered(kept, shards, moved)
                new[ref.name] = table_draft(ref, kept, tag) if len(kept) else None
        if not new:
            return None
        rows = {folder: places for folder, places in self._places(refs, gone, shards).items() if len(places)}
        noted = pl.concat(
            [pl.DataFrame(schema=ERASED_SCHEMA)]
            + [
                pl.DataFrame({"seq": [seq] * len(places), "kind": [kind] * len(places), "row": places}, ERASED_SCHEMA)
                for kind, places in rows.items()
            ]
        )
        beside = table_draft(FileRef(f"{ERASED}/x-", "", 0), noted, tag)
        files = [_ref(draft) if (draft := new.get(ref.name)) else ref for ref in refs if new.get(ref.name, ref)]
        drafts = [draft for draft in new.values() if draft is not None]
        return Rewritten(files, drafts, [beside], {kind: len(places) for kind, places in rows.items()})

    def state(self, parts: State) -> State:
        """See `Eraser`."""
        return self.clean(parts)

    def _table(self, ref: FileRef) -> pl.DataFrame:
        return pl.read_parquet(io.BytesIO(self.read(ref)))

    def _gone(self, table: pl.DataFrame) -> Bools:
        if "recording" not in table.columns:
            return np.zeros(len(table), np.bool_)
        return self.whom.rows(table["device"].to_list(), table["recording"].to_list(), ends_of(table))

    def _marks(self, tables: Mapping[str, pl.DataFrame]) -> dict[str, Bools]:
        """A mark's events lie in several files, and only the one that added it may say when it was."""
        if not tables:
            return {}
        every = pl.concat([table.select(_OF_MARKS) for table in tables.values()])
        gone = self.whom.marks(*(every[name].to_list() for name in _OF_MARKS))
        ends = np.cumsum([len(table) for table in tables.values()])
        return dict(zip(tables, np.split(gone, ends[:-1]), strict=True))

    def _shards(self, tables: Mapping[str, pl.DataFrame], gone: Mapping[str, Bools]) -> dict[str, NDArray[np.int64]]:
        """The rows that go of each shard that any goes of."""
        found: dict[str, list[int]] = {}
        for name, table in tables.items():
            if folder_of(name) == INDEX:
                for shard, row in table.filter(gone[name]).select("shard", "row").iter_rows():
                    found.setdefault(shard, []).append(row)
        return {shard: np.array(sorted(rows), np.int64) for shard, rows in found.items()}

    def _signal(self, ref: FileRef, lost: NDArray[np.int64], tag: str) -> Draft | None:
        assert self.window is not None, "what has shards has windows"
        steps, channels = self.window.length, len(self.window.channels)
        whole = view_windows(np.frombuffer(self.read(ref), np.uint8), Path(ref.name), steps, channels)
        kept = np.ascontiguousarray(np.delete(whole, lost, axis=0))
        if not len(kept):
            return None
        return Draft.of(SIGNAL, "s", ".npy", [npy_header(kept.shape), kept.data.cast("B")], len(kept), tag)

    def _is_moved(self, ref: FileRef, table: pl.DataFrame, moved: Mapping[str, str]) -> bool:
        return folder_of(ref.name) == INDEX and bool(table["shard"].is_in(list(moved)).any())

    def _places(
        self, refs: Sequence[FileRef], gone: Mapping[str, Bools], shards: Mapping[str, NDArray[np.int64]]
    ) -> dict[str, NDArray[np.int64]]:
        """By folder, the places of what goes among all rows of its files."""
        begin: dict[str, int] = {}
        none = np.empty(0, np.int64)
        found: dict[str, list[NDArray[np.int64]]] = {}
        for ref in refs:
            folder = folder_of(ref.name)
            own = shards.get(Path(ref.name).name, none) if folder == SIGNAL else none
            places = np.flatnonzero(gone[ref.name]) if ref.name in gone else own
            found.setdefault(folder, []).append(begin.get(folder, 0) + places)
            begin[folder] = begin.get(folder, 0) + ref.rows
        return {folder: np.concatenate(few) for folder, few in found.items()}


def ends_of(table: pl.DataFrame) -> NDArray[np.int64] | None:
    """Where what each row tells of ends, ns UTC; None where rows do not say."""
    name = next((name for name in ("t1_ns", "t_ns") if name in table.columns), None)
    return None if name is None else table[name].to_numpy()


def _ref(draft: Draft) -> FileRef:
    return FileRef(draft.name, draft.sha256, draft.size, draft.rows)


def _renumbered(index: pl.DataFrame, shards: Mapping[str, NDArray[np.int64]], moved: Mapping[str, str]) -> pl.DataFrame:
    """The index where windows lie in other shards, and in other rows of them."""
    row = index["row"].to_numpy().copy()
    names = index["shard"].to_numpy()
    for shard, lost in shards.items():
        here = np.flatnonzero(names == shard)
        row[here] -= np.searchsorted(lost, row[here])
    return index.with_columns(shard=index["shard"].replace(dict(moved)), row=pl.Series(row))


def read_erased(chains: Chains) -> dict[str, pl.DataFrame]:
    """The rows of `ERASED_SCHEMA` of each chain, in their order. Raises `CorruptError`."""
    found = {}
    for name, refs in chains.files_of.items():
        own = [ref for ref in refs if folder_of(ref.name) == ERASED]
        tables = [pl.read_parquet(io.BytesIO(read_checked(chains.folder, ref))) for ref in own]
        found[name] = pl.concat([pl.DataFrame(schema=ERASED_SCHEMA), *tables])
    return found


def shrunk(cuts: Mapping[str, ChainCut], erased: Mapping[str, pl.DataFrame]) -> dict[str, ChainCut]:
    """How much of each chain a version selects behind the erasures that came after it, in their order; `erased` has a
    chain's rows of `ERASED_SCHEMA`."""
    found = {}
    for name, cut in cuts.items():
        rows = dict(cut.rows)
        table = erased.get(name, pl.DataFrame(schema=ERASED_SCHEMA)).filter(pl.col("seq") > cut.seq)
        for (_, kind), few in table.group_by("seq", "kind", maintain_order=True):
            rows[str(kind)] = rows.get(str(kind), 0) - int((few["row"] < rows.get(str(kind), 0)).sum())
        found[name] = ChainCut(cut.seq, cut.through, rows)
    return found
