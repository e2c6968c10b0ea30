"""What operators do with keys, mouse and fingers, in real headless Chromium, each test on a device of its own."""

from __future__ import annotations

import asyncio
import copy
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import numpy as np
import pytest
from playwright.sync_api import Browser, CDPSession, Page

from ingest.log.protocol import MARKS, Entry
from ingest.opening import open_log
from ingest.records import MarkAdd, Record, RecordingEnd, RecordingStart
from ingest.wire import encode
from tests.timeline.page.desk import CALM, SAVED, SHOWN, STANDING, Desk
from tests.timeline.site import PROJECT, START_NS, S, Served, boot, chunk, write
from timeline.people.accounts import People

pytestmark = [pytest.mark.timeout(500), pytest.mark.xdist_group("hand")]
PASSWORD: Final = "correct horse battery"
PEOPLE: Final[Any] = {"op-1": "annotator", "op-2": "annotator", "boss": "reviewer", "guest": "viewer"}
SECONDS: Final = 40
STEP_S: Final = 21.37
"""Here the signal of every device jumps."""
MANY: Final = 20_050
"""More marks than a page asks for at once."""
RULES: Final = ("pump-review", "pump-lanes", "pump-touch")
GUTTER: Final = 88
WAITING: Final = "timeline.outbox.acts.every((act) => act.state === 'saved') && timeline.unheard.size === 0"
LABELS: Final = ("idle", "run", "fault")


def signal(device: str) -> list[Record]:
    """A recording of hiss, which jumps once."""
    hiss = np.random.default_rng(1).normal(0, 0.05, SECONDS * 100)
    hiss[round(STEP_S * 100) :] += 5
    name = f"r-{device}"
    records: list[Record] = [RecordingStart(device, name, boot(name), START_NS, "started")]
    for second in range(SECONDS):
        values = hiss[second * 100 : second * 100 + 100]
        records.append(chunk(START_NS + second * S, 100, second, device=device, recording=name, values=values))
    return [*records, RecordingEnd(device, name, boot(name), START_NS + SECONDS * S, "stopped")]


def mark(
    device: str, name: str, start_s: float, end_s: float, label: str, *, author: str = "", trim: bool = False
) -> MarkAdd:
    """A rule's mark, or an author's."""
    times = START_NS + round(start_s * S), START_NS + round(end_s * S)
    tool = "operator" if author else "rule"
    told = {} if author else {"opened by rms": 2.5, "above": 2.0}
    return MarkAdd(
        device, name, *times, label, author or "rules.yaml", tool, 1.0, 1, 0, told, "" if author else "rev-1", trim
    )


def marks_of(device: str) -> list[MarkAdd]:
    """What is marked on a device before the page is opened."""
    if device == "pump-many":
        return [
            mark(device, f"m{i}", i * 0.0019, i * 0.0019 + 0.001, LABELS[i % 3], author="op-1") for i in range(MANY)
        ]
    if device == "pump-table":
        return [mark(device, f"t{i:04}", i / 20, i / 20 + 0.03, LABELS[i % 3], author="op-1") for i in range(700)]
    if device == "pump-edges":
        return [
            mark(device, "others", 10, 14, "run", author="op-2"),
            mark(device, "own", 20, 30, "idle", author="op-1"),
        ]
    if device in RULES:
        return [mark(device, f"{device}-{i}", 4 + 8 * i, 8 + 8 * i, "fault") for i in range(4)]
    return []


DEVICES: Final = (
    "pump-keys",
    "pump-states",
    "pump-snap",
    "pump-review",
    "pump-lanes",
    "pump-many",
    "pump-touch",
    "pump-edges",
    "pump-two",
    "pump-table",
    "pump-menu",
)


async def build(site: Path) -> None:
    log = open_log(f"segments:{site}/log?partitions=2")
    for device in DEVICES:
        await write(log, signal(device), device)
        if marks := marks_of(device):
            await log.append(MARKS, [Entry(device.encode(), encode(one)) for one in marks])
    await log.close()


class Room:
    """A server with accounts, and desks for their people."""

    def __init__(self, browser: Browser, site: Path) -> None:
        self.browser, self.served = browser, Served(str(site))
        self.people = People(site / "people")
        self.desks: list[Desk] = []

    def desk(self, user: str, device: str, **options: Any) -> Desk:
        """A tab of a person's on a device, with a palette of three labels."""
        seat = copy.copy(self.served)
        seat.cookie, _ = self.people.sign_in_account(self.people.accounts()[user], time.time_ns())
        desk = Desk(self.browser.new_context(**CALM | options), seat)
        self.desks.append(desk)
        desk.open(device)
        desk.label(*LABELS)
        return desk

    def clear(self) -> None:
        """Closes the tabs, in which nothing went wrong."""
        desks, self.desks = self.desks, []
        for desk in desks:
            desk.context.close()
        assert [desk.wrong for desk in desks] == [[] for _ in desks]


