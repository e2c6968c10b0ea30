"""Nothing marked is lost: without a server, with a closed tab, a dead browser, a session that is over, a full disk."""

from __future__ import annotations

import os
import resource
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Final

import httpx
import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from ingest.log.protocol import MARKS
from ingest.records import MarkAdd
from tests.support.logs import read_log
from tests.timeline.page.desk import ARGUMENTS, CALM, CHROMIUM, LIMIT_S, SAVED, SHOWN, Desk, site_of
from tests.timeline.site import PROJECT, START_NS, S, Served, recording
from timeline.people.accounts import People
from timeline.server.pagefiles import PageFiles, page_files

pytestmark = pytest.mark.timeout(500)
STATIC: Final = PROJECT / "timeline" / "static"
CACHED: Final = """async (version) => {
    const name = "sensorloom-page-" + version;
    const keys = (await caches.has(name)) ? await (await caches.open(name)).keys() : [];
    return keys.map((key) => new URL(key.url).pathname).sort();
}"""
SETTLED: Final = """() => navigator.serviceWorker.getRegistration()
    .then(({ installing, waiting, active }) => !installing && !waiting && active?.state === "activated")"""
SKEWED: Final = """
globalThis.ahead = 10_800_000;
const [steady, wall] = [performance.now.bind(performance), Date.now];
performance.now = () => steady() + globalThis.ahead;
Date.now = () => wall() + globalThis.ahead;
"""

PASSWORD: Final = "correct horse battery"
OTHERS: Final = "Kept in this browser: 1 mark of anna waits until anna signs in again."
STATES: Final = "timeline.outbox.acts.map((act) => act.state).sort().join() === '{}'"
UNFIT: Final = """() => {
    const act = timeline.outbox.acts.find((one) => one.user === "anna");
    const named = { act: crypto.randomUUID(), mark: crypto.randomUUID(), gesture: crypto.randomUUID() };
    return timeline.outbox.keep([{ ...act, ...named, clientNs: act.clientNs - 1n, reason: "x".repeat(2500) }]);
}"""
"""What a page of before kept, before what no server would take was refused at once."""

SLOW_DISK: Final = """
const open = IDBFactory.prototype.open;
IDBFactory.prototype.open = function (...words) {
    const real = open.apply(this, words);
    const late = { get result() { return real.result; } };
    real.onsuccess = () => { globalThis.diskAnswers = () => late.onsuccess(); };
    return late;
};
"""
"""What the disk has is there when a test says so."""

NARROWER: Final = """() => {
    const { from, to } = timeline.view;
    timeline.show({ from, to: to - (to - from) / 10n });
}"""
EXACT: Final = "[...timeline.traces.values()].every(({ kept }) => kept.span === timeline.view.to - timeline.view.from)"
"""What was drawn of another span while one zoomed was made anew."""


def marks_of(site: Path) -> list[MarkAdd]:
    """The log's marks as they came; read on another thread, as the browser's driver has this one's loop."""
    with ThreadPoolExecutor(1) as threads:
        told = threads.submit(read_log, f"segments:{site}/log", MARKS).result()
    return [it for it in told if isinstance(it, MarkAdd)]


def says(desk: Desk, words: str) -> None:
    """Until the bar says this of what waits."""
    desk.wait(f"document.getElementById('outbox').textContent === '{words}'")


def mark_at(page: Page, share: float) -> None:
    """An instant by key, at a share of the plot's width."""
    page.evaluate(f"() => {{ timeline.setFollow(false); timeline.cursor = timeline.plot * {share}; }}")
    page.keyboard.press("1")


def sign_in(page: Page, user: str) -> None:
    """In the dialog over the page."""
    page.locator("#login[open]").wait_for()
    page.fill("input[name='user']", user)
    page.fill("input[name='password']", PASSWORD)
    page.keyboard.press("Enter")
    page.locator("#login").wait_for(state="hidden")


@contextmanager
def process(profile: Path) -> Iterator[tuple[subprocess.Popen[bytes], str]]:
    """A browser that can be killed, with a profile that outlives it, and where it is spoken to."""
    port_file = profile / "DevToolsActivePort"
    port_file.unlink(missing_ok=True)
    words = [CHROMIUM, *ARGUMENTS, f"--user-data-dir={profile}", "--remote-debugging-port=0", "about:blank"]
    running = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
    try:
        until_s = time.monotonic() + LIMIT_S
        while not (port_file.exists() and port_file.read_text().count("\n")):
            assert running.poll() is None, running.returncode
            assert time.monotonic() < until_s
            time.sleep(0.05)
        yield running, f"http://127.0.0.1:{port_file.read_text().split()[0]}"
    finally:
        os.killpg(running.pid, signal.SIGKILL)
        running.wait()


