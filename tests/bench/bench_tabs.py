"""Tabs that follow a device of 20 streams at 100 Hz: from the log to the screen, what 50 of them cost a server, and
what one holds after an hour.

The device, and all tabs but one, are processes of their own; that one is real headless Chromium. A sample is late by
what lies between the log's being asked to take it and the end of the script that painted it: the disk's part is in it.
The other tabs follow 5 of the 20 streams each: they are Python's, and share the machine with the server.
"""

from __future__ import annotations

import asyncio
import tempfile
import time
from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from multiprocessing import get_context
from pathlib import Path
from typing import Final, NamedTuple

from playwright.sync_api import Browser, CDPSession, sync_playwright

from ingest.log.protocol import READINGS
from ingest.opening import open_log
from tests.bench.bench_page import desk_at, script_s
from tests.bench.harness import Row, row
from tests.bench.sending import DEVICE, STREAMS_MADE, Sent, begin, chunks, send_live
from tests.bench.streams import PERIOD_NS, START_NS
from tests.bench.timelines import CACHE
from tests.support.processes import cpu_seconds, resident_mb
from tests.timeline.page.desk import LIMIT_S, Desk, chromium
from tests.timeline.page.lapse import Step, follow
from tests.timeline.site import Frame, S, Served, Tab
from timeline.protocol import LiveNews

WATCH_S: Final = 20
"""So long one looks."""
TABS: Final = 50
FOLLOWED: Final = 5
"""Streams that each of the other tabs follows."""
HOUR_S: Final = 3_600
STEP_S: Final = 30
_WHAT: Final = f"{len(STREAMS_MADE)} streams at {STREAMS_MADE[0].rate_num} Hz"


class Figures(NamedTuple):
    """Of a page and its server."""

    script_s: float
    """By the page's thread's own clock."""
    painted: int
    cpu_s: float
    at_s: float


class Watched(NamedTuple):
    """What was seen while one looked."""

    late_ms: list[float]
    """Of each sample that was painted as the newest one of its stream."""
    script_ms: float
    """The page's script for a frame, on average."""
    cpu_percent: float
    """The server's, of a core."""
    resident_mb: float
    """The server's."""


def bench() -> list[Row]:
    """A tab alone, one of many, and one for long."""
    CACHE.mkdir(parents=True, exist_ok=True)
    with sync_playwright() as playwright:
        browser = chromium(playwright)
        try:
            alone, among, heap_mb = _watched(browser, 0), _watched(browser, TABS - 1), _heap_mb(browser)
        finally:
            browser.close()
    many = f"{TABS} tabs"
    return [
        row(f"timeline: log -> screen, {_WHAT}", alone.late_ms, "ms", bar=300, lower_is_better=True, quantile=0.95),
        row(f"timeline: script a frame, following {_WHAT}", [alone.script_ms], "ms"),
        row(f"timeline: log -> screen, {many}", among.late_ms, "ms", bar=300, lower_is_better=True, quantile=0.95),
        _beside(f"timeline: server's CPU, {many}", among.cpu_percent, "% of a core", alone.cpu_percent),
        _beside(f"timeline: server's RSS, {many}", among.resident_mb, "MB", alone.resident_mb),
        row(f"timeline: heap, 1 h of {_WHAT} in time-lapse", [heap_mb], "MB", bar=150, lower_is_better=True),
    ]


def _beside(name: str, value: float, unit: str, alone: float) -> Row:
    return row(name, [value], unit, baseline="one tab", baseline_values=[alone])


# From the log to the screen.


def _watched(browser: Browser, others: int) -> Watched:
    """The page beside so many other tabs."""
    with _sent() as (site, sending), ExitStack() as stack:
        served = stack.enter_context(Served("--log", _log(site), "--as", "op-1")).open()
        processes = stack.enter_context(ProcessPoolExecutor(1, get_context("spawn")))
        stack.callback((site / "over").touch)
        crowd = processes.submit(crowd_follows, served.url, served.cookie, others, site)
        _until(lambda: crowd.done() or (site / "followed").exists())
        desk = stack.enter_context(desk_at(browser, served))
        desk.open(DEVICE)
        desk.wait("timeline.follow")
        desk.page.evaluate("() => { probes.arrived = []; }")
        session = desk.context.new_cdp_session(desk.page)
        session.send("Performance.enable", {"timeDomain": "threadTicks"})
        before = _figures(desk, session)
        desk.page.wait_for_timeout(1e3 * WATCH_S)
        after = _figures(desk, session)
        memory_mb = resident_mb(served.process.pid)
        (site / "over").touch()
        assert crowd.result() >= others
        late_ms = lateness(sending(), desk.page.evaluate("probes.arrived"))
    script_ms = 1e3 * (after.script_s - before.script_s) / (after.painted - before.painted)
    return Watched(late_ms, script_ms, 1e2 * (after.cpu_s - before.cpu_s) / (after.at_s - before.at_s), memory_mb)


