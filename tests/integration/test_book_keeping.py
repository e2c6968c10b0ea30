"""A book that does not close is seen: every kind of wrong, made by hand."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import numpy as np
import pytest

from ingest.records import Chunk, Clock, Gap, Progress, Record, RecordingEnd, RecordingStart
from tests.integration.books import Said, Tolerance, read_book, wrongs
from tests.integration.sensors import check_of

S = 1_000_000_000
T0 = 1_700_000_000 * S
RATE = 10
PERIOD = S // RATE
COUNT = 600
TIGHT = Tolerance(S // 100, S // 20, S // 10)
BOOT = b"b" * 16


def said(count: int = COUNT) -> Said:
    due = [T0 + n * PERIOD for n in range(count)]
    return Said(due, [at + S // 1000 for at in due])


def chunk(first: int, count: int, late_ns: int = 0, unsure_ns: int = 0, seq: int | None = None) -> Chunk:
    values = np.array([(n, check_of(n)) for n in range(first, first + count)], "<i4").tobytes()
    t0_ns = T0 + first * PERIOD + late_ns
    clock = Clock("ntp", uncertainty_ns=unsure_ns)
    seq = first if seq is None else seq
    return Chunk("pump", "r", "count", BOOT, seq, b"s" * 16, t0_ns, PERIOD, 1, 0, 1, b"", count, values, clock=clock)


def gap(first: int, count: int, samples: int, reason: str = "torn") -> Gap:
    start_ns = T0 + first * PERIOD
    return Gap("pump", "r", "count", BOOT, start_ns, start_ns + count * PERIOD, samples, reason)


def story(*middle: Record) -> list[Record]:
    start = RecordingStart("pump", "r", BOOT, T0, "start")
    end = RecordingEnd("pump", "r", BOOT, T0 + COUNT * PERIOD, "stopped")
    return [start, *middle, end]


def told(*middle: Record, said_: Said | None = None) -> str:
    return "\n".join(wrongs(read_book(story(*middle), "pump", "count"), said_ or said(), check_of, TIGHT))


def test_a_book_closes() -> None:
    assert not told(chunk(0, 300), gap(300, 20, 20), chunk(320, COUNT - 320))
    assert not told(chunk(0, 300), gap(300, 20, -1), chunk(320, COUNT - 320))
    assert not told(chunk(5, 295), chunk(5, 295), chunk(300, 300)), "began late; a chunk is there twice"


@pytest.mark.parametrize(
    ("middle", "words"),
    [
        ([chunk(0, 300), chunk(301, 299)], "number 300, said at .* is missing, and nothing announces it"),
        ([chunk(0, 300), gap(300, 0, -1), chunk(350, 250)], "is missing, and nothing announces it"),
        ([chunk(0, 300), gap(300, 20, 1), chunk(320, 280)], "20 are missing near .* samples=1"),
        ([chunk(0, 300), gap(300, 20, 30), chunk(320, 280)], "20 are missing near .* samples=30"),
        ([chunk(0, 300), gap(200, 1, 1), chunk(300, 300)], "0 are missing near .* samples=1"),
        ([chunk(0, 300), chunk(299, 301)], "number 299 is in the log 2 times"),
        ([chunk(0, 300), chunk(300, 301)], "600,.* is in the log, and nobody said it"),
        ([chunk(0, 300, late_ns=S), chunk(300, 300)], r"number 0 lies \+1.000 s from when it was said"),
        ([chunk(0, 300, late_ns=-S), chunk(300, 300)], r"number 0 lies -1.000 s from when it was said"),
        ([chunk(0, 300), chunk(300, 100), gap(400, 200, -1), chunk(599, 1, seq=9)], ""),
        ([chunk(0, 300)], "number 300, said at .* is missing"),
        (
            [chunk(0, 300), Progress("pump", "r", "count", BOOT, T0 + 50 * S), chunk(300, 300)],
            "a sample 20.000 s before what progress had promised",
        ),
        (
            [chunk(0, 300), Progress("pump", "r", "count", BOOT, T0 + 50 * S), gap(300, 300, -1)],
            "a gap torn 20.000 s before what progress",
        ),
    ],
)
def test_what_is_wrong_is_told(middle: list[Record], words: str) -> None:
    found = told(*middle)
    if not words:
        assert not found
        return
    with pytest.raises(AssertionError, match=words):
        raise AssertionError(found)


def test_an_owned_uncertainty_excuses_a_time() -> None:
    assert not told(chunk(0, 300, late_ns=S // 2, unsure_ns=S), chunk(305, 295), gap(300, 5, 5))


def test_a_gap_too_narrow_is_told() -> None:
    edges = [gap(300, 2, -1), gap(398, 2, -1)]
    assert "is missing, and nothing announces it" in told(chunk(0, 300), *edges, chunk(400, 200))
    wide = dataclasses.replace(TIGHT, edge_ns=6 * S)
    book = read_book(story(chunk(0, 300), *edges, chunk(400, 200)), "pump", "count")
    assert "300 to 399 are missing for 9.900 s; announced: 0.400 s" in "\n".join(wrongs(book, said(), check_of, wide))
    closes = read_book(story(chunk(0, 300), gap(320, 60, -1), chunk(400, 200)), "pump", "count")
    assert not wrongs(closes, said(), check_of, wide)


def test_a_check_that_does_not_fit_is_told() -> None:
    wrong: Callable[[int], int] = lambda number: check_of(number) + (number == 7)  # noqa: E731
    book = read_book(story(chunk(0, COUNT)), "pump", "count")
    assert wrongs(book, said(), wrong, TIGHT) == [f"7,{check_of(7)} is in the log, and nobody said it"]
