from __future__ import annotations

import itertools
from collections.abc import Iterable
from dataclasses import replace

import numpy as np
import pytest

from edge.protocol import Fault, Frame, SourceConfig
from edge.recording.axes import UNSYNCED
from edge.recording.recorder import OWED_NS, Recorder
from edge.recording.terms import ClockState, Held, Previous, Rules, shifted
from edge.recording.unrated import UNRATED_ERROR_NS
from ingest.records import Chunk, Clock, Gap, Progress, Record, RecordingEnd, RecordingStart
from ingest.times import sample_times
from ingest.wire import encode
from tests.edge.configs import source_config

S = 1_000_000_000
WALL = 1_700_000_000 * S
SET, UNSET = ClockState(True, "system"), ClockState(False, "system")
BOOT = bytes(range(16))
LATEST = 1 << 40
"""An offset in the newest bytes."""


def frame(*values: float, times: Iterable[int] | None = None) -> Frame:
    device = None if times is None else np.array(list(times), dtype=np.int64)
    return Frame(np.array(values, dtype=np.float64)[:, None], device, LATEST)


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
    assert (chunk.t0_ns, chunk.seq, chunk.clock) == (WALL, 0, Clock("system", uncertainty_ns=UNRATED_ERROR_NS))
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


def test_what_a_stream_said_before_its_source_was_open_is_announced_and_not_counted_as_lost() -> None:
    streams = [source_config(channels=("x",), stream=name) for name in ("acc", "early", "late")]
    for is_known in (True, False):  # opened before the first sample was taken, and after it had come; or later
        device = recorder(*streams)
        device.listen("acc", S // 2, WALL - S // 2)
        if is_known:
            device.listen("late", 3 * S, WALL + 2 * S)
        device.take("acc", 1, [frame(1)], S, WALL)
        if not is_known:
            device.listen("late", 3 * S, WALL + 2 * S)
        device.listen("early", S // 2, WALL - S // 2)
        gaps = [record for record in records(device.flush(4 * S)) if isinstance(record, Gap)]
        assert gaps == [Gap("pump", "000102030405-0", "late", BOOT, WALL, WALL + 2 * S, -1, "not_open")]
        assert not any(counters.lost for counters in device.counters.values())
        device.end("stopped", 4 * S)
        device.take("acc", 1, [frame(1)], 5 * S, WALL + 4 * S)
        assert not [record for record in records(device.flush(5 * S)) if isinstance(record, Gap)]


def test_a_recording_with_times_of_its_own_has_no_gap_up_to_when_its_sources_were_opened() -> None:
    streams = [source_config(channels=("x",), stream=name, clock="device", kind="replay") for name in ("acc", "gyro")]
    device = recorder(*streams)
    for name in ("acc", "gyro"):
        device.listen(name, S, WALL)
    device.take("acc", 1, [frame(1, times=[WALL - 1000 * S])], S, WALL)
    assert not [record for record in records(device.flush(2 * S)) if isinstance(record, Gap)]


@pytest.mark.parametrize("samples", [1, -1])
def test_lines_that_are_lost_shift_none_that_follow_whether_they_can_be_counted_or_not(samples: int) -> None:
    device, worst_ns = recorder(source_config(channels=("x",), rate=100)), 0
    for number in range(3000):
        at_ns = number * S // 100 + number * 7_919 % 5_000_000
        item = Fault("columns", 0, samples) if number % 17 == 16 else frame(number)
        device.take("acc", 1, [item], at_ns, WALL + at_ns)
        for record in records(device.flush(at_ns)) if number % 100 == 99 else []:
            if isinstance(record, Chunk) and number > 1000:
                off = sample_times(record) - WALL - np.frombuffer(record.values, "<f8") * (S // 100)
                worst_ns = max(worst_ns, int(np.abs(off).max()))
    assert worst_ns < 6_000_000


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


def test_every_recording_has_the_attributes_that_are_set() -> None:
    device = recorder(rules=Rules(attributes={"subject": "u07"}))
    device.take("acc", 1, [frame(1)], S, WALL)
    device.take("acc", 1, [frame(2)], 2 * S, WALL + 3600 * S)
    starts = [record for record in records(device.flush(2 * S)) if isinstance(record, RecordingStart)]
    assert [start.attributes for start in starts] == 2 * [{"subject": "u07"}]


def test_a_step_of_the_device_cuts_a_frame_in_two() -> None:
    device = recorder(source_config(channels=("x",), clock="device"))
    device.take("acc", 1, [frame(1, 2, 3, times=(WALL, WALL + S, WALL - 9 * S))], S, WALL + S)
    found = records(device.flush(S))
    assert kinds(found) == ["RecordingStart", "Chunk", "Chunk", "RecordingEnd", "RecordingStart", "Chunk"] or kinds(
        found
    ) == ["RecordingStart", "Chunk", "RecordingEnd", "RecordingStart", "Chunk"]
    assert sum(record.count for record in found if isinstance(record, Chunk)) == 3


def test_a_long_silence_ends_a_recording() -> None:
    device = recorder(rules=Rules(silence_ns=10 * S, stall_ns=100 * S))
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
    assert (found[1].held, chunk.t0_ns, chunk.clock) == (False, 7 * S, Clock(UNSYNCED, uncertainty_ns=UNRATED_ERROR_NS))


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
    device = recorder(rules=Rules(silence_ns=10 * S, stall_ns=100 * S))
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


def sizes(found: Iterable[Record]) -> int:
    return sum(len(encode(record)) + 40 for record in found)


def test_a_stream_of_faults_alone_is_one_recording_with_a_growing_gap() -> None:
    device = recorder(rules=Rules(silence_ns=60 * S))
    found: list[Record] = []
    for second in range(1, 3601):
        device.take("acc", 5, [Fault("garbage", 0, -1)], second * S, WALL + second * S)
        found += records(device.flush(second * S))
    assert kinds(found).count("RecordingStart") == 1
    assert "RecordingEnd" not in kinds(found)
    gaps = [record for record in found if isinstance(record, Gap)]
    assert 60 < len(gaps) < 120
    assert {gap.samples for gap in gaps} == {-1}
    assert gaps[-1].end_ns - gaps[0].start_ns > 3500 * S
    assert all(after.start_ns <= before.end_ns for before, after in itertools.pairwise(gaps))
    assert sizes(found) * 24 < 1_000_000


def test_silence_and_absence_cost_less_than_a_megabyte_a_day_and_are_known_within_a_minute() -> None:
    for missing in ({}, {"temp": "port_lost"}):
        device = recorder(source_config(channels=("x",)), source_config(channels=("x",), stream="temp"))
        found: list[Record] = []
        said_ns = WALL
        for second in range(1, 3601):
            device.take("acc", 1, [frame(1)], second * S, WALL + second * S)
            new = [r for r in records(device.flush(second * S, missing)) if getattr(r, "stream", "") == "temp"]
            found += new
            said_ns = max([said_ns, *(record.complete_to_ns for record in new if isinstance(record, Progress))])
            assert WALL + second * S - said_ns <= 60 * S
        assert sizes(found) * 24 < 1_000_000


def test_a_fault_before_a_silence_is_announced_up_to_the_sample_behind_it() -> None:
    device = recorder()
    device.take("acc", 1, [frame(1)], S, WALL + S)
    device.flush(2 * S)
    device.flush(3 * S)
    device.take("acc", 1, [Fault("number", 0)], 3 * S, WALL + 3 * S)
    assert records(device.flush(3 * S + 1)) == []
    device.take("acc", 1, [frame(2)], 5 * S, WALL + 5 * S)
    gap, chunk = records(device.flush(5 * S))
    assert isinstance(gap, Gap)
    assert isinstance(chunk, Chunk)
    assert (gap.reason, gap.samples, gap.end_ns) == ("number", 1, WALL + 5 * S)
    assert gap.start_ns <= WALL + 3 * S


def test_what_may_be_missing_after_a_stop_of_the_process_is_announced() -> None:
    device = recorder()
    device.take("acc", 1, [frame(1)], S, WALL + S)
    device.flush(2 * S)
    device.take("acc", 1, [frame(2)], 32 * S, WALL + 32 * S, waited_ns=30 * S)
    device.take("acc", 1, [frame(3)], 33 * S, WALL + 33 * S)
    found = records(device.flush(33 * S))
    (gap,) = [record for record in found if isinstance(record, Gap)]
    assert (gap.reason, gap.samples) == ("stalled", -1)
    assert (gap.start_ns, gap.end_ns) == (WALL + 2 * S, WALL + 33 * S)  # the buffer may have lost any of it
    assert not [record for record in found if isinstance(record, Progress)]
    waited, fresh = [record for record in found if isinstance(record, Chunk)]
    assert waited.clock is not None
    assert fresh.clock is not None
    assert waited.clock.uncertainty_ns == 30 * S
    assert fresh.clock.uncertainty_ns < S
    assert waited.t0_ns < WALL + 32 * S


def test_nothing_is_promised_right_after_a_stop() -> None:
    device = recorder()
    device.take("acc", 1, [frame(1)], S, WALL + S)
    device.flush(2 * S)
    assert kinds(records(device.flush(3 * S))) == ["Progress"]
    device.flush(40 * S)  # a tick that is 36 s late: bytes may wait in buffers
    assert records(device.flush(41 * S)) == []
    assert kinds(records(device.flush(42 * S))) == ["Progress"]


def test_a_stream_with_a_rate_keeps_it_over_a_stop_and_leaves_a_hole_for_what_is_lost() -> None:
    device = recorder(source_config(channels=("x",), rate=100))
    for number in range(500):
        device.take("acc", 1, [frame(number)], S + number * S // 100, WALL + S + number * S // 100)
        if number % 100 == 99:
            device.flush(S + number * S // 100)
    stopped = 6 * S
    device.take("acc", 1, [frame(*range(170))], stopped + 20 * S, WALL + stopped + 20 * S, waited_ns=20 * S)
    for number in range(200):
        at = stopped + 20 * S + number * S // 100
        device.take("acc", 1, [frame(number)], at, WALL + at)
    found = records(device.flush(stopped + 23 * S))
    (gap,) = [record for record in found if isinstance(record, Gap)]
    assert gap.reason == "stalled"
    assert abs(gap.start_ns - (WALL + stopped + 1_700_000_000)) < S // 10
    assert abs(gap.end_ns - (WALL + stopped + 20 * S)) < S // 10
    chunks = [record for record in found if isinstance(record, Chunk)]
    assert sum(chunk.count for chunk in chunks) == 370
    assert abs(chunks[0].t0_ns - (WALL + stopped)) < S // 50
    assert device.rates["acc"].found_hz == pytest.approx(100, rel=1e-3)


def test_what_may_be_wrong_is_announced_and_its_samples_stay_where_they_are() -> None:
    device = recorder(source_config(channels=("x",), rate=100))
    found = list[Record]()
    for number in range(400):
        at = S + number * S // 100
        device.take("acc", 1, [frame(number)], at, WALL + at)
        if number == 250:
            device.interrupt("acc", "line_error", at, WALL + at, at - S, is_whole=True)
        if number % 100 == 99:
            found += records(device.flush(at))
    (gap,) = [record for record in found if isinstance(record, Gap)]
    assert (gap.start_ns, gap.end_ns, gap.reason) == (WALL + 5 * S // 2, WALL + 7 * S // 2, "line_error")
    assert device.counters["acc"].lost == {"line_error": 1}
    chunks = [record for record in found if isinstance(record, Chunk)]
    assert sum(chunk.count for chunk in chunks) == 400
    assert {np.diff(sample_times(chunk)).tolist()[0] for chunk in chunks} == {S // 100}


@pytest.mark.parametrize("rate", [None, 100])
def test_nothing_is_promised_between_what_a_buffer_kept_and_what_comes_next(rate: int | None) -> None:
    """However many ticks lie between: only the next read tells what is lost."""
    device = recorder(source_config(channels=("x",), rate=rate))
    for number in range(500):
        device.take("acc", 1, [frame(number)], S + number * S // 100, WALL + S + number * S // 100)
    device.flush(6 * S)
    back = 26 * S
    device.take("acc", 1, [frame(*range(170))], back, WALL + back, waited_ns=20 * S)
    found = [each for tick in range(20) for each in records(device.flush(back + tick * S // 5))]
    assert not [each for each in found if isinstance(each, Progress)]
    at = back + 4 * S
    for number in range(200):
        device.take("acc", 1, [frame(number)], at + number * S // 100, WALL + at + number * S // 100)
    (gap,) = [each for each in records(device.flush(at + 2 * S)) if isinstance(each, Gap)]
    assert gap.reason == "stalled"
    assert gap.start_ns <= WALL + 8 * S
    assert abs(gap.end_ns - (WALL + at)) < S // 10


@pytest.mark.parametrize("rate", [None, 100])
def test_who_says_nothing_after_a_stop_is_not_waited_for(rate: int | None) -> None:
    device = recorder(source_config(channels=("x",), rate=rate))
    for number in range(500):
        device.take("acc", 1, [frame(number)], S + number * S // 100, WALL + S + number * S // 100)
    device.flush(6 * S)
    back = 26 * S
    device.take("acc", 1, [frame(*range(170))], back, WALL + back, waited_ns=20 * S)
    found = [each for second in range(12) for each in records(device.flush(back + second * S))]
    gaps = [each for each in found if isinstance(each, Gap)]
    said = [each for each in found if isinstance(each, Progress)]
    assert [gap.reason for gap in gaps] == ["stalled"]
    assert gaps[0].start_ns <= WALL + 8 * S
    assert gaps[0].end_ns >= WALL + back + OWED_NS
    assert found.index(gaps[0]) < found.index(said[0])
    assert said[0].complete_to_ns > WALL + back


def test_how_far_a_source_was_heard_bounds_what_is_promised() -> None:
    device = recorder()
    device.take("acc", 1, [frame(1)], S, WALL + S)
    device.flush(2 * S)
    assert records(device.flush(4 * S, heard={"acc": 0})) == []
    found = [record for second in range(6, 12) for record in records(device.flush(second * S, heard={"acc": 3 * S}))]
    assert found == [Progress("pump", "000102030405-0", "acc", BOOT, WALL + 3 * S)]


def test_an_absence_is_announced_behind_what_was_kept_of_it() -> None:
    device = recorder(previous=Previous(b"p" * 16, WALL - 60 * S))
    device.take("acc", 1, [frame(1)], S, WALL + S, waited_ns=7 * 86_400 * S, is_message=True)
    device.interrupt("acc", "may_be_dropped", 2 * S, WALL + 2 * S, 0)
    found = records(device.flush(2 * S))
    assert [gap for gap in found if isinstance(gap, Gap)] == [
        Gap("pump", "000102030405-0", "acc", BOOT, WALL - 60 * S, WALL + 2 * S, -1, "may_be_dropped")
    ]
    (chunk,) = [record for record in found if isinstance(record, Chunk)]
    assert chunk.clock is not None
    assert chunk.clock.uncertainty_ns == 61 * S
    fresh = recorder()
    fresh.interrupt("acc", "may_be_dropped", 2 * S, WALL + 2 * S, 0)
    assert records(fresh.flush(2 * S)) == []


def test_one_chunk_a_second_where_ticks_come_a_little_late() -> None:
    device = recorder(source_config(channels=("x",), rate=100))
    chunks = 0
    for number in range(6000):
        device.take("acc", 1, [frame(number)], S + number * S // 100, WALL + S + number * S // 100)
        if number % 107 == 106:
            chunks += kinds(records(device.flush(S + number * S // 100))).count("Chunk")
    assert chunks == 6000 // 107


def test_implausible_values_are_refused_and_counted() -> None:
    config = source_config(channels=("x",), dtype="float32")
    limited = replace(config, low={"x": -10.0}, high={"x": 10.0}, step={"x": 3.0})
    device = recorder(limited)
    values = [1.0, 2.0, 222.0, 3.0, 9.0, 4.0, 9.0, 9.5, np.nan, 9.0]
    device.take("acc", 1, [frame(*values)], S, WALL + S)
    found = records(device.flush(2 * S))
    (gap,) = [record for record in found if isinstance(record, Gap)]
    assert (gap.reason, gap.samples) == ("implausible", 3)
    kept = b"".join(record.values for record in found if isinstance(record, Chunk))
    assert np.array_equal(np.frombuffer(kept, "<f4"), [1, 2, 3, 4, 9.5, np.nan, 9], equal_nan=True)
    assert device.counters["acc"].lost == {"implausible": 3}


def test_a_value_that_names_no_state_is_refused_and_counted() -> None:
    config = replace(
        source_config(channels=("gate", "flow"), dtype="float32"), states={"gate": ((0, "raised"), (1, "down"))}
    )
    device = recorder(config)
    values = [[0, 5], [1, 7], [2, 7], [0.5, 7], [np.nan, 7], [1, np.nan]]
    device.take("acc", 1, [Frame(np.array(values, float), None, 0)], S, WALL + S)
    found = records(device.flush(2 * S))
    (gap,) = [record for record in found if isinstance(record, Gap)]
    assert (gap.reason, gap.samples) == ("unknown_state", 2)
    kept = b"".join(record.values for record in found if isinstance(record, Chunk))
    expected = [0, 5, 1, 7, np.nan, 7, 1, np.nan]
    assert np.array_equal(np.frombuffer(kept, "<f4"), expected, equal_nan=True)
    assert device.counters["acc"].lost == {"unknown_state": 2}


def test_a_value_beyond_the_type_is_missing_never_infinite() -> None:
    device = recorder(source_config(channels=("x", "y"), dtype="float32"))
    device.take("acc", 1, [Frame(np.array([[1e39, 2.0], [1.0, 2.0], [1e39, -1e39]]), None, 0)], S, WALL + S)
    found = records(device.flush(2 * S))
    (chunk,) = [record for record in found if isinstance(record, Chunk)]
    assert np.array_equal(np.frombuffer(chunk.values, "<f4"), [np.nan, 2, 1, 2], equal_nan=True)
    assert device.counters["acc"].lost == {"too_large": 2}


@pytest.mark.parametrize("together", [True, False])
def test_a_clock_that_is_set_begins_a_new_recording_wherever_reads_fall(together: bool) -> None:
    cold = [946_684_801 * S + second * S for second in range(5)]
    warm = [WALL + 6 * S + second * S for second in range(5)]
    device = recorder(source_config(channels=("x",), clock="device"))
    found: list[Record] = []
    reads = [cold + warm] if together else [[time] for time in cold + warm]
    for number, times in enumerate(reads):
        at = (10 if together else 1 + number) * S
        device.take("acc", 1, [frame(*range(len(times)), times=times)], at, WALL + at)
        found += records(device.flush(at))
    assert kinds(found).count("RecordingStart") == 2
    chunks = [record for record in found if isinstance(record, Chunk)]
    sources = {chunk.recording: chunk.clock.source for chunk in chunks if chunk.clock is not None}
    assert list(sources.values()) == [UNSYNCED, "device"]


def test_a_receiver_that_lost_count_of_the_weeks_is_put_right() -> None:
    era = 1024 * 7 * 86_400 * S
    device = recorder(source_config(channels=("x",), clock="device"))
    device.take("acc", 1, [frame(1, times=[WALL + S // 2 - era])], S, WALL + S)
    (chunk,) = [record for record in records(device.flush(2 * S)) if isinstance(record, Chunk)]
    assert chunk.t0_ns == WALL + S // 2
    assert chunk.clock is not None
    assert chunk.clock.source == "device"


def live_and_kept(kept: Iterable[int], *, together: bool) -> list[Record]:
    """A device that sends a live sample each second, and from the tenth on also one that it had kept for an hour."""
    device = recorder(source_config(channels=("x",), clock="device"))
    found: list[Record] = []
    for second in range(1, 31):
        at = second * S
        times = [WALL + at - S // 10] + ([WALL - 3600 * S + at] if second in kept else [])
        for part in [times] if together else [[time] for time in times]:
            device.take("acc", 1, [frame(*range(len(part)), times=part)], at, WALL + at)
        found += records(device.flush(at))
    device.end("stopped", 31 * S)
    return found + records(device.flush(31 * S))


@pytest.mark.parametrize("together", [True, False])
def test_what_a_device_had_kept_is_one_recording_beside_what_is_live(together: bool) -> None:
    found = live_and_kept(range(10, 31), together=together)
    starts = [record.reason for record in found if isinstance(record, RecordingStart)]
    assert starts == ["start", "backlog"]
    chunks = [record for record in found if isinstance(record, Chunk)]
    counts = {start.recording: 0 for start in found if isinstance(start, RecordingStart)}
    for chunk in chunks:
        counts[chunk.recording] += chunk.count
    assert list(counts.values()) == [30, 21]
    assert sorted(chunk.seq for chunk in chunks) == list(range(len(chunks)))
    assert kinds(found).count("RecordingEnd") == 2


def test_a_clock_that_is_set_back_for_good_begins_a_new_recording() -> None:
    device = recorder(source_config(channels=("x",), clock="device"))
    found: list[Record] = []
    for second in range(1, 120):
        at, back = second * S, 3600 * S if second > 20 else 0
        device.take("acc", 1, [frame(1, times=[WALL + at - back])], at, WALL + at)
        found += records(device.flush(at))
    recordings = [record.recording for record in found if isinstance(record, RecordingStart)]
    assert len(recordings) == 3
    assert sum(record.count for record in found if isinstance(record, Chunk)) == 119
    assert "clock_step" in {record.reason for record in found if isinstance(record, RecordingEnd)}
