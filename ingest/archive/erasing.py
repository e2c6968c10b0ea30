"""An archive's outputs without what is to be forgotten. Pure, but for the library.

A record that goes leaves its place: there lies the record that says so (`Forget`), so that offsets stay dense, and who
reads the archive as a log is told. Samples and tiles go; of a device of which other recordings stay, the tiles of
an output are made again of the samples that stay in it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from ingest.archive.collected import COUNTS
from ingest.archive.operator import without
from ingest.archive.rows import FORGOTTEN
from ingest.archive.tables import (
    GROUP_ROWS,
    OWN,
    RECORDS,
    SAMPLES,
    TILES,
    TILES_SCHEMA,
    draft_of,
    read_table,
    samples_folder,
    sliced,
    tiles_draft,
)
from ingest.archive.tiles import TOP, Tiles, coarser, tiles_of
from ingest.engine.erasing import Read, Rewritten
from ingest.engine.manifest import FileRef
from ingest.engine.operator import Draft, State
from ingest.engine.plan import folder_of
from ingest.errors import WireError
from ingest.forgetting import Forgotten, instead_of
from ingest.intake import UNSYNCED
from ingest.log.protocol import MARKS, READINGS
from ingest.wire import parse

_KEPT: Final = ("offset", "append_ns")
Pairs: TypeAlias = frozenset[tuple[str, str]]


@dataclass(frozen=True)
class ArchiveEraser:
    """`ingest.engine.erasing.Eraser` of an archived topic."""

    whom: Forgotten
    read: Read
    topic: str

    def files(self, refs: Sequence[FileRef], seq: int, tag: str) -> Rewritten | None:
        """See `Eraser`; an output ends with its records."""
        files: list[FileRef] = []
        drafts: list[Draft] = []
        rows: dict[str, int] = {}
        own: list[FileRef] = []
        marks: Pairs = self._old_marks(refs) if self.topic == MARKS else frozenset()
        stays: Pairs = frozenset() if self.whom.before_ns is None else self._staying(refs, self.whom.before_ns)
        for ref in refs:
            own.append(ref)
            if folder_of(ref.name) != RECORDS:
                continue
            new = self._output(own, tag, rows, marks, stays)
            files += own if new is None else [FileRef(it.name, it.sha256, it.size, it.rows) for it in new]
            drafts += new or ()
            own = []
        return Rewritten([*files, *own], drafts, (), rows) if drafts else None

    def state(self, parts: State) -> State:
        """See `Eraser`. Of what is old alone a state has nothing but who was there."""
        return parts if self.whom.before_ns is not None else without(parts, self.whom)

    def _output(
        self, refs: Sequence[FileRef], tag: str, rows: dict[str, int], marks: Pairs, stays: Pairs
    ) -> list[Draft] | None:
        """What the files of an output become; None: it has nothing of it. Adds up how many rows go."""
        *others, last = refs
        records = read_table(self.read(last))
        gone = self._gone(records, marks, stays)
        if not gone.any():
            return None
        rows[RECORDS] = rows.get(RECORDS, 0) + int(gone.sum())
        at = records.column("at").to_numpy().copy()
        counts = records.column("count").to_numpy()
        names = np.array([name or "" for name in records.column("samples").to_pylist()])
        drafts: list[Draft] = []
        renamed: dict[str, str] = {}
        left: list[tuple[FileRef, pa.Table, NDArray[np.bool_]]] = []
        for ref in others:
            if not ref.name.startswith(f"{SAMPLES}/"):
                continue
            table = read_table(self.read(ref))
            mine = np.flatnonzero((names == ref.name) & gone)
            keep = np.ones(len(table), np.bool_)
            for row in mine.tolist():
                keep[at[row] : at[row] + counts[row]] = False
            rows[SAMPLES] = rows.get(SAMPLES, 0) + int((~keep).sum())
            staying = np.flatnonzero((names == ref.name) & ~gone & (counts > 0))
            counting = np.zeros(len(table), np.bool_)
            verdicts = records.column("verdict").to_pylist()
            for row in staying.tolist():
                counting[at[row] : at[row] + counts[row]] = verdicts[row] == COUNTS
            at[staying] = (np.cumsum(keep) - 1)[at[staying]]
            kept = table.filter(pa.array(keep))
            left.append((ref, kept, counting[keep]))
            if len(kept):
                draft = _samples(ref, kept, tag)
                drafts.append(draft)
                renamed[ref.name] = draft.name
        for ref in others:
            if ref.name.startswith(f"{TILES}/"):
                tiles = self._tiles(read_table(self.read(ref)), left, rows, self._touched(records, gone))
                drafts += [tiles_draft(tiles, tag)] if len(tiles) else []
        return [*drafts, self._records(records, gone, at, names, renamed, tag)]

    def _gone(self, records: pa.Table, marks: Pairs, stays: Pairs) -> NDArray[np.bool_]:
        """Which records are of them, and events of `marks`, but those that say so already. Where all goes that is old,
        what says nothing but of a recording is as old as its samples, which may be younger than all windows."""
        words = [[word or "" for word in records.column(name).to_pylist()] for name in ("device", "recording", "kind")]
        keys = [key.decode(errors="replace") for key in records.column("key").to_pylist()]
        found = self.whom.rows(words[0], words[1]) | np.array([self.whom.whole(key) for key in keys], np.bool_)
        if self.whom.before_ns is not None:
            of_staying = np.array([pair in stays for pair in zip(words[0], words[1], strict=True)], np.bool_)
            found = np.where(_are_chunks(records), _ends(records) <= self.whom.before_ns, found & ~of_staying)
        if self.topic == MARKS:
            found |= np.array([_mark_of(value) in marks for value in records.column("value").to_pylist()], np.bool_)
        said = np.array([kind in (FORGOTTEN, "recording_undo") for kind in words[2]], np.bool_)
        return np.asarray(found & ~said)

    def _staying(self, refs: Sequence[FileRef], before_ns: int) -> Pairs:
        """The recordings, by device, of which samples stay."""
        found: set[tuple[str, str]] = set()
        for ref in refs:
            if folder_of(ref.name) == RECORDS:
                records = read_table(self.read(ref))
                young = _are_chunks(records) & (_ends(records) > before_ns)
                names = (records.column(name).to_pylist() for name in ("device", "recording"))
                found |= {pair for pair, out in zip(zip(*names, strict=True), young.tolist(), strict=True) if out}
        return frozenset(found)

    def _old_marks(self, refs: Sequence[FileRef]) -> Pairs:
        """The marks that go, by device and id: their events lie in several outputs, and only some say when it was."""
        tables = [read_table(self.read(ref)) for ref in refs if folder_of(ref.name) == RECORDS]
        events = [_event(value) for table in tables for value in table.column("value").to_pylist()]
        told = [[getattr(event, name, None) for event in events] for name in ("device", "id", "start_ns", "end_ns")]
        devices, names = ([text or "" for text in column] for column in told[:2])
        gone = self.whom.marks(devices, names, [""] * len(events), told[2], told[3])
        pairs = zip(devices, names, gone.tolist(), strict=True)
        return frozenset((device, name) for device, name, out in pairs if out and name)

    def _touched(self, records: pa.Table, gone: NDArray[np.bool_]) -> set[str]:
        """The devices whose tiles are not what they were."""
        if self.whom.before_ns is None:
            return set(self.whom.recordings)
        return {device for device, out in zip(records.column("device").to_pylist(), gone.tolist(), strict=True) if out}

    def _note(self, device: str) -> bytes:
        """The record that takes the place of one that goes: it changes nothing, but for who is forgotten."""
        return instead_of(device if self.topic == READINGS and self.whom.whole(device) else "")

    def _records(
        self,
        records: pa.Table,
        gone: NDArray[np.bool_],
        at: NDArray[np.int64],
        names: NDArray[np.str_],
        renamed: dict[str, str],
        tag: str,
    ) -> Draft:
        columns: list[Any] = []
        owners = [
            device or key.decode(errors="replace")
            for device, key in zip(records.column("device").to_pylist(), records.column("key").to_pylist(), strict=True)
        ]
        notes = [self._note(owner) if out else b"" for owner, out in zip(owners, gone.tolist(), strict=True)]
        places = np.array([renamed.get(name, name) for name in names.tolist()], dtype=object)
        for field in records.schema:
            values = records.column(field.name).to_pylist()
            if field.name == "at":
                values = at.tolist()
            if field.name == "samples":
                values = places.tolist()
            if field.name not in _KEPT:
                blank: Any = {"kind": FORGOTTEN, "clock": None}.get(field.name, _nothing(field.type))
                blanks = notes if field.name == "value" else [blank] * len(notes)
                both = zip(values, blanks, gone.tolist(), strict=True)
                values = [nothing if out else value for value, nothing, out in both]
            kind = field.type.value_type if pa.types.is_dictionary(field.type) else field.type
            column = pa.array(values, kind)
            columns.append(column.dictionary_encode() if pa.types.is_dictionary(field.type) else column)
        table = pa.Table.from_arrays(columns, schema=records.schema)
        return draft_of(RECORDS, "r", table.schema, [table], tag)

    def _tiles(
        self,
        tiles: pa.Table,
        left: Sequence[tuple[FileRef, pa.Table, NDArray[np.bool_]]],
        rows: dict[str, int],
        own_devices: set[str],
    ) -> pa.Table:
        """The tiles of the devices that are not touched, and those of the samples that stay of those that are."""
        devices = tiles.column("device").to_pylist()
        touched = np.array([device in own_devices for device in devices], np.bool_)
        rows[TILES] = rows.get(TILES, 0) + int(touched.sum())
        parts = [tiles.filter(pa.array(~touched))]
        before = tiles.filter(pa.array(touched))
        columns = (before.column(name).to_pylist() for name in ("device", "stream", "schema", "level"))
        keys: dict[tuple[str, str, bytes], int] = {}
        for device, stream, schema, level in zip(*columns, strict=True):
            keys[device, stream, schema] = min(level, keys.get((device, stream, schema), TOP))
        for (device, stream, schema), level in keys.items():
            for ref, table, counting in left:
                if folder_of(ref.name) != samples_folder(stream, schema) or self.whom.whole(device):
                    continue
                own = np.array([name == device for name in table.column("device").to_pylist()], np.bool_) & counting
                parts += _made(table.filter(pa.array(own)), device, stream, schema, level)
        whole = pa.concat_tables(parts, promote_options="default").unify_dictionaries().combine_chunks()
        names = ("level", "device", "stream", "schema", "channel", "bucket")
        plain = pa.table({name: _plain(whole.column(name)) for name in names})
        order = pc.sort_indices(plain, [(name, "ascending") for name in names])
        return whole.take(order)


def _are_chunks(records: pa.Table) -> NDArray[np.bool_]:
    return np.asarray(records.column("count").to_numpy() > 0)


def _ends(records: pa.Table) -> NDArray[np.int64]:
    """How old each chunk is, ns UTC: its last sample's time; when it came, where that was before or its time says
    nothing."""
    came = records.column("append_ns").to_numpy()
    unsure = np.array([word == UNSYNCED for word in records.column("verdict").to_pylist()], np.bool_)
    return np.asarray(np.where(unsure, came, np.minimum(records.column("end_ns").to_numpy(), came)), np.int64)


def _mark_of(value: bytes) -> tuple[str, str]:
    event = _event(value)
    return getattr(event, "device", ""), getattr(event, "id", "")


def _event(value: bytes) -> object:
    try:
        return parse(value)
    except WireError:
        return None


def _plain(column: pa.ChunkedArray) -> pa.ChunkedArray:
    return pc.cast(column, pa.string()) if pa.types.is_dictionary(column.type) else column


def _samples(ref: FileRef, table: pa.Table, tag: str) -> Draft:
    """The file of samples that stay, as `ref` was."""
    devices = table.column(OWN.index("device")).to_pylist()
    ends = [row + 1 for row in range(len(devices) - 1) if devices[row] != devices[row + 1]]
    schema = pa.schema([field.with_nullable(False) for field in table.schema])
    table = table.unify_dictionaries().combine_chunks().cast(schema)
    return draft_of(folder_of(ref.name), "s", schema, sliced(table, [*ends, len(table)], GROUP_ROWS), tag)


def _made(samples: pa.Table, device: str, stream: str, schema: bytes, level: int) -> list[pa.Table]:
    """The tiles of a device's samples, of each channel and level."""
    times = samples.column(OWN.index("t_ns")).to_numpy()
    tables = []
    for channel, name in enumerate(samples.column_names[len(OWN) :]):
        values = samples.column(name).to_numpy()
        order = np.argsort(times, kind="stable")
        there = order[~np.isnan(values[order])] if values.dtype.kind == "f" else order
        tiles = tiles_of(times[there], values[there], level)
        owner = np.zeros(len(tiles.bucket), np.int32)
        for up in range(level, TOP + 1):
            tables += [_table(tiles, device, stream, schema, channel, up)] if len(tiles.bucket) else []
            owner, tiles = coarser(owner, tiles)
    return tables


def _table(tiles: Tiles, device: str, stream: str, schema: bytes, channel: int, level: int) -> pa.Table:
    count = len(tiles.bucket)
    given = {"device": device, "stream": stream, "schema": schema, "channel": channel, "level": level}
    arrays = []
    for field in TILES_SCHEMA:
        kind = field.type.value_type if pa.types.is_dictionary(field.type) else field.type
        values = [given[field.name]] * count if field.name in given else getattr(tiles, field.name)
        column = pa.array(values, kind) if field.name in given else pa.array(np.asarray(values)).cast(kind)
        arrays.append(column.dictionary_encode() if pa.types.is_dictionary(field.type) else column)
    return pa.Table.from_arrays(arrays, schema=TILES_SCHEMA)


def _nothing(kind: pa.DataType) -> Any:
    if pa.types.is_dictionary(kind):
        return ""
    return b"" if pa.types.is_binary(kind) else 0
