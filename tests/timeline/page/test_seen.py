"""What the eye sees, in real Chromium: positions, states, gaps, unsure clocks, a range as a file; every layout."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
import pytest
from playwright.sync_api import Browser, Page

from tests.timeline.page.desk import CALM, Desk
from tests.timeline.page.look import FITS, SIZES, Look, shuts_nobody_out
from tests.timeline.page.tour import DEVICE, SPEED, tour
from tests.timeline.site import START_NS, S, Served

pytestmark = [pytest.mark.timeout(500), pytest.mark.xdist_group("seen")]
SPOKEN: Final = """
globalThis.written = new Set();
const fillText = CanvasRenderingContext2D.prototype.fillText;
CanvasRenderingContext2D.prototype.fillText = function (words, ...rest) {
    written.add(words);
    return fillText.call(this, words, ...rest);
};
"""
"""Keeps what a canvas says beside what it paints: `written`."""


@pytest.fixture(scope="module")
def van(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with Served(str(tour(tmp_path_factory.mktemp("seen") / "site")), "--as", "op-1") as running:
        yield running.open()


@pytest.fixture
def desk(browser: Browser, van: Served) -> Iterator[Desk]:
    context = browser.new_context(**CALM)
    context.add_init_script(SPOKEN)
    used = Desk(context, van)
    yield used
    context.close()
    assert used.wrong == []


def show(page: Page, start_s: float, end_s: float) -> None:
    """These seconds of the recording."""
    base = f"{START_NS}n + "
    page.evaluate(f"() => timeline.show({{ from: {base}{round(start_s * S)}n, to: {base}{round(end_s * S)}n }})")


def test_positions_are_a_track_and_a_speed(desk: Desk) -> None:
    page = desk.open(DEVICE)
    speeds: Any = page.evaluate(
        "() => Array.from(timeline.traces.get('gps').frames.flatMap((one) => [...one.channels[0].last]))"
    )
    assert np.nanmax(np.abs(np.asarray(speeds, float)[1:] - SPEED)) < 0.5
    assert page.evaluate("() => timeline.traces.get('gps').channels.map((one) => one.name + ' ' + one.unit)") == [
        "speed m/s"
    ]
    blank = page.evaluate("() => document.getElementById('track').toDataURL()")
    page.keyboard.press("i")
    desk.wait("document.getElementById('track-words').textContent.startsWith('gps: up to 12 m/s')")
    desk.wait("written.has('200 m')")
    assert page.evaluate("() => document.getElementById('track').toDataURL()") != blank
    assert "north up" in (page.get_attribute("#track", "aria-label") or "")


def test_states_gaps_and_what_was_before_are_told_in_words(desk: Desk) -> None:
    page = desk.open(DEVICE)
    for words in ("open", "closed"):
        desk.wait(f"written.has('{words}')")
    show(page, 40, 60)
    desk.wait("written.has('link_down')")
    desk.wait("timeline.traces.get('oil').frames.length === 0")
    desk.wait("timeline.traces.get('oil').before")
    last = "(({ last, base }) => String(Number((last[0] + base).toPrecision(4))))"
    desk.wait(f"written.has({last}(timeline.traces.get('oil').before.channels[0]))")
    show(page, 78, 102)
    desk.wait("[...written].some((words) => /^± [\\d.]+ ms$/.test(words))")
    desk.wait("timeline.traces.get('gate').before")


MEASURED: Final = """(() => {
    const trace = timeline.traces.get("pump"), row = timeline.rows.find((one) => one.name === "pump");
    const [low, high] = trace.extents[0];
    return [row.top, row.height, high - low];
})()"""
"""A row of a named state above a line, and how much the line's axis spans."""


def test_a_ruler_measures_on_the_axis_that_is_drawn_and_a_divider_makes_rows_as_tall_as_it_is_dragged(
    desk: Desk,
) -> None:
    desk.open(DEVICE)
    measures(desk)
    divides(desk)


