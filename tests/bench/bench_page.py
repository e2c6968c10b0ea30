"""The operators' timeline in real headless Chromium, from a key to its paint and from the log to the screen."""

from __future__ import annotations

import asyncio
import gzip
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from playwright.sync_api import Browser, CDPSession, sync_playwright

from ingest.opening import open_log
from tests.bench.harness import Row, row
from tests.bench.streams import START_NS
from tests.bench.timelines import DAY, DAY_NS, MANY, MOST, day_site, marks_site
from tests.support.kafka import KafkaBroker
from tests.support.server import PROJECT
from tests.timeline.page.desk import Desk, chromium
from tests.timeline.site import S, Served, recording, write
from timeline.server.pagefiles import page_files

PROBES: Final = Path(__file__).with_name("probes.js")
DESK: Final[Any] = {"viewport": {"width": 1600, "height": 900}}
LOADS: Final = 10
SERVERS: Final = 5
FRAMES: Final = 100
PRESSES: Final = 100
_ANSWERED: Final = (
    "timeline.ask?.answered"
    " && timeline.ask.view.from === timeline.view.from - (timeline.view.to - timeline.view.from) / 4n"
)
"""The server has answered for the view that is shown: what it said of a wider one is drawn in no time."""


def bench() -> list[Row]:
    """First sights of a day, frames of it and of a million marks, keys on their way to the screen and to Kafka."""
    day, marks = day_site(), marks_site()  # before the browser's driver has its event loop on this thread
    with sync_playwright() as playwright:
        browser = chromium(playwright)
        try:
            return [_script(), *_day(browser, day), *_marks(browser, marks), *_keys(browser)]
        finally:
            browser.close()


@contextmanager
def desk_at(browser: Browser, served: Served) -> Iterator[Desk]:
    """A tab with the probes in it; nothing may go wrong in the page."""
    with browser.new_context(**DESK) as context:
        desk = Desk(context, served)
        desk.page.add_init_script(path=PROBES)
        yield desk
        assert desk.wrong == []


def _script() -> Row:
    page = page_files(PROJECT / "timeline" / "static")
    scripts = (file.packed for path, file in page.files.items() if path.endswith(".js"))
    size = sum(map(len, (*scripts, gzip.compress(page.worker))))
    return row("timeline: script, gzipped", [size / 1e3], "kB", bar=120, lower_is_better=True)


def _day(browser: Browser, site: Path) -> list[Row]:
    cold = [_first_sight(browser, site) for _ in range(SERVERS)]
    with Served(str(site), "--as", "op-1") as served:
        served.open()
        with desk_at(browser, served) as desk:
            _first_signal(desk)
            warm = [_first_signal(desk) for _ in range(LOADS)]
            taken = [ms for span_ns in (DAY_NS, 3_600 * S, 60 * S) for ms in _moved(desk, span_ns)]
        first_bytes = [_first_byte(served) for _ in range(3 * LOADS)]
    what = f"{DAY * 6 / 1e6:.0f} M points"
    return [
        row("timeline: first bytes", first_bytes, "ms", bar=50, lower_is_better=True, quantile=0.95),
        row(f"timeline: first paint of {what}, a server's first", cold, "ms", bar=1_000, lower_is_better=True),
        row(f"timeline: first signal of {what}, again", warm, "ms", bar=400, lower_is_better=True),
        row(f"timeline: script a frame, pan and zoom, {what}", taken, "ms", bar=4, lower_is_better=True, quantile=0.95),
    ]


def _first_sight(browser: Browser, site: Path) -> float:
    """ms of the first look at a server that has just begun, in a browser that knows nothing of it."""
    with Served(str(site), "--as", "op-1") as served:
        served.open()
        with desk_at(browser, served) as desk:
            return _first_signal(desk)


def _first_byte(served: Served) -> float:
    with served.client() as client:
        client.get("/api/session")  # the connection is there
        begin = time.perf_counter()
        with client.stream("GET", "/d/pump-0") as response:
            next(response.iter_raw(1))
            return 1e3 * (time.perf_counter() - begin)


