"""The page in real headless Chromium on a real Kafka, fed while one marks, and standing still for a while."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from threading import Event
from typing import Any, Final

import pytest
from playwright.sync_api import Browser

from ingest.log.protocol import MARKS, READINGS, Entry
from ingest.opening import open_log
from ingest.records import MarkAdd, MarkEdit, MarkRetract, RecordingStart
from ingest.wire import encode
from labeling.marks import fold
from tests.support.kafka import KafkaBroker
from tests.support.logs import read_log
from tests.timeline.page.desk import AMBER, CALM, SAVED, SHOWN, STANDING, Desk, drag
from tests.timeline.site import S, Served, boot, chunk, write

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(500)]
STEP_S: Final = 0.25
"""A chunk's length."""
NEAR_NS: Final = 20 * S
TOLD: Final = (
    "timeline.outbox.acts.map((act) => [act.kind, act.mark, String(act.clientNs), "
    "String(act.start ?? ''), String(act.end ?? ''), act.label ?? ''])"
)


@contextmanager
def fed(url: str) -> Iterator[None]:
    """A device sends to a log what it measures, at once; it began a minute ago, which is more than one sees."""
    begun, over = Event(), Event()

    async def send() -> None:
        log = open_log(url)
        start_ns, number, step_ns = time.time_ns() - 60 * S, 0, round(STEP_S * S)
        await write(log, [RecordingStart("pump-7", "r1", boot("r1"), start_ns, "started")])
        while not over.is_set():
            due = (time.time_ns() - start_ns) // step_ns
            chunks = [chunk(start_ns + at * step_ns, round(STEP_S * 100), at) for at in range(number, due)]
            if chunks:
                await log.append(READINGS, [Entry(b"pump-7", encode(one)) for one in chunks])
            number = due
            begun.set()
            await asyncio.sleep(STEP_S)
        await log.close()

    with ThreadPoolExecutor(1) as threads:  # the browser's driver has an event loop on the test's thread
        sending = threads.submit(lambda: asyncio.run(send()))
        try:
            while not begun.wait(0.1):
                assert not sending.done(), sending.exception()
            yield
        finally:
            over.set()
        sending.result()


@contextmanager
def stopped(broker: KafkaBroker) -> Iterator[None]:
    """Its process stands still, with its connections open."""
    os.kill(broker.pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(broker.pid, signal.SIGCONT)


def events_of(url: str) -> list[MarkAdd | MarkEdit | MarkRetract]:
    """What the topic `marks` holds."""
    with ThreadPoolExecutor(1) as threads:
        told = threads.submit(read_log, url, MARKS).result()
    return [it for it in told if isinstance(it, MarkAdd | MarkEdit | MarkRetract)]


def mark_live(desk: Desk) -> None:
    """An instant, a key held and a range dragged, each seen as saved; they lie where one was."""
    page = desk.page
    page.evaluate("() => timeline.setFollow(true)")
    desk.wait("timeline.live")
    began_ns = time.time_ns()
    page.keyboard.press("1")
    desk.wait(SAVED.format(acts=1))
    page.keyboard.down("2")
    desk.wait(f"timeline.edgeNow() > timeline.marking.held.start + {2 * S}n")
    page.keyboard.up("2")
    desk.wait(SAVED.format(acts=2))
    ended_ns = time.time_ns()
    page.evaluate("() => timeline.setFollow(false)")
    drag(page, "op-1", 0.3, 0.6)
    page.keyboard.press("2")
    desk.wait(SAVED.format(acts=3))
    desk.wait(f"JSON.parse({STANDING}).length === 3")
    instant, held, dragged = ((int(start), int(end)) for *_, start, end, _ in page.evaluate(f"() => {TOLD}"))
    # On a busy machine any key is held for a while, and the live edge is the last sample that came.
    assert all(began_ns - NEAR_NS < at < ended_ns + NEAR_NS for at in (*instant, *held))
    assert instant[0] <= instant[1]
    assert held[0] < held[1]
    assert dragged[0] < dragged[1]


def undo_after_reload(desk: Desk) -> None:
    """The last one is taken back by a page that was loaded since."""
    desk.keeps(3, "saved")
    desk.page.reload()
    desk.wait(SHOWN)
    desk.wait(f"JSON.parse({STANDING}).length === 3 && timeline.outbox.acts.length === 3")
    desk.page.keyboard.press("z")
    desk.wait(SAVED.format(acts=4))
    desk.wait(f"JSON.parse({STANDING}).length === 2")


def mark_in_an_outage(desk: Desk, broker: KafkaBroker) -> None:
    """A range and an instant while the log takes nothing: amber, with the reason, also after a reload; then saved."""
    page = desk.page
    desk.label("idle", "run")
    page.evaluate("() => timeline.setFollow(false)")
    with stopped(broker):
        drag(page, "op-1", 0.1, 0.2)
        page.keyboard.press("1")
        desk.wait("document.getElementById('outbox').textContent === 'outbox 1'")
        desk.wait("document.getElementById('outbox').matches('.waits')")
        page.evaluate("() => { timeline.cursor = timeline.plot * 0.7; }")
        page.keyboard.press("2")
        desk.wait("document.getElementById('outbox').textContent === 'outbox 2'")
        desk.wait("!document.getElementById('notice').hidden")
        told = page.inner_text("#notice")
        assert broker.bootstrap in told, told
        assert "marks" in told or "readings" in told, told
        desk.wait(AMBER)
        assert [it["state"] for it in page.evaluate("() => timeline.outbox.acts.slice(-2)")] == ["waiting", "waiting"]
        desk.keeps(2, "waiting")
        page.reload()  # what waited in the tab before is sent by this one
        desk.wait("timeline.open && document.getElementById('outbox').textContent === 'outbox 2'")
        desk.wait("!document.getElementById('notice').hidden")
        desk.wait(AMBER)
    desk.wait(SAVED.format(acts=6))
    desk.wait("document.getElementById('outbox').textContent === 'outbox 0'")
    desk.wait("document.getElementById('notice').hidden")
    desk.wait(f"!{AMBER}")
    desk.wait(f"JSON.parse({STANDING}).length === 4")


def test_marks_on_a_live_kafka_outlive_a_reload_and_a_broker_that_stands_still(
    browser: Browser, tmp_path: Path
) -> None:
    with KafkaBroker() as broker:
        url = f"kafka://{broker.bootstrap}/page"
        words = ["--log", url, "--as", "op-1", "--people", str(tmp_path / "people")]
        with fed(url), Served(*words) as served, browser.new_context(**CALM) as context:
            desk = Desk(context, served.open())
            desk.open()
            desk.label("idle", "run")
            mark_live(desk)
            undo_after_reload(desk)
            mark_in_an_outage(desk, broker)
            acts: Any = desk.page.evaluate(f"() => {TOLD}")
            assert desk.wrong == []
        events = events_of(url)
    adds = [it for it in events if isinstance(it, MarkAdd)]
    told = [["add", it.id, str(it.client_ns), str(it.start_ns), str(it.end_ns), it.label] for it in adds]
    assert told == [act for act in acts if act[0] == "add"]
    assert len({(it.id, it.client_ns) for it in events}) == len(events) == 6
    marks = fold(events).marks
    assert {it.id for it in marks} == {it.id for it in adds} - {adds[2].id}
