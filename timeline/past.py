"""History in an archive, read in a thread of its own: decoding Parquet must not keep a mark waiting."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path
from typing import Any, Protocol

from ingest.archive.history import History
from ingest.archive.reading import Answer, Question
from ingest.archive.tables import read_table
from ingest.archive.topic import archived_topics
from ingest.errors import WireError
from ingest.log.protocol import READINGS
from ingest.opening import open_log
from ingest.records import Gap, RecordingEnd, RecordingStart
from ingest.wire import decode
from timeline.catalog import Catalog, GapSpan

_COLUMNS = ("kind", "verdict", "value", "device", "recording", "stream", "schema", "count", "start_ns", "end_ns")


class Past(Protocol):
    """What answers questions about history."""

    async def ask(self, question: Question) -> Answer | None:
        """The answer; None where there is nothing of the stream in this span. Raises `SensorloomError`."""
        ...


class ArchivePast:
    """`ingest.archive.history.History` of an archive and its log, in a thread with an event loop of its own."""

    def __init__(self, archive: Path, url: str) -> None:
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
                self._history = History(self._archive, self._log)
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
        for ref in partition.records:
            for row in read_table(partition.read_file(ref.name), list(_COLUMNS)).to_pylist():
                _take(catalog, row)
    return catalog, ends


def _take(catalog: Catalog, row: dict[str, Any]) -> None:
    if row["kind"] == "chunk":
        if row["verdict"] == "counts":
            names = row["device"], row["recording"], row["stream"]
            catalog.samples(*names, row["schema"], row["start_ns"], row["end_ns"], row["count"])
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