def divides(desk: Desk) -> None:
    """All rows but those of states alone; beside them the wheel scrolls, and zooms nothing."""
    page = desk.page
    page.set_viewport_size({"width": 1280, "height": 900})
    height = "timeline.rows.filter((row) => row.name === 'gps').map((row) => row.height)[0]"
    bottom = "timeline.rows.filter((row) => row.name === 'gps').map((row) => row.top + row.height)[0]"
    desk.wait(f"{height} === 96")
    box = page.locator("#canvas").bounding_box()
    assert box is not None
    for steps, tall in ((128, 160), (-128, 96), (-64, 64)):  # of two rows, one above the other
        y = box["y"] + page.evaluate(f"() => {bottom}")
        page.mouse.move(box["x"] + 20, y)
        page.mouse.down()
        page.mouse.move(box["x"] + 20, y + steps / 2)
        page.mouse.move(box["x"] + 20, y + steps)
        page.mouse.up()
        desk.wait(f"{height} === {tall}")
    assert page.evaluate("() => timeline.canvas.className") == "divider"
    page.set_viewport_size({"width": 1280, "height": 400})
    desk.wait("timeline.top === 0")
    seen = page.evaluate("() => String(timeline.view.to - timeline.view.from)")
    page.mouse.wheel(0, 120)
    desk.wait("timeline.top > 0")
    assert page.evaluate("() => String(timeline.view.to - timeline.view.from)") == seen


def measures(desk: Desk) -> None:
    """Channels apart, and over one another, below a band of states, which has no height."""
    page = desk.page
    desk.wait("timeline.traces.get('pump')?.extents?.length === 1")
    top, height, span = page.evaluate(f"() => {MEASURED}")
    page.evaluate("(top) => { document.getElementById('plot').scrollTop = top; }", top)
    desk.wait("timeline.top > 0")
    box = page.locator("#canvas").bounding_box()
    assert box is not None
    for key in ("o", "o"):
        page.keyboard.press(key)
        page.mouse.move(box["x"] + 300, box["y"] + top + 30)
        page.keyboard.press("m")
        page.mouse.move(box["x"] + 500, box["y"] + top + 60)
        page.keyboard.press("m")
        measured = page.evaluate("() => timeline.hand.ruler")
        assert measured["to"]["unit"] == "l/s"
        assert measured["to"]["y"] - measured["from"]["y"] == pytest.approx(-30 / (height - 22) * span)
        page.keyboard.press("m")
    page.mouse.move(box["x"] + 300, box["y"] + top + 10)
    page.keyboard.press("m")
    desk.wait("timeline.hand.ruler.from.y === undefined")


def test_a_range_is_taken_as_a_file_with_the_line_that_reads_it(desk: Desk, tmp_path: Path) -> None:
    page = desk.open(DEVICE)
    page.keyboard.press("d")
    page.locator("#take-file[href]").wait_for()
    assert "pandas" in page.input_value("#take-python") or "polars" in page.input_value("#take-python")
    with page.expect_download() as told:
        page.click("#take-file")
    kept = tmp_path / told.value.suggested_filename
    told.value.save_as(kept)
    with kept.open() as lines:
        rows = list(csv.reader(line for line in lines if not line.startswith("#")))
    assert len(rows) > 11_400
    page.check("input[value='npz']")
    desk.wait("document.getElementById('take-python').value.includes('load')")
    page.keyboard.press("Escape")
    page.locator("#take").wait_for(state="hidden")


def test_the_overview_stays_as_wide_whatever_the_range_says(desk: Desk) -> None:
    """One whose width follows the words is painted anew, with all the rest, while one zooms."""
    page = desk.open(DEVICE)
    widths = []
    for start_s, end_s, words in ((0, 60, "(1 min)"), (10, 20, "(10 s)"), (-40_000, 60, "(11 h 7 min)")):
        show(page, start_s, end_s)
        desk.wait(f"document.getElementById('range').textContent.endsWith('{words}')")
        box = page.locator("#overview").bounding_box()
        assert box is not None
        widths.append(box["width"])
    assert len(set(widths)) == 1, widths


def test_a_screen_reader_is_not_told_what_moves_all_the_time(desk: Desk) -> None:
    """What is in an `output` is read aloud whenever it changes, unless it says otherwise (WAI-ARIA 1.2, status)."""
    page = desk.open(DEVICE)
    page.evaluate("""() => {
        globalThis.aloud = new Set();
        const told = (changes) => changes.forEach(({ target }) => {
            const region = (target.parentElement ?? target).closest("output, [aria-live], [role=status]");
            if (region && region.getAttribute("aria-live") !== "off") aloud.add(region.id);
        });
        new MutationObserver(told).observe(document.body, { subtree: true, childList: true, characterData: true });
    }""")
    before = page.evaluate("() => ['clock', 'range'].map((id) => document.getElementById(id).textContent)")
    page.mouse.move(500, 300)
    page.mouse.move(520, 300)
    page.evaluate("timeline.show({ from: timeline.view.from, to: timeline.view.to - 3000000000n })")
    changed = (
        "!same.includes(document.getElementById('clock').textContent + document.getElementById('range').textContent)"
    )
    desk.wait(changed.replace("same", str([before[0] + before[1]])))
    assert page.evaluate("() => [...aloud]") == []


