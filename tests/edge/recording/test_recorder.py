from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pytest

from edge.protocol import Fault, Frame, SourceConfig
from edge.recording.recorder import UNSYNCED, ClockState, Held, Previous, Recorder, Rules, shifted
from ingest.records import Chunk, Clock, Gap, Progress, Record, RecordingEnd, RecordingStart
from ingest.times import sample_times
from tests.edge.configs import source_config

S = 1_000_000_000
WALL = 1_700_000_000 * S
SET, UNSET = ClockState(True, "system"), ClockState(False, "system")
BOOT = bytes(range(16))


def frame(*values: float, times: Iterable[int] | None = None) -> Frame:
    device = None if times is None else np.array(list(times), dtype=np.int64)
    return Frame(np.array(values, dtype=np.float64)[:, None], device, 0)


def recorder(
    *configs: SourceConfig, clock: ClockState = SET, previous: Previous | None = None, rules: Rules | None = None
) -> Recorder:
    sources = configs or (source_config(channels=("x",)),)
    return Recorder("pump", BOOT, sources, rules or Rules(), previous or Previous(), clock)


def records(held: Iterable[Held]) -> list[Record]:
    return [item.record for item in held]


def kinds(found: Iterable[Record]) -> list[str]:
    return [type(record).__name__ for record in found]


def test_a_recording_begins_with_the_first_sample_and_names_the_boot_before() -> None:
    device = recorder(previous=Previous(b"p" * 16, 77))
    assert device.flush(0) == []
    device.take("acc", 4, [frame(1)], S, WALL)
    start, chunk = records(device.flush(S))
    assert start == RecordingStart("pump", "000102030405-0", BOOT, WALL, "start", b"p" * 16, 77)
    assert isinstance(chunk, Chunk)
    assert (chunk.t0_ns, chunk.seq, chunk.clock) == (WALL, 0, Clock("system"))
    device.end("stopped", 2 * S)
    assert records(device.flush(2 * S)) == [RecordingEnd("pump", start.recording, BOOT, WALL + 1, "stopped")]


