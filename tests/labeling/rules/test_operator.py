"""The rules operator: the same marks wherever batches and seals fall, each chunk once, nothing from the dead."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Sequence

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingest.errors import CorruptError
from ingest.lifetimes import DAY_NS
from ingest.log.protocol import MARKS, LogBatch
from ingest.records import (
    Channel,
    Chunk,
    Clock,
    Forget,
    Gap,
    MarkAdd,
    Progress,
    Record,
    RecordingEnd,
    RecordingStart,
    StreamDescription,
    schema_id,
)
from ingest.wire import decode, encode
from labeling.rules.compile import compile_rules
from labeling.rules.operator import RulesOperator

MS = 1_000_000
T0 = 1_700_000_000 * 10**9
BOOT = b"b" * 16
ACC = StreamDescription("acc", (Channel("x", "g"), Channel("y", "g")), "float32", 100)
RULES = compile_rules(
    """version: 1
rules:
  - {label: high, when: acc.x > 1g, hold: 30ms}
  - {label: mean, when: 'mean(acc.x, 1s) > 0.2g'}
""",
    "rules.yaml",
)


def chunk(
    seq: int, first: int, x: Sequence[float], recording: str = "r", device: str = "d", clock: str = "ntp"
) -> Chunk:
    values = np.array([[v, 0] for v in x], dtype="<f4").tobytes()
    where = (device, recording, "acc", BOOT, seq, schema_id(ACC), T0 + first * 10 * MS)
    return Chunk(*where, 10 * MS, 1, 0, 0, b"", len(x), values, clock=Clock(clock))


def batch(records: Sequence[Record | bytes], first: int = 0, append_ns: int = T0) -> LogBatch:
    values = [record if isinstance(record, bytes) else encode(record) for record in records]
    offsets = range(first, first + len(values))
    return LogBatch(
        "readings", 0, offsets, [append_ns] * len(values), [b"d"] * len(values), values, first + len(values)
    )


def operator() -> RulesOperator:
    made = RulesOperator(RULES)
    made.learn(schema_id(ACC), ACC)
    return made


def run(records: Sequence[Record | bytes], cuts: Sequence[int] = ()) -> tuple[list[MarkAdd], Counter[str]]:
    """Feed in batches that end at `cuts`, saved and restored at each."""
    made = operator()
    running, marks, counts = made.start(None), [], Counter[str]()
    edges = [0, *sorted(cuts), len(records)]
    for start, stop in itertools.pairwise(edges):
        assert running.feed(batch(records[start:stop], start)) == stop - start
        output = running.take()
        assert not output.drafts
        assert all(publication.topic == MARKS for publication in output.publications)
        marks += [decode(publication.entry.value) for publication in output.publications]
        counts.update(output.counts)
        running = made.start(running.snapshot())
    assert all(isinstance(mark, MarkAdd) for mark in marks)
    return marks, counts  # type: ignore[return-value]


def recording(rng: np.random.Generator) -> list[Record | bytes]:
    """Chunks with duplicates, late ones, an unsynced one, garbage and progress between."""
    records: list[Record | bytes] = [RecordingStart("d", "r", BOOT, T0, "boot")]
    at, seq = 0, 0
    while at < 400:
        size = int(rng.integers(1, 60))
        x = np.cumsum(rng.integers(-1, 2, size)) % 4 - 1.0
        records.append(chunk(seq, at, x.tolist(), clock="unsynced" if rng.random() < 0.05 else "ntp"))
        at, seq = at + size + (80 if rng.random() < 0.1 else 0), seq + 1
        kind = rng.random()
        if kind < 0.2:
            records.append(records[int(rng.integers(len(records)))])
        elif kind < 0.3:
            records.append(chunk(1000 + seq, max(0, at - 30), [3.0] * 5))
        elif kind < 0.4:
            records.append(Progress("d", "r", "acc", BOOT, T0 + at * 10 * MS))
        elif kind < 0.45:
            records += [b"\x01garbage", Gap("d", "r", "acc", BOOT, T0, T0 + 1, 3, "full")]
    return [*records, RecordingEnd("d", "r", BOOT, T0 + at * 10 * MS, "stop")]


@settings(max_examples=60)
@given(seed=st.integers(0, 2**32 - 1))
def test_batches_and_seals_make_no_difference(seed: int) -> None:
    rng = np.random.default_rng(seed)
    records = recording(rng)
    marks, counts = run(records)
    cuts = rng.integers(0, len(records) + 1, int(rng.integers(1, 12))).tolist()
    again, counts_again = run(records, cuts)
    assert sorted(map(encode, again)) == sorted(map(encode, marks))
    assert counts_again == counts


def test_each_chunk_counts_once_and_nothing_after_the_end() -> None:
    first = chunk(0, 0, [0, 2, 2, 0])
    end = RecordingEnd("d", "r", BOOT, T0, "stop")
    marks, counts = run(
        [first, first, end, chunk(1, 10, [2, 0]), end, chunk(2, 20, [0, 2, 0], recording="r2")], cuts=[2, 4]
    )
    assert [mark.start_ns - T0 for mark in marks if mark.label == "high"] == [10 * MS]
    assert counts["duplicate.chunks"] == 1
    assert counts["late.samples"] == 2


def test_an_unknown_schema_stops_the_feeding_until_it_is_learnt() -> None:
    made = RulesOperator(RULES)
    running = made.start(None)
    records = batch([RecordingStart("d", "r", BOOT, T0, "boot"), chunk(0, 0, [0, 2, 0])])
    assert running.feed(records) == 1
    assert running.missing_schema == schema_id(ACC)
    made.learn(schema_id(ACC), ACC)
    assert running.feed(records.tail(1)) == 1
    assert running.missing_schema is None
    assert running.take().counts["samples"] == 3


def test_what_lies_a_day_ahead_is_not_believed() -> None:
    ahead = int(DAY_NS // (10 * MS)) + 10
    marks, counts = run(
        [chunk(0, 0, [0, 2, 0]), chunk(1, ahead, [2, 2]), Progress("d", "r", "acc", BOOT, T0 + 3 * DAY_NS)]
    )
    assert counts["quarantine.samples"] == 2
    assert counts["quarantine.progress"] == 1
    assert [mark.label for mark in marks] == []


def test_a_forgotten_device_makes_no_marks() -> None:
    marks, _ = run([chunk(0, 0, [0, 2]), Forget("d", "me", T0, "asked"), chunk(1, 2, [2, 0]), chunk(2, 4, [2, 0])], [2])
    assert marks == []


def test_an_abandoned_recording_is_closed_and_may_go_on() -> None:
    running = operator().start(None)
    running.feed(batch([chunk(0, 0, [0, 2])]))
    other = chunk(0, 0, [0], recording="x", device="e")
    for day in range(32):
        running.feed(batch([other], 1, T0 + day * DAY_NS))
    assert len(running.take().publications) == 1
    running.feed(batch([chunk(1, 1, [2, 2, 2, 0])], 2, T0 + 31 * DAY_NS))
    output = running.take()
    assert output.counts["late.samples"] == 1
    running.feed(batch([RecordingEnd("d", "r", BOOT, T0, "stop")], 3, T0 + 31 * DAY_NS))
    assert len(running.take().publications) == 1
    for day in range(32, 63):
        running.feed(batch([other], 4, T0 + day * DAY_NS))
    running.take()
    running.feed(batch([chunk(0, 0, [0, 2])], 5, T0 + 62 * DAY_NS))
    assert running.take().counts["duplicate.chunks"] == 0


def test_a_max_gap_below_the_measured_period_is_told() -> None:
    slow = StreamDescription("acc", (Channel("x", "g"), Channel("y", "g")), "float32")
    rules = compile_rules("version: 1\nrules: [{label: high, when: acc.x > 1g, max_gap: 9ms}]", "rules.yaml")
    made = RulesOperator(rules)
    made.learn(schema_id(slow), slow)
    running = made.start(None)
    running.feed(batch([msgspec.structs.replace(chunk(0, 0, [2] * 9), schema=schema_id(slow))]))
    (note,) = running.take().notes
    assert note.startswith('rule "high" has a max_gap shorter than the time between samples of acc on d: every 0.01s')


def test_a_stream_that_stopped_is_told_once_it_is_not_waited_for() -> None:
    gps = StreamDescription("gps", (Channel("speed", "m/s"),), "float32", 1)
    rules = compile_rules("version: 1\nrules: [{label: both, when: acc.x > 1g and gps.speed > 1m/s}]", "rules.yaml")
    made = RulesOperator(rules)
    made.learn(schema_id(ACC), ACC)
    made.learn(schema_id(gps), gps)
    running = made.start(None)
    for day in range(3):
        progress = Progress("d", "r", "acc", BOOT, T0 + day * DAY_NS + 20 * MS)
        running.feed(batch([chunk(0, 0, [0, 2]), progress], 2 * day, T0 + day * DAY_NS))
    (note,) = running.take().notes
    assert note.startswith('rule "both" waited a day for gps, which d for one does not send any more')


def test_a_damaged_state_is_refused() -> None:
    made = operator()
    saved = bytearray(made.start(None).snapshot()[0])
    saved[-1] ^= 1
    with pytest.raises(CorruptError):
        made.start([bytes(saved)])