@pytest.fixture(scope="module")
def house(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Room]:
    site = tmp_path_factory.mktemp("hand") / "site"
    site.mkdir()
    with ThreadPoolExecutor(1) as threads:  # the browser's driver has an event loop on this thread
        threads.submit(lambda: asyncio.run(build(site))).result()
    people = People(site / "people")
    for user, role in PEOPLE.items():
        people.add(user, role, PASSWORD)
    room = Room(browser, site)
    with room.served:
        yield room


@pytest.fixture
def room(house: Room) -> Iterator[Room]:
    yield house
    house.clear()


def value(desk: Desk, expression: str) -> Any:
    """What an expression is in the page."""
    return desk.page.evaluate(f"() => {expression}")


def standing(desk: Desk) -> list[tuple[str, float, float]]:
    """The marks that the server says stand, in seconds of the recording, once nothing waits."""
    desk.wait(WAITING)
    found = desk.page.evaluate(f"() => JSON.parse({STANDING})")
    return [(label, (int(start) - START_NS) / S, (int(end) - START_NS) / S) for label, start, end in found]


def cursor(desk: Desk, second: float) -> None:
    """Puts the cursor there, as the mouse does."""
    desk.page.mouse.move(*point(desk, second, "acc"))
    desk.wait(f"Math.abs(Number(timeline.cursorTime() - {START_NS}n) / 1e9 - {second}) < 0.1")


def point(desk: Desk, second: float, row: str) -> tuple[float, float]:
    """Where an instant lies in a row, in px of the page."""
    box = desk.page.locator("#canvas").bounding_box()
    assert box is not None
    place = "const row = timeline.rows.find((one) => one.name === name && (name !== 'acc' || one.kind === 'stream'));"
    x = "Number(BigInt(at) - timeline.view.from) / Number(timeline.view.to - timeline.view.from) * timeline.plot"
    found = desk.page.evaluate(
        f"([name, at]) => {{ {place} return [{x}, row.top + row.height / 2]; }}",
        [row, str(START_NS + round(second * S))],
    )
    return box["x"] + GUTTER + found[0], box["y"] + found[1]


def press(desk: Desk, *keys: str) -> None:
    for key in keys:
        desk.page.keyboard.press(key)


# Keys.

RANGE: Final = "[Number(timeline.chosen?.start ?? 0n), Number(timeline.chosen?.end ?? 0n)]"
HALF: Final = "String(timeline.view.to - timeline.view.from)"


def chosen(desk: Desk, start: float, end: float) -> None:
    """Chooses a range by `[` and `]`."""
    press(desk, "Escape")
    cursor(desk, start)
    press(desk, "[")
    cursor(desk, end)
    press(desk, "]")


def marked(desk: Desk, key: str, start: float, end: float) -> None:
    """Marks a range by keys, and waits until it is in the log."""
    acts = value(desk, "timeline.outbox.acts.length")
    chosen(desk, start, end)
    press(desk, key)
    desk.wait(SAVED.format(acts=acts + 1))


def moves(desk: Desk, key: str, what: str) -> None:
    """A key changes what an expression says."""
    before = value(desk, what)
    press(desk, key)
    assert value(desk, what) != before, (key, what)


class Keyboard:
    """Every key of the page's list, and what has been tried."""

    def __init__(self, desk: Desk) -> None:
        self.desk = desk
        self.done: set[str] = set()
        script = (PROJECT / "timeline" / "static" / "js" / "keys.js").read_text()
        desk.page.route("**/keys.js", lambda route: route.fulfill(body=script, content_type="text/javascript"))
        desk.page.evaluate("async () => { globalThis.keys = (await import('/keys.js')).KEYS; }")

    def each(self, action: str) -> Iterator[str]:
        """The keys that do it."""
        found = self.desk.page.evaluate("(name) => globalThis.keys.filter((one) => one.action === name)", action)
        assert found, action
        self.done.add(action)
        for one in found:
            yield one["key"].replace(" ", "Space").replace("Ctrl", "Control")

    def press(self, action: str) -> None:
        for key in self.each(action):
            press(self.desk, key)

    def move(self, action: str, what: str, times: int = 1) -> None:
        """Each key of an action changes what an expression says, each time."""
        for key in self.each(action):
            for _ in range(times):
                moves(self.desk, key, what)

    def open(self, action: str) -> None:
        """Each key of an action opens its dialog, and Escape closes it."""
        for key in self.each(action):
            press(self.desk, key)
            self.desk.wait(f"document.getElementById('{action}').open")
            press(self.desk, "Escape")
            self.desk.wait(f"!document.getElementById('{action}').open")


def test_every_key_of_the_help_does_what_it_says(room: Room) -> None:
    desk = room.desk("op-1", "pump-keys")
    keys = Keyboard(desk)
    navigate(keys)
    desk.page.evaluate("timeline.show(timeline.whole)")
    change_marks(keys)
    undo_and_say(keys)
    assert keys.done == set(desk.page.evaluate("() => globalThis.keys.map((one) => one.action)"))


