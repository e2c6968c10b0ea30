"""The folds: the same points wherever batches and seals fall, and a count for whatever is no point."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.chunker import Limits, Origin, periodic_chunks
from ingest.errors import CorruptError, StateVersionError
from ingest.log.protocol import MARKS, READINGS, STATUS, LogBatch
from ingest.records import (
    Channel,
    Clock,
    Forget,
    MarkAdd,
    MarkEdit,
    MarkRetract,
    Progress,
    Record,
    RecordingEnd,
    RecordingStart,
    RecordingUndo,
    StreamDescription,
    schema_id,
)
from ingest.wire import encode
from sinks.influx.operators import FED_BYTES, InfluxOperator

START_NS = 1_700_000_000 * 10**9
STREAM = StreamDescription("acc", (Channel("x", "g"), Channel("y", "g", 0.5)), "float32", 10)
SCHEMA = schema_id(STREAM)
S = 10**9


def chunks(device: str, seconds: int, *, clock: Clock | None = None, values: float | None = None) -> list[Record]:
    rng = np.random.default_rng([*device.encode()])
    signal = rng.normal(size=(seconds * 10, 2)).astype(np.float32)
    if values is not None:
        signal[:, 0] = values
    origin = Origin(device, "r", "acc", device.encode().ljust(16, b"-"), SCHEMA, clock)
    return list(periodic_chunks(origin, START_NS, (S // 10, 1), signal, Limits()))


def batch_of(topic: str, records: Sequence[Record | bytes], first: int = 0) -> LogBatch:
    values = [record if isinstance(record, bytes) else encode(record) for record in records]
    offsets = range(first, first + len(values))
    return LogBatch(topic, 0, offsets, [START_NS + at for at in offsets], [b""] * len(values), values, offsets.stop)


def operator(topic: str = READINGS, thin_ns: int = 0) -> InfluxOperator:
    found = InfluxOperator(topic, "v1/sensors/", thin_ns)
    found.learn(SCHEMA, STREAM)
    return found


def fold(
    fold: InfluxOperator, records: Sequence[Record | bytes], cuts: Sequence[int] = ()
) -> tuple[list[str], Counter[str]]:
    """The lines and counts; at each of `cuts` a seal, and another worker that goes on from its state."""
    running, lines, counts = fold.start(None), [], Counter[str]()
    fresh = InfluxOperator(fold.topic, "v1/sensors/", fold.thin_ns)
    at = 0
    for stop in [*sorted({cut for cut in cuts if 0 < cut < len(records)}), len(records)]:
        batch = batch_of(fold.topic, records[at:stop], at)
        taken = running.feed(batch)
        if running.missing_schema is not None:
            fresh.learn(running.missing_schema, STREAM)
            taken += running.feed(batch.tail(taken))
        assert taken == stop - at
        output = running.take("0-0")
        counts.update(output.counts)
        for draft in output.drafts:
            lines += bytes(draft.parts[0]).decode().split("\n")
        running, at = fresh.start(running.snapshot()), stop
    return lines, counts


def a_day() -> list[Record | bytes]:
    start = RecordingStart("a", "r", b"-" * 16, START_NS, "test")
    end = RecordingEnd("a", "r", b"-" * 16, START_NS + 9 * S, "test")
    mixed = [record for pair in zip(chunks("a", 9), chunks("b", 9), strict=True) for record in pair]
    progress = Progress("b", "r", "acc", b"b" * 16, START_NS + 10 * S)
    return [start, *mixed, b"\x01rubbish", mixed[4], progress, end]


@given(st.lists(st.integers(0, 24), max_size=6), st.sampled_from([0, S, 5 * S // 2]))
def test_points_are_the_same_wherever_seals_fall(cuts: list[int], thin_ns: int) -> None:
    whole = fold(operator(thin_ns=thin_ns), a_day())
    assert fold(operator(thin_ns=thin_ns), a_day(), cuts) == whole


def test_thinned_or_not_each_sample_that_counts_is_told_once() -> None:
    lines, counts = fold(operator(), a_day())
    assert len(lines) == len(set(lines)) == 180 == counts["samples"] == counts["points"]
    assert (counts["undecodable"], counts["duplicate.samples"]) == (1, 10)
    thinned, _ = fold(operator(thin_ns=5 * S // 2), a_day())
    assert sum(int(line.partition("count=")[2].partition("i")[0]) for line in thinned) == 180


@pytest.mark.parametrize("thin_ns", [0, S])
def test_samples_that_are_no_points_are_counted_by_their_reason(thin_ns: int) -> None:
    late = chunks("late", 2)
    records = [
        *chunks("clockless", 1, clock=Clock("unsynced")),
        late[0],
        RecordingEnd("late", "r", b"-" * 16, START_NS + S, "test"),
        late[1],
        Forget("gone", "ann", START_NS, "asked"),
        *chunks("gone", 1),
    ]
    _, counts = fold(operator(thin_ns=thin_ns), records)
    assert (counts["unsynced.samples"], counts["late.samples"], counts["forgotten.samples"]) == (10, 10, 10)
    assert (counts["samples"], counts["points"]) == (10, 1 if thin_ns else 10)


def test_values_that_are_missing_are_left_out_and_counted() -> None:
    lines, counts = fold(operator(), chunks("a", 1, values=float("nan")))
    assert len(lines) == 10
    assert not any("x=" in line for line in lines)
    assert counts["missing.values"] == 10
    (line,), _ = fold(operator(thin_ns=S), [*chunks("a", 1, values=np.inf), RecordingEnd("a", "r", b"-", START_NS, "")])
    assert "x_" not in line
    assert "count=10i,y_min=" in line


def test_a_large_batch_is_fed_in_pieces() -> None:
    running = operator().start(None)
    batch = batch_of(READINGS, chunks("a", 14_000))
    taken = running.feed(batch)
    assert 0 < taken < len(batch)
    assert FED_BYTES <= running.pending_bytes < FED_BYTES + 10_000
    assert running.missing_schema is None
    running.take("0-0")
    assert running.feed(batch.tail(taken)) > 0


def test_an_unknown_schema_is_waited_for() -> None:
    running = InfluxOperator(READINGS, "v1/sensors/").start(None)
    assert running.feed(batch_of(READINGS, [RecordingStart("a", "r", b"-" * 16, START_NS, ""), *chunks("a", 1)])) == 1
    assert running.missing_schema == SCHEMA


def test_states_of_others_are_refused() -> None:
    with pytest.raises(StateVersionError, match="another --out"):
        operator().start((b"\x07",))
    with pytest.raises(CorruptError):
        operator().start((b"\x01", b"rubbish"))
    with pytest.raises(CorruptError):
        operator(MARKS).start((b"\x01", b"rubbish-rubbish"))


def test_other_databases_and_spans_are_other_sinks() -> None:
    specs = {InfluxOperator(READINGS, name, thin).spec for name in ("v1/a/", "v1/b/") for thin in (0, S)}
    assert len(specs) == 4
    assert InfluxOperator(MARKS, "v1/a/", 0).spec == InfluxOperator(MARKS, "v1/a/", S).spec


@given(st.lists(st.integers(0, 8), max_size=4))
def test_marks_are_the_same_wherever_seals_fall(cuts: list[int]) -> None:
    add = MarkAdd("a", "m", START_NS, START_NS + S, "run", "ann", "operator")
    events: list[Record | bytes] = [
        add,
        MarkEdit("a", "m", "bea", "operator", label="stop", client_ns=1),
        add,
        MarkRetract("a", "m", "bea", "operator", client_ns=2),
        MarkEdit("a", "m", "bea", "operator", client_ns=3, undoes_ns=2),
        MarkEdit("a", "never", "bea", "operator", label="x", client_ns=4),
        MarkEdit("a", "m", "bea", "operator", label="stop", client_ns=1),
        chunks("a", 1)[0],
    ]
    lines, counts = fold(operator(MARKS), events, cuts)
    last = {line.partition(" ")[0]: line for line in lines}
    assert [("label=run" in head, "active=0i" in line) for head, line in last.items()] == [(True, True), (False, False)]
    expected = {"marks": 7, "marks.duplicate": 2, "marks.unknown": 1, "undecodable": 1}
    assert {name: count for name, count in counts.items() if name != "points"} == expected


@given(st.lists(st.integers(0, 6), max_size=3))
def test_marks_of_who_is_forgotten_are_counted_and_kept_nowhere(cuts: list[int]) -> None:
    said = (START_NS, START_NS + S, "run", "planted", "operator")
    events: list[Record | bytes] = [
        MarkAdd("gone", "m", *said),
        MarkAdd("stays", "m", *said),
        RecordingUndo("stays", "", "ann", "its windows go, its marks do not", START_NS),
        RecordingUndo("gone", "", "ann", "asked", START_NS, forget=True),
        MarkEdit("gone", "m", "planted", "operator", label="stop", client_ns=1),
        MarkAdd("gone", "n", *said),
        MarkEdit("stays", "m", "bea", "operator", label="stop", client_ns=1),
    ]
    lines, counts = fold(operator(MARKS), events, cuts)
    assert sorted({line.partition(" ")[0] for line in lines if "device=gone" in line and "label=run" not in line}) == []
    assert len([line for line in lines if "label=stop" in line]) == 1
    expected = {"marks": 3, "forgotten.marks": 2}
    assert {name: count for name, count in counts.items() if name != "points"} == expected
    running = operator(MARKS).start(None)
    running.feed(batch_of(MARKS, [events[0], *events[3:6]]))
    running.take("0-0")
    state = b"".join(running.snapshot())
    assert b"planted" not in state
    assert b"gone" in state


def test_a_trim_is_told_apart_from_a_mark_of_that_name() -> None:
    """In the tags, or the one would be written over the other."""
    said = ("a", "t", START_NS, START_NS + S, "", "ann", "operator")
    trim = MarkAdd(*said, trim=True, reason="the belt was off")
    named = MarkAdd("a", "m", START_NS, START_NS + S, "trim", "ann", "operator")
    lines, _ = fold(operator(MARKS), [trim, named, MarkRetract("a", "m", "ann", "operator", client_ns=2)])
    last = {line.partition(" ")[0]: line for line in lines}
    tags = "author=ann,device=a,{},tool=operator".format
    of_trim, of_mark = (last[f"sensorloom_marks,{tags(what)}"] for what in ("kind=trim", "label=trim"))
    assert "active=1i" in of_trim
    assert 'title="trim",reason="the belt was off"' in of_trim
    assert "active=0i" in of_mark


def test_what_is_no_status_is_counted() -> None:
    lines, counts = fold(operator(STATUS), [chunks("a", 1)[0]])
    assert (lines, counts["undecodable"]) == ([], 1)
