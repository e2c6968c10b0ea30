"""What a tab does at its begin."""

from __future__ import annotations

import asyncio

import pytest

from ingest.log.protocol import MARKS
from simulators.doubles.log import ListLog
from timeline.marks.acts import Who
from timeline.protocol import Hello, Role
from timeline.site import Settings, Timeline
from timeline.tabs.hub import Hub
from timeline.tabs.tab import Tab


@pytest.mark.parametrize(("role", "begun"), [("viewer", False), ("annotator", True)])
def test_who_may_mark_finds_the_log_ready_and_who_may_not_leaves_it_alone(role: Role, begun: bool) -> None:
    async def run() -> bool:
        log = ListLog()
        timeline = Timeline(Settings("site", "segments:log"), log)
        await timeline.open()
        who = Who("anna", role)
        tab = Tab(Hub(timeline), who, lambda: who)
        tab.take(Hello(1, "5ff3c1a0-0000-4000-8000-000000000031"))
        for _ in range(10):  # until it can only wait
            await asyncio.sleep(0)
        await tab.close()
        await timeline.close()
        return MARKS in await log.topics()

    assert asyncio.run(run()) is begun
