"""History against NumPy: any span at any resolution, sealed in whatever parts, with the log's tail and without."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import Sequence
from pathlib import Path

import msgspec
import numpy as np
import pytest
from numpy.typing import NDArray

import sensorloom
from ingest.archive.history import History, with_one_more
from ingest.archive.operator import ArchiveOperator
from ingest.archive.reading import Answer, Question
from ingest.archive.showing import as_lines
from ingest.archive.tables import read_table, record_values, rows_in
from ingest.archive.tiles import BITS, tiles_of
from ingest.engine.operator import Draft
from ingest.engine.rhythm import Limits
from ingest.errors import UsageError
from ingest.log.protocol import READINGS, STREAMS, Entry, Log, LogBatch
from ingest.opening import open_log
from ingest.records import Channel, Chunk, Clock, StreamDescription, schema_id
from ingest.wire import decode, encode
from tests.ingest.archive.test_log import archive

T0 = 1_700_000_000_000_000_000
PERIOD_NS = 10_000_000
OLD = StreamDescription("acc", (Channel("x", "g", -0.5, 1.0), Channel("y", "g", 0.25)), "int16", 100)
NEW = StreamDescription("acc", (Channel("y", "g", 0.125), Channel("x", "g")), "int16", 100)
CHUNKS, SIZE = 120, 50


class Site:
    """A device's samples in a log: two minutes with a gap of 7 s, under two descriptions, some twice, some unsynced."""

    def __init__(self, folder: Path) -> None:
        self.archive, self.url = folder / "archive", f"segments:{folder}/log"
        rng = np.random.default_rng(3)
        self.entries: list[Entry] = []
        times, values = [], []
        for seq in range(CHUNKS):
            t0_ns = T0 + (seq * SIZE + (700 if seq >= 60 else 0)) * PERIOD_NS
            raw = rng.integers(-900, 900, (SIZE, 2)).astype("<i2")
            schema = schema_id(OLD if seq < 80 else NEW)
            head = ("pump", "r", "acc", b"boot", seq, schema, t0_ns, PERIOD_NS, 1, 0, 0, b"")
            chunk = Chunk(*head, SIZE, raw.tobytes())
            again = msgspec.structs.replace(chunk, seq=1000 + seq, clock=Clock("unsynced"))
            sent = [chunk, chunk, again] if seq % 10 == 3 else [chunk]
            self.entries += [Entry(b"pump", encode(each)) for each in sent]
            times.append(t0_ns + np.arange(SIZE) * PERIOD_NS)
            x, y = (raw[:, 0] * -0.5 + 1.0, raw[:, 1] * 0.25) if seq < 80 else (raw[:, 1] * 1.0, raw[:, 0] * 0.125)
            values.append(np.stack([y, x], axis=1))  # in the order of the newest description
        self.times, self.values = np.concatenate(times), np.concatenate(values)

    async def begin(self) -> Log:
        log = open_log(self.url, partitions=2)
        await log.ensure(READINGS)
        await log.ensure(STREAMS)
        await log.append(STREAMS, [Entry(schema_id(it), encode(it)) for it in (OLD, NEW)])
        return log

    async def seal(self, log: Log) -> None:
        for topic in (READINGS, STREAMS):
            await archive(log, self.archive, topic, Limits())

    def check(self, answer: Answer | None, question: Question) -> None:
        """The answer is what the samples say."""
        inside = (self.times >= question.start_ns) & (self.times < question.end_ns)
        if answer is None:
            assert not inside.any()
            return
        if answer.level is None:
            np.testing.assert_array_equal(answer.times, self.times[inside])
            shown = [("y", "x").index(name) for name in answer.channels]
            np.testing.assert_allclose(answer.values, self.values[inside][:, shown])
            return
        assert answer.level == question.level
        first, last = (t >> BITS * answer.level for t in (question.start_ns, question.end_ns - 1))
        for name, tiles in zip(answer.channels, answer.tiles, strict=True):
            whole = tiles_of(self.times, self.values[:, ("y", "x").index(name)], answer.level)
            here = (whole.bucket >= first) & (whole.bucket <= last)
            kept = [column[here] for column in whole]
            for found, wanted in zip(tiles, kept, strict=True):
                np.testing.assert_allclose(found, wanted)


def questions(rng: random.Random, count: int) -> list[Question]:
    found = []
    for _ in range(count):
        span_ns = int(10 ** rng.uniform(7, 12))
        start_ns = T0 + rng.randrange(-20 * 10**9, 90 * 10**9)
        found.append(Question("pump", "acc", start_ns, start_ns + span_ns, rng.choice([1, 7, 40, 800])))
    return found


@pytest.mark.parametrize("seed", range(3))
def test_answers_are_what_the_samples_say_wherever_the_archive_ends(tmp_path: Path, seed: int) -> None:
    site, rng = Site(tmp_path), random.Random(seed)

    async def run() -> None:
        log = await site.begin()
        at = 0
        await log.append(READINGS, site.entries[:1])
        await site.seal(log)
        history = History(site.archive, log)
        levels = set()
        for stop in [*sorted(rng.sample(range(2, len(site.entries)), 5)), len(site.entries)]:
            await log.append(READINGS, site.entries[max(1, at) : stop])
            at = stop
            if rng.random() < 0.6:
                await site.seal(log)
            partial = Site.__new__(Site)
            chunks = len({entry.value for entry in site.entries[:stop]} & firsts(site))
            partial.times, partial.values = site.times[: chunks * SIZE], site.values[: chunks * SIZE]
            for question in questions(rng, 12):
                found = await history.ask(question)
                partial.check(found, question)
                levels.add(None if found is None else found.level)
        assert len(levels) > 3, "the questions are all alike"
        await log.close()

    asyncio.run(run())


