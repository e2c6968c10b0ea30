"""The book of a stream, kept from outside: what its sensor said against what the log has and what it announces. Pure.

A sensor numbers what it says, and its feeder keeps when it said so. Then a log is right about it when

- every number that was said is in the log, once, or lies in a time that is announced as lacking it;
- nothing is in the log that was not said;
- what is announced is wide enough to hold what is missing, and a count that is given is the number that is missing;
- every sample's time is its true one, within a tolerance or within the uncertainty that its chunk owns up to;
- nothing that comes later lies before what a progress record promised to be complete.

`wrongs` says in words what is not so.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ingest.records import Chunk, Gap, Progress, Record, RecordingEnd, RecordingStart
from ingest.times import sample_times

MS: Final = 1_000_000
S: Final = 1_000_000_000
SHOWN: Final = 5
"""So many of a kind of wrong are told."""


class Range(NamedTuple):
    """A time in which something is announced to be missing."""

    start_ns: int
    end_ns: int
    samples: int
    """-1 where that is not known."""
    reason: str


@dataclass
class Said:
    """What a sensor said: number `i` at `due_ns[i]` by its own clock, and handed over at `written_ns[i]`, ns UTC."""

    due_ns: list[int] = field(default_factory=list)
    written_ns: list[int] = field(default_factory=list)


@dataclass(frozen=True)
class Tolerance:
    """How far times may be off, on a machine that is busy with other things."""

    early_ns: int = 250 * MS
    late_ns: int = 1500 * MS
    edge_ns: int = 1500 * MS
    """Between a number's time and the edge of what announces it."""


@dataclass(frozen=True)
class Book:
    """What a log has of a stream, each chunk once, in the log's order."""

    numbers: NDArray[np.int64]
    checks: NDArray[np.int64]
    times_ns: NDArray[np.int64]
    uncertainty_ns: NDArray[np.int64]
    ranges: list[Range]
    """Gaps, what chunks say is missing before them, and the time between two recordings."""
    broken: list[str]
    """Promises of progress that did not hold."""
    repeated: int
    """Chunks that lie in the log more than once."""
    recordings: int
    start_ns: int
    """Of the first recording."""
    end_ns: int
    """Of the last recording that ended."""


def read_book(records: Iterable[Record], device: str, stream: str) -> Book:
    """The book of one stream, whose samples are a number and its check (int32)."""
    rows: list[NDArray[Any]] = [np.zeros((0, 4), np.int64)]
    seen: dict[tuple[bytes, int], Chunk] = {}
    ranges, broken, complete, repeated = set[Range](), list[str](), dict[tuple[bytes, str], int](), 0
    starts, ends, reach = list[int](), list[int](), 0
    for record in records:
        if getattr(record, "device", None) != device or getattr(record, "stream", stream) != stream:
            continue
        if isinstance(record, Chunk):
            if seen.setdefault((record.boot, record.seq), record) is not record:
                assert seen[record.boot, record.seq] == record, "two chunks of one name"
                repeated += 1
                continue
            rows.append(_rows(record))
            times = rows[-1][:, 2]
            broken += _broken(complete, record, int(times[0]), "a sample")
            if record.missing:
                ranges.add(Range(min(reach, int(times[0])), int(times[0]), record.missing, record.missing_reason))
            reach = max(reach, int(times[-1]))
        elif isinstance(record, Gap):
            ranges.add(Range(record.start_ns, record.end_ns, record.samples, record.reason))
            broken += _broken(complete, record, record.start_ns, f"a gap {record.reason}")
        elif isinstance(record, Progress):
            key = record.boot, record.recording
            complete[key] = max(complete.get(key, 0), record.complete_to_ns)
        elif isinstance(record, RecordingStart):
            starts.append(record.start_ns)
            # A boot that found nothing of those before cannot name them: its recording begins behind what they sent.
            default = record.previous_reach_ns or (reach if record.reason == "start" else 0)
            before = max([end for end in ends if end <= record.start_ns], default=default)
            if before:
                ranges.add(Range(before, record.start_ns, -1, f"before {record.reason}"))
        elif isinstance(record, RecordingEnd):
            ends.append(record.end_ns)
    found = np.concatenate(rows)
    return Book(
        found[:, 0], found[:, 1], found[:, 2], found[:, 3], sorted(ranges), broken, repeated,
        len(set(starts)), min(starts, default=0), max(ends, default=0),
    )  # fmt: skip


def _rows(chunk: Chunk) -> NDArray[np.int64]:
    """`(samples, 4)`: number, check, time, uncertainty."""
    values = np.frombuffer(chunk.values, "<i4").reshape(-1, 2).astype(np.int64)
    unsure = np.full(len(values), 0 if chunk.clock is None else chunk.clock.uncertainty_ns, np.int64)
    return np.column_stack([values, sample_times(chunk), unsure])


def _broken(complete: dict[tuple[bytes, str], int], record: Chunk | Gap, at_ns: int, what: str) -> list[str]:
    promised = complete.get((record.boot, record.recording), at_ns)
    if at_ns >= promised:
        return []
    return [f"{what} {(promised - at_ns) / S:.3f} s before what progress had promised to be complete"]


def wrongs(
    book: Book,
    said: Said,
    check_of: Any,
    tolerance: Tolerance = Tolerance(),
) -> list[str]:
    """What is not so, in words; empty where the book closes."""
    return [
        *book.broken[:SHOWN],
        *_foreign(book, said, check_of),
        *_twice(book),
        *_misplaced(book, said, tolerance),
        *_unannounced(book, said, tolerance),
        *_miscounted(book, said, tolerance),
    ]


