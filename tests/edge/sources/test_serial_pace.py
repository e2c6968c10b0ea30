"""When a port is left alone for a moment: where lines come steadily, and never where one would be taken for late."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass, field

from edge.sources.serial.pace import DOUBT_NS, FULL_BYTES, LOOK_NS, OWED_NS, QUICK_NS, REST_MS, STEADY_NS, Pace

MS, S = 1_000_000, 1_000_000_000
LINE_BYTES = 18


@dataclass
class Played:
    """What became of lines that came at these times."""

    reads: int = 0
    rests_ns: list[int] = field(default_factory=list)
    late_sizes: list[int] = field(default_factory=list)
    uncertain_ns: list[int] = field(default_factory=list)
    """How much later than it came the newest line of what was handed on was read."""


def play(times: Iterable[int], *, rests: bool = True) -> Played:
    """Lines through a port that is read as `Reader` reads it."""
    pace, played, due, clock = Pace(rests=rests), Played(), sorted(times), 0
    done = newest = 0
    while done < len(due):
        rest_ns = int(pace.take_rest_ms() * MS)
        clock += rest_ns
        if rest_ns:
            played.rests_ns.append(rest_ns)
        elif pace.is_owed and due[done] > clock + OWED_NS:
            clock += OWED_NS
            played.uncertain_ns.append(clock - OWED_NS - newest)
            pace.broken(clock)
            continue
        else:
            clock = max(clock, due[done])
        count = bisect_right(due, clock) - done
        if count:
            done += count
            newest = due[done - 1]
            played.reads += 1
            pace.came(clock, LINE_BYTES * count, has_line=True, is_late=rest_ns > 0)
            if rest_ns:
                played.late_sizes.append(LINE_BYTES * count)
    return played


def test_of_steady_lines_two_reads_do_for_several() -> None:
    for hertz in (100, 1000):
        found = play(range(0, 60 * S, S // hertz))
        looks = 60 * S // LOOK_NS + 1
        assert found.reads < looks * hertz * STEADY_NS // S + 60 * 45
        assert max(found.rests_ns) == REST_MS * MS
        assert not found.uncertain_ns


def test_where_each_arrival_counts_nobody_rests() -> None:
    found = play(range(0, 10 * S, S // 100), rests=False)
    assert found.reads == 1000
    assert not found.rests_ns


def test_lines_that_come_one_by_one_or_in_bursts_are_read_as_they_come() -> None:
    assert not play(range(0, 60 * S, S // 25)).rests_ns
    burst_ns = STEADY_NS - 10 * MS
    assert not play(at + more for at in range(0, 20 * S, S) for more in range(0, burst_ns, 5 * MS)).rests_ns


def test_a_single_pause_of_a_busy_machine_ends_no_rests() -> None:
    times = list(range(0, 10 * S, 10 * MS))
    found = play(at + 60 * MS * (at >= 5 * S) for at in times)
    assert found.reads < 1000 * STEADY_NS // (10 * S) + 10 * 50
    assert not found.uncertain_ns


def test_lines_that_begin_to_come_in_bursts_are_soon_read_as_they_come() -> None:
    steady = range(0, 10 * S, 10 * MS)
    bursts = [at + more for at in range(10 * S, 90 * S, 60 * MS) for more in range(6)]
    found = play([*steady, *bursts])
    rested_ns = sum(found.rests_ns)
    assert rested_ns < 10 * S + LOOK_NS
    assert not play(bursts).rests_ns


def test_a_pause_behind_a_rest_is_doubted_for_longer_each_time() -> None:
    long = [at + more for at in range(0, 600 * S, 2 * S) for more in range(0, S, 10 * MS)]
    found = play(long)
    assert all(late_ns <= REST_MS * MS for late_ns in found.uncertain_ns)
    assert len(found.uncertain_ns) <= 600 * S // DOUBT_NS[1] + 6  # of 300 pauses
    assert play(range(0, 60 * S, QUICK_NS)).rests_ns  # a new port is not doubted


def test_a_rest_is_short_where_much_comes() -> None:
    found = play(range(0, 10 * S, S // 10_000))
    assert max(found.late_sizes) <= FULL_BYTES * 1.5
    assert found.reads < 10_000 * STEADY_NS // S + 10 * 200


def test_bytes_without_a_line_are_not_waited_with_for_ever() -> None:
    pace = Pace(rests=True)
    for at in range(0, S, 10 * MS):
        pace.came(at, LINE_BYTES, has_line=True, is_late=False)
    assert pace.take_rest_ms()
    pace.came(S, LINE_BYTES, has_line=True, is_late=True)
    pace.came(S + OWED_NS, 8, has_line=False, is_late=False)
    assert pace.is_owed
    pace.came(S + OWED_NS + 1, 8, has_line=False, is_late=False)
    assert not pace.is_owed
    pace.came(S + OWED_NS + 2, 8, has_line=True, is_late=False)
    assert not pace.take_rest_ms()
