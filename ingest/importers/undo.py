"""Taking an import back: its recording's windows leave every dataset of the log. The log itself keeps its data."""

from __future__ import annotations

from collections.abc import Collection

from ingest.draining import drain
from ingest.errors import UsageError, WireError
from ingest.log.protocol import MARKS, READINGS, Entry, Log, partition_of
from ingest.records import Chunk, RecordingStart, RecordingUndo
from ingest.settings import suggest
from ingest.wire import encode, parse


async def undo_recording(log: Log, undo: RecordingUndo) -> None:
    """Write to the log that a recording was brought by mistake, or that it counts again.

    Raises:
        UsageError: no reason is given, or the log has no such recording of the device.
        LogUnavailableError: nothing is known to be written; do it again.
    """
    if not undo.reason.strip():
        raise UsageError("import undo: --reason: say why, as in --reason 'imported in the wrong unit'")
    known = await recordings_of(log, undo.device)
    if not known:
        raise UsageError(f"import undo: {log.url} has no recording of the device {undo.device}")
    if undo.recording not in known:
        raise UsageError(
            f'import undo: {undo.device} has no recording "{undo.recording}"{suggest(undo.recording, known)}'
        )
    await log.ensure(MARKS)
    await log.append(MARKS, [Entry(undo.device.encode(), encode(undo))])


async def undone_recordings(log: Log, devices: Collection[str]) -> set[tuple[str, str]]:
    """Devices and recordings whose import was taken back: to import them again brings nothing."""
    found: set[tuple[str, str]] = set()
    topics = await log.topics()
    if MARKS not in topics:
        return found
    bounds = await log.bounds(MARKS)
    partitions = {partition_of(device.encode(), topics[MARKS]) for device in devices}
    async for batch in drain(log, MARKS, {partition: bounds[partition] for partition in partitions}):
        for value in batch.values:
            try:
                record = parse(value)
            except WireError:
                continue
            if isinstance(record, RecordingUndo) and record.device in devices:
                (found.discard if record.back else found.add)((record.device, record.recording))
    return found


async def recordings_of(log: Log, device: str) -> set[str]:
    """The recordings of a device of which a log has something."""
    found: set[str] = set()
    if READINGS not in await log.topics():
        return found
    key = device.encode()
    async for batch in drain(log, READINGS, await log.bounds(READINGS)):
        for its_key, value in zip(batch.keys, batch.values, strict=True):
            if its_key != key:
                continue
            try:
                record = parse(value)
            except WireError:
                continue
            if isinstance(record, Chunk | RecordingStart) and record.device == device:
                found.add(record.recording)
    return found
