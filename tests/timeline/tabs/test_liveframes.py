"""Tabs that follow one stream in views of their own get the same samples, from frames that were made once."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ingest.log.protocol import READINGS, Entry
from ingest.opening import open_log
from ingest.wire import encode
from tests.timeline.site import LIMIT_S, START_NS, Frame, S, chunk, recording, write_site
from timeline import protocol
from timeline.marks.acts import Who
from timeline.protocol import View
from timeline.protocol.frames import samples_frames
from timeline.site import Settings, Timeline
from timeline.tabs import liveframes
from timeline.tabs.hub import Hub
from timeline.tabs.tab import Tab

WHO = Who("anna", "admin")
WAYS = ((7, ("acc",)), (8, ("other", "acc")), (9, ("other", "more", "acc")))
"""The views' numbers and streams."""


def test_frames_of_new_samples_are_made_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[int] = []

    def make(*told: Any) -> Iterator[bytes]:
        made.append(1)
        return samples_frames(*told)

    monkeypatch.setattr(liveframes, "samples_frames", make)
    url = f"segments:{write_site(tmp_path / 'site', recording(2, end=False))}/log"

    async def heard(tab: Tab) -> Frame:
        found: asyncio.Future[Frame] = asyncio.get_running_loop().create_future()

        async def take(data: bytes | str) -> None:
            if isinstance(data, bytes) and Frame(data).flags & 1 and not found.done():
                found.set_result(Frame(data))

        sending = asyncio.create_task(tab.send(take))
        try:
            return await asyncio.wait_for(found, LIMIT_S)
        finally:
            sending.cancel()

    async def work() -> None:
        log = open_log(url)
        timeline = Timeline(Settings("site", url), log)
        hub = Hub(timeline)
        await timeline.open()
        running = asyncio.create_task(timeline.run())
        await timeline.caught_up()
        tabs = [Tab(hub, WHO, lambda: WHO) for _ in WAYS]
        for number, (tab, (view, streams)) in enumerate(zip(tabs, WAYS, strict=True)):
            hub.tabs.add(tab)
            tab.take(protocol.Hello(1, f"5ff3c1a0-0000-4000-8000-{number:012}"))
            tab.take(View(view, "pump-7", streams, str(START_NS), str(START_NS + S), 100, follow=True))
        made.clear()
        await log.append(READINGS, [Entry(b"pump-7", encode(chunk(START_NS + 2 * S, 100, 2)))])
        frames = await asyncio.gather(*map(heard, tabs))
        assert [(it.view, it.stream) for it in frames] == [(7, 0), (8, 1), (9, 2)]
        assert all((it.times[0], it.count) == (START_NS + 2 * S, 100) for it in frames)
        assert len(made) == 1
        for tab in tabs:
            await tab.close()
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        await timeline.close()
        await log.close()

    asyncio.run(work())
