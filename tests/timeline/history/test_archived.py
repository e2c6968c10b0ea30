"""History of an archive and its log together: the same as of the log alone, and it outlives the log's beginning."""

from __future__ import annotations

import asyncio
from collections import deque
from pathlib import Path

import msgspec
import numpy as np

import sensorloom
from ingest.archive.reading import Question
from ingest.log.protocol import READINGS, Entry
from ingest.log.segments.log import SegmentLog
from ingest.opening import open_log
from ingest.records import Clock
from ingest.wire import encode
from tests.timeline.site import START_NS, Frame, S, Served, chunk, recording, write, write_site
from timeline.site import Settings, Timeline

UNSURE = Clock("ntp", 0, 0.0, 5_000_000)


def test_the_past_of_an_archive_and_the_live_end_of_its_log_are_one(tmp_path: Path) -> None:
    records = recording(20, end=False)
    records[3] = msgspec.structs.replace(chunk(START_NS + 2 * S, 100, 2, values=np.arange(200, 300)), clock=UNSURE)
    site = write_site(tmp_path / "site", records)
    url = f"segments:{site}/log"
    archive = ["archive", "run", "--log", url, "--out", str(site / "archive"), "--until-idle"]
    assert sensorloom.main(archive) == 0

    async def work(served: Served) -> None:
        log = open_log(url)
        new = [chunk(START_NS + (20 + it) * S, 100, 20 + it, values=np.arange(100) + 2000 + 100 * it) for it in (0, 1)]
        await log.append(READINGS, [Entry(b"pump-7", encode(new[0]))])
        async with served.tab() as tab:
            welcome = await tab.hello()
            assert [device.id for device in welcome.devices] == ["pump-7"]
            frames, shown = await tab.look(1, START_NS, START_NS + 60 * S, follow=True)
            await log.append(READINGS, [Entry(b"pump-7", encode(new[1]))])
            seen: dict[int, float] = {}
            while len(seen) < 2_200:
                for frame in frames:
                    for t_ns, value in zip(frame.times.tolist(), frame.values[0].tolist(), strict=True):
                        assert seen.setdefault(t_ns, value) == value  # what comes twice is the same
                if len(seen) < 2_200:
                    frames = [await tab.hear(Frame)]
            assert [seen[t_ns] for t_ns in sorted(seen)] == list(range(2_200))
            assert [it.id for it in shown.recordings] == ["r1"]
            assert [(it.start_ns, it.uncertainty_ns) for it in shown.unsure] == [(str(START_NS + 2 * S), "5000000")]
            ((tiles,), _) = await tab.look(2, START_NS, START_NS + 22 * S, columns=20)
            assert tiles.kind == 2
            assert (np.nanmin(tiles.values[0]), np.nanmax(tiles.values[0])) == (0.0, 2199.0)
        await log.close()

    with Served(str(site)) as served:
        asyncio.run(work(served.open()))


def test_what_retention_took_before_the_archive_had_it_is_a_gap_and_is_told(tmp_path: Path) -> None:
    """It was nothing: samples came before it and behind it, and nobody was told that others had been there."""
    folder, archive = tmp_path / "log", tmp_path / "archive"
    settings = Settings("site", f"segments:{folder}", archive)

    async def come(begin: int, end: int) -> int:
        """Seconds come; the log keeps some 20 of them, from the one that is said on."""
        log = SegmentLog(folder, partitions=1, segment_bytes=8192, retention_bytes=16384)
        for second in range(begin, end, 10):
            await write(log, [chunk(START_NS + it * S, 100, it) for it in range(second, second + 10)])
        first = (await log.bounds(READINGS))[0].begin
        await log.close()
        return first

    async def known() -> tuple[list[tuple[float, float, str]], list[str]]:
        """Gaps, in seconds, and what was told, of a server that begins now."""
        log = open_log(settings.log)
        timeline = Timeline(settings, log)
        await timeline.open()
        running = asyncio.create_task(timeline.run())
        await timeline.caught_up()
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        await timeline.close()
        await log.close()
        gaps = timeline.catalog.streams["pump-7"]["acc"].gaps
        return [((it.start_ns - START_NS) / S, (it.end_ns - START_NS) / S, it.reason) for it in gaps], list(
            timeline.lost
        )

    run = ["archive", "run", "--log", settings.log, "--out", str(archive), "--until-idle"]
    assert asyncio.run(come(0, 10)) == 0
    assert sensorloom.main(run) == 0
    begin = asyncio.run(come(10, 70))
    assert begin > 30
    gaps, told = asyncio.run(known())
    assert (gaps, len(told)) == ([(9.99, float(begin), "deleted")], 1)
    assert told[0].startswith(f"readings-0: the log no longer has offsets 10 to {begin}, which the archive does not")
    assert sensorloom.main(run) == 0
    assert asyncio.run(known()) == (gaps, [])  # and when the archive has gone on behind it


def test_streams_are_described_where_all_of_the_log_is_archived(tmp_path: Path) -> None:
    """Nothing new in the log asked for their descriptions: the device was there, without streams."""
    site = write_site(tmp_path / "site", recording(20))
    archive = ["archive", "run", "--log", f"segments:{site}/log", "--out", str(site / "archive"), "--until-idle"]
    assert sensorloom.main(archive) == 0

    async def work(served: Served) -> None:
        async with served.tab() as tab:
            (device,) = (await tab.hello()).devices
            assert [stream.name for stream in device.streams] == ["acc"]

    with Served(str(site)) as served:
        asyncio.run(work(served.open()))


def test_an_archive_that_stands_still_for_longer_than_the_log_keeps_what_it_lacks_is_told(tmp_path: Path) -> None:
    """The server had read it all, and asked the archive, which found nothing between its end and the log's begin."""
    folder, archive = tmp_path / "log", tmp_path / "archive"
    url = f"segments:{folder}"
    run = ["archive", "run", "--log", url, "--out", str(archive), "--until-idle"]

    async def come(begin: int, end: int, timeline: Timeline | None = None) -> None:
        log = SegmentLog(folder, partitions=1, segment_bytes=8192, retention_bytes=16384)
        for second in range(begin, end):
            await write(log, [chunk(START_NS + second * S, 100, second)])
            read = START_NS + second * S
            while timeline is not None and timeline.catalog.streams["pump-7"]["acc"].last_ns < read:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        await log.close()

    async def watch() -> list[str]:
        log = open_log(url)
        timeline = Timeline(Settings("site", url, archive), log)
        await timeline.open()
        running = asyncio.create_task(timeline.run())
        await timeline.caught_up()
        await come(10, 70, timeline)
        assert timeline.lost == deque()
        for _ in range(2):
            answer = await timeline.ask(Question("pump-7", "acc", START_NS, START_NS + 70 * S, 6000))
            assert answer is not None
            assert answer.times[999] == START_NS + 10 * S - S // 100
            assert answer.times[1000] > START_NS + 30 * S
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        await timeline.close()
        await log.close()
        return list(timeline.lost)

    asyncio.run(come(0, 10))
    assert sensorloom.main(run) == 0
    (told,) = asyncio.run(watch())
    assert told.startswith("readings-0: the log no longer has offsets 10 to ")
    assert "what they held is not shown; a server that is started now says where" in told
