"""What was collected of a topic as columns, and out of them the table of its records. Pure, but for the library."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pyarrow as pa

from ingest.archive.collected import CHUNK, COUNTS, Collected, as_array
from ingest.archive.rows import dtype_of
from ingest.archive.tables import RECORDS_SCHEMA, WORDS
from ingest.records import Clock, StreamDescription
from ingest.times import Times, times_of_runs, times_of_stamps

if TYPE_CHECKING:
    from numpy.typing import NDArray

_NO_CLOCK: Final = Clock("")


class Columns:
    """What was collected as columns, an element a record; those that say where its samples lie, and in which time, are
    filled in when these are written."""

    def __init__(self, collected: Collected) -> None:
        self.collected = collected
        self.form = as_array(collected.form)
        cuts = collected.cuts
        self._whole = np.array([form in cuts for form in range(len(collected.forms))], np.bool_)[self.form]
        """Of which the whole record's bytes are kept."""
        self.device: pa.DictionaryArray = self.of_forms([chunk.device for chunk in collected.forms], WORDS)
        self.offset = as_array(collected.offsets)
        self.t0_ns = as_array(collected.t0_ns)
        self.num, self.den, self.phase, self.tick_ns, self.count = (
            _integers([getattr(chunk, name) for chunk in collected.forms])[self.form]
            for name in ("period_num", "period_den", "phase", "tick_ns", "count")
        )
        self.start_ns, self.end_ns, self.at = np.zeros((3, len(self.form)), np.int64)
        self.number = np.zeros(len(self.form), np.int32)
        """Of the file in `names`."""
        self.names = [""]
        self._row = np.full(len(self.form), -1)
        """Where in the blocks the samples are, -1: in none."""
        self._blocks: list[int] = []
        """The first row of each block."""
        self._find_blocks()

    def of_forms(self, column: Sequence[Any], kind: pa.DataType) -> pa.Array:
        """A column out of what each form has in it."""
        return array_of(column, kind).take(pa.array(self.form))

    def devices(self, places: NDArray[np.int64]) -> tuple[list[str], NDArray[np.int32]]:
        """The devices of the records at these places, sorted, and which of them each is of."""
        known = np.array(self.device.dictionary.to_pylist(), object)
        codes = self.device.indices.to_numpy()[places]
        there = np.unique(codes)
        ranked = there[np.argsort(known[there])]
        number = np.empty(len(known), np.int32)
        number[ranked] = np.arange(len(ranked), dtype=np.int32)
        return known[ranked].tolist(), number[codes]

    def times(self, places: NDArray[np.int64]) -> Times:
        """The sample times of the chunks at these places, one after the other."""
        regular = self.den[places] > 0
        if regular.all():
            return self._of_runs(places)
        if not regular.any():
            return self._of_stamps(places)
        each = np.repeat(regular, self.count[places])
        times: Times = np.empty(len(each), np.int64)
        times[each] = self._of_runs(places[regular])
        times[~each] = self._of_stamps(places[~regular])
        return times

    def _of_runs(self, places: NDArray[np.int64]) -> Times:
        return times_of_runs(*self._runs(places))

    def _runs(self, places: NDArray[np.int64]) -> tuple[NDArray[np.int64], ...]:
        return tuple(column[places] for column in (self.t0_ns, self.phase, self.num, self.den, self.count))

    def _of_stamps(self, places: NDArray[np.int64]) -> Times:
        deltas = [self.collected.forms[form].deltas for form in self.form[places].tolist()]
        return times_of_stamps(self.t0_ns[places], self.tick_ns[places], deltas, self.count[places])

    def values(self, places: NDArray[np.int64], description: StreamDescription) -> list[NDArray[Any]]:
        """The values of each channel of the chunks at these places, one after the other."""
        dtype, channels = dtype_of(description.dtype), len(description.channels)
        values = np.empty((channels, int(self.count[places].sum())), dtype)
        begin = 0
        for own in self._alike(places):
            part = self._packed(own).view(dtype).reshape(-1, channels)
            values[:, begin : begin + len(part)] = part.T
            begin += len(part)
        return list(values)

    def _alike(self, places: NDArray[np.int64]) -> list[NDArray[np.int64]]:
        """The places by runs: those whose samples lie together in a block, are to be cut out in one way, or are
        there as they are."""
        row = self._row[places]
        packed = row >= 0
        others = np.where(self._whole[places], self.form[places], -1)
        number = np.where(packed, row - np.arange(len(places)), others)
        return np.split(places, np.flatnonzero((number[1:] != number[:-1]) | (packed[1:] != packed[:-1])) + 1)

    def _packed(self, places: NDArray[np.int64]) -> NDArray[np.uint8]:
        """The bytes of the samples of such a run."""
        collected, row = self.collected, int(self._row[places[0]])
        if row >= 0:
            number = bisect_right(self._blocks, row) - 1
            begin = row - self._blocks[number]
            return collected.blocks[number][1][begin : begin + len(places)].ravel()
        packed = np.frombuffer(b"".join(map(collected.raw.__getitem__, places.tolist())), np.uint8)
        cut = collected.cuts.get(int(self.form[places[0]]))
        return packed if cut is None else packed.reshape(len(places), -1)[:, cut].ravel()

    def _find_blocks(self) -> None:
        """Number the rows of all blocks, so that no two of different ones follow each other."""
        rows = 0
        for places, _ in self.collected.blocks:
            self._blocks.append(rows)
            self._row[places] = np.arange(rows, rows + len(places))
            rows += len(places) + 1

    def counting(self, places: NDArray[np.int64]) -> NDArray[np.bool_] | None:
        """Which samples of the chunks at these places count, `(samples,)`; None: all."""
        verdicts = self.collected.verdicts
        if verdicts.keys().isdisjoint(places.tolist()):
            return None
        return np.repeat([place not in verdicts for place in places.tolist()], self.count[places])

    def name(self, places: NDArray[np.int64], name: str) -> None:
        """Say of the chunks at these places in which file their samples lie."""
        self.number[places] = len(self.names)
        self.names.append(name)

    def locate(self, places: NDArray[np.int64], at: NDArray[np.int64], stamped: Times | None) -> None:
        """Say of the chunks at these places from which row of their file on their samples lie; `stamped` are their
        times, None: all have a period."""
        self.at[places] = at
        if stamped is not None:
            self.start_ns[places] = np.minimum.reduceat(stamped, at)
            self.end_ns[places] = np.maximum.reduceat(stamped, at)
        else:
            t0_ns, phase, num, den, count = self._runs(places)
            self.start_ns[places] = t0_ns
            self.end_ns[places] = t0_ns + (phase + (count - 1) * num) // den


