"""The numbers of labels: given when a run begins, and before marks with new labels become visible.

`y` must never change its meaning. So a label has its number in the ledger `classes` before any reader can see a mark
that needs it: what the configuration and its rules name, and what the log holds, when a run begins, in the log's order,
so that one log always gives the same numbers; and what comes later when it is sealed.
"""

from __future__ import annotations

import io
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from pathlib import Path

from ingest.draining import drain
from ingest.engine.ledger import has_ledger, mend_head, read_ledger
from ingest.engine.manifest import decode_entry
from ingest.engine.store import Files, FileStore, Store
from ingest.errors import CorruptLogError, SensorloomError, WireError
from ingest.log.protocol import MARKS, Bounds, Log
from ingest.records import Mark, MarkAdd, MarkEdit
from ingest.who import who
from ingest.wire import decode
from labeling.marks import RULE
from labeling.sink import read_events
from service.configuration import Source
from windowing.config import FILE
from windowing.dataset.belongings import LABELS
from windowing.dataset.catalog import read_chains
from windowing.dataset.labelled import CLASSES, add_classes, known_classes
from windowing.dataset.reader import open_dataset

Note = Callable[[Sequence[str]], Awaitable[None]]


def labels_of(events: Iterable[Mark]) -> list[str]:
    """The labels that people say in events; which of rules' marks count is decided by rule, and so are their labels."""
    said = (event for event in events if isinstance(event, MarkAdd | MarkEdit) and event.tool != RULE)
    return [event.label for event in said if event.label]


class LabelsStore(FileStore):
    """The labels operator's store: an entry of its chains is created once its labels have been noted."""

    def __init__(self, files: Files, token: str, note: Note) -> None:
        super().__init__(files, token)
        self._note = note

    async def create(self, name: str, data: bytes) -> None:
        """See `Store`."""
        if name.rpartition("/")[2].removesuffix(".json").isdecimal():
            await self._note(await self._labels(data, name))
        await super().create(name, data)

    async def _labels(self, data: bytes, name: str) -> list[str]:
        import polars as pl

        refs = [ref for ref in decode_entry(data, name).files if ref.name.startswith("marks/")]
        tables = [pl.read_parquet(io.BytesIO(await self.read(ref.name))) for ref in refs]
        return labels_of(read_events(tables)[0]) if tables else []


def numbers_so_far(out: Path, after: Path | None = None) -> tuple[str, ...]:
    """The classes that a new ledger begins with: those of a dataset of before there was one, in the order that `y` had
    there, or of the dataset after which a new one goes on."""
    if has_ledger(out, CLASSES):
        return ()
    if not (out / FILE).exists():
        return () if after is None else known_classes(read_ledger(after, CLASSES)) or numbers_so_far(after)
    try:
        return open_dataset(out, damaged="skip").classes
    except SensorloomError:
        return ()  # whatever is wrong with it is for the run to say, or to mend


async def number_classes(store: Store, log: Log, out: Path, source: Source, before: Sequence[str]) -> None:
    """Give every label a number that the configuration or its rules name, or that people have used in the log.

    `before` are the classes of `numbers_so_far`. Raises `CorruptError`.
    """
    await mend_head(store, out, CLASSES)
    policy = source.config.labels
    named = [*before, *policy.classes, *([policy.background] if policy.background else [])]
    named += [rule.label for rule in source.rules.rules] if source.rules is not None else []
    await note(store, out, [*named, *await _labels_ahead(log, out)])


async def note(store: Store, out: Path, labels: Sequence[str]) -> None:
    """Give those of `labels` a number that have none."""
    await add_classes(store, out, labels, time_ns=time.time_ns(), author=who())


async def _labels_ahead(log: Log, out: Path) -> list[str]:
    """What people have said in the part of `marks` that is not sealed yet, in the order in which the log took it."""
    await log.ensure(MARKS)
    sealed = {head.partition: head.through for head in read_chains(out / LABELS).heads.values()}
    ranges = {
        partition: Bounds(max(begin, sealed.get(partition, 0)), end)
        for partition, (begin, end) in (await log.bounds(MARKS)).items()
    }
    told: list[tuple[int, int, int, Mark]] = []
    async for batch in drain(log, MARKS, ranges, _pass_by):
        for offset, append_ns, value in zip(batch.offsets, batch.append_ns, batch.values, strict=True):
            try:
                record = decode(value)
            except WireError:
                continue
            if isinstance(record, Mark):
                told.append((append_ns, batch.partition, offset, record))
    return labels_of(event for *_, event in sorted(told, key=lambda row: row[:3]))


def _pass_by(error: CorruptLogError) -> None:
    """The labels' worker meets the same damage, and says so."""
