"""Rules at the edge: the same operator as beside the log, over the records that were just made durable.

A mark's id follows from the rule and its start, so a mark that is made here and by a service too is one mark. After a
crash the spool's newest segments are read again: what a rule knew of a recording that began there is known again.
Data that wait for the clock have no event time yet and are left to the service. Pure.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from edge.spool.entries import MARK, READING, Tail, key_of
from ingest.errors import WireError
from ingest.log.protocol import READINGS, Entry, LogBatch
from ingest.records import Chunk, Gap, Progress, RecordingEnd, RecordingStart, StreamDescription, schema_id
from ingest.wire import decode
from labeling.rules.compile import RuleSet
from labeling.rules.operator import RulesOperator


class EdgeRules:
    """A set of rules at work on one agent."""

    def __init__(self, rules: RuleSet, descriptions: Iterable[StreamDescription]) -> None:
        self._operator = RulesOperator(rules)
        self.learn(descriptions)
        self._running = self._operator.start(None)

    def learn(self, descriptions: Iterable[StreamDescription]) -> None:
        """What further streams' bytes mean."""
        for description in descriptions:
            self._operator.learn(schema_id(description), description)

    def feed(self, entries: Sequence[Entry], now_ns: int) -> list[Entry]:
        """Spool entries of the marks that these entries of `readings` finish; `now_ns` is the time of their commit."""
        values = [entry.value for entry in entries if entry.key.startswith(READING)]
        while values:
            count = len(values)
            done = self._running.feed(
                LogBatch(READINGS, 0, range(count), [now_ns] * count, [b""] * count, values, count)
            )
            values = values[done + 1 :] if done < count else []  # of a stream that was configured otherwise before
        made = (publication.entry for publication in self._running.take().publications)
        return [Entry(MARK + entry.key, entry.value) for entry in made]


def unfinished(entries: Iterable[tuple[bytes, bytes]], tail: Tail) -> list[Entry]:
    """The records of recordings that an earlier boot left open, of those whose beginning is among the entries."""
    found: dict[tuple[str, str], list[Entry]] = {}
    for raw, value in entries:
        if key_of(raw).kind != READING:
            continue
        try:
            record = decode(value)
        except WireError:
            continue
        if not isinstance(record, Chunk | Gap | Progress | RecordingStart | RecordingEnd):
            continue
        name = (record.device, record.recording)
        known = tail.beside.get(name) or tail.devices[record.device]
        if known.is_open and known.recording == record.recording:
            if isinstance(record, RecordingStart):
                found[name] = []
            if name in found:
                found[name].append(Entry(raw, value))
    return [entry for recording in found.values() for entry in recording]
