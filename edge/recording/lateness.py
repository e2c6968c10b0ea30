"""Which reads are late, and how: in a heap behind a backlog, one by one, or for good. Pure.

Of reads on the line below a stream's arrivals (`edge.recording.regression`); instants count from `origin`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from edge.recording.regression import Envelope
from edge.recording.stamps import Ahead


def comes_in_a_heap(line: Envelope, origin: int, at: float, ahead: Iterable[Ahead]) -> bool:
    """Whether the reads behind the one at `at` come faster than samples are taken, by more than jitter makes of it."""
    samples = 0
    for more, time_ns in ahead:
        samples += more
        taken = samples * line.period
        if taken > 3 * line.jitter:
            return time_ns - origin - at < taken / 2
    return False


def lateness(line: Envelope, origin: int, index: int, ahead: Iterable[Ahead]) -> Iterator[tuple[float, float]]:
    """When the reads behind sample `index` come, and how late."""
    for more, time_ns in ahead:
        index += more
        at = float(time_ns - origin)
        yield at, at - line.at(index)


def later_for_good(line: Envelope, newest: Iterable[tuple[int, float, float]]) -> list[tuple[int, float]]:
    """The newest reads (index, instant, how late), if they are later than they would be by chance, were the line still
    true; else none."""
    reads = list(newest)
    for number in (3, 4, 6, 12, 24, 48, 96):
        if number > len(reads):
            break
        if min(late for _, _, late in reads[-number:]) > line.by_chance(number):
            return [(index, at) for index, at, _ in reads[-number:]]
    return []
