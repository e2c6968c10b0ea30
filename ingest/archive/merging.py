"""The small outputs of an archive as one: its records, samples and tiles as one seal would have written them. Pure.

A record says in which file its samples are, and from which row on. A samples file has its rows by device, and a
device's as the log has them; so rows move together, a chunk's stay neighbours, and the records are told where they are.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ingest.archive.tables import (
    GROUP_ROWS,
    OWN,
    RECORDS,
    TILES,
    TILES_SCHEMA,
    draft_of,
    read_table,
    sliced,
    tiles_draft,
)
from ingest.archive.tiles import Tiles, combined
from ingest.engine.manifest import FileRef
from ingest.engine.operator import Draft
from ingest.engine.plan import folder_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

LARGE_BYTES: Final = 8 << 20
"""An output so large stays as it is."""
_KEYS: Final = 5
"""So many columns of a tiles file say whose the tiles are, and of which level."""
_OF: Final = ["device", "stream"]
"""The first of them."""


class _Moved(NamedTuple):
    """Where the rows of a samples file are now."""

    name: str
    rows: NDArray[np.int64]
    """`(rows,)`: each one's new place."""


class ArchiveMerger:
    """`ingest.engine.merging.Merger` of archives. Each output is written again once at most."""

    def alone(self, files: Sequence[FileRef]) -> bool:
        """See `Merger`: readers look for an offset by bisecting the outputs."""
        return sum(ref.bytes for ref in files) >= LARGE_BYTES

    def takes(self, ref: FileRef) -> bool:
        """See `Merger`."""
        return True

    def joins(self, older: FileRef, size: int) -> bool:
        """See `Merger`."""
        return False

    def merge(self, files: Sequence[tuple[FileRef, bytes]], tag: str) -> Sequence[Draft]:
        """See `Merger`; the records come last, as in a seal."""
        by_folder = {folder: list(few) for folder, few in groupby(files, key=lambda file: folder_of(file[0].name))}
        records, tiles = by_folder.pop(RECORDS), by_folder.pop(TILES, [])
        drafts, moved = [], dict[str, _Moved]()
        for folder, few in by_folder.items():
            draft, places = _samples(folder, few, tag)
            drafts.append(draft)
            moved |= places
        if tiles:
            tables = [read_table(data) for _, data in tiles]
            drafts.append(tiles_draft(_tiles(_together(tables), coarsest_of(tables)), tag))
        table = _records(_joined(records), moved)
        return [*drafts, draft_of(RECORDS, "r", table.schema, [table], tag)]


def ends_an_output(ref: FileRef) -> bool:
    """Is it the last file of its output?"""
    return ref.name.startswith(f"{RECORDS}/")


def newest_append_ns(records: bytes) -> int:
    """The latest append time in a file of records. Raises `ValueError` where it is none."""
    newest: int = pc.max(read_table(records, ["append_ns"]).column(0)).as_py()
    return newest


def _joined(files: Sequence[tuple[FileRef, bytes]]) -> pa.Table:
    return _together([read_table(data) for _, data in files])


def _together(tables: Sequence[pa.Table]) -> pa.Table:
    """All rows; words get one dictionary."""
    return pa.concat_tables(tables, promote_options="default").unify_dictionaries().combine_chunks()


def _samples(folder: str, files: Sequence[tuple[FileRef, bytes]], tag: str) -> tuple[Draft, dict[str, _Moved]]:
    """The file of a stream's samples, by device, and where the rows of each older one are in it."""
    table = _joined(files)
    devices: pa.DictionaryArray = table.column(OWN.index("device")).chunk(0)
    rank = np.argsort(np.argsort(np.array(devices.dictionary.to_pylist())))
    number = rank[devices.indices.to_numpy()]
    order = np.argsort(number, kind="stable")
    place = np.empty(len(order), np.int64)
    place[order] = np.arange(len(order))
    schema = pa.schema([field.with_nullable(False) for field in table.schema])
    table = table.take(pa.array(order)).cast(schema)
    ends = [*(np.flatnonzero(np.diff(number[order])) + 1).tolist(), len(order)]
    draft = draft_of(folder, "s", schema, sliced(table, ends, GROUP_ROWS), tag)
    moved, at = {}, 0
    for ref, _ in files:
        moved[ref.name] = _Moved(draft.name, place[at : at + ref.rows])
        at += ref.rows
    return draft, moved


