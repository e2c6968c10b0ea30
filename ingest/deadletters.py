"""What could not be understood, as a record for the topic `deadletter`."""

from __future__ import annotations

from ingest.engine.operator import Publication
from ingest.log.protocol import DEADLETTER, Entry, LogBatch
from ingest.records import DEAD_REASON_CHARACTERS, DEAD_VALUE_BYTES, DeadLetter
from ingest.wire import encode


def dead_letter(batch: LogBatch, index: int, reason: str) -> Publication:
    """Record `index` of a batch for the dead letters; its place names it, its bytes and the reason are kept in part."""
    key, value = batch.keys[index], batch.values[index]
    device = key.decode("utf-8", "replace")
    reason, kept = reason[:DEAD_REASON_CHARACTERS], bytes(value[:DEAD_VALUE_BYTES])
    letter = DeadLetter(device, batch.topic, batch.partition, batch.offsets[index], reason, kept)
    return Publication(DEADLETTER, Entry(key, encode(letter)))