def missing(book: Book, said: Said, tolerance: Tolerance = Tolerance()) -> NDArray[np.int64]:
    """The numbers that were said while the agent recorded, and are not in the log."""
    due = np.array(said.due_ns, np.int64)
    first = int(book.numbers.min()) if len(book.numbers) else len(due)
    until = book.end_ns - tolerance.edge_ns if book.end_ns else 1 << 62  # what was said last may be on its way
    expected = np.flatnonzero(due <= until)
    return np.setdiff1d(expected[expected > first], book.numbers)


def _foreign(book: Book, said: Said, check_of: Any) -> list[str]:
    right = np.array([check_of(int(number)) for number in book.numbers], np.int64)
    bad = (book.numbers < 0) | (book.numbers >= len(said.due_ns)) | (right != book.checks)
    return [f"{n},{c} is in the log, and nobody said it" for n, c in _some(book.numbers[bad], book.checks[bad])]


def _twice(book: Book) -> list[str]:
    found, counts = np.unique(book.numbers, return_counts=True)
    return [f"number {n} is in the log {c} times" for n, c in _some(found[counts > 1], counts[counts > 1])]


def _misplaced(book: Book, said: Said, tolerance: Tolerance) -> list[str]:
    known = (book.numbers >= 0) & (book.numbers < len(said.due_ns))
    numbers, times, unsure = book.numbers[known], book.times_ns[known], book.uncertainty_ns[known]
    early = np.array(said.due_ns, np.int64)[numbers] - times
    late = times - np.array(said.written_ns, np.int64)[numbers]
    off = np.maximum(early - tolerance.early_ns, late - tolerance.late_ns)
    bad = off > unsure
    told = [
        f"number {n} lies {d / S:+.3f} s from when it was said; its uncertainty is {u / S:.3f} s"
        for n, d, u in _some(numbers[bad], (-early)[bad], unsure[bad])
    ]
    order = np.argsort(numbers, kind="stable")
    back = np.flatnonzero(np.diff(times[order]) <= 0)
    told += [f"number {n} is not later than the one before it" for (n,) in _some(numbers[order][back + 1])]
    return told


def _unannounced(book: Book, said: Said, tolerance: Tolerance) -> list[str]:
    lost = missing(book, said, tolerance)
    due = np.array(said.due_ns, np.int64)[lost]
    starts = np.array([known.start_ns for known in book.ranges], np.int64) - tolerance.edge_ns
    ends = np.array([known.end_ns for known in book.ranges], np.int64) + tolerance.edge_ns
    held = np.array([bool(((starts <= at) & (at <= ends)).any()) for at in due], bool)
    told = [
        f"number {n}, said at {at / S:.3f}, is missing, and nothing announces it; near it: {_near(book, int(at))}"
        for n, at in _some(lost[~held], due[~held])
    ]
    return [*told, *_narrow(book, said, lost[held], tolerance)]


def _narrow(book: Book, said: Said, lost: NDArray[np.int64], tolerance: Tolerance) -> list[str]:
    """Runs of missing numbers for which what is announced is not wide enough."""
    told = []
    for run in np.split(lost, np.flatnonzero(np.diff(lost) > 1) + 1) if len(lost) else []:
        first, last = said.due_ns[int(run[0])], said.due_ns[int(run[-1])]
        inside = [
            r for r in book.ranges if r.end_ns >= first - tolerance.edge_ns and r.start_ns <= last + tolerance.edge_ns
        ]
        width = _union_ns(inside)
        if width < last - first - tolerance.edge_ns:
            told.append(
                f"{run[0]} to {run[-1]} are missing for {(last - first) / S:.3f} s; announced: {width / S:.3f} s"
            )
    return told[:SHOWN]


def _union_ns(ranges: Sequence[Range]) -> int:
    total, reached = 0, -(1 << 62)
    for known in sorted(ranges):
        total += max(0, known.end_ns - max(known.start_ns, reached))
        reached = max(reached, known.end_ns)
    return total


def _miscounted(book: Book, said: Said, tolerance: Tolerance) -> list[str]:
    """Counts that are given, and are not the number of what is missing there."""
    lost = np.array(said.due_ns, np.int64)[missing(book, said, tolerance)]
    told = []
    for group in _joined(book.ranges, 2 * tolerance.edge_ns):
        lo, hi = group[0].start_ns - tolerance.edge_ns, max(r.end_ns for r in group) + tolerance.edge_ns
        there = int(((lost >= lo) & (lost <= hi)).sum())
        counted = sum(known.samples for known in group if known.samples > 0)
        exact = all(known.samples >= 0 for known in group)
        if counted > there or (exact and counted != there):
            told.append(f"{there} are missing near {lo / S:.3f}; announced: {group[:3]}")
    return told[:SHOWN]


def _joined(ranges: Sequence[Range], within_ns: int) -> list[list[Range]]:
    """Ranges that are so near to one another that what is missing cannot be told apart."""
    groups: list[list[Range]] = []
    reached = 0
    for known in sorted(ranges):
        if groups and known.start_ns - reached <= within_ns:
            groups[-1].append(known)
        else:
            groups.append([known])
        reached = max(reached, known.end_ns) if len(groups[-1]) > 1 else known.end_ns
    return groups


def _near(book: Book, at_ns: int) -> list[str]:
    nearest = sorted(book.ranges, key=lambda r: max(r.start_ns - at_ns, at_ns - r.end_ns))[:2]
    return [f"{r.reason} {(r.start_ns - at_ns) / S:+.3f} to {(r.end_ns - at_ns) / S:+.3f} s" for r in nearest]


def _some(*columns: NDArray[Any]) -> list[tuple[Any, ...]]:
    """The first rows of columns, as Python's numbers."""
    return list(zip(*(column[:SHOWN].tolist() for column in columns), strict=True))