def test_a_page_without_a_server_opens_after_the_tab_and_the_browser_died_and_loses_nothing(tmp_path: Path) -> None:
    site = site_of(tmp_path / "site", recording(60))
    served = Served(str(site), "--as", "op-1").open()
    address = served.url.removeprefix("http://")
    try:
        with sync_playwright() as playwright:
            with process(tmp_path / "profile") as (_, speaks):
                context = playwright.chromium.connect_over_cdp(speaks).contexts[0]
                desk = Desk(context, served)
                page = desk.open()
                desk.label("run")
                told = page_files(STATIC)
                page.evaluate("() => navigator.serviceWorker.ready.then(() => true)")
                assert page.evaluate(CACHED, told.version) == sorted(["/", *told.files])
                mark_at(page, 0.25)
                desk.wait(SAVED.format(acts=1))
                desk.wait("timeline.welcome.labels.length === 1")
                served.end(signal.SIGKILL)
                desk.wait("!timeline.open")
                mark_at(page, 0.5)
                says(desk, "Offline, 1 mark kept here")
                page.evaluate(NARROWER)
                desk.wait(EXACT)
                page.keyboard.press("Escape")
                page.keyboard.down("1")
                page.close()  # what is held ends with the page, which waits for no disk

                desk = Desk(context, served)
                page = desk.page
                page.goto(f"{served.url}/d/pump-7")
                says(desk, "Offline, 2 marks kept here")
                desk.wait("timeline.labels.length === 1 && timeline.view")
                desk.wait("document.getElementById('nothing').innerText.startsWith('Offline: the signals')")
                mark_at(page, 0.75)
                says(desk, "Offline, 3 marks kept here")
                desk.wait("timeline.painted > 0")
                desk.keeps(3, "waiting")

            with process(tmp_path / "profile") as (_, speaks):
                context = playwright.chromium.connect_over_cdp(speaks).contexts[0]
                desk = Desk(context, served)
                page = desk.page
                page.goto(f"{served.url}/")
                says(desk, "Offline, 3 marks kept here")
                page.click("#gallery-empty a")
                says(desk, "Offline, 3 marks kept here")
                page.keyboard.press("+")
                before = page.evaluate("() => [String(timeline.view.from), String(timeline.view.to)]")
                with Served(str(site), "--as", "op-1", "--listen", address):
                    desk.wait(SAVED.format(acts=4))
                    says(desk, "outbox 0")
                    desk.wait(SHOWN)
                    assert page.evaluate("() => [String(timeline.view.from), String(timeline.view.to)]") == before
                assert desk.wrong == []
    finally:
        served.end(signal.SIGKILL)
    marks = marks_of(site)
    assert len({it.id for it in marks}) == len(marks) == 4
    seconds = sorted(round((it.start_ns - START_NS) / S) for it in marks)
    assert seconds == [15, 27, 30, 45]


def test_a_line_that_died_in_silence_is_noticed_and_a_mark_lies_where_it_was_though_the_tabs_clock_ran_wild(
    browser: Browser, tmp_path: Path
) -> None:
    """An outage of ten minutes by the tab's clock, which is three hours wrong before; the server never hangs up."""
    site = site_of(tmp_path / "site", recording(900, start_ns=time.time_ns() - 30 * S, end=False))
    with Served(str(site), "--as", "op-1") as served, browser.new_context(**CALM) as context:
        context.add_init_script(SKEWED)
        desk = Desk(context, served.open())
        page = desk.open()
        desk.label("run")
        desk.wait("timeline.follow && timeline.link.measures.length > 0")
        began_ns = time.time_ns()
        served.process.send_signal(signal.SIGSTOP)
        page.keyboard.press("1")  # into a hole: the line is open, and nobody hears
        says(desk, "Offline, 1 mark kept here")
        page.evaluate("() => { globalThis.ahead += 300_000; }")
        page.keyboard.press("1")
        says(desk, "Offline, 2 marks kept here")
        page.evaluate("() => { globalThis.ahead += 300_000; }")
        served.process.send_signal(signal.SIGCONT)
        desk.wait(SAVED.format(acts=2))
        says(desk, "outbox 0")
        ended_ns = time.time_ns()
        assert desk.wrong == []
    marks = marks_of(site)
    assert len({it.id for it in marks}) == 2
    first, second = sorted(it.start_ns for it in marks)
    assert began_ns - S <= first < second <= ended_ns + S


