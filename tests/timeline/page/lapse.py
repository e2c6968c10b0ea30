"""A tab that follows for long, in time-lapse: a recording of long ago comes into the log by steps, each as soon as the
page has the one before it. Of a device whose newest sample is old that one is the live edge, so the page follows it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Final, NamedTuple

from ingest.log.protocol import READINGS, Entry
from ingest.opening import open_log
from tests.timeline.page.desk import SHOWN, Desk
from tests.timeline.site import S

VIEW_NS: Final = 30 * S
_CANVASES: Final = ("HTMLCanvasElement", "OffscreenCanvas")


class Footprint(NamedTuple):
    """What a page holds when its garbage is collected."""

    heap_mb: float
    """Objects, and the bytes of arrays beside them."""
    frames: int
    """Binary frames of samples and tiles, of all streams."""
    nodes: int
    """DOM nodes, those that lie in no document, too."""
    canvases: int
    """The same, of those that lie in memory only."""


def footprint(desk: Desk) -> Footprint:
    """What the page holds now."""
    session = desk.context.new_cdp_session(desk.page)
    session.send("Performance.enable")
    session.send("HeapProfiler.collectGarbage")
    usage = session.send("Runtime.getHeapUsage")
    metrics = {each["name"]: each["value"] for each in session.send("Performance.getMetrics")["metrics"]}
    canvases = 0
    for name in _CANVASES:
        prototype = session.send("Runtime.evaluate", {"expression": f"{name}.prototype"})["result"]["objectId"]
        found = session.send("Runtime.queryObjects", {"prototypeObjectId": prototype})["objects"]["objectId"]
        counting = {"objectId": found, "functionDeclaration": "function () { return this.length; }"}
        canvases += session.send("Runtime.callFunctionOn", counting | {"returnByValue": True})["result"]["value"]
    session.detach()
    frames = desk.page.evaluate("[...timeline.traces.values()].reduce((sum, trace) => sum + trace.frames.length, 0)")
    heap = sum(usage[part] for part in ("usedSize", "embedderHeapUsedSize", "backingStorageSize"))
    return Footprint(heap / 1e6, frames, int(metrics["Nodes"]), canvases)


class Step(NamedTuple):
    """What comes into the log at once."""

    entries: Sequence[Entry]
    newest_ns: int
    """The instant of the newest sample in it."""


def follow(desk: Desk, url: str, device: str, edge_ns: int, steps: Sequence[Step], looks: int) -> list[Footprint]:
    """The page's footprint after so many of the steps, evenly spread, the last one among them.

    A view of half a minute that ends at `edge_ns`, where the device's samples in the log end so far, follows it through
    all steps.
    """
    desk.page.goto(f"{desk.served.url}/d/{device}?from={edge_ns - VIEW_NS}&to={edge_ns}")
    desk.wait(SHOWN)
    asked = desk.page.evaluate("timeline.asks")
    desk.page.keyboard.press("f")
    desk.wait(f"timeline.follow && timeline.asks > {asked} && timeline.ask.answered")
    found: list[Footprint] = []
    with ThreadPoolExecutor(1) as threads:  # the browser's driver has an event loop on this one
        for number, step in enumerate(steps, 1):
            threads.submit(asyncio.run, _append(url, step.entries)).result()
            desk.wait(f"timeline.newest >= {step.newest_ns}n && timeline.view.to > {step.newest_ns}n")
            if number * looks // len(steps) > len(found):
                found.append(footprint(desk))
    return found


async def _append(url: str, entries: Sequence[Entry]) -> None:
    log = open_log(url)
    await log.append(READINGS, entries)
    await log.close()