def _records(table: pa.Table, moved: Mapping[str, _Moved]) -> pa.Table:
    """The records, with where their samples are now."""
    samples: pa.DictionaryArray = table.column("samples").chunk(0)
    names: list[str] = samples.dictionary.to_pylist()
    number, at = samples.indices.to_numpy(), table.column("at").to_numpy().copy()
    for code, name in enumerate(names):
        if name in moved:
            rows = np.flatnonzero(number == code)
            rows = rows[table.column("count").to_numpy()[rows] > 0]
            at[rows] = moved[name].rows[at[rows]]
    new = [moved[name].name if name in moved else name for name in names]
    known = list(dict.fromkeys(new))
    codes = np.array([known.index(name) for name in new], np.int32)
    coded = pa.DictionaryArray.from_arrays(pa.array(codes[number]), pa.array(known, pa.string()))
    changed: dict[str, Any] = {"samples": coded, "at": pa.array(at)}
    for name, column in changed.items():
        place = table.schema.get_field_index(name)
        table = table.set_column(place, table.schema.field(place), column)
    return table


def coarsest_of(tables: Sequence[pa.Table]) -> pa.Table:
    """By device and stream, the finest level that all of these tables of tiles have, as `level_max`.

    A stream without a described rate has as fine tiles in an output as its chunks there allow: those that another one
    lacks would be all that there is of their level, with a hole beside them.
    """
    owned = pa.concat_tables(
        [_plain(table).group_by([*_OF, "schema"]).aggregate([("level", "min")]) for table in tables]
    )
    return owned.rename_columns([*_OF, "schema", "level"]).group_by(_OF).aggregate([("level", "max")])


def _plain(table: pa.Table) -> pa.Table:
    """Words as texts: what is sorted, grouped and compared."""
    words = [pc.cast(table.column(name), pa.string()) for name in _OF]
    return pa.table([*words, *table.columns[len(_OF) :]], names=table.column_names)


def _tiles(table: pa.Table, coarsest: pa.Table) -> pa.Table:
    """One tile where several outputs had a part of it, sorted by level; none that is finer than its stream's in
    `coarsest`."""
    table = table.filter(_is_common(table, coarsest))
    plain = _plain(table)
    order = pc.sort_indices(plain, [(name, "ascending") for name in ("level", *table.column_names[: _KEYS - 1])])
    table, plain = table.take(order), plain.take(order)
    if not len(table):
        return table
    differs = np.zeros(len(table) - 1, np.bool_)
    for name in table.column_names[:_KEYS]:
        column = plain.column(name).combine_chunks()
        differs |= pc.not_equal(column[1:], column[:-1]).to_numpy(zero_copy_only=False)
    starts = [0, *(np.flatnonzero(differs) + 1).tolist()]
    values = [table.column(name).to_numpy() for name in table.column_names[_KEYS:]]
    parts = [
        combined([Tiles(*(column[begin:end] for column in values))])
        for begin, end in zip(starts, [*starts[1:], len(table)], strict=True)
    ]
    which = pa.array(np.repeat(starts, [len(part.bucket) for part in parts]))
    columns = [column.take(which) for column in table.columns[:_KEYS]]
    for number, field in enumerate(list(TILES_SCHEMA)[_KEYS:]):
        whole = np.concatenate([part[number] for part in parts])
        columns.append(pa.array(whole.astype(field.type.to_pandas_dtype(), copy=False)))
    return pa.Table.from_arrays(columns, schema=TILES_SCHEMA)


def _is_common(table: pa.Table, coarsest: pa.Table) -> NDArray[np.bool_]:
    """Which rows are of a level that all outputs have of their stream, `(rows,)`."""
    owners = pc.binary_join_element_wise(*(_plain(table).column(name) for name in _OF), "\0")
    known = pc.binary_join_element_wise(*(coarsest.column(name) for name in _OF), "\0")
    place = pc.index_in(owners, value_set=known.combine_chunks()).to_numpy()
    least: NDArray[np.bool_] = table.column("level").to_numpy() >= coarsest.column("level_max").to_numpy()[place]
    return least