def goes_home(desk: Desk, user: str) -> None:
    """Signs out by the page: what goes on is marked, and sent, before it asks who comes next."""
    page = desk.page
    desk.label("run")
    page.keyboard.press("Escape")
    running = f"{{ stateMode: true, held: null, running: {{ label: 'run', start: {START_NS + 40 * S}n }} }}"
    page.evaluate(f"() => {{ timeline.marking = {running}; timeline.cursor = timeline.plot * 0.75; }}")
    page.click("#account")
    desk.wait(f"document.getElementById('who-name').textContent.startsWith('{user} ')")
    page.click("#sign-out")
    page.locator("#login[open]").wait_for()


def test_a_session_that_is_over_asks_for_a_password_and_what_waits_is_sent_as_whose_it_is(
    browser: Browser, tmp_path: Path
) -> None:
    site = site_of(tmp_path / "site", recording(60))
    people = People(site / "people")
    for name in ("anna", "ben"):
        people.add(name, "annotator", PASSWORD)
    with Served(str(site)) as served, browser.new_context(**CALM) as context:
        served.cookie, _ = people.sign_in_account(people.accounts()["anna"], time.time_ns())
        desk = Desk(context, served)
        page = desk.open()
        desk.label("run")
        people.sign_out(served.cookie)
        mark_at(page, 0.5)
        page.locator("#login[open]").wait_for()
        assert page.evaluate("() => timeline.outbox.acts.map((act) => act.state)") == ["waiting"]
        assert marks_of(site) == []
        running = "{ stateMode: true, held: null, running: { label: 'run', start: 1n } }"
        page.evaluate(f"() => {{ timeline.marking = {running}; }}")
        sign_in(page, "ben")
        desk.wait(f"document.getElementById('others').innerText === '{OTHERS}'")
        says(desk, "outbox 0")
        assert page.evaluate("() => timeline.marking.running") is None  # hers is not his
        mark_at(page, 0.25)
        desk.wait(STATES.format("saved,waiting"))
        page.evaluate(UNFIT)
        desk.keeps(2, "waiting")
        [cookie] = [it for it in context.cookies() if it["name"] == "sensorloom"]
        goes_home(desk, "ben")
        assert people.session(cookie["value"], time.time_ns()) is None
        sign_in(page, "anna")
        desk.wait(STATES.format("refused,saved,saved,saved"))
        desk.wait("document.getElementById('others').hidden")
        desk.wait("document.getElementById('log').textContent.includes('Refused: the note has 2500 characters')")
        told = sorted((round((it.start_ns - START_NS) / S), it.author) for it in marks_of(site))
        assert told == [(15, "ben"), (30, "anna"), (40, "ben")]
        assert desk.wrong == []


def test_who_looks_and_marks_before_the_outbox_is_read_waits_for_nothing_and_loses_nothing(
    browser: Browser, tmp_path: Path
) -> None:
    site = site_of(tmp_path / "site", recording(60))
    with Served(str(site), "--as", "op-1") as served, browser.new_context(**CALM) as context:
        desk = Desk(context, served.open())
        page = desk.open()
        desk.label("run")
        page.evaluate("() => { timeline.link.send = () => false; }")
        mark_at(page, 0.25)
        desk.keeps(1, "waiting")
        context.add_init_script(SLOW_DISK)
        page.reload()
        desk.wait("timeline.painted > 0 && timeline.ask?.answered && globalThis.diskAnswers")
        desk.label("run")
        mark_at(page, 0.75)
        states = "[timeline.outbox.ready, timeline.outbox.acts.map((act) => act.state)]"
        assert page.evaluate(states) == [False, ["waiting"]]
        assert marks_of(site) == []  # what was done before goes first
        page.evaluate("() => globalThis.diskAnswers()")
        desk.wait(SAVED.format(acts=2))
        page.keyboard.press("z")
        desk.wait(SAVED.format(acts=3))
        assert desk.wrong == []
    assert [round((it.start_ns - START_NS) / S) for it in marks_of(site)] == [15, 45]