def navigate(keys: Keyboard) -> None:
    for action in ("near", "far", "near"):
        keys.move(action, HALF)
    for action in ("right", "left", "screenRight", "screenLeft", "last", "first"):
        keys.move(action, "String(timeline.view.from)")
    press(keys.desk, "-", "-", "-")
    keys.move("lower", "timeline.height")
    keys.move("taller", "timeline.height")
    keys.move("yMode", "timeline.yMode", 3)
    keys.move("overlay", "timeline.hand.apart", 2)
    keys.move("follow", "timeline.follow", 2)
    keys.move("panel", "document.getElementById('panel').hidden", 2)
    press(keys.desk, "Home")
    stays_in_sight(keys.desk)
    press(keys.desk, "f")
    keys.move("freeze", "timeline.follow")
    goes_back(keys.desk)
    keys.open("goto")
    keys.open("help")
    keys.open("take")
    # A dialog that was just closed has the focus until the next frame.
    event = "new KeyboardEvent('keydown', { key: 'o', bubbles: true })"
    keys.desk.page.evaluate(f"document.querySelector('#help form button').dispatchEvent({event})")
    assert value(keys.desk, "timeline.hand.apart")
    press(keys.desk, "o")


def goes_back(desk: Desk) -> None:
    """Back leads to the view that stood before, over those that one only passed through; marks stay as they are."""
    at = "String(timeline.view.from)"
    views = [f"{{ from: {START_NS + second * S}n, to: {START_NS + (second + 8) * S}n }}" for second in (4, 9, 15)]
    desk.wait("timeline.stand?.view.from === timeline.view.from && !timeline.stand.follow")
    before, steps = value(desk, at), value(desk, "history.length")
    for view, since in zip(views, ("-Infinity", "Infinity", "Infinity"), strict=True):  # however long that takes here
        desk.page.evaluate(f"() => {{ timeline.stand.ms = {since}; timeline.show({view}); }}")
        desk.wait("timeline.stand.view.from === timeline.view.from")
    assert value(desk, "history.length") == steps + 1
    last = value(desk, at)
    desk.page.go_back()
    desk.wait(f"{at} === '{before}'")
    desk.page.go_forward()
    desk.wait(f"{at} === '{last}'")


def stays_in_sight(desk: Desk) -> None:
    """What is marked lies where the cursor is seen: a panel beside it moves no instant, and the gutter has none."""
    lies, wide = f"Number(timeline.cursorTime() - {START_NS}n) / 1e9", value(desk, "timeline.plot")
    latest = value(desk, f"Number(timeline.view.to - {START_NS}n) / 1e9")
    cursor(desk, latest * 0.98)
    before = value(desk, lies)
    press(desk, "i")
    desk.wait(f"timeline.plot < {wide} - 300")
    assert abs(value(desk, lies) - before) < 0.05
    press(desk, "i")
    desk.wait(f"timeline.plot === {wide}")
    x, y = point(desk, before, "acc")
    desk.page.mouse.move(20, y)
    desk.wait("timeline.cursor < -20")
    assert value(desk, "timeline.cursorTime() === timeline.view.from")
    desk.page.mouse.move(x, y)


def change_marks(keys: Keyboard) -> None:
    desk = keys.desk
    chosen(desk, 5, 10)
    start, end = ((it - START_NS) / S for it in value(desk, RANGE))
    assert (round(start), round(end)) == (5, 10)
    keys.done |= {"start", "end"}
    press(desk, "2")
    desk.wait(SAVED.format(acts=1))
    own = "timeline.book.get(timeline.selected)"
    keys.press("showStart")
    keys.press("nudgeLeft")
    before = int(value(desk, f"String({own}.start)"))
    keys.press("nudgeRight")
    assert int(value(desk, f"String({own}.start)")) - before == S // 100  # a sample at 100 Hz
    keys.press("showEnd")
    assert value(desk, "timeline.edge") == "end"
    desk.wait(WAITING)
    cursor(desk, 7)
    keys.press("split")
    desk.wait(f"JSON.parse({STANDING}).length === 2")
    keys.press("next")
    desk.wait(f"Math.abs(Number({own}.start - {START_NS + 7 * S}n)) < 2e8")
    keys.press("previous")
    desk.wait(f"Math.abs(Number({own}.end - {START_NS + 7 * S}n)) < 2e8")
    keys.press("merge")
    desk.wait(f"JSON.parse({STANDING}).length === 1")
    desk.wait(WAITING)
    # of two acts that belong together the second is not done where the first is refused
    value(desk, "timeline.act([{kind: 'edit', mark: 'nobody', start: 1n}, {kind: 'retract', mark: timeline.selected}])")
    desk.wait("timeline.outbox.acts.slice(-2).every((act) => act.state === 'refused')")
    assert value(desk, f"JSON.parse({STANDING}).length") == 1


