"""A state of the page in a layout: that nobody is shut out, that nothing sticks out, and its picture.

`SENSORLOOM_SCREENS=DIR` keeps a picture of each state, light and dark, on a desktop, a tablet and a phone.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Final

from tests.support.npm import node_modules
from tests.timeline.page.desk import Desk

SIZES: Final = {"desktop": (1280, 800), "tablet": (820, 1180), "phone": (390, 844), "narrow": (320, 640)}
FITS: Final = """() => [document.documentElement, document.getElementById("bar"), document.getElementById("palette")]
    .map((node) => node.scrollWidth - node.clientWidth)"""
TAGS: Final = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]


class Look:
    """A page in a layout: nobody is shut out, nothing sticks out; and its picture, where one asks for it."""

    def __init__(self, desk: Desk, size: str) -> None:
        self.page, self.size = desk.page, size
        self.folder = os.environ.get("SENSORLOOM_SCREENS")
        self.page.set_viewport_size({"width": SIZES[size][0], "height": SIZES[size][1]})

    def __call__(self, state: str) -> None:
        if not self.page.evaluate("'axe' in globalThis"):
            self.page.evaluate((node_modules() / "axe-core" / "axe.min.js").read_text())
        found: Any = self.page.evaluate("(tags) => axe.run({ runOnly: tags })", TAGS)
        told = [(one["id"], [node["html"] for node in one["nodes"]]) for one in found["violations"]]
        assert told == [], (state, self.size, told)
        assert self.page.evaluate(FITS) == [0, 0, 0], (state, self.size)
        for scheme in ("light", "dark") if self.folder else ():
            self.page.emulate_media(color_scheme=scheme)
            self.page.wait_for_timeout(300)
            self.page.screenshot(path=Path(self.folder or "") / f"{self.size}-{state}-{scheme}.png")