def test_what_the_log_refuses_stays_with_its_reason_and_is_tried_again(browser: Browser, tmp_path: Path) -> None:
    """As on a full disk: no file of the server may grow."""
    site = site_of(tmp_path / "site", recording(60))
    with Served(str(site), "--as", "op-1") as served, browser.new_context(**CALM) as context:
        desk = Desk(context, served.open())
        page = desk.open()
        desk.label("run")
        resource.prlimit(served.process.pid, resource.RLIMIT_FSIZE, (0, resource.RLIM_INFINITY))
        mark_at(page, 0.5)
        desk.wait("timeline.outbox.acts[0]?.refused")
        told: Any = page.evaluate("() => timeline.outbox.acts[0]")
        assert told["state"] == "waiting"
        desk.wait("document.getElementById('log').innerText.includes('Not saved yet')")
        says(desk, "outbox 1")
        assert page.evaluate("() => getComputedStyle(document.getElementById('outbox')).fontWeight") == "600"
        resource.prlimit(served.process.pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        desk.wait(SAVED.format(acts=1))
        says(desk, "outbox 0")
        assert desk.wrong == []
    assert len(marks_of(site)) == 1


def code_of(folder: Path) -> Path:
    """The project's code, with page files of its own: they can be upgraded."""
    folder.mkdir()
    for each in PROJECT.iterdir():
        if each.name == "timeline":
            shutil.copytree(each, folder / each.name)
        elif each.suffix == ".py" or (each / "__init__.py").exists():
            (folder / each.name).symlink_to(each)
    return folder


def upgrade(static: Path) -> None:
    """Another version: of two files that belong together, both are others."""
    for name, words, others in (
        ("index.html", "<title>sensorloom timeline</title>", "<title>another version</title>"),
        ("js/words.js", "`outbox ${waiting}`", "`kept ${waiting}`"),
    ):
        told = (static / name).read_text()
        assert told.count(words) == 1, name
        (static / name).write_text(told.replace(words, others))


@contextmanager
def dying(served: Served, page: bytes) -> Iterator[None]:
    """A server that gives the page, and is gone before it gives any of its files."""

    class Answers(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if not self.path.startswith("/d/"):
                return  # the connection ends without a word
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.end_headers()
            self.wfile.write(page)

        def log_message(self, format: str, *args: Any) -> None:
            pass

    address = httpx.URL(served.url)
    with ThreadingHTTPServer((address.host, address.port or 80), Answers) as server, ThreadPoolExecutor(1) as threads:
        threads.submit(server.serve_forever, 0.05)
        try:
            yield
        finally:
            server.shutdown()


def until_kept(page: Page, files: PageFiles) -> None:
    """Until the browser has this version whole, and a worker that serves it."""
    until_s = time.monotonic() + LIMIT_S
    while page.evaluate(CACHED, files.version) != sorted(["/", *files.files]) or not page.evaluate(SETTLED):
        assert time.monotonic() < until_s, page.evaluate("() => caches.keys()")
        page.wait_for_timeout(50)


def test_an_upgraded_page_is_served_at_the_next_load_and_whole_or_not_at_all(browser: Browser, tmp_path: Path) -> None:
    site, code = site_of(tmp_path / "site", recording(60)), code_of(tmp_path / "code")
    static = code / "timeline" / "static"
    with browser.new_context(**CALM) as context:
        with Served(str(site), "--as", "op-1", project=code) as served:
            desk = Desk(context, served.open())
            page = desk.open()
            page.evaluate("() => navigator.serviceWorker.ready.then(() => true)")
            says(desk, "outbox 0")
            before = page_files(static)
            until_kept(page, before)
            asked: list[str] = []
            page.on("response", lambda answer: None if answer.from_service_worker else asked.append(answer.url))
            page.reload()
            says(desk, "outbox 0")
            assert [url for url in asked if "/static/" in url] == []  # what is kept is not asked for again
            page.evaluate("() => caches.open('sensorloom-page-old').then(() => true)")
        upgrade(static)
        after = page_files(static)
        assert after.version != before.version
        with dying(served, after.page), page.expect_event("requestfailed", lambda one: one.url.endswith("/app.js")):
            page.goto(f"{served.url}/d/pump-7")
        assert page.title() == "another version"
        assert page.evaluate("() => timeline instanceof HTMLElement")  # no script of the kept one's has run in it
        page.goto(f"{served.url}/d/pump-7")
        says(desk, "Offline")
        assert page.title() == "sensorloom timeline"
        address = served.url.removeprefix("http://")
        with Served(str(site), "--as", "op-1", "--listen", address, project=code):
            page.reload()
            says(desk, "kept 0")
            assert page.title() == "another version"
            until_kept(page, after)
            kept = [f"sensorloom-page-{version}" for version in ("old", after.version)]
            assert page.evaluate("() => caches.keys()") == kept  # the one before may be on its way to a tab
            answers = [httpx.get(f"{served.url}{next(iter(files))}") for files in (before.files, after.files)]
            assert [answer.status_code for answer in answers] == [404, 200]
        page.reload()
        says(desk, "Offline")
        assert page.title() == "another version"
        assert desk.wrong == []