def undo_and_say(keys: Keyboard) -> None:
    desk = keys.desk
    for undo, redo in zip(keys.each("undo"), keys.each("redo"), strict=True):
        press(desk, undo)
        desk.wait(f"JSON.parse({STANDING}).length === 2")
        press(desk, redo)
        desk.wait(f"JSON.parse({STANDING}).length === 1")
    chosen(desk, 30, 32)
    keys.press("trim")
    desk.wait(f"JSON.parse({STANDING}).some((one) => one[0] === '')")
    keys.press("edit")
    assert value(desk, "document.activeElement.getAttribute('aria-label')") == "Start"
    desk.page.locator("#canvas").focus()
    press(desk, "i")
    keys.press("retract")
    desk.wait(f"!JSON.parse({STANDING}).some((one) => one[0] === '')")
    desk.wait("[...timeline.book.lanes().values()].some((lane) => lane.struck.length > 0)")
    press(desk, "Escape")
    for action in (
        "accept",
        "reject",
        "acceptAlike",
    ):  # nothing is here to review, which they say; see the review's test
        desk.page.evaluate("document.getElementById('said').textContent = ''")
        keys.press(action)
        assert "mark" in value(desk, "document.getElementById('said').textContent")
    cursor(desk, 10)
    keys.press("ruler")
    cursor(desk, 12)
    press(desk, "m")
    said = value(desk, "document.getElementById('said').textContent")
    assert said.startswith("Δt 2"), said
    assert "Hz" in said
    assert "Δy" in said
    press(desk, "m")
    assert value(desk, "timeline.hand.ruler === undefined")
    keys.move("states", "timeline.marking.stateMode", 2)
    chosen(desk, 1, 2)
    keys.move("cancel", RANGE)


def test_states_follow_one_another_without_a_gap_or_overlap(room: Room) -> None:
    desk = room.desk("op-1", "pump-states")
    press(desk, "s")
    for second, key in ((5, "1"), (12, "2"), (20, "3"), (25, "1"), (30, "1")):
        cursor(desk, second)
        press(desk, key)
    desk.wait(SAVED.format(acts=4))
    found = standing(desk)
    found.sort(key=lambda one: one[1])
    assert [label for label, _, _ in found] == ["idle", "run", "fault", "idle"]
    assert [end for _, _, end in found[:-1]] == [start for _, start, _ in found[1:]]
    cursor(desk, 33)
    press(desk, "2")
    cursor(desk, 35)
    press(desk, "s")  # the mode's end ends the state
    desk.wait(SAVED.format(acts=5))
    assert [(round(start), round(end)) for label, start, end in standing(desk) if label == "run"] == [
        (12, 20),
        (33, 35),
    ]
    first, end_ns = "timeline.book.all().find((mark) => mark.label === 'idle')", START_NS + 8 * S
    desk.page.evaluate(f"timeline.selected = {first}.id; timeline.show({{ from: {START_NS + 4 * S}n, to: {end_ns}n }})")
    desk.wait(f"timeline.ask.marked && timeline.ask.view.to < {end_ns + 4 * S}n")
    press(desk, "u")  # the next "idle" is known, what lies before it is not
    assert value(desk, "document.getElementById('said').textContent").startswith("What lies between the two marks")
    assert value(desk, "timeline.outbox.acts.length") == 5
    for key in ("Escape", "s", "2"):
        press(desk, key)
    desk.page.evaluate("() => { Storage.prototype.removeItem = () => {}; }")  # as where a browser dies
    desk.page.reload()
    desk.wait(SHOWN)
    assert value(desk, "timeline.marking.running.label") == "run"
    press(desk, "Escape")
    assert value(desk, "document.getElementById('said').textContent").endswith(" on is not marked")


def test_letters_are_given_away_and_switched_off_and_stay_so(room: Room) -> None:
    desk = room.desk("op-1", "pump-menu")
    page = desk.page
    press(desk, "?")
    assert value(desk, "document.activeElement.textContent") == "Close"  # what is typed now gives no key away
    field = page.get_by_label("Key: y-axis: robust, fixed, full")
    field.fill("q")
    field.press("Tab")
    page.get_by_label("Key: Channels overlaid or apart").fill("q")
    page.get_by_label("Key: Channels overlaid or apart").press("Tab")
    assert value(desk, "document.getElementById('keys-words').textContent") == "Q is taken: y-axis: robust, fixed, full"
    press(desk, "Escape")
    moves(desk, "q", "timeline.yMode")
    page.reload()
    desk.wait("timeline.open && timeline.painted > 0")
    moves(desk, "q", "timeline.yMode")
    press(desk, "y")
    assert value(desk, "timeline.yMode") == "fixed"
    press(desk, "?")
    page.get_by_label("Single letters are keys").uncheck()
    press(desk, "Escape")
    press(desk, "q", "o", "i")
    assert value(desk, "[timeline.yMode, timeline.hand.apart, document.getElementById('panel').hidden]") == [
        "fixed",
        False,
        True,
    ]
    moves(desk, "ArrowRight", "String(timeline.view.from)")


# Review, and what lanes show.


ALARMED: Final = """(name, kind) => {
    const row = timeline.rows.find((one) => one.name === name && one.kind === kind);
    const [red, green, blue] = [1, 3, 5].map((at) => parseInt(timeline.colours.alarm.slice(at, at + 2), 16));
    const { data } = timeline.pen.getImageData(0, row.top, timeline.canvas.width, row.height);
    let found = 0;
    const same = (i) => data[i] === red && data[i + 1] === green && data[i + 2] === blue;
    for (let i = 0; i < data.length; i += 4) found += same(i);
    return found;
}"""
"""Pixels of a row in the colour of alarm, as it was painted last."""