def records_table(columns: Columns) -> pa.Table:
    """Of all records, those that are no chunks too."""
    collected, forms, rows = columns.collected, columns.collected.forms, len(columns.form)
    clocks = [chunk.clock or _NO_CLOCK for chunk in forms]
    widths = [0 if chunk.period_den > 0 or not chunk.count else len(chunk.deltas) // chunk.count for chunk in forms]
    by_form: dict[str, list[Any]] = {
        "delta_bytes": widths,
        "clock": [None if clock is _NO_CLOCK else clock.source for clock in clocks],
        "clock_offset_ns": [clock.offset_ns for clock in clocks],
        "clock_ppm": [clock.ppm for clock in clocks],
        "uncertainty_ns": [clock.uncertainty_ns for clock in clocks],
    }
    found: dict[str, Any] = {
        "offset": columns.offset,
        "append_ns": as_array(collected.append_ns),
        "key": collected.keys,
        "value": _column(b"", collected.values, rows, pa.binary()),
        "kind": _column(CHUNK, collected.kinds, rows, WORDS),
        "verdict": _column(COUNTS, collected.verdicts, rows, WORDS),
        "device": columns.device,
        "seq": as_array(collected.seq),
        "t0_ns": columns.t0_ns,
        "period_num": columns.num,
        "period_den": columns.den,
        "phase": columns.phase,
        "tick_ns": columns.tick_ns,
        "count": columns.count,
        "start_ns": columns.start_ns,
        "end_ns": columns.end_ns,
        "samples": pa.DictionaryArray.from_arrays(columns.number, pa.array(columns.names)),
        "at": columns.at,
    }
    arrays = []
    for field in RECORDS_SCHEMA:
        if field.name in found:
            arrays.append(array_of(found[field.name], field.type))
        else:
            own = by_form.get(field.name) or [getattr(chunk, field.name) for chunk in forms]
            arrays.append(columns.of_forms(own, field.type))
    return pa.Table.from_arrays(arrays, schema=RECORDS_SCHEMA)


def _integers(column: Sequence[int]) -> NDArray[np.int64]:
    return np.fromiter(column, np.int64, len(column))


def _column(usual: Any, others: Mapping[int, Any], rows: int, kind: pa.DataType) -> pa.Array:
    """A column of one value but for those in some places."""
    number = np.zeros(rows, np.int32)
    number[list(others)] = np.arange(1, len(others) + 1)
    return array_of([usual, *others.values()], kind).take(pa.array(number))


def array_of(column: Any, kind: pa.DataType) -> pa.Array:
    """A column of a table; words become numbers of a dictionary, in which they stand as they came."""
    if isinstance(column, pa.Array):
        return column
    return pa.array(column, pa.string()).dictionary_encode() if kind == WORDS else pa.array(column, kind)
