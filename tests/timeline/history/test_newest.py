"""What came last is at hand, up to so many bytes; an answer is the same with it and without it."""

from __future__ import annotations

import asyncio
from pathlib import Path
from random import Random
from typing import NoReturn

import numpy as np
import pytest

from ingest.archive.reading import Answer, Gone, Question
from ingest.log.protocol import READINGS
from ingest.log.segments import SegmentLog
from ingest.opening import open_log
from ingest.records import Channel, Chunk, schema_id
from ingest.times import sample_times
from tests.timeline.site import ACC, START_NS, S, chunk, recording, write
from timeline.history.logindex import LogIndex, joined, physical
from timeline.history.newest import Newest, Piece
from timeline.server.takeroutes import GoneError
from timeline.server.takeroutes import whole as taken

PIECE = Piece(ACC.channels, np.arange(10), np.ones((10, 2)))
CHUNKS = [it for it in recording(60) if isinstance(it, Chunk)]


def test_the_newest_pieces_stay_within_their_bytes() -> None:
    newest = Newest(10_000)
    for offset in range(100):
        newest.keep(offset % 2, offset, PIECE)
    found = [offset for offset in range(100) if newest.find(offset % 2, offset) is not None]
    assert found == list(range(100 - len(found), 100))
    assert 5 <= len(found) <= 10_000 // (PIECE.times.nbytes + PIECE.values.nbytes)


def test_a_piece_has_other_channels_as_nan_and_other_units_converted() -> None:
    assert PIECE.under(ACC.channels) is PIECE.values
    found = PIECE.under([Channel("z", "g"), Channel("y", "m/s²")])
    np.testing.assert_allclose(found, np.stack([np.full(10, np.nan), np.full(10, 9.80665)], axis=1))


@pytest.mark.parametrize("bytes_max", [1 << 20, 50_000], ids=["all at hand", "some at hand"])
def test_an_answer_is_the_same_whether_its_samples_are_at_hand_or_in_the_log(tmp_path: Path, bytes_max: int) -> None:
    chance = Random(1)
    edges = [sorted(START_NS + chance.randrange(-S, 61 * S) for _ in range(2)) for _ in range(40)]
    questions = [Question("pump-7", "acc", start, end + 1, chance.choice([5, 100, 2000])) for start, end in edges]

    async def work() -> None:
        log = open_log(f"segments:{tmp_path}/log?partitions=1")
        await write(log, list(CHUNKS))
        near, far = (LogIndex(log, {schema_id(ACC): ACC}, Newest(most)) for most in (bytes_max, 0))
        for offset, one in enumerate(CHUNKS):
            for index in (near, far):
                index.feed(one, sample_times(one), physical(one, ACC), 0, offset)
        expected = [await far.ask(question) for question in questions]
        if bytes_max >= 1 << 20:
            log.reader = _not_read  # type: ignore[method-assign]
        for question, other in zip(questions, expected, strict=True):
            assert same(await near.ask(question), other), question
        await log.close()

    asyncio.run(work())


def test_what_retention_took_and_what_is_damaged_is_told_to_who_looks_closely(tmp_path: Path) -> None:
    """Tiles are there still: who looked closely saw nothing, and was not told that something had been there."""
    chunks = [chunk(START_NS + second * S, 100, second) for second in range(60)]

    async def work() -> None:
        log = SegmentLog(tmp_path / "log", partitions=1, segment_bytes=8192, retention_bytes=16384)
        index = LogIndex(log, {schema_id(ACC): ACC}, Newest(0))
        for offset, one in enumerate(chunks):
            await write(log, [one])
            index.feed(one, sample_times(one), physical(one, ACC), 0, offset)
        begin = (await log.bounds(READINGS))[0].begin
        assert begin > 10
        (path, *_) = sorted((tmp_path / "log/topics/readings/0").glob("*.log"))
        data = bytearray(path.read_bytes())
        data[100] ^= 1
        path.write_bytes(data)
        whole = Question("pump-7", "acc", START_NS, START_NS + 60 * S, 6000)
        answer = await index.ask(whole)
        assert answer is not None
        deleted = Gone(START_NS, int(sample_times(chunks[begin - 1])[-1]), "deleted")
        first, last = (int(sample_times(chunks[begin])[at]) for at in (0, -1))
        damaged = Gone(first, last, "damaged")
        assert answer.gone == (deleted, damaged)
        assert len(answer.times) == 100 * (60 - begin - 1)
        with pytest.raises(GoneError, match=r"take: acc: the samples from .* to .* are deleted"):
            taken("acc", ACC.channels, answer)
        behind = await index.ask(whole._replace(start_ns=START_NS + (begin + 1) * S))
        assert behind is not None
        assert behind.gone == ()
        await log.close()

    asyncio.run(work())


def test_what_is_gone_and_follows_one_another_is_told_as_one() -> None:
    spans = [(0, 9, "deleted"), (20, 29, "deleted"), (10, 19, "deleted"), (30, 39, "damaged"), (80, 89, "damaged")]
    assert joined(Gone(*span) for span in spans) == (
        Gone(0, 29, "deleted"), Gone(30, 39, "damaged"), Gone(80, 89, "damaged"),
    )  # fmt: skip


def _not_read(*_: object, **__: object) -> NoReturn:
    raise AssertionError("the log is read again")


def same(one: Answer | None, other: Answer | None) -> bool:
    if one is None or other is None:
        return one is other
    arrays = zip(
        (one.times, one.values, *(column for tiles in one.tiles for column in tiles)),
        (other.times, other.values, *(column for tiles in other.tiles for column in tiles)),
        strict=True,
    )
    return one[:3] == other[:3] and all(np.array_equal(*pair, equal_nan=True) for pair in arrays)