def test_rules_marks_are_accepted_rejected_and_accepted_alike_with_undo(room: Room) -> None:
    desk = room.desk("op-1", "pump-review")
    page = desk.page
    desk.wait("document.getElementById('queue').textContent === 'queue 4'")
    cursor(desk, 1)
    press(desk, "j")
    desk.wait("timeline.selected === 'pump-review-0'")
    press(desk, "a")
    desk.wait(SAVED.format(acts=1))
    first = "timeline.book.saved.get('pump-review-0')"
    desk.wait(f"{first}.author === 'op-1' && {first}.reviewedBy === 'op-1'")
    desk.wait("timeline.selected === 'pump-review-1' && document.getElementById('queue').textContent === 'queue 3'")
    press(desk, "r")
    desk.wait("!timeline.book.saved.get('pump-review-1').stands && timeline.selected === 'pump-review-2'")
    press(desk, "Shift+A")
    desk.wait("document.getElementById('queue').hidden")
    desk.wait("['2', '3'].every((one) => timeline.book.saved.get(`pump-review-${one}`).reviewedBy === 'op-1')")
    press(desk, "z")
    desk.wait("document.getElementById('queue').textContent === 'queue 2'")
    press(desk, "z", "z")
    desk.wait("document.getElementById('queue').textContent === 'queue 4'")
    desk.wait(WAITING)
    assert value(desk, "timeline.book.all().map((mark) => mark.tool)") == ["rule"] * 4
    assert page.locator("#queue").is_visible()
    page.locator("#queue").click()
    desk.wait("timeline.selected !== undefined")


def test_lanes_show_what_conflicts_and_hide_what_a_person_overruled(room: Room) -> None:
    one, other = room.desk("op-1", "pump-lanes"), room.desk("op-2", "pump-lanes")
    marked(one, "2", 5, 7)  # over a rule's: a person goes before it, which is no conflict
    other.wait("timeline.book.lanes().has('op-1')")
    assert value(one, "timeline.hand.merged.conflicts.length") == 0
    for row, kind in (("op-1", "lane"), ("merged", "merged")):
        assert value(one, f"({ALARMED})('{row}', '{kind}')") == 0
    pieces = value(one, "timeline.hand.merged.lane.marks.map((mark) => mark.label).slice(0, 3)")
    assert pieces == ["fault", "run", "fault"]
    press(one, "i")
    marked(other, "1", 6, 9)
    one.wait("document.getElementById('table-rows').textContent.split(' (conflict)').length === 3")
    press(one, "i")
    for desk in (one, other):
        desk.wait("timeline.hand.merged.conflicts.length === 1")
        for row, kind in (("op-1", "lane"), ("op-2", "lane"), ("merged", "merged")):
            desk.wait(f"({ALARMED})('{row}', '{kind}') > 50")
        assert value(desk, f"({ALARMED})('rules', 'lane')") == 0
    press(other, "Delete")
    one.wait("timeline.hand.merged.conflicts.length === 0 && timeline.book.lanes().get('op-2').struck.length === 1")


def test_more_marks_than_can_be_drawn_are_a_density(room: Room) -> None:
    desk = room.desk("op-1", "pump-many")
    desk.wait("timeline.hand.dense?.cells.length > 100")
    total = "timeline.hand.dense.cells.reduce((sum, cell) => sum + cell[2], 0)"
    assert value(desk, total) >= MANY
    assert value(desk, "[...timeline.hand.dense.labels].sort()") == sorted(LABELS)
    press(desk, "Home", "+", "+", "+")
    desk.wait("timeline.hand.dense === undefined && timeline.book.lanes().get('op-1').marks.length > 100")
    press(desk, "-", "-", "-")
    desk.wait("timeline.hand.dense !== undefined")


# Snap and edges.


def test_a_dragged_point_snaps_to_the_onset_and_with_alt_it_does_not(room: Room) -> None:
    desk = room.desk("op-1", "pump-snap")
    page = desk.page
    for free in (False, True):
        page.mouse.move(*point(desk, 10, "op-1"))
        page.mouse.down()
        if free:
            page.keyboard.down("Alt")
        page.mouse.move(*point(desk, 15, "op-1"))
        page.mouse.move(*point(desk, STEP_S + 0.5, "op-1"))
        snap = value(desk, "timeline.hand.snap?.kind ?? null")
        assert snap == (None if free else "onset")
        page.mouse.up()
        if free:
            page.keyboard.up("Alt")
        end = (value(desk, RANGE)[1] - START_NS) / S
        assert abs(end - (STEP_S + 0.5 if free else STEP_S)) < 0.05
        press(desk, "Escape")
    marked(desk, "1", 30, 32)
    press(desk, "Escape")
    page.mouse.move(*point(desk, 35, "op-1"))
    page.mouse.down()
    page.mouse.move(*point(desk, 34, "op-1"))
    page.mouse.move(*point(desk, 32.1, "op-1"))
    assert value(desk, "timeline.hand.snap.kind") == "edge"
    page.mouse.up()
    press(desk, "2")
    desk.wait(SAVED.format(acts=2))
    [(_, _, first), (_, second, _)] = standing(desk)
    assert first == second  # no gap, to the nanosecond


