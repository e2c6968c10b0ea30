"""History in an archive, read in a thread of its own: decoding Parquet must not keep a mark waiting."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any, Final, Protocol

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from ingest.archive.history import History
from ingest.archive.reading import Answer, Question
from ingest.archive.tables import codes_of, read_table
from ingest.archive.topic import archived_topics
from ingest.errors import WireError
from ingest.log.protocol import READINGS
from ingest.opening import open_log
from ingest.records import Gap, RecordingEnd, RecordingStart
from ingest.wire import decode
from timeline.history.catalog import UNSURE_NS, Catalog, GapSpan

_COLUMNS = (
    "offset",
    "kind",
    "verdict",
    "value",
    "device",
    "recording",
    "stream",
    "schema",
    "count",
    "start_ns",
    "end_ns",
    "uncertainty_ns",
)
_GROUPS: Final = ["device", "recording", "stream", "schema"]
_FEW: Final = 32
"""Fewer rows are taken one by one."""


class Past(Protocol):
    """What answers questions about history."""

    async def ask(self, question: Question) -> Answer | None:
        """The answer; None where there is nothing of the stream in this span. Raises `SensorloomError`."""
        ...


class ArchivePast:
    """`ingest.archive.history.History` of an archive and its log, in a thread with an event loop of its own; `lose` is
    called there, as `History` says."""

    def __init__(self, archive: Path, url: str, lose: Callable[[int, int, int], None]) -> None:
        self._lose = lose
        self._archive = archive
        self._url = url
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="history", daemon=True)
        self._thread.start()
        self._history: History | None = None
        self._one: asyncio.Lock | None = None

    async def ask(self, question: Question) -> Answer | None:
        """See `Past`."""
        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(self._ask(question), self._loop))

    async def _ask(self, question: Question) -> Answer | None:
        if self._one is None:
            self._one = asyncio.Lock()
        async with self._one:
            if self._history is None:
                self._log = open_log(self._url)
                self._history = History(self._archive, self._log, self._lose)
            return await self._history.ask(question)

    async def close(self) -> None:
        """Let go of the log, and end the thread."""
        if self._history is not None:
            await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(self._log.close(), self._loop))
        self._loop.call_soon_threadsafe(self._loop.stop)
        await asyncio.to_thread(self._thread.join)
        self._loop.close()


def archived_catalog(archive: Path) -> tuple[Catalog, dict[int, int]]:
    """What an archive knows of devices, recordings and gaps, and up to which offset of each partition. Waits for the
    disk.

    Raises:
        UsageError: the folder is no archive.
        CorruptError: a file of it is damaged or missing.
    """
    catalog = Catalog()
    ends: dict[int, int] = {}
    for number, partition in archived_topics(archive)[READINGS].partitions().items():
        ends[number] = partition.bounds.end
        last: int | None = None
        for ref in partition.records:
            last = take_table(catalog, read_table(partition.read_file(ref.name), list(_COLUMNS)), last)
    return catalog, ends


def take_table(catalog: Catalog, table: pa.Table, last: int | None = None) -> int | None:
    """Take an output's records in their order, and say which offset was the last one; `last` is that of the output
    before. Where offsets are missing, the log had deleted them before the archive was there."""
    offsets = table.column("offset").to_numpy()
    if not len(offsets):
        return last
    before = offsets[0] - 1 if last is None else last
    holes = np.flatnonzero(np.diff(offsets, prepend=before) > 1).tolist()
    for begin, end in pairwise(dict.fromkeys([0, *holes, len(offsets)])):
        part = table.slice(begin, end - begin)
        gaps = list(_deleted(catalog, part)) if begin in holes else []
        _take_records(catalog, part)
        for names, gap in gaps:
            catalog.gap(*names, gap)
    return int(offsets[-1])


def _deleted(catalog: Catalog, table: pa.Table) -> Iterator[tuple[tuple[str, str, str], GapSpan]]:
    """The gaps behind a loss, before the first chunk of each stream."""
    chunks = table.filter(pc.and_(pc.equal(table.column("kind"), "chunk"), pc.equal(table.column("verdict"), "counts")))
    if not len(chunks):
        return
    devices, streams = codes_of(chunks.column("device")), codes_of(chunks.column("stream"))
    _, firsts = np.unique(np.stack([devices, streams]), axis=1, return_index=True)
    for row in chunks.take(pa.array(np.sort(firsts))).to_pylist():
        names = row["device"], row["recording"], row["stream"]
        usual_ns = (row["end_ns"] - row["start_ns"]) / max(1, row["count"] - 1)
        gap = catalog.deleted(*names, row["start_ns"], usual_ns)
        if gap is not None:
            yield names, gap


def _take_records(catalog: Catalog, table: pa.Table) -> None:
    """Of a day's chunks between two other records, a span a stream."""
    plain = _plain(table)
    edges = [0, *(np.flatnonzero(plain[1:] != plain[:-1]) + 1).tolist(), len(plain)]
    for begin, end in pairwise(edges):
        part = table.slice(begin, end - begin)
        if end - begin >= _FEW and plain[begin]:
            _take_chunks(catalog, part)
        else:
            for row in part.to_pylist():
                _take(catalog, row)


