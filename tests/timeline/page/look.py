"""A state of the page in a layout: that nobody is shut out, that nothing sticks out, and its picture.

`SENSORLOOM_SCREENS=DIR` keeps a picture of each state, light and dark, on a desktop, a tablet and a phone.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Final

from playwright.sync_api import Page

from tests.support.npm import node_modules
from tests.timeline.page.desk import Desk

SIZES: Final = {"desktop": (1280, 800), "tablet": (820, 1180), "phone": (390, 844), "narrow": (320, 640)}
FITS: Final = """() => [document.documentElement, document.getElementById("bar"), document.getElementById("palette")]
    .map((node) => node.scrollWidth - node.clientWidth)"""
AXE: Final = """(tags) => axe.run({ runOnly: tags, resultTypes: ["violations"] }).then((found) => ({
    passed: found.passes.length,
    told: found.violations.map((one) => [one.id, one.nodes.map((node) => node.html)]),
}))"""
"""What is wrong, in words; all that is right, node by node, is megabytes on the way to Python."""
TAGS: Final = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]


def shuts_nobody_out(page: Page, *where: str) -> None:
    """No violation of WCAG 2.2 AA that axe can see."""
    if not page.evaluate("'axe' in globalThis"):
        page.evaluate((node_modules() / "axe-core" / "axe.min.js").read_text())
    found: Any = page.evaluate(AXE, TAGS)
    assert found["passed"] > 5, (where, "axe found next to nothing to look at")
    assert found["told"] == [], (where, found["told"])


class Look:
    """A page in a layout: nobody is shut out, nothing sticks out; and its picture, where one asks for it."""

    def __init__(self, desk: Desk, size: str) -> None:
        self.page, self.size = desk.page, size
        self.folder = os.environ.get("SENSORLOOM_SCREENS")
        self.page.set_viewport_size({"width": SIZES[size][0], "height": SIZES[size][1]})

    def __call__(self, state: str) -> None:
        shuts_nobody_out(self.page, state, self.size)
        assert self.page.evaluate(FITS) == [0, 0, 0], (state, self.size)
        for scheme in ("light", "dark") if self.folder else ():
            self.page.emulate_media(color_scheme=scheme)
            self.page.wait_for_timeout(300)
            self.page.screenshot(path=Path(self.folder or "") / f"{self.size}-{state}-{scheme}.png")