def grab(desk: Desk, row: str, start: float, end: float) -> None:
    """Drags with Alt held: nothing snaps."""
    desk.page.keyboard.down("Alt")
    desk.page.mouse.move(*point(desk, start, row))
    desk.page.mouse.down()
    desk.page.mouse.move(*point(desk, (start + end) / 2, row))
    desk.page.mouse.move(*point(desk, end, row))
    desk.page.mouse.up()
    desk.page.keyboard.up("Alt")


def test_edges_cross_pan_on_at_the_border_and_others_marks_are_copied(room: Room) -> None:
    desk = room.desk("op-1", "pump-edges")
    page = desk.page
    grab(desk, "op-1", 20, 35)  # the start beyond the end
    desk.wait(SAVED.format(acts=1))
    [times] = [one[1:] for one in standing(desk) if one[0] == "idle"]
    assert [round(it) for it in times] == [30, 35]
    press(desk, "z")
    desk.wait(SAVED.format(acts=2))

    grab(desk, "op-2", 14, 17)  # another's: it stays, and a copy has the change
    desk.wait(SAVED.format(acts=3))
    assert [(label, round(start), round(end)) for label, start, end in standing(desk) if label == "run"] == [
        ("run", 10, 14),
        ("run", 10, 17),
    ]
    assert value(desk, "timeline.book.get('others').author") == "op-2"
    press(desk, "z")
    desk.wait(SAVED.format(acts=4))

    page.evaluate(f"timeline.show({{ from: {START_NS + 22 * S}n, to: {START_NS + 26 * S}n }})")
    page.evaluate("timeline.selected = 'own'; timeline.changed()")
    press(desk, "Alt+]")  # the hidden edge of a clipped mark
    desk.wait(f"timeline.view.from < {START_NS + 30 * S}n && timeline.view.to > {START_NS + 30 * S}n")
    box = page.locator("#canvas").bounding_box()
    assert box is not None
    x, y = point(desk, 30, "op-1")
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x + 20, y)
    page.mouse.move(box["x"] + box["width"] - 2, y)
    desk.wait(f"timeline.chosen.end > {START_NS + 36 * S}n")  # the pointer rests, the view pans on
    press(desk, "Escape")
    page.mouse.up()
    assert value(desk, "timeline.chosen === undefined && timeline.outbox.acts.length") == 4

    boss = room.desk("boss", "pump-edges")
    grab(boss, "op-2", 14, 17)  # a reviewer moves it
    boss.wait(SAVED.format(acts=1))
    assert [(label, round(start), round(end)) for label, start, end in standing(boss) if label == "run"] == [
        ("run", 10, 17)
    ]
    guest = room.desk("guest", "pump-edges")
    for key in ("1", "s", "Delete", "a", "x", "z"):
        press(guest, key)
    chosen(guest, 1, 2)
    press(guest, "t")
    assert value(guest, "timeline.outbox.acts.length") == 0
    said = value(guest, "document.getElementById('log').innerText")
    assert said.count("guest looks here, and may not mark: an admin can change that") >= 3, said
    assert not guest.page.locator("#palette").is_visible()


# Fingers.


class Hand:
    """Fingers on a touch screen, through the browser's own input."""

    def __init__(self, desk: Desk) -> None:
        self.session: CDPSession = desk.context.new_cdp_session(desk.page)

    def say(self, kind: str, *points: tuple[float, float]) -> None:
        told = [{"x": x, "y": y, "id": i} for i, (x, y) in enumerate(points)]
        self.session.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": told})

    def stroke(self, *ways: Sequence[tuple[float, float]]) -> None:
        """Fingers down, along, and up."""
        first, *others = zip(*ways, strict=True)
        self.say("touchStart", *first)
        for points in others:
            self.say("touchMove", *points)
        self.say("touchEnd")

    def tap(self, at: tuple[float, float]) -> None:
        self.say("touchStart", at)
        self.say("touchEnd")


def line(start: tuple[float, float], end: tuple[float, float]) -> list[tuple[float, float]]:
    """A way of a finger, in ten steps."""
    return [(start[0] + (end[0] - start[0]) * i / 10, start[1] + (end[1] - start[1]) * i / 10) for i in range(11)]


