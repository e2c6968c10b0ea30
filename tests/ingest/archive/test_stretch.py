"""Many records taken at once leave what they leave one by one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ingest.archive import operator, stretch
from ingest.archive.operator import ArchiveRunning
from ingest.archive.stretch import rising
from ingest.archive.tables import record_values
from ingest.lifetimes import ABANDONED_NS, DAY_NS
from ingest.log.protocol import LogBatch
from ingest.records import Chunk, Clock, Forget, Record, RecordingEnd
from ingest.wire import encode
from tests.ingest.archive.test_operator import BOOT, T0, acc, begun, written

NTP, GPS = Clock("ntp", 5, 1.5, 1000), Clock("gps", 0, 0.0, 100)
REPLACE = msgspec.structs.replace
FAULTS: dict[str, Callable[[Chunk], list[Record]]] = {
    "twice": lambda chunk: [chunk, chunk],
    "lost": lambda chunk: [],
    "clock": lambda chunk: [REPLACE(chunk, clock=GPS)],
    "ahead": lambda chunk: [REPLACE(chunk, t0_ns=T0 + 3 * DAY_NS)],
    "early": lambda chunk: [REPLACE(chunk, t0_ns=5)],
    "end": lambda chunk: [chunk, RecordingEnd(chunk.device, "r", BOOT, T0, "end")],
    "forget": lambda chunk: [Forget(chunk.device, "a", T0, "")],
    "boot": lambda chunk: [REPLACE(chunk, boot=b"toob", seq=0)],
    "recording": lambda chunk: [REPLACE(chunk, recording="s")],
    "longer": lambda chunk: [acc(chunk.seq, chunk.device, 4, clock=NTP)],
}
DEVICES, STREAMS, CHUNKS = ("fan", "pump"), ("acc", "mag", "slow"), 100
STEPS = (0, 1, 10**9, -(10**9), -2 * DAY_NS, DAY_NS, ABANDONED_NS + DAY_NS)


def sent(faults: dict[tuple[int, str, str], str], chunks: int) -> list[Record]:
    """What two devices send: two streams whose records are of one size, and a third one."""
    records: list[Record] = []
    firsts = [acc(0, device, stream=stream, clock=NTP) for device in DEVICES for stream in STREAMS]
    for seq in range(chunks):
        for first in firsts:
            chunk = REPLACE(first, seq=seq, t0_ns=T0 + seq * 10**8)
            fault = faults.get((seq, first.device, first.stream))
            records += [chunk] if fault is None else FAULTS[fault](chunk)
    return records


def log_of(records: Sequence[Record], steps: dict[int, int]) -> LogBatch:
    """The records; append time goes on by these steps before them."""
    append_ns, now_ns = [], T0 + 10**10
    for place in range(len(records)):
        now_ns += steps.get(place, 0)
        append_ns.append(now_ns)
    keys = [record.device.encode() for record in records if hasattr(record, "device")]
    return LogBatch("readings", 0, range(len(records)), append_ns, keys, [*map(encode, records)], len(records))


def fed(batch: LogBatch, at_once: int) -> ArchiveRunning:
    running = begun()
    for begin in range(0, len(batch), at_once):
        own = slice(begin, begin + at_once)
        places = batch.offsets[own]
        part = LogBatch("readings", 0, places, batch.append_ns[own], batch.keys[own], batch.values[own], places[-1] + 1)
        assert running.feed(part) == len(part)
    return running


@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.dictionaries(
        st.tuples(st.integers(0, CHUNKS - 1), st.sampled_from(DEVICES), st.sampled_from(STREAMS)),
        st.sampled_from(sorted(FAULTS)),
        max_size=4,
    ),
    st.dictionaries(st.integers(0, 600), st.sampled_from(STEPS), max_size=4),
    st.integers(20, 600),
)
def test_many_at_once_leave_what_they_leave_one_by_one(
    monkeypatch: pytest.MonkeyPatch, faults: dict[tuple[int, str, str], str], steps: dict[int, int], at_once: int
) -> None:
    records = sent(faults, CHUNKS)
    batch = log_of(records, steps)
    monkeypatch.setattr(operator, "MANY", len(batch) + 1)
    one_by_one = fed(batch, len(batch))
    state = one_by_one.snapshot()
    alone = one_by_one.take("0-0")
    monkeypatch.setattr(operator, "MANY", 16)
    many = fed(batch, at_once)
    assert many.snapshot() == state
    together = many.take("0-0")
    assert [draft.name for draft in together.drafts] == [draft.name for draft in alone.drafts], "a file is otherwise"
    assert together.counts == alone.counts
    rows, files = written(together)
    if "forget" not in faults.values():
        assert record_values(rows, files.__getitem__) == list(batch.values)


def test_most_of_an_even_log_is_taken_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    taken, take_many = list[int](), stretch.take_many

    def counted(*arguments: Any) -> int:
        taken.append(take_many(*arguments))
        return taken[-1]

    monkeypatch.setattr(operator, "take_many", counted)
    batch = log_of(sent({}, 200), dict.fromkeys(range(0, 1200, 5), 7))
    fed(batch, len(batch))
    assert sum(taken) > 0.7 * len(batch)


@pytest.mark.parametrize(
    ("times", "rise"),
    [([], 0), ([5, 5, 7], 3), ([4, 5], 0), ([5, 7, 6], 2), ([5, 9, 10], 2), ([5, 10, 6], 1)],
)
def test_rising(times: list[int], rise: int) -> None:
    assert rising(times, 5, 9) == rise
