"""A stream that is described anew: no value of it is ever shown under another channel's name or unit."""

from __future__ import annotations

import asyncio
from pathlib import Path

import numpy as np
import pytest

from ingest.archive.reading import Question
from ingest.engine.rhythm import Limits
from ingest.log.protocol import READINGS, STREAMS, Entry, Log
from ingest.opening import open_log
from ingest.records import Channel, Chunk, StreamDescription, schema_id
from ingest.wire import encode
from tests.ingest.archive.test_log import archive
from tests.timeline.site import START_NS, Frame, S, Served
from timeline import protocol
from timeline.history.live import Samples
from timeline.protocol.frames import LIVE
from timeline.site import Settings, Timeline

OLD = StreamDescription("acc", (Channel("x", "m/s²"), Channel("t", "degC")), "float32", 100)
NEW = StreamDescription("acc", (Channel("t", "V"), Channel("x", "g"), Channel("y", "g")), "float32", 100)
SPLIT = 40
"""Seconds under the old description; as many follow under the new one."""


def chunk(second: int, description: StreamDescription, values: list[float]) -> Chunk:
    """A second of samples that all have these values."""
    data = np.tile(np.array(values, "<f4"), (100, 1)).tobytes()
    head = "pump", "r", "acc", b"boot", second, schema_id(description), START_NS + second * S, S // 100, 1, 0, 0, b""
    return Chunk(*head, 100, data)


RECORDS = [
    *(chunk(second, OLD, [9.80665, 20]) for second in range(SPLIT)),
    *(chunk(second, NEW, [0.5, 2, 3]) for second in range(SPLIT, 2 * SPLIT)),
]


async def begin(url: str, count: int = len(RECORDS)) -> Log:
    log = open_log(url)
    await log.append(STREAMS, [Entry(schema_id(it), encode(it)) for it in (OLD, NEW)])
    await log.append(READINGS, [Entry(b"pump", encode(it)) for it in RECORDS[:count]])
    return log


@pytest.mark.parametrize("archived", [False, True])
def test_history_is_in_the_units_of_now_and_says_what_they_do_not_fit(tmp_path: Path, archived: bool) -> None:
    url = f"segments:{tmp_path}/log?partitions=1"

    async def work() -> None:
        log = await begin(url)
        if archived:
            for topic in (READINGS, STREAMS):
                await archive(log, tmp_path / "archive", topic, Limits())
        timeline = Timeline(Settings("site", url, tmp_path / "archive" if archived else None), log)
        await timeline.open()
        following = asyncio.create_task(timeline.run())
        await timeline.caught_up()
        for start, end, points in ((0, 80, 8_000), (0, 80, 4), (10, 20, 8_000), (10, 20, 2)):
            answer = await timeline.ask(Question("pump", "acc", START_NS + start * S, START_NS + end * S, points))
            assert answer is not None
            assert list(zip(answer.channels, answer.units, strict=True)) == [("t", "V"), ("x", "g"), ("y", "g")]
            assert (answer.level is None) == (points == 8_000)
            before = min(end, SPLIT) - start
            if answer.level is None:
                old, new = answer.values[: before * 100], answer.values[before * 100 :]
                np.testing.assert_allclose(old, [[np.nan, 1, np.nan]] * len(old), rtol=1e-6)
                np.testing.assert_array_equal(new, np.tile([0.5, 2, 3], ((end - start - before) * 100, 1)))
            else:
                t, x, y = answer.tiles
                assert (set(t.low), set(y.high)) == (({0.5}, {3.0}) if end > SPLIT else (set(), set()))
                assert np.isclose(x.low[0], 1, rtol=1e-6)
                assert np.isclose(x.high[-1], 2 if end > SPLIT else 1, rtol=1e-6)
            lost = {(it.name, it.unit) for it in answer.left_out}
            assert lost == {("t", "degC")}
            assert max(it.end_ns for it in answer.left_out) < START_NS + SPLIT * S
        following.cancel()
        await asyncio.gather(following, return_exceptions=True)
        await timeline.close()
        await log.close()

    asyncio.run(work())


def test_samples_are_under_the_channels_of_now() -> None:
    old = Samples("pump", "acc", np.array([START_NS]), np.array([[9.80665, 20.0]]), OLD.channels)
    np.testing.assert_allclose(old.under(NEW.channels), [[np.nan, 1, np.nan]])
    assert old.under(OLD.channels) is old.values


def test_a_tab_hears_of_the_new_channels_before_their_samples(tmp_path: Path) -> None:
    url = f"segments:{tmp_path}/log?partitions=1"

    async def old() -> None:
        await (await begin(url, SPLIT)).close()

    async def work(served: Served) -> None:
        log = open_log(url)
        async with served.tab() as tab:
            await tab.hello()
            await tab.look(1, START_NS, START_NS + 60 * S, device="pump", follow=True)
            await log.append(READINGS, [Entry(b"pump", encode(RECORDS[SPLIT]))])
            first = await tab.hear(Frame, lambda it: bool(it.flags & LIVE))
            told = [it for it in tab.seen if isinstance(it, protocol.Devices)]
            assert [it.unit for it in told[-1].devices[0].streams[0].channels] == ["V", "g", "g"]
            assert first.values[:, 0].tolist() == [0.5, 2, 3]
            frames, shown = await tab.look(2, START_NS, START_NS + 60 * S, device="pump", columns=8_000)
            assert [len(frame.values) for frame in frames] == [3]
            assert [(it.start_ns, it.reason) for it in shown.gaps] == [
                (str(START_NS), "t [degC] is not drawn: the stream was described otherwise")
            ]
        await log.close()

    asyncio.run(old())
    with Served("--log", url) as served:
        asyncio.run(work(served.open()))