BRIGHT: Final = """(() => {
    const { small, smallPen } = timeline;
    const { data } = smallPen.getImageData(100, 4, small.width - 110, small.height - 24);
    return data.filter((part, i) => i % 4 === 0 && part > 200).length / (data.length / 4);
})()"""
"""The share of the overview that is bright."""
SCHEMES: Final[tuple[Literal["light", "dark"], ...]] = ("light", "dark")
SWATCHES: Final = "[...document.querySelectorAll('#labels canvas')]"


def test_forced_colours_are_the_systems_and_hide_nothing(desk: Desk) -> None:
    """In the dark: off the screen a canvas takes system colours for light ones; a box that is not clear hides all."""
    page = desk.open(DEVICE)
    page.emulate_media(forced_colors="active", color_scheme="dark")
    desk.wait("Object.values(timeline.colours).every((colour) => !colour.startsWith('#'))")
    desk.wait(f"timeline.overview && {BRIGHT} > 0.005 && {BRIGHT} < 0.5")
    for scheme in SCHEMES:
        page.emulate_media(forced_colors="active", color_scheme=scheme)
        shuts_nobody_out(page, "forced colours", scheme)
        swatches: list[str] = page.evaluate(f"() => {SWATCHES}.map((canvas) => canvas.toDataURL())")
        assert len(set(swatches)) == len(swatches) > 1
    page.emulate_media(forced_colors="none")
    desk.wait(f"{SWATCHES}.every((canvas) => canvas.hidden)")


def test_what_is_printed_is_light(desk: Desk) -> None:
    page = desk.open(DEVICE)
    page.emulate_media(color_scheme="dark")
    desk.wait("timeline.colours.ground === '#15181C'")
    page.emulate_media(color_scheme="dark", media="print")
    desk.wait("timeline.colours.ground === '#FCFCFA'")
    assert page.locator("#palette").is_hidden()


@pytest.mark.parametrize("width", [1024, 1100, 1280])
def test_bars_take_one_row_each_whatever_is_long(desk: Desk, width: int) -> None:
    """A device's name, a silence that has a date, six labels, and what undo would do."""
    page = desk.open(DEVICE)
    page.set_viewport_size({"width": width, "height": 480})
    page.evaluate("() => { document.getElementById('device').options[0].text = 'press-station-17-'.repeat(4); }")
    desk.label("idle", "run", "fault", "cleaning", "maintenance", "warm-up")
    page.evaluate("() => { document.getElementById('undo-words').textContent = 'Undo: maintenance '.repeat(4); }")
    assert page.evaluate(FITS) == [0, 0, 0]
    heights = "() => ['bar', 'palette'].map((id) => document.getElementById(id).offsetHeight)"
    assert page.evaluate(heights) == [48, 52]


@pytest.mark.parametrize("size", SIZES)
def test_each_layout_fits_and_shuts_nobody_out(desk: Desk, size: str) -> None:
    look = Look(desk, size)
    page = desk.open(DEVICE)
    page.evaluate("() => { document.getElementById('device').options[0].text = 'press-station-17-'.repeat(4); }")
    look("timeline")
    rows: Any = page.evaluate(
        "() => timeline.rows.filter((row) => row.kind === 'stream').map((row) => [row.name, row.height])"
    )
    assert dict(rows)["gate"] < dict(rows)["acc"] if size in ("desktop", "tablet") else len(rows) == 1
    if size != "desktop":
        heights: Any = page.evaluate("() => [...document.querySelectorAll('.label')].map((node) => node.offsetHeight)")
        assert min(heights) >= (64 if size == "tablet" else 56)
    if size in ("phone", "narrow"):
        page.select_option("#stream", "gps")
        desk.wait("timeline.rows[0].name === 'gps'")
    page.click("#panel-button")
    page.evaluate("() => { timeline.selected = 'm-0'; timeline.changed(); }")
    look("panel")
    if size == "desktop":
        table = "document.getElementById('table-scroll')"
        assert page.evaluate(f"{table}.scrollWidth === {table}.clientWidth")  # all of its columns are seen
    page.click("#panel-button")
    page.keyboard.press("?")
    look("help")
    page.keyboard.press("Escape")
    page.keyboard.press("d")
    page.locator("#take-file[href]").wait_for()
    look("take")
    page.goto(f"{desk.served.url}/")
    page.locator("#gallery-rows tr").first.wait_for()
    look("gallery")
