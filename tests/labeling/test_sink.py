"""The labels sink: what goes in as events comes out of Parquet as the same events."""

from __future__ import annotations

import io
import math
import sys

import msgspec
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.engine.operator import Operator, Output, Running
from ingest.errors import CorruptError, StateVersionError
from ingest.log.protocol import DEADLETTER, LogBatch
from ingest.records import DeadLetter, Mark, MarkAdd, MarkEdit, MarkRetract, Progress, Record, RecordingUndo
from ingest.wire import decode, encode
from labeling.sink import LabelsOperator, read_events, read_undone


def batch(values: list[bytes], start: int = 0, append_ns: list[int] | None = None) -> LogBatch:
    count = len(values)
    stamps = append_ns or [100 + start + i for i in range(count)]
    return LogBatch("marks", 2, range(start, start + count), stamps, [b"pump"] * count, values, start + count)


def tables(*outputs: Output) -> pl.DataFrame:
    files = [b"".join(bytes(p) for p in draft.parts) for output in outputs for draft in output.drafts]
    return pl.concat([pl.read_parquet(io.BytesIO(file)) for file in files])


def test_it_is_what_the_engine_runs() -> None:
    operator: Operator = LabelsOperator()
    running: Running = LabelsOperator().start(None)
    assert (operator.name, running.missing_schema) == ("labels", None)


times = st.integers(-(2**62), 2**62)
words = st.text(st.characters(exclude_categories=["Cs"]), max_size=5)
numbers = st.floats(allow_nan=False)
evidence = st.dictionaries(words, st.floats(allow_nan=False, allow_infinity=False), max_size=2)
adds = st.builds(
    MarkAdd, words, words, times, times, words, words, words, numbers, times, times,
    evidence, words, st.booleans(), words,
)  # fmt: skip
edits = st.builds(
    MarkEdit, words, words, words, words, st.none() | times, st.none() | times, st.none() | words, st.none() | numbers,
    times, times, words, times, st.booleans(), evidence,
)  # fmt: skip
retracts = st.builds(MarkRetract, words, words, words, words, times, times, words, st.booleans(), evidence)
events: st.SearchStrategy[list[Mark]] = st.lists(adds | edits | retracts, min_size=1, max_size=6)


@given(events, st.integers(0, 6))
def test_events_survive_any_seal_and_restart(marks: list[Mark], cut: int) -> None:
    values = [encode(mark) for mark in marks]
    operator = LabelsOperator()
    running = operator.start(None)
    running.feed(batch(values[:cut]))
    first = running.take()
    running = operator.start(running.snapshot())
    running.feed(batch(values[cut:], start=min(cut, len(values))))
    second = running.take()
    table = tables(first, second)
    read, append_ns = read_events([table])
    assert read == marks
    assert append_ns == [100 + offset for offset in range(len(marks))]
    assert table["offset"].to_list() == list(range(len(marks)))
    assert sum((first.counts + second.counts).values()) == len(marks)


def test_people_wait_for_their_marks_and_nobody_for_a_rules() -> None:
    events: list[tuple[Record, bool]] = [
        (MarkAdd("pump", "m", 1, 2, "run", "high", "rule"), False),
        (MarkAdd("pump", "m", 1, 2, "run", "ann", "button"), True),
        (MarkEdit("pump", "m", "ann", "operator", label="stop"), True),
        (MarkRetract("pump", "m", "ann", "import"), True),
        (RecordingUndo("pump", "r", "ann", "mistaken"), True),
        (Progress("pump", "r", "acc", b"b", 1), False),
    ]
    for event, urgent in events:
        running = LabelsOperator().start(None)
        running.feed(batch([encode(event), encode(MarkAdd("pump", "n", 1, 2, "run", "high", "rule"))]))
        assert running.urgent == urgent
        running.take()
        assert not running.urgent