def _plain(table: pa.Table) -> NDArray[np.bool_]:
    """Which rows are chunks that count, from a clock that nobody has to be warned of."""
    unsure = pc.greater(pc.fill_null(table.column("uncertainty_ns"), 0), UNSURE_NS)
    counts = pc.and_(pc.equal(table.column("kind"), "chunk"), pc.equal(table.column("verdict"), "counts"))
    found: NDArray[np.bool_] = pc.fill_null(pc.and_not(counts, unsure), False).to_numpy()
    return found


def _take_chunks(catalog: Catalog, table: pa.Table) -> None:
    """Chunks that are plain, all of a stream and description at once, in the order of the last ones."""
    groups = np.zeros(len(table), np.int64)
    for name in _GROUPS:
        codes = np.unique(codes_of(table.column(name)), return_inverse=True)[1]
        groups = np.unique(groups * (int(codes.max()) + 1) + codes, return_inverse=True)[1]
    rows = np.argsort(groups, kind="stable")
    starts = np.flatnonzero(np.diff(groups[rows], prepend=-1))
    lasts = rows[np.append(starts[1:], len(rows)) - 1]
    start, end, count = (table.column(name).to_numpy()[rows] for name in ("start_ns", "end_ns", "count"))
    first_ns, last_ns = np.minimum.reduceat(start, starts).tolist(), np.maximum.reduceat(end, starts).tolist()
    samples = np.add.reduceat(count, starts, dtype=np.int64).tolist()
    words = table.select(_GROUPS).take(pa.array(lasts)).to_pylist()
    for group in np.argsort(rows[starts]).tolist():  # a recording began when its first record says
        catalog.recording(words[group]["device"], words[group]["recording"], int(start[starts[group]]))
    for group in np.argsort(lasts).tolist():
        names = words[group]["device"], words[group]["recording"], words[group]["stream"]
        catalog.samples(*names, words[group]["schema"], first_ns[group], last_ns[group], samples[group])
        catalog.clock(*names, first_ns[group], last_ns[group], 0)


def _take(catalog: Catalog, row: dict[str, Any]) -> None:
    if row["kind"] == "chunk":
        if row["verdict"] == "counts":
            names = row["device"], row["recording"], row["stream"]
            catalog.samples(*names, row["schema"], row["start_ns"], row["end_ns"], row["count"])
            catalog.clock(*names, row["start_ns"], row["end_ns"], row["uncertainty_ns"] or 0)
        return
    try:
        record = decode(row["value"])
    except WireError:
        return
    if isinstance(record, RecordingStart):
        catalog.begin(record.device, record.recording, record.start_ns, record.reason)
    elif isinstance(record, RecordingEnd):
        catalog.end(record.device, record.recording, record.end_ns, record.reason)
    elif isinstance(record, Gap):
        gap = GapSpan(record.start_ns, record.end_ns, record.samples, record.reason)
        catalog.gap(record.device, record.recording, record.stream, gap)