def test_one_finger_pans_two_zoom_taps_and_holds_mark(room: Room) -> None:
    desk = room.desk("op-1", "pump-touch", has_touch=True, is_mobile=True, viewport={"width": 800, "height": 900})
    page, hand = desk.page, Hand(desk)
    page.evaluate("() => { globalThis.buzzes = 0; navigator.vibrate = () => { buzzes += 1; return true; }; }")
    before = int(value(desk, "String(timeline.view.from)"))
    hand.stroke(line(point(desk, 20, "acc"), point(desk, 10, "acc")))
    moved = (int(value(desk, "String(timeline.view.from)")) - before) / S
    assert abs(moved - 10) < 1
    spans = int(value(desk, HALF))
    x, y = point(desk, 30, "acc")
    hand.stroke(line((x - 50, y), (x - 100, y)), line((x + 50, y), (x + 100, y)))
    assert abs(int(value(desk, HALF)) / spans - 0.5) < 0.02
    assert abs(point(desk, 30, "acc")[0] - x) < 3  # what lies between the fingers stays there
    page.evaluate("timeline.show(timeline.whole)")

    hand.tap(point(desk, 10, "op-1"))
    desk.wait("timeline.chosen !== undefined && timeline.chosen.start === timeline.chosen.end")
    hand.tap(point(desk, 15, "op-1"))
    desk.wait("timeline.chosen.start < timeline.chosen.end")
    run = page.locator("#labels button").nth(1)
    run.tap()
    desk.wait(SAVED.format(acts=1))
    assert [(label, round(start), round(end)) for label, start, end in standing(desk) if label == "run"] == [
        ("run", 10, 15)
    ]

    hand.stroke(
        line((point(desk, 15, "op-1")[0] + 30, point(desk, 15, "op-1")[1]), point(desk, 18, "op-1"))
    )  # 30 px beside its end
    desk.wait(SAVED.format(acts=2))
    [(_, _, end)] = [one for one in standing(desk) if one[0] == "run"]
    assert end > 16

    page.evaluate("timeline.selected = undefined; timeline.hand.edgeNow = timeline.edgeNow; timeline.follow = true")
    page.evaluate(
        f"() => {{ globalThis.now = {START_NS + 25 * S}n; timeline.edgeNow = () => globalThis.now; buzzes = 0; }}"
    )
    box = page.locator("#labels button").nth(0).bounding_box()
    assert box is not None
    at = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    hand.say("touchStart", at)
    desk.wait("timeline.marking.held !== null")
    page.evaluate(f"() => {{ globalThis.now = {START_NS + 28 * S}n; timeline.marking.held.ms -= 1000; }}")
    hand.say("touchEnd")
    desk.wait(SAVED.format(acts=3))
    assert ("idle", 25, 28) in standing(desk)
    assert value(desk, "buzzes") == 2
    assert min(box["height"], page.locator("#undo").bounding_box()["height"]) >= 44  # type: ignore[index]

    page.evaluate("timeline.follow = false; timeline.show(timeline.whole)")
    at = point(desk, 6, "rules")
    hand.say("touchStart", at)
    page.locator("#menu [role=menuitem]").first.wait_for()
    hand.say("touchEnd")
    assert page.locator("#menu").is_visible()  # the finger's end does not close it
    assert value(desk, "timeline.selected") == "pump-touch-0"
    page.get_by_role("menuitem", name="Accept").first.tap()
    desk.wait("timeline.book.saved.get('pump-touch-0').author === 'op-1'")
    assert not page.locator("#menu").is_visible()


def test_the_menu_by_the_right_button_and_by_keys(room: Room) -> None:
    desk = room.desk("op-1", "pump-menu")
    page = desk.page
    page.mouse.click(*point(desk, 10, "op-1"), button="right")
    page.get_by_role("menuitem", name="Start edge here").click()
    page.mouse.click(*point(desk, 12, "op-1"), button="right")
    press(desk, "ArrowDown")
    assert value(desk, "document.activeElement.textContent").startswith("End edge here")
    press(desk, "Enter", "3")
    desk.wait(SAVED.format(acts=1))
    assert [(label, round(start), round(end)) for label, start, end in standing(desk)] == [("fault", 10, 12)]
    page.mouse.click(*point(desk, 11, "op-1"), button="right")
    press(desk, "ArrowUp", "Escape")
    assert not page.locator("#menu").is_visible()
    assert value(desk, "document.activeElement.id") == "canvas"
    page.mouse.click(*point(desk, 11, "op-1"), button="right")
    page.get_by_role("menuitem", name="Take the mark back").click()
    desk.wait(f"{STANDING} === '[]'")


NOT_YET: Final = """() => {
    const { link } = timeline, send = link.send;
    const held = [];
    link.send = (message) => (message.type === "marks" ? held.push(message) > 0 : send.call(link, message));
    globalThis.letGo = () => {
        link.send = send;
        for (const message of held) link.send(message);
    };
}"""
"""Holds back what asks for marks until `letGo()`: as on a slow line."""


def test_marks_that_have_not_come_yet_are_not_denied(room: Room) -> None:
    """Keys said that there was no mark, and the table counted none."""
    desk = room.desk("op-1", "pump-edges")
    press(desk, "i", "Escape")
    desk.wait("document.getElementById('table-count').textContent === '2 marks'")
    desk.page.evaluate(NOT_YET)
    desk.page.evaluate(f"timeline.show({{ from: {START_NS + 31 * S}n, to: {START_NS + 39 * S}n }})")
    desk.wait("timeline.ask.answered && !timeline.ask.marked")
    desk.wait("document.getElementById('table-count').textContent === '0 marks so far'")
    said = "document.getElementById('said').textContent"
    for key in ("Delete", "a", "r", "Shift+A", "u"):
        desk.page.evaluate(f"{said} = ''")
        press(desk, key)
        assert value(desk, said) == "The marks here are still on their way: once more in a moment", key
    desk.page.evaluate("letGo()")
    desk.wait("document.getElementById('table-count').textContent === '0 marks'")
    press(desk, "Delete")
    assert value(desk, said) == "No mark is selected: J and K go through them"


