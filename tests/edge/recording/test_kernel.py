"""Times that the kernel has stamped."""

from __future__ import annotations

import numpy as np

from edge.protocol import Fault, Frame
from edge.recording.kernel import KernelTimes
from edge.recording.recorder import Recorder
from edge.recording.stamps import Stamp
from edge.recording.terms import ClockState, Previous, Rules
from ingest.records import Chunk, Gap, RecordingStart
from ingest.times import sample_times
from tests.edge.configs import source_config

S = 1_000_000_000


def test_the_kernels_times_are_believed_whenever_they_are_read() -> None:
    base = KernelTimes()
    placed = base.place(3, np.array([10, 20, 35]), Stamp(5 * S))
    assert (placed.times.tolist(), placed.error_ns) == ([10, 20, 35], 0)


def test_what_does_not_rise_lies_right_behind_and_none_is_left_out() -> None:
    base = KernelTimes()
    placed = base.place(4, np.array([10, 30, 20, 30]), Stamp(0))
    assert (placed.times.tolist(), placed.error_ns) == ([10, 30, 31, 32], 11)
    assert base.place(1, np.array([32]), Stamp(0)).times.tolist() == [33]


def test_nothing_lies_before_what_was_promised() -> None:
    base = KernelTimes()
    base.promise(100)
    placed = base.place(2, np.array([90, 200]), Stamp(0))
    assert (placed.times.tolist(), placed.error_ns) == ([100, 200], 10)


def test_a_recorder_puts_them_on_its_own_axis_with_their_gaps() -> None:
    config = source_config("scans", ("x",), clock="kernel", kind="gpio", stream="switch")
    recorder = Recorder("pump", b"1" * 16, [config], Rules(), Previous(), ClockState(True, "ntp"))
    boot_ns, wall_ns, at_ns = 100 * S, 1_800_000_000 * S, 99 * S
    items: list[Frame | Fault] = [
        Fault("missed", 0, 5, time_ns=at_ns),
        Frame(np.array([[1.0], [0.0]]), np.array([at_ns, at_ns + 7]), 48),
        Fault("missed", 48, 3, time_ns=at_ns + 20),
        Frame(np.array([[1.0]]), np.array([at_ns + 20]), 72),
    ]
    recorder.take("switch", 72, items, boot_ns, wall_ns)
    records = [held.record for held in recorder.flush(boot_ns)]
    axis = wall_ns - boot_ns + at_ns
    chunks = [record for record in records if isinstance(record, Chunk)]
    assert [time for chunk in chunks for time in sample_times(chunk).tolist()] == [axis, axis + 7, axis + 20]
    assert all(chunk.clock is not None and chunk.clock.source == "ntp" for chunk in chunks)
    assert [record.start_ns for record in records if isinstance(record, RecordingStart)] == [axis]
    (gap,) = (record for record in records if isinstance(record, Gap))
    assert (gap.reason, gap.samples, gap.end_ns) == ("missed", 8, axis + 20)