@pytest.mark.parametrize("arrow", [True, False])
def test_many_events_are_packed_where_memory_has_room_for_the_library(
    arrow: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not arrow:
        monkeypatch.setitem(sys.modules, "pyarrow", None)
    marks: list[Mark] = [
        MarkAdd("pump", f"{n}", n * 10**9, (n + 1) * 10**9, "run", "ann", "operator", 0.5, n, n, {"x": n})
        for n in range(300)
    ]
    marks += [MarkEdit("pump", "7", "ann", "operator", label="stop", client_ns=8), MarkRetract("pump", "8", "a", "b")]
    running = LabelsOperator().start(None)
    running.feed(batch([encode(mark) for mark in marks]))
    output = running.take()
    assert (output.drafts[0].size < 10_000) == arrow
    assert read_events([tables(output)])[0] == marks


def plain(number: int, label: str = "run", tool: str = "import") -> MarkAdd:
    return MarkAdd(f"pump-{number % 2}", f"{number:x}", number, number + 10**18, label, "ann", tool, 0.5, number << 20)


@pytest.mark.parametrize("arrow", [True, False])
def test_plain_marks_that_come_together_make_the_file_that_they_make_one_by_one(
    arrow: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not arrow:
        monkeypatch.setitem(sys.modules, "pyarrow", None)
    marks: list[Mark] = [plain(number, ("run", "", "schlägt", "long " * 40)[number % 4]) for number in range(600)]
    values = [encode(mark) for mark in marks]
    together, singly, mixed = (LabelsOperator().start(None) for _ in range(3))
    together.feed(batch(values))
    for begin in range(0, 600, 200):
        singly.feed(batch(values[begin : begin + 200], begin))
    for begin, end in ((0, 256), (256, 300), (300, 600)):
        mixed.feed(batch(values[begin:end], begin))
    outputs = [running.take("t") for running in (together, singly, mixed)]
    assert len({output.drafts[0].sha256 for output in outputs}) == 1
    assert [output.counts for output in outputs] == [{"marks.add": 600}] * 3
    table = tables(outputs[0])
    assert read_events([table]) == (marks, list(range(100, 700)))
    assert table["partition"].to_list() == [2] * 600


def test_of_many_marks_what_is_empty_of_all_is_left_out_and_what_is_not_of_one_is_kept() -> None:
    empty: list[Mark] = [plain(number) for number in range(300)]
    told: list[Mark] = [msgspec.structs.replace(plain(number), reason="trimmed", trim=True) for number in range(300)]
    undo = RecordingUndo("pump-1", "r", "ann", "", back=False)
    for marks, others in (
        (empty, set()),
        ([*empty, told[0]], {"reason", "trim"}),
        ([*empty, *told], {"reason", "trim"}),
    ):
        running = LabelsOperator().start(None)
        for begin in range(0, len(marks), 300):
            running.feed(batch([encode(mark) for mark in marks[begin : begin + 300]], begin))
        table = tables(running.take())
        assert {"revision", "reason", "undoes_ns", "undo", "trim", "accept"} & set(table.columns) == others
        assert read_events([table])[0] == marks
    running.feed(batch([encode(each) for each in [*empty, undo]]))
    assert read_undone([tables(running.take())]) == {("pump-1", "r"): ""}


def test_what_is_among_many_plain_marks_is_seen() -> None:
    values = [encode(plain(number, tool="rule")) for number in range(300)]
    running = LabelsOperator().start(None)
    running.feed(batch(values))
    assert not running.urgent
    running.feed(batch([*values, encode(plain(300))], 300))
    assert running.urgent
    running.feed(batch([b"junk", *values], 601))
    running.feed(batch([encode(RecordingUndo("pump-1", "", "ann", "asked for", forget=True))], 902))
    running.feed(batch(values, 903))
    output = running.take()
    kinds = {"marks.add": 300 + 301 + 300 + 150, "undecodable": 1, "marks.recording_undo": 1, "forgotten.marks": 150}
    assert output.counts == kinds
    assert output.drafts[0].rows == sum(kinds.values()) - 151


def test_files_of_an_earlier_version_lack_the_last_columns() -> None:
    marks: list[Mark] = [
        MarkAdd("pump", "m", 1, 2, "run", "ann", "operator"),
        MarkEdit("pump", "m", "ann", "operator", label="stop"),
        MarkRetract("pump", "n", "ann", "import"),
    ]
    running = LabelsOperator().start(None)
    running.feed(batch([encode(mark) for mark in marks]))
    table = tables(running.take())
    old = table.drop("revision", "reason", "undoes_ns", "undo", "trim", "accept")
    assert read_events([old])[0] == marks
    later = table.with_columns(pl.col("offset") + 3)
    assert read_events([later, old])[0] == marks * 2


def test_evidence_that_is_not_finite_is_no_number() -> None:
    odd = {"x": math.inf, "y": math.nan, "z": 1.0}
    marks: list[Mark] = [
        MarkAdd("pump", "m", 1, 2, "run", "ann", "operator", evidence=odd),
        MarkEdit("pump", "m", "ann", "operator", label="stop", evidence=odd),
    ]
    running = LabelsOperator().start(None)
    running.feed(batch([encode(mark) for mark in marks]))
    for mark in read_events([tables(running.take())])[0]:
        assert math.isnan(mark.evidence["x"])
        assert math.isnan(mark.evidence["y"])
        assert mark.evidence["z"] == 1


def test_what_is_no_mark_goes_to_the_dead_letters() -> None:
    running = LabelsOperator().start(None)
    progress = encode(Progress("pump", "r", "acc", b"b", 5))
    good = encode(MarkRetract("pump", "m", "ann", "operator"))
    assert running.feed(batch([b"\x07junk", progress, good], start=40)) == 3
    output = running.take()
    letters = [decode(publication.entry.value) for publication in output.publications]
    assert [type(letter) for letter in letters] == [DeadLetter, DeadLetter]
    assert [(x.partition, x.offset, x.value) for x in letters if isinstance(x, DeadLetter)] == [
        (2, 40, b"\x07junk"),
        (2, 41, progress),
    ]
    assert {publication.topic for publication in output.publications} == {DEADLETTER}
    assert output.counts == {"undecodable": 2, "marks.retract": 1}


def test_dead_letters_are_pending_too() -> None:
    """A flood of them is sealed as marks are, before it fills the memory."""
    running = LabelsOperator().start(None)
    running.feed(batch([b"\x07" + bytes(50_000)] * 20))
    assert running.pending_bytes > 1_000_000
    running.take()
    assert running.pending_bytes == 0


def test_nothing_gives_no_file_and_take_empties() -> None:
    running = LabelsOperator().start(None)
    assert running.take().drafts == []
    running.feed(batch([encode(MarkRetract("pump", "m", "ann", "operator"))]))
    assert running.pending_bytes > 0
    assert len(running.take().drafts) == 1
    assert running.pending_bytes == 0
    assert running.take() == Output([], [])


def test_append_times_never_run_backwards_even_over_a_restart() -> None:
    value = encode(MarkRetract("pump", "m", "ann", "operator"))
    running = LabelsOperator().start(None)
    running.feed(batch([value, value], append_ns=[50, 40]))
    first = running.take()
    running = LabelsOperator().start(running.snapshot())
    running.feed(batch([value], start=2, append_ns=[30]))
    assert tables(first, running.take())["append_ns"].to_list() == [50, 50, 50]


def test_a_hole_in_the_log_is_counted() -> None:
    running = LabelsOperator().start(None)
    running.skip(5, 9)
    assert running.take().counts == {"lost.offsets": 4}


def test_foreign_states_are_refused() -> None:
    with pytest.raises(StateVersionError, match="code version 99"):
        LabelsOperator().start([msgspec.json.encode({"code": 99, "append_ns": 0})])
    with pytest.raises(CorruptError, match="labels state"):
        LabelsOperator().start([b"{}garbage"])
