"""A tab of the page in real headless Chromium, over a real server, and what is asked of it again and again."""

from __future__ import annotations

import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final

from playwright.sync_api import Browser, BrowserContext, Page, Playwright

from ingest.records import Record
from tests.timeline.site import Served, write_site

CHROMIUM: Final = "/usr/bin/chromium"
ARGUMENTS: Final = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
CALM: Final[Any] = {"viewport": {"width": 1280, "height": 480}, "reduced_motion": "reduce"}
LIMIT_S: Final = 120
TOLD: Final = (
    "() => ({ acts: timeline.outbox?.acts, open: timeline.open, painted: timeline.painted, "
    "says: document.body.innerText.slice(0, 2000) })"
)
SHOWN: Final = (
    "timeline.open && timeline.painted > 0 && !timeline.empty && [...timeline.traces.values()][0].frames.length"
    " && timeline.ask?.marked && timeline.outbox.ready"
)
SAVED: Final = "timeline.outbox.acts.length === {acts} && timeline.outbox.acts.every((act) => act.state === 'saved')"
STANDING: Final = (
    "JSON.stringify([...timeline.book.saved.values()].filter((mark) => mark.stands)"
    ".map((mark) => [mark.label, String(mark.start), String(mark.end)]).sort())"
)

KEPT: Final = """([count, state]) => new Promise((resolve) => {
    const request = indexedDB.open("sensorloom-timeline");
    request.onsuccess = () => {
        const asked = request.result.transaction("acts").objectStore("acts").getAll();
        asked.onsuccess = () => {
            request.result.close();
            resolve(asked.result.filter((act) => act.state === state).length === count);
        };
    };
})"""
AMBER: Final = """(() => {
    const lane = timeline.rows.find((row) => row.kind === "lane" && row.name === timeline.user);
    const [red, green, blue] = [1, 3, 5].map((at) => parseInt(timeline.colours.amber.slice(at, at + 2), 16));
    const { canvas, pen } = timeline, scale = devicePixelRatio;
    const { data } = pen.getImageData(0, lane.top * scale, canvas.width, lane.height * scale);
    const isAmber = (i) => data[i] === red && data[i + 1] === green && data[i + 2] === blue;
    for (let i = 0; i < data.length; i += 4) if (isAmber(i)) return true;
    return false;
})()"""
"""Whether anything in one's own lane is amber, as it is painted."""


def site_of(folder: Path, records: Sequence[Record]) -> Path:
    """A site's folder, written on another thread: the browser's driver has an event loop on this one."""
    with ThreadPoolExecutor(1) as threads:
        return threads.submit(write_site, folder, records).result()


def chromium(playwright: Playwright) -> Browser:
    """A browser of one's own."""
    assert Path(CHROMIUM).exists(), f"{CHROMIUM} is not here; deploy/setup.sh servers installs it"
    return playwright.chromium.launch(executable_path=CHROMIUM, args=list(ARGUMENTS))


class Desk:
    """A tab, and what went wrong in it."""

    def __init__(self, context: BrowserContext, served: Served) -> None:
        self.context, self.served = context, served
        host, port = served.url.removeprefix("http://").split(":")
        context.add_cookies([{"name": "sensorloom", "value": served.cookie, "domain": host, "path": "/"}])
        self.page: Page = context.new_page()
        self.page.set_default_timeout(LIMIT_S * 1000)
        self.wrong: list[str] = []
        self.asked: set[str] = set()
        self.page.on("pageerror", lambda error: self.wrong.append(str(error)))
        self.page.on("request", lambda request: self.asked.add(request.url.split("/")[2]))
        self.host = f"{host}:{port}"

    def open(self, device: str = "pump-7") -> Page:
        self.page.goto(f"{self.served.url}/d/{device}")
        self.wait(SHOWN)
        return self.page

    def wait(self, condition: str) -> None:
        """Until it is so. (What Playwright has for that is an `eval` in the page, which its policy forbids.)"""
        until_s = time.monotonic() + LIMIT_S
        while not self.page.evaluate(f"() => Boolean({condition})"):
            assert time.monotonic() < until_s, (condition, self.page.evaluate(TOLD), self.wrong)
            self.page.wait_for_timeout(50)

    def keeps(self, count: int, state: str) -> None:
        """Until the browser's disk has so many acts in this state: what it has not is gone with the page."""
        until_s = time.monotonic() + LIMIT_S
        while not self.page.evaluate(KEPT, [count, state]):
            assert time.monotonic() < until_s, (count, state, self.page.evaluate(TOLD), self.wrong)
            self.page.wait_for_timeout(50)

    def label(self, *names: str) -> None:
        """A palette for a site that names no classes."""
        told = [{"name": name, "code": name[:2], "key": str(i + 1)} for i, name in enumerate(names)]
        keep = "(labels) => { timeline.setLabels(labels); timeline.setLabels = () => undefined; }"
        self.page.evaluate(keep, told)  # what the server tells of the marks that it knows would take its place


def drag(page: Page, row: str, start: float, end: float) -> None:
    """From one share of the plot's width to another, in a lane."""
    box = page.locator("#canvas").bounding_box()
    assert box is not None
    top = page.evaluate("(name) => timeline.rows.find((row) => row.name === name && row.kind === 'lane').top", row)
    left, width = box["x"] + 88, box["width"] - 88
    y = box["y"] + top + 11
    page.mouse.move(left + start * width, y)
    page.mouse.down()
    page.mouse.move(left + (start + end) / 2 * width, y)
    page.mouse.move(left + end * width, y)
    page.mouse.up()
