"""What of somebody lies in the log that an operator has still to read: it takes that in before it reads who is
forgotten."""

from __future__ import annotations

import secrets
from contextlib import suppress
from pathlib import Path

from ingest.draining import drain
from ingest.engine.chain import read_head
from ingest.engine.disk import DiskFiles
from ingest.engine.manifest import chain_folder
from ingest.engine.store import FileStore
from ingest.errors import WireError
from ingest.forgetting import Forgotten
from ingest.log.protocol import MARKS, Bounds, Log
from ingest.records import Forget, RecordingUndo
from ingest.wire import parse
from windowing.dataset.catalog import read_genesis


async def records_unread(log: Log, folder: Path, whom: Forgotten) -> int:
    """How many records of them an operator's folder has still to read.

    Of marks those of whole devices: they name no recording. Raises `LogUnavailableError`, `CorruptError`.
    """
    genesis = read_genesis(folder)
    if genesis is None or genesis.topic not in await log.topics():
        return 0
    store = FileStore(DiskFiles(folder), secrets.token_hex(8))
    ranges = {}
    for number, (begin, end) in (await log.bounds(genesis.topic)).items():
        head = await read_head(store, chain_folder(genesis.topic, number))
        ranges[number] = Bounds(begin if head is None else min(end, max(begin, head.entry.through)), end)
    count = 0
    async for batch in drain(log, genesis.topic, ranges, on_damage=lambda error: None):
        for value in batch.values:
            with suppress(WireError):
                record = parse(bytes(value))
                device, recording = getattr(record, "device", ""), getattr(record, "recording", "")
                its = whom.whole(device) if genesis.topic == MARKS else whom.has(device, recording)
                count += its and not isinstance(record, Forget | RecordingUndo)
    return count