@contextmanager
def _sent() -> Iterator[tuple[Path, Callable[[], list[Sent]]]]:
    """A folder with a log into which a device sends, and what ends that and says what was sent."""
    with (
        tempfile.TemporaryDirectory(prefix="tabs-", dir=CACHE) as name,
        ProcessPoolExecutor(1, get_context("spawn")) as processes,
    ):
        site = Path(name)
        sending = processes.submit(send_live, _log(site), site)
        try:
            _until(lambda: sending.done() or (site / "begun").exists())
            yield site, sending.result
        finally:
            (site / "over").touch()


def _log(site: Path) -> str:
    return f"segments:{site}/log?partitions=1"


def _until(condition: Callable[[], bool]) -> None:
    until_s = time.monotonic() + LIMIT_S
    while not condition():
        assert time.monotonic() < until_s
        time.sleep(0.05)


def _figures(desk: Desk, session: CDPSession) -> Figures:
    painted, cpu_s = desk.page.evaluate("timeline.painted"), cpu_seconds(desk.served.process.pid)
    return Figures(script_s(session), painted, cpu_s, time.monotonic())


def lateness(sent: Sequence[Sent], arrived: Sequence[tuple[str, str, float]]) -> list[float]:
    """ms from the log to the screen, for each stream of what was sent; `arrived` is as `probes.arrived` has it."""
    found = []
    for stream in STREAMS_MADE:
        painted = [(int(ns), ms) for name, ns, ms in arrived if name == stream.stream]
        for newest_ns, append_ns in sent:
            place = bisect_left(painted, (newest_ns, 0.0))
            if painted and painted[0][0] < newest_ns and place < len(painted):  # sent while one looked
                found.append(painted[place][1] - append_ns / 1e6)
    return found


# Many tabs.


def crowd_follows(url: str, cookie: str, count: int, site: Path) -> int:
    """Tabs follow the device until there is a file `over` in the folder; `followed` is there once all of them do.

    How many frames they heard; none was left out.
    """
    return asyncio.run(_crowd_follows(url, cookie, count, site))


async def _crowd_follows(url: str, cookie: str, count: int, site: Path) -> int:
    follows = [asyncio.Event() for _ in range(count)]
    async with asyncio.TaskGroup() as tasks:
        tabs = [
            tasks.create_task(_follows(Tab(url, cookie), number, each, site)) for number, each in enumerate(follows)
        ]
        for each in follows:
            await each.wait()
        (site / "followed").touch()
    return sum(tab.result() for tab in tabs)


async def _follows(tab: Tab, number: int, follows: asyncio.Event, site: Path) -> int:
    heard = 0
    async with tab:
        await tab.hello()
        now_ns, first = time.time_ns(), number * FOLLOWED % len(STREAMS_MADE)
        streams = [each.stream for each in STREAMS_MADE[first : first + FOLLOWED]]
        await tab.look(1, now_ns - 38 * S, now_ns + 10 * S, device=DEVICE, streams=streams, follow=True)
        await tab.say("marks", request=1, device=DEVICE, from_ns="0", to_ns="1", most=1)
        follows.set()
        while not (site / "over").exists():
            it = await tab.next()
            heard += isinstance(it, Frame)
            assert not isinstance(it, LiveNews) or not it.skipped
    return heard


# For long.


def _heap_mb(browser: Browser) -> float:
    """MB of heap after an hour, whose chunks have a second each and come as soon as the page has those before."""
    with tempfile.TemporaryDirectory(prefix="tabs-", dir=CACHE) as name:
        url = _log(Path(name))
        with ThreadPoolExecutor(1) as threads:  # the browser's driver has an event loop on this one
            threads.submit(asyncio.run, _first_minute(url)).result()
        with Served("--log", url, "--as", "op-1") as served, desk_at(browser, served.open()) as desk:
            steps = [_step(at) for at in range(60, HOUR_S + 60, STEP_S)]
            return follow(desk, url, DEVICE, START_NS + 60 * S, steps, looks=1)[-1].heap_mb


def _step(begin_s: int) -> Step:
    entries = [entry for at in range(begin_s, begin_s + STEP_S) for entry in chunks(START_NS, at, 100)]
    return Step(entries, START_NS + (begin_s + STEP_S) * S - PERIOD_NS)


async def _first_minute(url: str) -> None:
    log = open_log(url)
    await begin(log, START_NS)
    await log.append(READINGS, [entry for at in range(60) for entry in chunks(START_NS, at, 100)])
    await log.close()