def test_samples_that_come_together_do_not_reach_back_into_the_recording_before() -> None:
    device = recorder(previous=Previous(b"p" * 16, WALL - S // 4))
    device.take("acc", 1, [frame(1, 2, 3)], S, WALL)
    (chunk,) = [record for record in records(device.flush(S)) if isinstance(record, Chunk)]
    times = sample_times(chunk)
    assert WALL - S // 4 <= times[0] < times[-1] <= WALL
    device.end("stopped", S)
    device.take("acc", 1, [frame(4, 5, 6)], 2 * S, WALL + S // 4)
    found = records(device.flush(2 * S))
    start = next(record for record in found if isinstance(record, RecordingStart))
    assert WALL < start.start_ns < WALL + S // 4
    device = recorder(previous=Previous(b"p" * 16, WALL + S))  # a clock that was ahead, then
    device.take("acc", 1, [frame(1)], S, WALL)
    (chunk,) = [record for record in records(device.flush(S)) if isinstance(record, Chunk)]
    assert chunk.t0_ns == WALL


def test_silent_streams_say_how_far_they_are_and_nothing_comes_before_that() -> None:
    device = recorder(source_config(channels=("x",)), source_config(channels=("x",), stream="temp"))
    device.take("acc", 1, [frame(1)], S, WALL)
    found = records(device.flush(2 * S))
    assert kinds(found) == ["RecordingStart", "Chunk", "Progress"]
    assert found[2] == Progress("pump", "000102030405-0", "temp", BOOT, WALL + S)
    assert kinds(records(device.flush(3 * S))) == ["Progress", "Progress"]
    device.take("temp", 1, [frame(1, 2, 3)], 3 * S, WALL + 2 * S)
    (chunk,) = [record for record in records(device.flush(4 * S)) if isinstance(record, Chunk)]
    assert sample_times(chunk)[0] >= WALL + 2 * S


def test_faults_are_announced_before_what_follows_them() -> None:
    device = recorder()
    device.take("acc", 1, [frame(1), Fault("columns", 0), Fault("header", 0, 0), frame(2)], S, WALL)
    found = records(device.flush(S))
    assert kinds(found) == ["RecordingStart", "Gap", "Chunk"]
    assert isinstance(found[1], Gap)
    assert (found[1].reason, found[1].samples) == ("columns", 1)
    assert device.counters["acc"].lost == {"columns": 1, "header": 1}


def test_a_step_of_the_systems_clock_begins_a_new_recording() -> None:
    device = recorder()
    device.take("acc", 1, [frame(1)], S, WALL)
    device.take("acc", 1, [frame(2)], 2 * S, WALL + 3600 * S)
    found = records(device.flush(2 * S))
    assert kinds(found) == ["RecordingStart", "Chunk", "RecordingEnd", "RecordingStart", "Chunk"]
    assert isinstance(found[2], RecordingEnd)
    assert isinstance(found[3], RecordingStart)
    assert (found[2].reason, found[3].reason, found[3].previous_boot) == ("clock_step", "restart", b"")
    assert [record.seq for record in found if isinstance(record, Chunk)] == [0, 1]


def test_a_step_of_the_device_cuts_a_frame_in_two() -> None:
    device = recorder(source_config(channels=("x",), clock="device"))
    device.take("acc", 1, [frame(1, 2, 3, times=(WALL, WALL + S, WALL - 9 * S))], S, WALL + S)
    found = records(device.flush(S))
    assert kinds(found) == ["RecordingStart", "Chunk", "Chunk", "RecordingEnd", "RecordingStart", "Chunk"] or kinds(
        found
    ) == ["RecordingStart", "Chunk", "RecordingEnd", "RecordingStart", "Chunk"]
    assert sum(record.count for record in found if isinstance(record, Chunk)) == 3


def test_a_long_silence_ends_a_recording() -> None:
    device = recorder(rules=Rules(silence_ns=10 * S))
    device.take("acc", 1, [frame(1)], S, WALL)
    device.flush(S)
    assert kinds(records(device.flush(11 * S))) == ["Progress"]
    assert kinds(records(device.flush(12 * S))) == ["RecordingEnd"]
    assert device.recording is None
    device.take("acc", 1, [frame(1)], 99 * S, WALL + 98 * S)
    assert kinds(records(device.flush(99 * S))) == ["RecordingStart", "Chunk"]


def test_without_a_clock_data_are_held_on_monotonic_time() -> None:
    device = recorder(clock=UNSET)
    device.take("acc", 1, [frame(1)], 5 * S, 7)
    found = device.flush(6 * S)
    assert all(item.held for item in found)
    chunk = found[1].record
    assert isinstance(chunk, Chunk)
    assert chunk.t0_ns == 5 * S
    device.set_clock(SET, 7 * S)
    device.take("acc", 1, [frame(2)], 8 * S, WALL)
    found = device.flush(8 * S)
    assert kinds(records(found)) == ["RecordingEnd", "RecordingStart", "Chunk"]
    assert [item.held for item in found] == [True, False, False]


def test_unsynced_data_may_be_published_at_once() -> None:
    device = recorder(clock=UNSET, rules=Rules(holds_unsynced=False))
    device.take("acc", 1, [frame(1)], 5 * S, 7 * S)
    found = device.flush(6 * S)
    chunk = found[1].record
    assert isinstance(chunk, Chunk)
    assert (found[1].held, chunk.t0_ns, chunk.clock) == (False, 7 * S, Clock(UNSYNCED))


def test_an_interruption_is_a_gap_of_unknown_size() -> None:
    device = recorder()
    device.take("acc", 1, [frame(1)], S, WALL)
    device.interrupt("acc", "port_lost", 5 * S, WALL + 4 * S)
    device.take("acc", 1, [frame(1)], 6 * S, WALL + 5 * S)
    (gap,) = [record for record in records(device.flush(6 * S)) if isinstance(record, Gap)]
    assert (gap.start_ns, gap.end_ns, gap.samples, gap.reason) == (WALL + 1, WALL + 5 * S, -1, "port_lost")


def gaps(found: Iterable[Record]) -> list[tuple[str, str, int, int]]:
    return [
        (record.stream, record.reason, record.start_ns - WALL, record.end_ns - WALL)
        for record in found
        if isinstance(record, Gap)
    ]


def two_streams() -> Recorder:
    return recorder(source_config(channels=("x",)), source_config(channels=("x",), stream="temp"))


def test_while_nobody_hears_a_stream_its_loss_is_announced_before_progress_passes_it() -> None:
    device = two_streams()
    device.take("acc", 1, [frame(1)], S, WALL)
    device.take("temp", 1, [frame(1)], S, WALL)
    device.flush(S)
    for second in (1, 2):
        found = records(device.flush((second + 1) * S, {"acc": "port_lost"}))
        assert kinds(found) == ["Gap", "Progress", "Progress"]
        assert gaps(found) == [("acc", "port_lost", 1 if second == 1 else S, second * S)]
    device.interrupt("acc", "port_lost", int(3.5 * S), WALL + int(2.5 * S))
    device.take("acc", 1, [frame(1)], 4 * S, WALL + 3 * S)
    assert gaps(records(device.flush(4 * S))) == [("acc", "port_lost", 2 * S, 3 * S)]


def test_what_nobody_hears_when_a_recording_ends_is_announced() -> None:
    """The end says that all before it is there, or announced."""
    device = two_streams()
    device.take("acc", 1, [frame(1)], S, WALL)
    device.take("temp", 1, [frame(1)], S, WALL)
    device.flush(S)
    device.take("temp", 1, [frame(2)], 2 * S, WALL + S)
    device.end("stopped", 3 * S, {"acc": "port_lost"})
    found = records(device.flush(3 * S))
    assert kinds(found) == ["Gap", "Chunk", "RecordingEnd"]
    assert gaps(found) == [("acc", "port_lost", 1, 2 * S)]
    assert isinstance(found[-1], RecordingEnd)
    assert found[-1].end_ns == WALL + 2 * S


def test_what_a_stream_lost_since_a_recording_began_without_it_is_announced() -> None:
    device = two_streams()
    device.take("acc", 1, [frame(1)], S, WALL)
    assert gaps(records(device.flush(3 * S, {"temp": "port_lost"}))) == [("temp", "port_lost", 0, 2 * S)]
    device = two_streams()
    device.take("acc", 1, [frame(1)], S, WALL)
    device.interrupt("temp", "port_lost", 2 * S, WALL + S)
    device.take("temp", 1, [frame(1)], 3 * S, WALL + 2 * S)
    assert gaps(records(device.flush(3 * S))) == [("temp", "port_lost", 0, 2 * S)]


def test_what_was_lost_between_two_recordings_is_announced_in_the_second() -> None:
    device = recorder(rules=Rules(silence_ns=10 * S))
    device.interrupt("acc", "port_lost", 0, WALL - S)  # before the first one, the boot before says how far it reached
    device.take("acc", 1, [frame(1)], S, WALL)
    assert gaps(records(device.flush(S))) == []
    found = records(device.flush(12 * S, {"acc": "port_lost"}))
    assert kinds(found) == ["RecordingEnd"]
    device.interrupt("acc", "port_lost", 20 * S, WALL + 19 * S)
    device.take("acc", 1, [frame(2)], 21 * S, WALL + 20 * S)
    found = records(device.flush(21 * S))
    assert kinds(found) == ["RecordingStart", "Gap", "Chunk"]
    assert gaps(found) == [("acc", "port_lost", 1, 20 * S)]


@pytest.mark.parametrize("kind", ["Chunk", "Gap", "Progress", "RecordingStart", "RecordingEnd"])
def test_held_records_are_moved_to_utc(kind: str) -> None:
    device = recorder(clock=UNSET)
    device.take("acc", 1, [frame(1), Fault("columns", 0)], 5 * S, 7)
    found = device.flush(6 * S) + device.flush(7 * S)
    device.end("stopped", 8 * S)
    found += device.flush(8 * S)
    record = next(item.record for item in found if type(item.record).__name__ == kind)
    moved = shifted(record, WALL, Clock("late"))
    for name in ("t0_ns", "start_ns", "end_ns", "complete_to_ns"):
        if hasattr(record, name):
            assert getattr(moved, name) == getattr(record, name) + WALL
