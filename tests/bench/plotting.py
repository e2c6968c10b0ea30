"""Lines in panels as an SVG file: enough for a benchmark's curves, without a library."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from xml.sax.saxutils import escape

import numpy as np
from numpy.typing import NDArray

WIDTH, HEIGHT, MARGIN = 300, 180, 36
POINTS: Final = 400
"""A line is thinned to so many points: the extremes of each of its pieces."""
COLOURS: Final = ("#1f77b4", "#2ca02c", "#9467bd", "#8c564b", "#ff7f0e", "#d62728")


@dataclass(frozen=True)
class Panel:
    """Lines by name: x and y, each `(points,)`. What lies outside of `bounds` is drawn at their edge."""

    title: str
    x_unit: str
    y_unit: str
    lines: Mapping[str, tuple[NDArray[np.float64], NDArray[np.float64]]]
    bounds: tuple[float, float]


def draw(path: Path, title: str, panels: Sequence[Panel], columns: int) -> None:
    """Write the panels, row by row."""
    rows = -(-len(panels) // columns)
    width, height = columns * WIDTH, rows * HEIGHT + 24
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" font-family="sans-serif" '
        f'font-size="10"><rect width="100%" height="100%" fill="white"/><text x="8" y="16" font-size="13">'
        f"{escape(title)}</text>"
    ]
    for number, panel in enumerate(panels):
        left, top = number % columns * WIDTH, number // columns * HEIGHT + 24
        parts.append(f'<g transform="translate({left},{top})">{_panel(panel)}</g>')
    path.write_text("\n".join([*parts, "</svg>\n"]))


def _panel(panel: Panel) -> str:
    inner_w, inner_h = WIDTH - MARGIN - 8, HEIGHT - MARGIN - 12
    low, high = panel.bounds
    right = max((float(x.max()) for x, _ in panel.lines.values() if len(x)), default=1.0)
    parts = [
        f'<text x="{MARGIN}" y="10">{escape(panel.title)}</text>',
        f'<rect x="{MARGIN}" y="14" width="{inner_w}" height="{inner_h}" fill="none" stroke="#999"/>',
        f'<text x="2" y="22">{high:g}</text><text x="2" y="{14 + inner_h}">{low:g} {escape(panel.y_unit)}</text>',
        f'<text x="{WIDTH - 48}" y="{26 + inner_h}">{right:.0f} {escape(panel.x_unit)}</text>',
    ]
    middle = 14 + inner_h / 2
    parts.append(f'<line x1="{MARGIN}" x2="{MARGIN + inner_w}" y1="{middle}" y2="{middle}" stroke="#ddd"/>')
    for number, (name, (x, y)) in enumerate(panel.lines.items()):
        colour = COLOURS[number % len(COLOURS)]
        px = MARGIN + x / right * inner_w
        py = 14 + (high - np.clip(y, low, high)) / (high - low) * inner_h
        points = " ".join(f"{a:.1f},{b:.1f}" for a, b in _thinned(px, py))
        parts.append(f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="0.8"/>')
        parts.append(f'<text x="{MARGIN + 4 + number * 40}" y="{HEIGHT - 8}" fill="{colour}">{escape(name)}</text>')
    return "".join(parts)


def _thinned(x: NDArray[np.float64], y: NDArray[np.float64]) -> list[tuple[float, float]]:
    """The least and the greatest of each piece, in their order."""
    found: list[tuple[float, float]] = []
    for piece in np.array_split(np.arange(len(x)), max(1, min(len(x), POINTS // 2))):
        if len(piece):
            ends = sorted({int(piece[np.argmin(y[piece])]), int(piece[np.argmax(y[piece])])})
            found += [(float(x[at]), float(y[at])) for at in ends]
    return found