def _first_signal(desk: Desk) -> float:
    """ms from the navigation to the first paint with samples."""
    desk.page.goto(f"{desk.served.url}/d/pump-0")
    desk.wait("probes.firstSignal")
    return float(desk.page.evaluate("probes.firstSignal"))


def _moved(desk: Desk, span_ns: int) -> list[float]:
    """ms of script of each frame while a view of this span is panned, and zoomed in."""
    start_ns = START_NS + (DAY_NS - span_ns) // 2
    desk.page.evaluate("(view) => probes.show(...view)", [str(start_ns), str(start_ns + span_ns)])
    desk.wait(_ANSWERED)
    pans = [start_ns + number * span_ns // (4 * FRAMES) for number in range(FRAMES)]
    views = [(at, at + span_ns) for at in pans]
    cuts = [number * span_ns // (4 * FRAMES) for number in range(FRAMES)]
    views += [(start_ns + cut, start_ns + span_ns - cut) for cut in cuts]
    return frames_of(desk, views)


def frames_of(desk: Desk, views: Sequence[tuple[int, int]]) -> list[float]:
    """ms of the page's script, by its thread's own clock, to show each of these views in a frame."""
    session = desk.context.new_cdp_session(desk.page)
    session.send("Performance.enable", {"timeDomain": "threadTicks"})
    at, taken = script_s(session), []
    for start_ns, end_ns in views:
        show = f"probes.show('{start_ns}', '{end_ns}')"  # the driver's own `evaluate` is script, and not the page's
        session.send("Runtime.evaluate", {"expression": show, "awaitPromise": True})
        before, at = at, script_s(session)
        taken.append(1e3 * (at - before))
    session.detach()
    return taken


def script_s(session: CDPSession) -> float:
    metrics = session.send("Performance.getMetrics")["metrics"]
    return float(next(each["value"] for each in metrics if each["name"] == "ScriptDuration"))


async def _ready(served: Served) -> None:
    """Return when the server has read its log."""
    async with served.tab() as tab:
        await tab.hello()


def _marks(browser: Browser, site: Path) -> list[Row]:
    rows = []
    with Served(str(site), "--as", "op-1") as served:
        served.open()
        with ThreadPoolExecutor(1) as threads:  # the browser's driver has an event loop on this one
            threads.submit(asyncio.run, _ready(served)).result()
        with desk_at(browser, served) as desk:
            for device, count, bar in (("pump-0", MANY, 2), ("pump-1", MOST, 4)):
                desk.open(device)
                taken = _moved(desk, DAY_NS)
                name = f"timeline: script a frame, {count:,} marks in view"
                rows.append(row(name, taken, "ms", bar=bar, lower_is_better=True, quantile=0.95))
    return rows


def _keys(browser: Browser) -> list[Row]:
    with KafkaBroker() as broker:
        url = f"kafka://{broker.bootstrap}/bench"
        with ThreadPoolExecutor(1) as threads:
            threads.submit(asyncio.run, _record(url)).result()
        with Served("--log", url, "--as", "op-1") as served:
            served.open()
            with desk_at(browser, served) as desk:
                painted, framed, acknowledged = _pressed(desk)
    return [
        row("timeline: key -> paint", painted, "ms", bar=16, lower_is_better=True, quantile=0.95),
        row("timeline: key -> the frame that shows it", framed, "ms", lower_is_better=True, quantile=0.95),
        row("timeline: key -> acknowledged by Kafka", acknowledged, "ms", bar=100, lower_is_better=True, quantile=0.99),
    ]


async def _record(url: str) -> None:
    log = open_log(url)
    await write(log, recording(60))
    await log.close()


def _pressed(desk: Desk) -> list[list[float]]:
    page = desk.open()
    desk.label("run")
    page.evaluate("probes.listen()")
    for number in range(PRESSES):
        page.keyboard.press("1")
        desk.wait(f"probes.acknowledged.length === {number + 1}")
    found: list[list[float]] = page.evaluate("[probes.painted, probes.framed, probes.acknowledged]")
    return found
