"""What nobody hears is announced without a hole, however late ticks come: each gap begins where what is known ends."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from ingest.records import Chunk, Gap, Progress
from ingest.times import sample_times
from tests.edge.configs import source_config
from tests.edge.recording.test_recorder import WALL, S, frame, recorder

MS = 1_000_000
ticks = st.tuples(st.integers(1, 6000) | st.sampled_from([20, 1000]), st.booleans(), st.booleans())
"""Milliseconds since the one before, whether a sample came, whether nobody hears the sensor."""


@given(st.lists(ticks, min_size=1, max_size=25), st.sampled_from([None, 10]))
def test_gaps_of_what_nobody_hears_leave_no_hole(course: list[tuple[int, bool, bool]], rate: int | None) -> None:
    device, now, known = recorder(source_config(channels=("x",), rate=rate)), S, 0
    for span_ms, comes, is_missing in [(20, True, False), *course]:
        now += span_ms * MS
        if comes:
            device.take("acc", 1, [frame(1)], now - MS // 2, WALL + now - MS // 2)
        for record in (held.record for held in device.flush(now, {"acc": "port_lost"} if is_missing else {})):
            if isinstance(record, Chunk):
                known = max(known, int(sample_times(record)[-1]) + 1)
            elif isinstance(record, Gap):
                if record.reason == "port_lost":
                    assert record.start_ns <= known
                known = max(known, record.end_ns)
            elif isinstance(record, Progress):
                assert not is_missing or record.complete_to_ns <= known
                known = max(known, record.complete_to_ns)