def firsts(site: Site) -> set[bytes]:
    """The chunks that count, once each."""
    found = (decode(entry.value) for entry in site.entries)
    return {encode(chunk) for chunk in found if isinstance(chunk, Chunk) and chunk.clock is None}


def test_without_a_log_there_is_what_was_archived(tmp_path: Path) -> None:
    site = Site(tmp_path)

    async def run() -> None:
        log = await site.begin()
        await log.append(READINGS, site.entries)
        await site.seal(log)
        await log.append(READINGS, [Entry(b"fan", site.entries[0].value)])
        await log.close()
        history = History(site.archive)
        whole = Question("pump", "acc", T0, int(site.times[-1]) + 1, 10_000)
        found = await history.ask(whole)
        assert found is not None
        assert (found.channels, found.units) == (("y", "x"), ("g", "g"))
        site.check(found, whole)
        assert await history.ask(whole._replace(device="nobody")) is None
        assert await history.ask(whole._replace(stream="none")) is None
        gap = whole._replace(start_ns=T0 + 31 * 10**9, end_ns=T0 + 36 * 10**9)
        assert await history.ask(gap) is None, "a gap is a gap"

    asyncio.run(run())


def test_show(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    site = Site(tmp_path)

    async def run() -> None:
        log = await site.begin()
        await log.append(READINGS, site.entries[:70])
        await site.seal(log)
        await log.append(READINGS, site.entries[70:])
        await log.close()

    asyncio.run(run())
    words = ["archive", "show", str(site.archive), "pump", "acc", "--from", "2023-11-14T22:13:20Z"]
    assert sensorloom.main([*words, "--points", "400", "--log", site.url]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("each step is 8.59 s")
    assert lines[1].startswith("y [g] ")
    assert "6,000 samples" in lines[1]
    assert sensorloom.main([*words, "--to", "2023-11-14T22:13:21Z"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 101
    assert sensorloom.main([*words, "--to", "2023-11-14T22:13:21Z", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["time"][1] == "2023-11-14T22:13:20.010000000Z"
    assert told["channels"] == ["x", "y"], "as the stream was described then"
    assert told["values"][0] == site.values[0][::-1].tolist()
    assert sensorloom.main([*words, "--points", "9", "--json", "--log", site.url]) == 0
    assert sum(tile["samples"] for tile in json.loads(capsys.readouterr().out)["tiles"][0]) == 6000
    assert sensorloom.main([*words[:3], "nobody", *words[4:]]) == 1
    assert "nobody acc: nothing" in capsys.readouterr().err
    assert sensorloom.main([*words, "--to", "2023-11-14T22:13:20Z"]) == 2


def test_who_follows_holds_few_outputs_however_often_they_ask(tmp_path: Path) -> None:
    """Each moment's samples are an output of their own; they are merged, and are still what came."""
    operator, outputs = ArchiveOperator(READINGS), list[Sequence[Draft]]()
    for description in (OLD, NEW):
        operator.learn(schema_id(description), description)
    running, entries = operator.start(None), Site(tmp_path).entries
    for number, entry in enumerate(entries):
        running.feed(LogBatch(READINGS, 0, [number], [T0], [entry.key], [entry.value], number + 1))
        outputs = with_one_more(outputs, running.take("tail").drafts)
        assert len(outputs) <= 8
    files = {draft.name: bytes(draft.parts[0]) for drafts in outputs for draft in drafts}
    rows = [row for name in files if name.startswith("records/") for row in rows_in(read_table(files[name]))]
    assert record_values(rows, files.__getitem__) == [entry.value for entry in entries]


def test_a_level_is_as_coarse_as_the_points_allow() -> None:
    day = Question("d", "s", 0, 86_400 * 10**9, 1600)
    assert day.level == 11
    assert day._replace(end_ns=1).level == 0
    assert day._replace(end_ns=1 << 62, points=1).level == 15


def test_missing_values_are_no_height() -> None:
    nothing: NDArray[np.float64] = np.zeros((0, 1))
    empty = tiles_of(np.zeros(0, np.int64), np.zeros(0), 10)
    flat = tiles_of(np.arange(3) * 10**9, np.full(3, 5.0), 10)
    for tiles, line in ((empty, "x: no values"), (flat, "x [g] 5 to 5, 3 samples")):
        said = list(as_lines(Answer(("x",), ("g",), 10, np.zeros(0, np.int64), nothing, (tiles,))))
        assert said[1].startswith(line)


def test_another_log_is_refused(tmp_path: Path) -> None:
    """Its chunks would be drawn behind those of the archive, as if they were the same stream's."""
    (tmp_path / "other").mkdir()
    site, other = Site(tmp_path), Site(tmp_path / "other")

    async def run() -> None:
        log, foreign = await site.begin(), await other.begin()
        await log.append(READINGS, site.entries)
        await site.seal(log)
        with pytest.raises(UsageError, match="that has other data"):
            await History(site.archive, foreign).ask(Question("pump", "acc", T0, T0 + 10**9, 9))
        await log.close()
        await foreign.close()

    asyncio.run(run())


def test_who_is_no_archive(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no archive"):
        History(tmp_path)