def test_the_next_mark_is_found_wherever_it_lies(room: Room) -> None:
    """J said "no later mark" of marks that the page did not have yet; two quick ones are two steps."""
    desk = room.desk("op-1", "pump-edges")
    began = datetime.fromtimestamp(START_NS / S, UTC)
    times = [(began + timedelta(seconds=second)).isoformat().replace("+00:00", "Z") for second in (34, 38)]
    desk.page.goto(f"{desk.served.url}/d/pump-edges?from={times[0]}&to={times[1]}")
    desk.wait(SHOWN)
    assert value(desk, "timeline.book.all().length") == 0
    press(desk, "k", "k")
    desk.wait("timeline.selected === 'others'")
    desk.wait("timeline.view.from <= timeline.book.get('others').start")
    press(desk, "j")
    desk.wait("timeline.selected === 'own'")
    press(desk, "j")
    desk.wait("document.getElementById('said').textContent === 'no later mark'")


# Two at once.


def test_two_people_at_one_mark_each_field_as_it_was_written_last(room: Room) -> None:
    one, other = room.desk("op-1", "pump-two"), room.desk("boss", "pump-two")
    one.page.keyboard.down("Alt")
    one.page.mouse.move(*point(one, 10, "op-1"))
    one.page.mouse.down()
    one.page.mouse.move(*point(one, 15, "op-1"))
    one.page.mouse.move(*point(one, 20, "op-1"))
    other.wait("timeline.rows.some((row) => row.name === 'op-1')")  # what is not marked yet ghosts in its owner's lane
    other.wait("timeline.people.some((person) => person.user === 'op-1' && person.pending)")
    one.page.mouse.up()
    one.page.keyboard.up("Alt")
    press(one, "2")
    one.wait(SAVED.format(acts=1))
    other.wait("timeline.book.all().length === 1")
    cursor(other, 1)
    press(other, "j")
    other.wait("timeline.selected !== undefined")
    cursor(one, 8)
    press(one, "[")
    cursor(other, 25)
    press(other, "]")
    for desk in (one, other):
        desk.wait(WAITING)
        desk.wait("timeline.book.all().length === 1 && timeline.book.all()[0].order >= 0")
    for desk in (one, other):
        desk.wait(f"Math.abs(Number(timeline.book.all()[0].end - {START_NS + 25 * S}n)) < 2e8")
        desk.wait(f"Math.abs(Number(timeline.book.all()[0].start - {START_NS + 8 * S}n)) < 2e8")
    one.wait("document.getElementById('log').textContent.includes('boss changed the end')")
    other.wait("document.getElementById('log').textContent.includes('op-1 changed the start')")
    assert one.page.locator("#said").is_visible()
    press(other, "z")  # each takes back what was their own
    for desk in (one, other):
        desk.wait(f"Math.abs(Number(timeline.book.all()[0].end - {START_NS + 20 * S}n)) < 2e8")
        desk.wait(f"Math.abs(Number(timeline.book.all()[0].start - {START_NS + 8 * S}n)) < 2e8")
    one.wait("document.getElementById('log').textContent.includes('boss undid')")


# The table.


def test_the_table_says_sorts_and_changes_what_the_lanes_show_by_keys_alone(room: Room) -> None:
    desk = room.desk("op-1", "pump-table")
    page: Page = desk.page
    press(desk, "i")
    desk.wait("document.getElementById('table-count').textContent === '700 marks'")
    assert page.locator("#table-rows tr").count() < 120  # of 700: those that are seen, and a few more
    assert value(desk, "document.getElementById('table').getAttribute('aria-rowcount')") == "701"
    page.locator("#table-rows button").first.focus()
    press(desk, "ArrowDown", "ArrowDown", "Enter")
    desk.wait("timeline.selected === 't0002'")
    press(desk, "End")
    desk.wait("document.activeElement.dataset.mark === 't0699'")
    assert value(desk, "document.activeElement.closest('tr').getAttribute('aria-rowindex')") == "701"
    press(desk, "Enter")
    desk.wait("timeline.selected === 't0699'")
    press(desk, "e")
    desk.wait("document.activeElement.getAttribute('aria-label') === 'Start'")
    page.keyboard.press("Tab")
    page.keyboard.press("Tab")
    page.get_by_label("Label", exact=True).select_option("fault")
    note = page.get_by_label("Note")
    note.fill("by hand")
    note.press("Enter")
    desk.wait(SAVED.format(acts=2))
    desk.wait(
        "timeline.book.saved.get('t0699').label === 'fault' && timeline.book.saved.get('t0699').reason === 'by hand'"
    )
    assert value(desk, "document.activeElement.dataset.mark") == "t0699"  # back at its row
    sort = page.locator("#table th button", has_text="Length")
    sort.focus()
    press(desk, "Enter")
    assert value(desk, "document.querySelector('#table th[aria-sort]').textContent") == "Length"
    page.locator("#table-rows button").first.focus()
    press(desk, "Delete")
    desk.wait("document.getElementById('table-count').textContent === '699 marks'")
    said = value(desk, "document.getElementById('said').textContent")
    assert "taken back" in said
