"""Which records count: every state of a recording, every bound to the nanosecond, and nothing that grows."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from heapq import heappop
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.intake import MAX_HOLES, MAX_OLD_HOLES, MAX_OVER, MAX_REASONS, Intake, SavedIntake, Swept
from ingest.lifetimes import ABANDONED_MEMORY_NS, ABANDONED_NS, DAY_NS, DEDUPE_MEMORY_NS
from ingest.records import Chunk, Clock

T0 = 1_700_000_000 * 10**9
BOOT = b"b" * 16
KEY = ("d", "r")


def chunk(
    seq: int, device: str = "d", recording: str = "r", stream: str = "s", boot: bytes = BOOT, **more: Any
) -> Chunk:
    return Chunk(device, recording, stream, boot, seq, b"", T0, 1, 1, 0, 0, b"", 3, b"", **more)


@dataclass
class Fed:
    """An intake whose append time passes in steps of up to a day, as it does where somebody writes."""

    counts: Counter[str] = field(default_factory=Counter)
    swept: list[tuple[str, tuple[str, str]]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.intake = Intake(self.counts)
        self.now_ns = T0
        self._note(self.intake.advance(T0))

    def wait(self, lasting_ns: int) -> None:
        """Let the log age; the state is saved and restored on the way."""
        end_ns = self.now_ns + lasting_ns
        while self.now_ns < end_ns:
            self.now_ns = min(end_ns, self.now_ns + DAY_NS)
            self._note(self.intake.advance(self.now_ns))
        self.restart()

    def _note(self, swept: Swept) -> None:
        self.swept += [("abandoned", key) for key in swept.abandoned] + [("dropped", key) for key in swept.dropped]

    def restart(self) -> None:
        """Go on from the saved state."""
        saved = self.intake.save()
        data = msgspec.msgpack.encode(saved)
        self.intake = Intake(self.counts, msgspec.msgpack.decode(data, type=SavedIntake))
        again = self.intake.save()
        for kept in (saved, again):
            kept.ended.sort()
            kept.recordings.sort(key=lambda entry: (entry.device, entry.name))
            kept.identities.sort(key=lambda entry: (entry.device, entry.stream, entry.boot))
        assert msgspec.to_builtins(again) == msgspec.to_builtins(saved)

    def verdict(self, seq: int, **more: Any) -> str:
        """What the intake says of the chunk with this number."""
        return self.intake.admit(chunk(seq, **more)).verdict


def test_a_chunk_counts_once() -> None:
    fed = Fed()
    assert [fed.verdict(seq) for seq in (0, 1, 1, 0, 3, 2)] == ["counts", "counts", "duplicate", "duplicate"] + [
        "counts"
    ] * 2
    assert fed.counts == {"duplicate.chunks": 2, "duplicate.samples": 6, "missing.chunks": 0}
    assert fed.verdict(0, stream="t") == fed.verdict(0, boot=b"c") == fed.verdict(0, device="e") == "counts"


def test_nothing_counts_after_the_end() -> None:
    fed = Fed()
    fed.verdict(0)
    assert fed.intake.end(KEY)
    assert not fed.intake.end(KEY)
    assert fed.verdict(1) == "ended"
    assert fed.verdict(0) == "duplicate"
    assert fed.intake.touch(KEY) is None
    assert fed.verdict(2, recording="r2") == "counts"


@pytest.mark.parametrize(("after_ns", "expected"), [(DEDUPE_MEMORY_NS, "ended"), (DEDUPE_MEMORY_NS + 1, "counts")])
def test_an_ended_recording_is_known_for_thirty_days(after_ns: int, expected: str) -> None:
    fed = Fed()
    fed.intake.end(KEY)
    fed.wait(after_ns)
    assert fed.verdict(0) == expected


@pytest.mark.parametrize(("after_ns", "expected"), [(DEDUPE_MEMORY_NS, "duplicate"), (DEDUPE_MEMORY_NS + 1, "counts")])
def test_a_boot_is_known_for_thirty_days_after_its_last_recording(after_ns: int, expected: str) -> None:
    fed = Fed()
    fed.verdict(0)
    fed.wait(29 * DAY_NS)
    fed.intake.end(KEY)
    fed.wait(after_ns)
    assert fed.verdict(0) == expected


def test_a_boot_is_known_as_long_as_one_of_its_recordings_goes_on() -> None:
    fed = Fed()
    fed.verdict(0)
    fed.verdict(1, recording="other")
    fed.intake.end(KEY)
    for _ in range(4):
        fed.wait(29 * DAY_NS)
        fed.intake.touch(("d", "other"))
    assert fed.verdict(0) == "duplicate"


@pytest.mark.parametrize(("after_ns", "expected"), [(ABANDONED_NS, []), (ABANDONED_NS + 1, [("abandoned", KEY)])])
def test_a_silent_recording_is_abandoned(after_ns: int, expected: list[Any]) -> None:
    fed = Fed()
    fed.verdict(0)
    fed.wait(5 * DAY_NS)
    fed.intake.touch(KEY)
    fed.wait(after_ns)
    assert fed.swept == expected
    assert fed.counts["abandoned.recordings"] == len(expected)


@pytest.mark.parametrize(("more_ns", "verdict"), [(0, "duplicate"), (1, "counts")])
def test_an_abandoned_recording_is_known_for_a_year_and_its_boot_thirty_days_more(more_ns: int, verdict: str) -> None:
    fed = Fed()
    fed.verdict(0)
    fed.wait(ABANDONED_NS + 1)
    fed.wait(ABANDONED_MEMORY_NS)
    assert fed.swept == [("abandoned", KEY)]
    fed.wait(1)
    assert fed.swept == [("abandoned", KEY), ("dropped", KEY)]
    fed.wait(DEDUPE_MEMORY_NS + more_ns)
    assert fed.verdict(0) == verdict


def test_an_abandoned_recording_goes_on_and_is_abandoned_again() -> None:
    fed = Fed()
    fed.verdict(0)
    fed.wait(ABANDONED_NS + DAY_NS)
    assert fed.verdict(1) == "counts"
    recording = fed.intake.open_recording(KEY)
    assert not recording.closed
    fed.wait(ABANDONED_NS)
    assert len(fed.swept) == 1
    fed.wait(1)
    assert fed.swept == [("abandoned", KEY)] * 2


def test_a_quick_way_keeps_a_recording_alive() -> None:
    fed = Fed()
    admission = fed.intake.admit(chunk(0))
    fed.wait(29 * DAY_NS)
    recording = fed.intake.open_recording(KEY)
    recording.touched_ns = fed.intake.time.age_ns
    fed.wait(ABANDONED_NS)
    assert fed.swept == []
    admission.seen.next += 1


@pytest.mark.parametrize("jumps", [[70 * DAY_NS, 140 * DAY_NS], [75 * 365 * DAY_NS]])
@pytest.mark.parametrize("ended", [False, True])
def test_an_append_time_that_jumps_makes_no_duplicate_count(jumps: list[int], ended: bool) -> None:
    """The windows of a chunk that came again after two jumps were there twice, under one id."""
    fed = Fed()
    fed.verdict(0)
    if ended:
        fed.intake.end(KEY)
    for jump in jumps:
        fed.intake.advance(T0 + jump)
        fed.intake.touch(("another", "r"))
        fed.restart()
    assert fed.verdict(0) == "duplicate"
    assert len(fed.intake.time.notes) == 0  # told before the restart


def test_a_card_that_comes_back_from_a_drawer() -> None:
    fed = Fed()
    fed.verdict(0)
    fed.wait(200 * DAY_NS)
    assert fed.verdict(0) == "duplicate"
    assert fed.verdict(1) == "counts"


def test_unsynced_chunks_are_known_and_left_out() -> None:
    fed = Fed()
    assert fed.verdict(0, clock=Clock("unsynced")) == "unsynced"
    assert fed.verdict(0, clock=Clock("unsynced")) == "duplicate"
    assert fed.counts["unsynced.samples"] == 3


def test_a_forgotten_device_is_unknown_and_stays_forgotten() -> None:
    fed = Fed()
    fed.verdict(0)
    fed.verdict(0, device="e")
    fed.intake.end(("d", "old"))
    assert fed.intake.forget("d") == [KEY]
    fed.restart()
    assert fed.intake.is_forgotten("d")
    assert not fed.intake.is_forgotten("e")
    assert fed.intake.forget("nobody") == []
    fed.wait(ABANDONED_NS + 1)
    assert fed.swept == [("abandoned", ("e", "r"))]


def test_a_forgotten_recording_is_unknown_and_its_boot_goes_on() -> None:
    fed = Fed()
    fed.verdict(0)
    assert fed.intake.forget(*KEY) == [KEY]
    assert fed.intake.forget("d", "never") == []
    fed.restart()
    assert [fed.intake.is_forgotten("d", name) for name in ("r", "never", "r2", "")] == [True, True, False, False]
    fed.intake.pass_over(chunk(1))
    assert fed.verdict(2, recording="r2") == "counts"
    assert fed.counts["missing.chunks"] == 0


def test_a_chunk_of_a_stream_that_nobody_reads_keeps_recording_and_boot_alive() -> None:
    fed = Fed()
    fed.verdict(0)
    for _ in range(3):
        fed.wait(29 * DAY_NS)
        fed.intake.pass_by(chunk(0, stream="other"))
    assert fed.swept == []
    assert fed.verdict(0) == "duplicate"
    fed.intake.end(KEY)
    assert fed.intake.pass_by(chunk(1, stream="other")) is None


def test_missing_chunks_are_counted_and_old_holes_closed() -> None:
    fed = Fed()
    holes = MAX_HOLES + 5
    for seq in range(holes + 1):
        fed.verdict(2 * seq)
    assert fed.counts["missing.chunks"] == holes
    assert len(fed.intake.save().identities[0].seen) == MAX_HOLES + 1
    assert fed.verdict(1) == "duplicate"  # in a hole that is no longer known
    assert fed.verdict(2 * holes - 1) == "counts"
    assert fed.counts["missing.chunks"] == holes - 1


def test_reasons_are_counted_by_name_up_to_a_bound_wherever_states_are_saved() -> None:
    fed = Fed()
    for number in range(MAX_REASONS + 10):
        fed.intake.count_reason("gap.samples", f"{number}-{'x' * 99}", 2)
        fed.restart()
    fed.intake.count_reason("gap.samples", f"0-{'x' * 99}", 2)
    named = [name for name in fed.counts if name.startswith("gap.samples.")]
    assert len(named) == MAX_REASONS + 1
    assert max(map(len, named)) == len("gap.samples.") + 48
    assert fed.counts["gap.samples.other"] == 20
    assert fed.counts["gap.samples"] == 2 * (MAX_REASONS + 11)
    fed.intake.count_reason("gap.samples", "", 1)
    assert fed.counts["gap.samples"] == 2 * (MAX_REASONS + 11) + 1


def test_a_state_from_before_the_log_aged_is_read() -> None:
    old = msgspec.msgpack.encode((T0, [], [("d", "gone", T0 - DAY_NS)], [], []))
    intake = Intake(Counter(), msgspec.msgpack.decode(old, type=SavedIntake))
    assert intake.time.age_ns == intake.time.last_ns == T0
    assert intake.touch(("d", "gone")) is None


def test_what_is_over_leaves_nothing_behind() -> None:
    fed = Fed()
    empty = msgspec.msgpack.encode(fed.intake.save())
    for number in range(50):
        fed.verdict(0, device=f"d{number}", boot=bytes([number]))
        fed.intake.end((f"d{number}", "r"))
    fed.wait(DEDUPE_MEMORY_NS + 1)
    assert len(msgspec.msgpack.encode(fed.intake.save())) == len(empty)
    assert not fed.intake._devices
    assert not fed.intake._due


@given(st.data())
def test_what_waits_is_bounded_by_what_is_known(data: st.DataObject) -> None:
    """Recordings that begin, end, fall silent and go on leave a heap no longer than what is remembered."""
    fed = Fed()
    for _ in range(data.draw(st.integers(1, 40))):
        device = data.draw(st.sampled_from("ab"))
        match data.draw(st.integers(0, 3)):
            case 0:
                fed.verdict(data.draw(st.integers(0, 3)), device=device, boot=bytes([data.draw(st.integers(0, 2))]))
            case 1:
                fed.intake.end((device, "r"))
            case 2:
                fed.wait(data.draw(st.sampled_from([DAY_NS, 31 * DAY_NS, 70 * DAY_NS])))
            case _:
                fed.intake.touch((device, "r"))
    saved = fed.intake.save()
    known = len(saved.ended) + len(saved.recordings) + len(saved.identities)
    fed.restart()
    assert len(fed.intake._due) <= known


def test_what_is_remembered_is_looked_at_twice_in_its_life(monkeypatch: pytest.MonkeyPatch) -> None:
    """Once something was 30 days old, each expiry looked through all that was known: 1.5 s with 2.6 million."""
    looks = 0

    def counting(heap: list[Any]) -> Any:
        nonlocal looks
        looks += 1
        return heappop(heap)

    monkeypatch.setattr("ingest.intake.heappop", counting)
    fed, recordings, step_ns = Fed(), 2000, DAY_NS // 40
    for number in range(recordings):
        key = (f"d{number % 100}", f"r{number}")
        fed.intake.admit(chunk(0, *key, boot=number.to_bytes(2)))
        fed.intake.end(key)
        fed.now_ns += step_ns
        fed.intake.advance(fed.now_ns)
    assert 0 < looks <= 4 * recordings


@pytest.mark.parametrize("jumps", [[], [31 * DAY_NS], [31 * DAY_NS] * 2])
@pytest.mark.parametrize(("more_ns", "expected"), [(0, "duplicate"), (1, "counts")])
def test_jumps_of_append_time_count_as_a_day_towards_the_thirty(jumps: list[int], more_ns: int, expected: str) -> None:
    fed = Fed()
    fed.verdict(0)
    fed.intake.end(KEY)
    for jump in jumps:
        fed.now_ns += jump
        fed.intake.advance(fed.now_ns)
    fed.wait(DEDUPE_MEMORY_NS - len(jumps) * DAY_NS + more_ns)
    assert fed.verdict(0) == expected


@pytest.mark.parametrize("saved", [False, True])
def test_a_device_that_restarts_all_the_time_costs_no_more_than_so_many_boots(saved: bool) -> None:
    """Each minute for 30 days: 43,200 boots and as many ended recordings were in the state of each seal."""
    fed = Fed()
    fed.verdict(0, recording="first", boot=b"first")
    fed.verdict(0, device="e")
    fed.intake.end(("e", "r"))
    for number in range(2 * MAX_OVER):
        fed.now_ns += 60 * 10**9
        fed.intake.advance(fed.now_ns)
        fed.verdict(0, recording=f"r{number}", boot=number.to_bytes(8))
        fed.intake.end(("d", f"r{number}"))
        if saved and number % 2500 == 0:
            fed.restart()
    kept = fed.intake.save()
    assert MAX_OVER * 3 // 4 < len(kept.ended) <= MAX_OVER + 1
    assert MAX_OVER * 3 // 4 < len(kept.identities) <= MAX_OVER + 2
    newest = 2 * MAX_OVER - 1
    for number, expected in ((newest, "duplicate"), (newest - MAX_OVER * 3 // 4 + 1, "duplicate"), (0, "counts")):
        assert fed.verdict(0, recording=f"r{number}", boot=number.to_bytes(8)) == expected
    assert fed.verdict(0, recording="first", boot=b"first") == "duplicate"  # it goes on, however old it is
    assert fed.verdict(0, device="e") == "duplicate"


def test_boots_that_end_at_once_are_trimmed_alike_wherever_a_state_was_saved() -> None:
    feds = [Fed(), Fed()]
    for number in range(MAX_OVER + 10):
        for place, fed in enumerate(feds):
            fed.intake.pass_by(chunk(0, recording=f"r{number}", boot=number.to_bytes(8), stream="other"))
            if number % 3:
                fed.verdict(0, recording=f"r{number}", boot=number.to_bytes(8))
            fed.intake.end(("d", f"r{number}"))
            if place and number in (MAX_OVER - 1, MAX_OVER, MAX_OVER + 3):
                fed.restart()
    for fed in feds:
        fed.restart()
    assert msgspec.to_builtins(feds[0].intake.save()) == msgspec.to_builtins(feds[1].intake.save())


def test_chunks_of_ended_recordings_that_name_ever_new_boots_are_bounded() -> None:
    fed = Fed()
    fed.intake.end(KEY)
    for number in range(MAX_OVER + 10):
        assert fed.verdict(0, boot=number.to_bytes(8)) == "ended"
    assert len(fed.intake.save().identities) <= MAX_OVER


def test_few_holes_are_known_of_a_boot_that_is_over() -> None:
    fed = Fed()
    for seq in range(MAX_OLD_HOLES + 3):
        fed.verdict(2 * seq)
    fed.verdict(2 * MAX_OLD_HOLES + 6, recording="other")
    fed.intake.end(KEY)
    assert len(fed.intake.save().identities[0].seen) == MAX_OLD_HOLES + 4
    fed.intake.end(("d", "other"))
    assert len(fed.intake.save().identities[0].seen) == MAX_OLD_HOLES + 1
    assert fed.verdict(1) == "duplicate"
    assert fed.verdict(2 * MAX_OLD_HOLES + 3) == "ended"
