"""The page in trouble, as it is seen: a log that takes nothing, a mark refused, a session over, a server away."""

from __future__ import annotations

import resource
import signal
import time
from contextlib import suppress
from pathlib import Path
from typing import Final

import pytest
from playwright.sync_api import Browser, Error, Route

from tests.timeline.outages import limit_files
from tests.timeline.page.desk import AMBER, CALM, SAVED, Desk, site_of
from tests.timeline.page.look import Look
from tests.timeline.site import S, Served, recording
from timeline.people.accounts import People

pytestmark = pytest.mark.timeout(500)
PASSWORD: Final = "correct horse battery"


def look(desk: Desk, state: str) -> None:
    """The same state on a desk and on a phone."""
    for size in ("phone", "desktop"):
        Look(desk, size)(state)


def says(desk: Desk, words: str) -> None:
    """Until the bar says this of what waits."""
    desk.wait(f"document.getElementById('outbox').textContent === '{words}'")


def mark_at(desk: Desk, share: float, width: float = 0.1) -> None:
    """A range by keys."""
    desk.page.keyboard.press("Escape")  # no mark is selected: its edges would be moved
    for key, place in (("[", share), ("]", share + width), ("1", share)):
        desk.page.evaluate(f"() => {{ timeline.cursor = timeline.plot * {place}; }}")
        desk.page.keyboard.press(key)


def log_that_takes_nothing(desk: Desk) -> None:
    """As on a full disk: the mark stays, amber, with the reason, and is saved when there is room."""
    assert not desk.page.evaluate(f"() => {AMBER}")
    limit_files(desk.served, 0)
    mark_at(desk, 0.5)
    desk.wait("timeline.outbox.acts[0]?.refused")
    desk.wait(AMBER)
    desk.page.click("#panel-button")
    desk.wait("document.querySelector('#mark dl')?.innerText.includes('not saved yet: ')")
    desk.wait("document.getElementById('said').innerText.startsWith('Not saved yet: ')")
    look(desk, "log-takes-nothing")
    limit_files(desk.served, resource.RLIM_INFINITY)
    desk.wait(SAVED.format(acts=1))
    desk.wait(f"!{AMBER}")


def mark_that_cannot_be(desk: Desk) -> None:
    """It lies before the device's first sample: it is refused for good, in words, and gone from the lane."""
    desk.page.evaluate(f"() => timeline.show({{ from: timeline.whole.from - {60 * S}n, to: timeline.whole.to }})")
    mark_at(desk, 0.1)
    desk.wait("timeline.outbox.acts[1]?.state === 'refused'")
    desk.wait("document.getElementById('said').innerText.startsWith('Refused: pump-7 has samples from ')")
    says(desk, "outbox 0")
    look(desk, "refused")
    desk.page.click("#panel-button")
    desk.page.evaluate("() => timeline.show(timeline.whole)")


def session_that_is_over(desk: Desk, people: People) -> None:
    """A dialog over the page, a wrong password, a right one."""
    page = desk.page
    people.sign_out(desk.served.cookie)
    mark_at(desk, 0.2)
    page.locator("#login[open]").wait_for()
    page.fill("input[name='user']", "anna")
    page.fill("input[name='password']", "wrong")
    page.keyboard.press("Enter")
    desk.wait("document.getElementById('login-words').innerText !== ''")
    look(desk, "sign-in")
    page.fill("input[name='password']", PASSWORD)
    page.keyboard.press("Enter")
    page.locator("#login").wait_for(state="hidden")
    desk.wait("timeline.outbox.acts[2]?.state === 'saved'")
    says(desk, "outbox 0")


def server_that_is_away(desk: Desk) -> None:
    """What was open goes on; loaded anew, the page says why there is nothing to see, and so does the gallery."""
    page = desk.page
    page.evaluate("() => navigator.serviceWorker.ready.then(() => true)")
    desk.served.end(signal.SIGKILL)
    desk.wait("!timeline.open")
    mark_at(desk, 0.7)
    says(desk, "Offline, 1 mark kept here")
    look(desk, "offline")
    desk.keeps(1, "waiting")
    page.reload()
    desk.wait("document.getElementById('nothing').innerText.startsWith('Offline: the signals')")
    says(desk, "Offline, 1 mark kept here")
    look(desk, "offline-loaded")
    page.goto(f"{desk.served.url}/")
    desk.wait("document.getElementById('notice').innerText.startsWith('Offline: no server answers')")
    look(desk, "offline-gallery")


def test_the_start_page_waits_for_no_answer_that_never_comes(browser: Browser, tmp_path: Path) -> None:
    with Served(str(site_of(tmp_path / "site", recording(1)))) as served, browser.new_context() as context:
        desk = Desk(context, served)
        hangs: list[Route] = []
        context.route("**/api/*", lambda route: hangs.append(route))
        desk.page.goto(served.link)
        desk.wait("document.getElementById('notice').innerText.startsWith('Offline: no server answers')")
        assert {route.request.url.rpartition("/")[2] for route in hangs} >= {"session", "gallery"}
        context.unroute("**/api/*")
        for route in hangs:
            with suppress(Error):  # the page has given up most of them
                route.abort()
        desk.page.locator("#gallery a").first.wait_for()


def test_each_trouble_is_told_in_words_and_shuts_nobody_out(browser: Browser, tmp_path: Path) -> None:
    site = site_of(tmp_path / "site", recording(60))
    people = People(site / "people")
    people.add("anna", "annotator", PASSWORD)
    with Served(str(site)) as served, browser.new_context(**CALM) as context:
        served.cookie, _ = people.sign_in_account(people.accounts()["anna"], time.time_ns())
        desk = Desk(context, served)
        desk.open()
        desk.label("run")
        log_that_takes_nothing(desk)
        mark_that_cannot_be(desk)
        session_that_is_over(desk, people)
        server_that_is_away(desk)
        assert desk.wrong == []
