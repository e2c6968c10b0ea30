"""The page in real headless Chromium, over a real server: marks by key and drag, undone, kept through an outage."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final, Literal

import pytest
from playwright.sync_api import Browser

from tests.timeline.page.desk import CALM, SAVED, SHOWN, STANDING, Desk, drag, site_of
from tests.timeline.page.look import shuts_nobody_out
from tests.timeline.site import START_NS, S, Served, recording

pytestmark = [pytest.mark.timeout(500), pytest.mark.xdist_group("browser")]


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A recording of a minute, and labels on it."""
    site = site_of(tmp_path_factory.mktemp("page") / "site", recording(60))
    with Served(str(site), "--as", "op-1") as running:
        yield running.open()


@pytest.fixture
def desk(browser: Browser, served: Served) -> Iterator[Desk]:
    context = browser.new_context(**CALM)
    used = Desk(context, served)
    yield used
    context.close()
    assert used.wrong == []
    assert used.asked <= {used.host}


def test_a_range_dragged_and_named_by_a_key_is_in_the_log_and_undone_after_a_reload(desk: Desk) -> None:
    page = desk.open()
    desk.label("idle", "run")
    drag(page, "op-1", 0.25, 0.5)
    page.keyboard.press("2")
    desk.wait(SAVED.format(acts=1))
    desk.wait(f"{STANDING} !== '[]'")
    desk.wait("/^run marked, .* to .*, saved$/.test(document.getElementById('said').textContent)")
    [[label, start, end]] = page.evaluate(f"() => JSON.parse({STANDING})")
    assert label == "run"
    assert abs(int(start) - START_NS - 15 * S) < S
    assert abs(int(end) - START_NS - 30 * S) < S
    page.reload()
    desk.wait(SHOWN)
    desk.wait(f"{STANDING} !== '[]' && timeline.outbox.acts.length === 1")
    page.keyboard.press("z")
    desk.wait(SAVED.format(acts=2))
    desk.wait(f"{STANDING} === '[]'")
    page.keyboard.press("Shift+Z")
    desk.wait(SAVED.format(acts=3))
    desk.wait(f"{STANDING} !== '[]'")
    assert page.evaluate(f"() => JSON.parse({STANDING})") == [[label, start, end]]
    page.keyboard.press("z")
    desk.wait(SAVED.format(acts=4))


def test_marks_by_keyboard_alone_split_and_taken_back(desk: Desk) -> None:
    page = desk.open()
    desk.label("idle", "run")
    page.keyboard.press("[")
    page.evaluate("timeline.cursor = timeline.plot * 0.75")
    page.keyboard.press("]")
    page.keyboard.press("1")
    desk.wait(SAVED.format(acts=1))
    page.evaluate("timeline.cursor = timeline.plot * 0.6")
    page.keyboard.press("x")
    desk.wait(SAVED.format(acts=3))
    desk.wait(f"JSON.parse({STANDING}).length === 2")
    first, second = page.evaluate(f"() => JSON.parse({STANDING})")
    assert first[2] == second[1]
    for _ in range(2):
        page.keyboard.press("z")
    desk.wait(f"{STANDING} === '[]'")
    desk.wait("timeline.outbox.acts.every((act) => act.state === 'saved')")


def test_what_is_marked_while_the_server_is_away_waits_and_arrives_once(browser: Browser, tmp_path: Path) -> None:
    site = site_of(tmp_path / "site", recording(60))
    with Served(str(site), "--as", "op-1") as served, browser.new_context() as context:
        desk = Desk(context, served.open())
        page = desk.open()
        desk.label("run")
        context.set_offline(True)
        page.evaluate("timeline.link.socket.close()")
        desk.wait("!timeline.open")
        drag(page, "op-1", 0.1, 0.2)
        page.keyboard.press("1")
        desk.wait("document.getElementById('outbox').textContent === 'Offline, 1 mark kept here'")
        context.set_offline(False)
        desk.wait(SAVED.format(acts=1))
        desk.wait(f"JSON.parse({STANDING}).length === 1")
        desk.wait("document.getElementById('outbox').textContent === 'outbox 0'")


def test_live_samples_move_the_view_and_a_key_held_is_a_range(browser: Browser, tmp_path: Path) -> None:
    now = time.time_ns()
    site = site_of(tmp_path / "site", recording(60, start_ns=now - 30 * S, end=False))
    with Served(str(site), "--as", "op-1") as served, browser.new_context() as context:
        desk = Desk(context, served.open())
        page = desk.open()
        desk.label("run")
        desk.wait("timeline.follow")
        old = "{ start: 0n, end: 1n, reason: 'of long ago', stream: 'acc', by: 1n }"
        page.evaluate(f"() => {{ timeline.traces.get('acc').gaps.push({old}); timeline.unsure.push({old}); }}")
        desk.wait("[...timeline.traces.get('acc').gaps, ...timeline.unsure].every((range) => range.end > 1n)")
        before = int(page.evaluate("String(timeline.view.to)"))
        page.keyboard.down("1")
        desk.wait(f"timeline.view.to > {before}n + 1000000000n")
        shift_went_up_first = "new KeyboardEvent('keyup', { key: '&', code: 'Digit1' })"
        page.evaluate(f"dispatchEvent({shift_went_up_first})")
        desk.wait(SAVED.format(acts=1))
        page.keyboard.up("1")
        desk.wait(f"{STANDING} !== '[]'")
        [[label, start, end]] = page.evaluate(f"() => JSON.parse({STANDING})")
        assert label == "run"
        assert int(start) < int(end)
        for key in "i+++++":  # a view of a second
            page.keyboard.press(key)
        page.evaluate("() => { timeline.listeners.length = 0; }")  # nothing but the view changes
        desk.wait("document.querySelectorAll('#table-rows button').length === 0")


