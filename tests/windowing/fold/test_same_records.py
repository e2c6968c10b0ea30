"""Windows and rules agree on which chunks count, and on when a recording is over: one intake decides for both."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from ingest.engine.operator import Operator
from ingest.lifetimes import DAY_NS
from ingest.records import Chunk, Forget, Gap, Progress, Record, RecordingEnd, RecordingStart, RecordingUndo, schema_id
from labeling.rules.compile import compile_rules
from labeling.rules.operator import RulesOperator
from tests.windowing.feeding import NOW_NS, START_NS, Source, batches, describe
from windowing.fold.operator import WindowOperator
from windowing.spec import WindowSpec

ACC = describe("acc", "x")
TEMP = describe("temp", "c")
RULES = compile_rules("version: 1\nrules: [{label: high, when: acc.x > 1g}]\n", "rules.yaml")
SPEC = WindowSpec(2, 2, Fraction(50), ("acc.x",))
STEP = 20_000_000
COUNTS = (
    *("duplicate.chunks", "duplicate.samples", "missing.chunks", "unsynced.samples", "quarantine.samples"),
    *("late.samples", "forgotten.samples", "forgotten.records", "abandoned.recordings", "samples", "other.records"),
    "undecodable",
)


@st.composite
def chunks(draw: st.DrawFn) -> Chunk:
    source = Source(draw(st.sampled_from([ACC, ACC, TEMP])), device=draw(st.sampled_from("de")))
    source.recording, source.boot = draw(st.sampled_from("rq")), draw(st.sampled_from([b"b" * 16, b"c" * 16]))
    source.seq, source.clock = draw(st.integers(0, 5)), draw(st.sampled_from(["ntp", "ntp", "ntp", "unsynced"]))
    ahead = draw(st.sampled_from([0, 0, 0, NOW_NS - START_NS + DAY_NS - STEP, NOW_NS - START_NS + DAY_NS]))
    return source.regular(START_NS + source.seq * 3 * STEP + ahead, 0, Fraction(STEP), [0.0, 2.0, 0.0])


@st.composite
def others(draw: st.DrawFn) -> Record:
    who = (draw(st.sampled_from("de")), draw(st.sampled_from("rq")))
    records: list[Record] = [
        RecordingStart(*who, b"b" * 16, START_NS, "start"),
        RecordingEnd(*who, b"b" * 16, START_NS, "stop"),
        RecordingEnd(*who, b"b" * 16, START_NS, "stop"),
        Gap(*who, "acc", b"b" * 16, START_NS, START_NS + 1, 3, "full"),
        Progress(*who, "acc", b"b" * 16, START_NS + 5 * STEP),
        Forget(who[0], "ana", START_NS, "asked to"),
        RecordingUndo(*who, "ana", "asked to", START_NS, forget=True),
    ]
    return draw(st.sampled_from(records))


def _counts(operator: Operator, records: Sequence[Record], stamps: list[int], cuts: list[int]) -> Counter[str]:
    """What an operator counts, saved and restored after each batch."""
    for description in (ACC, TEMP):
        operator.learn(schema_id(description), description)
    running, counts = operator.start(None), Counter[str]()
    for batch in batches(records, cuts, stamps):
        assert running.feed(batch) == len(batch)
        counts.update(running.take().counts)
        running = operator.start(running.snapshot())
    return counts


@given(st.data())
def test_both_operators_agree_on_which_records_count(data: st.DataObject) -> None:
    records = data.draw(st.lists(st.one_of(chunks(), chunks(), others()), min_size=1, max_size=30))
    steps = st.sampled_from([0, 0, 0, 1, DAY_NS // 2, DAY_NS, 15 * DAY_NS, 40 * DAY_NS, -2 * DAY_NS])
    stamps = [NOW_NS]
    for _ in records[1:]:
        stamps.append(max(NOW_NS - 3 * DAY_NS, stamps[-1] + data.draw(steps)))
    cuts = data.draw(st.lists(st.integers(1, 9), max_size=4))
    windows = _counts(WindowOperator(SPEC), records, stamps, cuts)
    rules = _counts(RulesOperator(RULES), records, stamps, [])
    names = {*COUNTS}
    if any(isinstance(record, Forget | RecordingUndo) for record in records):
        names.remove("samples")  # rules do not work out what was collected of a forgotten device
    assert {name: windows[name] for name in names} == {name: rules[name] for name in names}
