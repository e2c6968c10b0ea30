"""A tab that follows a device: what it holds does not grow, however long that is."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

import numpy as np
import pytest
from msgspec.structs import replace
from playwright.sync_api import Browser

from ingest.log.protocol import READINGS, STREAMS, Entry
from ingest.opening import open_log
from ingest.records import Channel, schema_id
from ingest.wire import encode
from tests.timeline.page.desk import Desk, site_of
from tests.timeline.page.lapse import VIEW_NS, Footprint, Step, follow
from tests.timeline.site import ACC, START_NS, S, Served, chunk, recording

STEP_S = 60
DAY_S = 24 * 3_600
HELD = 2 * VIEW_NS // S + 1
"""Frames of the view and of a screen before it."""
WARM: Final = replace(ACC, channels=(Channel("x", "degC"), Channel("y", "degC")))
"""A description that no value under the one before it can be converted to."""
LISTENING: Final = """() => {
    const trace = () => timeline.traces.get("acc");
    const valuesOf = ({ last, base }) => [...last].map((value) => value + base).filter((value) => value === value);
    const values = () => trace().frames.flatMap(({ channels }) => valuesOf(channels[0]));
    const unit = () => trace().channels[0].unit;
    globalThis.told = [];
    for (const name of ["hear", "hearFrame"]) {
        const hear = timeline[name].bind(timeline);
        timeline[name] = (what) => {
            hear(what);
            if (unit() === "degC") told.push(values());
        };
    }
}"""
"""Keeps what values the page has of the stream, after each message under the new description."""


def steps(seconds: int) -> Iterator[Step]:
    """The device goes on after its first minute, in chunks of a second."""
    for begin in range(60, 60 + seconds, STEP_S):
        chunks = [chunk(START_NS + at * S, 100, at) for at in range(begin, begin + STEP_S)]
        entries = [Entry(b"pump-7", encode(one)) for one in chunks]
        yield Step(entries, START_NS + (begin + STEP_S) * S - S // 100)


@pytest.mark.timeout(300)
@pytest.mark.parametrize("seconds", [600, pytest.param(DAY_S, marks=[pytest.mark.soak, pytest.mark.timeout(0)])])
def test_a_tab_that_follows_holds_no_more_than_at_first(browser: Browser, tmp_path: Path, seconds: int) -> None:
    site = site_of(tmp_path / "site", recording(60, end=False))
    with Served(str(site), "--as", "op-1") as served, browser.new_context() as context:
        desk = Desk(context, served.open())
        seen = follow(desk, f"segments:{site}/log", "pump-7", START_NS + 60 * S, list(steps(seconds)), looks=6)
        assert desk.wrong == []
    first, last = (Footprint(*map(max, zip(*part, strict=True))) for part in (seen[:2], seen[-2:]))
    assert last.frames <= HELD, seen
    assert last.heap_mb <= first.heap_mb + 1, seen
    assert last.nodes <= first.nodes + 20, seen  # words come and go
    assert last.canvases <= first.canvases, seen


def test_what_came_in_a_unit_of_before_is_not_drawn_on_an_axis_of_the_one_of_now(
    browser: Browser, tmp_path: Path
) -> None:
    site = site_of(tmp_path / "site", recording(60, end=False))
    with Served(str(site), "--as", "op-1") as served, browser.new_context() as context:
        desk = Desk(context, served.open())
        page = desk.open()
        page.keyboard.press("f")
        with ThreadPoolExecutor(1) as threads:  # the browser's driver has an event loop on this one
            threads.submit(asyncio.run, _goes_on(f"segments:{site}/log", 60, warm=False)).result()
            desk.wait(f"timeline.newest >= {START_NS + 61 * S - S // 100}n")
            page.evaluate(LISTENING)
            threads.submit(asyncio.run, _goes_on(f"segments:{site}/log", 61, warm=True)).result()
        desk.wait(f"timeline.newest >= {START_NS + 62 * S - S // 100}n && told.some((values) => values.includes(20))")
        told = page.evaluate("() => told")
        assert {value for values in told for value in values} == {20}
        assert desk.wrong == []


HOLDING: Final = """() => {
    const send = timeline.link.send.bind(timeline.link);
    globalThis.held = [];
    timeline.link.send = (message) => (message.type === "view" ? held.push(message) : send(message));
    globalThis.release = () => {
        timeline.link.send = send;
        held.forEach(send);
    };
}"""
"""Keeps back what the page asks to follow, until it is released."""


def test_what_came_before_the_server_heard_that_a_tab_follows_is_shown(browser: Browser, tmp_path: Path) -> None:
    """It comes as history: nothing says later that there is something new."""
    site = site_of(tmp_path / "site", recording(60, end=False))
    with Served(str(site), "--as", "op-1") as served, browser.new_context() as context:
        desk = Desk(context, served.open())
        page = desk.open()
        page.evaluate(HOLDING)
        page.keyboard.press("f")
        desk.wait("held.length")
        with ThreadPoolExecutor(1) as threads:
            threads.submit(asyncio.run, _goes_on(f"segments:{site}/log", 60, warm=False)).result()
            threads.submit(asyncio.run, _known(served, START_NS + 61 * S - S // 100)).result()
        page.evaluate("release()")
        desk.wait(f"timeline.newest === {START_NS + 61 * S - S // 100}n")
        desk.wait(f"timeline.view.from < {START_NS + 61 * S - S // 100}n && {START_NS + 60 * S}n < timeline.view.to")
        assert desk.wrong == []


async def _known(served: Served, newest_ns: int) -> None:
    """Return when the server knows of a sample of this instant."""
    async with served.tab() as tab:
        await tab.hello()
        for view in range(1, 10_000):
            _, shown = await tab.look(view, START_NS, START_NS + S)
            if shown.newest_ns == str(newest_ns):
                return
    raise AssertionError(newest_ns)


async def _goes_on(url: str, second: int, *, warm: bool) -> None:
    """A second more of the device's samples, described anew where it is warm: all are 20 then."""
    one = chunk(START_NS + second * S, 100, second, values=np.full(100, 20.0 if warm else 1.0))
    log = open_log(url)
    if warm:
        await log.append(STREAMS, [Entry(schema_id(WARM), encode(WARM))])
    await log.append(READINGS, [Entry(b"pump-7", encode(replace(one, schema=schema_id(WARM)) if warm else one))])
    await log.close()