def test_another_tab_sees_a_mark_and_the_gallery_shows_each_recording_as_its_own(
    browser: Browser, tmp_path: Path
) -> None:
    records = [*recording(60), *recording(30, device="pump-8")]
    with (
        Served(str(site_of(tmp_path / "site", records)), "--as", "op-1") as served,
        browser.new_context(reduced_motion="reduce") as context,
        browser.new_context(reduced_motion="reduce") as elsewhere,
    ):
        desk, other = Desk(context, served.open()), Desk(elsewhere, served)
        page, seen = desk.open(), other.open()
        desk.label("run")
        drag(page, "op-1", 0.2, 0.6)
        page.keyboard.press("1")
        other.wait(f"JSON.parse({STANDING}).length === 1")
        seen.goto(f"{served.url}/")
        seen.locator("#gallery-rows tr").nth(1).wait_for()
        labelled = "[...document.querySelectorAll('#gallery-rows tr')].map((row) => row.innerText.match(/(\\d+) %/)[1])"
        assert sorted(map(int, seen.evaluate(f"() => {labelled}"))) == [0, 40]
        bars = "[...document.querySelectorAll('#gallery-rows .labelbar')].map((bar) => bar.toDataURL())"
        first, second = seen.evaluate(f"() => {bars}")
        assert first != second
        ink = "document.querySelector('#gallery-rows .spark').getContext('2d').fillStyle"
        schemes: tuple[tuple[Literal["dark", "light"], str], ...] = (("dark", "#a0a7af"), ("light", "#5f666f"))
        for scheme, colour in schemes:
            seen.emulate_media(color_scheme=scheme)
            other.wait(f"{ink} === '{colour}'")
        assert seen.evaluate(f"() => {bars}") == [first, second]  # nothing of the dark ones is left below
        seen.click("#gallery-head button:has-text('Device')")
        seen.locator("#gallery-rows a:has-text('pump-8')").focus()
        site_of(tmp_path / "site", recording(10, device="pump-9"))
        seen.locator("#gallery-rows a:has-text('pump-9')").wait_for()
        assert seen.evaluate("() => document.activeElement.textContent") == "pump-8"
        order = [row.split()[0] for row in seen.locator("#gallery-rows tr").all_inner_texts()]
        assert order == ["pump-7", "pump-8", "pump-9"]
        assert desk.wrong == other.wrong == []


def test_a_demo_on_the_timeline_with_its_rules_marks_and_why(browser: Browser, tmp_path: Path) -> None:
    """The pictures of README.md: `SENSORLOOM_PICTURES=timeline/pictures` keeps them."""
    pictures = Path(os.environ.get("SENSORLOOM_PICTURES", tmp_path))
    words = ["demo", "--out", str(tmp_path / "demo"), "--seconds", "5", "--json"]
    report = json.loads(subprocess.check_output([sys.executable, "-m", "sensorloom", *words], timeout=200))
    pump = report["devices"][0]["device"]
    with Served(str(tmp_path / "demo"), "--as", "anna") as served, browser.new_context(**CALM) as context:
        desk = Desk(context, served.open())
        page = desk.open(pump)
        desk.wait(f"JSON.parse({STANDING}).length > 0")
        page.evaluate("timeline.show(timeline.whole)")  # a demo that ended just now would be followed
        desk.wait("timeline.ask.marked && timeline.ask.view.from <= timeline.whole.from")
        drag(page, "anna", 0.62, 0.8)
        page.keyboard.press("2")
        desk.wait(SAVED.format(acts=1))
        for key in ("i", "Escape"):  # nothing is selected: J goes on from the cursor
            page.keyboard.press(key)
        page.evaluate("timeline.cursor = timeline.plot * 0.65")
        desk.wait("timeline.ask.marked && timeline.ask.view.from <= timeline.whole.from")
        page.keyboard.press("j")
        desk.wait("document.body.innerText.includes('opened by')")
        for scheme in ("light", "dark"):
            page.emulate_media(color_scheme=scheme)
            painted = page.evaluate("() => timeline.painted")
            page.mouse.move(700, 140 + painted % 2)
            desk.wait(f"timeline.painted > {painted}")
            page.screenshot(path=pictures / f"{scheme}.png")
        assert desk.wrong == []


CORNERS: Final = "[timeline.pen, timeline.smallPen].flatMap((pen) => [...pen.getImageData(0, 0, 1, 1).data])"


def test_nobody_is_shut_out(desk: Desk, tmp_path: Path) -> None:
    """No violation of WCAG 2.2 AA that axe can see: timeline, open panel, help, gallery; light and dark."""
    page = desk.open()
    desk.label("idle", "run")

    def look(name: str) -> None:
        for scheme in ("light", "dark"):
            page.emulate_media(color_scheme=scheme)
            shuts_nobody_out(page, name, scheme)

    look("timeline")
    page.keyboard.press("i")
    look("panel")
    page.keyboard.press("?")
    look("help")
    page.emulate_media(color_scheme="light")
    page.goto(f"{desk.served.url}/d/nobody")
    desk.wait("document.getElementById('nothing').innerText.startsWith('\"nobody\" has sent no data')")
    desk.wait(f"{CORNERS}.every((part) => part > 240)")  # paper, as everywhere
    page.evaluate("() => { timeline.welcome = {}; timeline.paint(); }")
    page.click("#copy")
    desk.wait("document.getElementById('copy').textContent.startsWith('Copied')")
    page.click("#account")
    look("account")
    desk.wait("document.getElementById('who-words').textContent.startsWith('You came by the link')")
    page.keyboard.press("Escape")
    page.goto(f"{desk.served.url}/")
    page.locator("#gallery-rows tr").first.wait_for()
    look("gallery")
