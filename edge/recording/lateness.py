"""Which reads are late, and how: in a heap behind a backlog, one by one, or for good. Pure.

Of reads on the line below a stream's arrivals (`edge.recording.regression`); instants count from `origin`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from math import inf

from edge.recording.regression import STRETCHES, Envelope
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


def later_for_good(line: Envelope, newest: Sequence[tuple[int, float, float]]) -> list[tuple[int, float]]:
    """The newest reads (index, instant, how late), if they are later than they would be by chance, were the line still
    true; else none."""
    behind, least, seen = (late for _, _, late in reversed(newest)), inf, 0
    surely = line.by_chance(STRETCHES[-1])  # all of fewer must be later yet
    for number in STRETCHES:
        if number > len(newest):
            break
        least, seen = min(least, *islice(behind, number - seen)), number
        if least <= surely:
            break
        if least > line.by_chance(number):
            return [(index, at) for index, at, _ in islice(newest, len(newest) - number, None)]
    return []
