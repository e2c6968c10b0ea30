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


async def forgotten_recordings(log: Log) -> frozenset[tuple[str, str]]:
    """Devices and recordings that are to be forgotten; with "" all of a device."""
    return frozenset(key for key, undo in (await _undone(log, None)).items() if undo.forget)


def check_forgotten(device: str, recordings: Collection[str], forgotten: Collection[tuple[str, str]]) -> None:
    """Raise `UsageError` where what is to be imported was to be forgotten."""
    for recording in ("", *recordings):
        if (device, recording) in forgotten:
            named = f"recording {recording} of {device}" if recording else device
            raise UsageError(f"import: {named} was to be forgotten (sensorloom dataset forget), and does not come back")


async def undone_recordings(log: Log, devices: Collection[str]) -> set[tuple[str, str]]:
    """Devices and recordings whose import was taken back: to import them again brings nothing."""
    return set(await _undone(log, devices))


async def _undone(log: Log, devices: Collection[str] | None) -> dict[tuple[str, str], RecordingUndo]:
    found: dict[tuple[str, str], RecordingUndo] = {}
    topics = await log.topics()
    if MARKS not in topics:
        return found
    bounds = await log.bounds(MARKS)
    wanted = set(bounds) if devices is None else {partition_of(it.encode(), topics[MARKS]) for it in devices}
    async for batch in drain(log, MARKS, {partition: bounds[partition] for partition in wanted}):
        for value in batch.values:
            try:
                record = parse(value)
            except WireError:
                continue
            if isinstance(record, RecordingUndo) and (devices is None or record.device in devices):
                if record.back:
                    found.pop((record.device, record.recording), None)
                else:
                    found[record.device, record.recording] = record
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
