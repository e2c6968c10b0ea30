"""History and the live end of a log together: the archive, and what the log has beyond it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from ingest.archive.log import ArchiveLog
from ingest.archive.merging import ArchiveMerger
from ingest.archive.operator import ArchiveOperator, ArchiveRunning
from ingest.archive.reading import Answer, Question, Tables, Volume, answer, volumes_of
from ingest.archive.tables import TILES
from ingest.archive.topic import ArchivedPartition, ArchivedTopic, archived_topics
from ingest.draining import drain
from ingest.engine.disk import DiskFiles
from ingest.engine.manifest import FileRef, chain_folder, entry_name
from ingest.engine.operator import Draft, State
from ingest.engine.partition import read_state
from ingest.engine.plan import folder_of
from ingest.engine.store import FileStore
from ingest.errors import CorruptError, LogUnavailableError
from ingest.log.protocol import READINGS, Bounds, Log, LogBatch, partition_of
from ingest.records import StreamDescription
from ingest.schemas import SchemaRegistry

_TRIES: Final = 10


class History:
    """`await History(archive, log).ask(question)`; without a log: what is archived alone.

    The end of the log is folded by the archive's own operator from where the archive has come to, into volumes in
    memory: they take about as much as one seal of the archive. Of the archive's files the tables read lately are kept.
    Offsets that the log has deleted before the archive or this reader had them are told to `lose`, by partition.

    Raises:
        UsageError: the folder is no archive.
    """

    def __init__(
        self,
        archive: Path,
        log: Log | None = None,
        lose: Callable[[int, int, int], None] = lambda partition, begin, end: None,
    ) -> None:
        self._lose = lose
        self._topic: ArchivedTopic = archived_topics(archive)[READINGS]
        self._store = FileStore(DiskFiles(self._topic.folder), "")
        self._log = log
        self._archived = ArchiveLog(archive, log)
        self._registries = [SchemaRegistry(each) for each in (self._archived, log) if each is not None]
        self._is_checked = False
        self._ends: dict[int, _End] = {}
        self._tables = Tables()

    async def ask(self, question: Question) -> Answer | None:
        """The answer, as of now; None where there is nothing of the stream in this span.

        Raises:
            UsageError: the log is not the one that was archived.
            CorruptError: a file of the archive is damaged or missing.
            LogUnavailableError: the log gives no answer.
        """
        if not self._is_checked:
            await self._archived.check_marks()
            self._is_checked = True
        number = partition_of(question.device.encode(), self._topic.genesis.partitions)
        end = self._ends.get(number)
        if end is None or not end.is_current():
            end = self._ends[number] = await self._open(number)
        if self._log is not None:
            await end.follow(self._log, self._registries, self._lose)
        return answer(end.volumes, await self._descriptions(), question)

    async def _open(self, number: int) -> _End:
        for _ in range(_TRIES):
            partition = self._topic.partition(number)
            try:
                state = None if partition.head is None else (await read_state(self._store, partition.head))[0]
                end = _End(self._topic, number, partition, state, self._tables)
            except CorruptError:
                if self._topic.partition(number).bounds == partition.bounds:
                    raise
            else:
                known = {} if number not in self._ends else {each.records: each for each in self._ends[number].volumes}
                for volume in end.volumes:
                    if volume.records in known:
                        volume.span = known[volume.records].span
                return end
        raise LogUnavailableError(f"{self._topic.folder}: the archive moves on faster than it can be read; ask again")

    async def _descriptions(self) -> dict[bytes, StreamDescription]:
        for registry in self._registries:
            await registry.refresh()
        return {schema: found for registry in self._registries for schema, found in registry.known.items()}


class _End:
    """A partition: its sealed volumes, and those that its log's tail would give."""

    def __init__(
        self, topic: ArchivedTopic, number: int, partition: ArchivedPartition, state: State | None, tables: Tables
    ) -> None:
        self._number = number
        self._tables = tables
        entries = 0 if partition.head is None else partition.head.seq + 1
        self._next_entry = topic.folder / entry_name(chain_folder(READINGS, number), entries)
        self._operator = ArchiveOperator(READINGS)
        self._running: ArchiveRunning = self._operator.start(state)
        self._position = partition.bounds.end
        self._sealed: list[Volume] = list(volumes_of(partition.names, partition.read_file, tables))
        self._tail: list[Sequence[Draft]] = []
        self.volumes: Sequence[Volume] = self._sealed

    def is_current(self) -> bool:
        """Whether the archive has not been sealed further."""
        return not self._next_entry.exists()

    async def follow(
        self, log: Log, registries: Sequence[SchemaRegistry], lose: Callable[[int, int, int], None]
    ) -> None:
        """Take what has come to the log."""
        bounds = (await log.bounds(READINGS))[self._number]
        if bounds.begin > self._position:
            lose(self._number, self._position, bounds.begin)
            self._running.skip(self._position, bounds.begin)
            self._position = bounds.begin
        ahead = {self._number: Bounds(self._position, bounds.end)}
        async for batch in drain(log, READINGS, ahead):
            rest = await self._feed(batch, registries)
            if len(rest):
                self._position = rest.offsets[0]
                break  # not described yet: it is asked for again with the next question
            self._position = batch.next_offset
        if drafts := self._running.take("tail").drafts:
            self._tail = with_one_more(self._tail, drafts)
            files = {draft.name: b"".join(map(bytes, draft.parts)) for few in self._tail for draft in few}
            self.volumes = [*self._sealed, *volumes_of(files, files.__getitem__, self._tables)]

    async def _feed(self, batch: LogBatch, registries: Sequence[SchemaRegistry]) -> LogBatch:
        """What could not be taken of a batch, since nobody has described it."""
        while len(batch):
            batch = batch.tail(self._running.feed(batch))
            schema = self._running.missing_schema
            if schema is None:
                continue
            for registry in registries:
                await registry.refresh()
            known = [found for registry in registries if (found := registry.get(schema)) is not None]
            if not known:
                break
            self._operator.learn(schema, known[0])
        return batch


def with_one_more(outputs: Sequence[Sequence[Draft]], last: Sequence[Draft]) -> list[Sequence[Draft]]:
    """The outputs of a tail with one more, merged as a binary counter carries: who follows asks every moment, and each
    moment would leave an output. Pure."""
    found = [*outputs, last]
    while len(found) > 1 and _size(found[-2]) <= 2 * _size(found[-1]):
        newer, older = found.pop(), found.pop()
        files = sorted(((FileRef(it.name, it.sha256, it.size, it.rows), it) for it in (*older, *newer)), key=_folder)
        merged = [(ref, b"".join(map(bytes, draft.parts))) for ref, draft in files]
        found.append(ArchiveMerger().merge(merged, "tail"))
    return found


def _size(output: Sequence[Draft]) -> int:
    return sum(draft.rows for draft in output if not draft.name.startswith(TILES))


def _folder(file: tuple[FileRef, Draft]) -> str:
    return folder_of(file[0].name)
