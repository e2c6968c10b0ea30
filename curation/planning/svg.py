"""Plots as inline SVG: their colours are the page's CSS variables, so that one page is light and dark. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

import numpy as np
from numpy.typing import NDArray

HUES = 8
"""So many colours the page has for things of one kind."""


def bars(rows: Sequence[tuple[str, float, float | None, str, int]], width: int = 480) -> str:
    """Horizontal bars: name, value, a tick (None: none), what stands behind, hue."""
    left, right, pitch = 150, 132, 24
    most = max([value for _, value, _, _, _ in rows] + [tick or 0 for _, _, tick, _, _ in rows] + [1e-12])
    scale = (width - left - right) / most
    found = []
    for number, (name, value, tick, told, hue) in enumerate(rows):
        y = number * pitch
        found.append(_text(left - 10, y + 16, name, "end"))
        found.append(
            f'<rect class="track" x="{left}" y="{y + 5}" width="{width - left - right}" height="16" rx="3"/>'
            f'<rect class="h{hue % HUES}" x="{left}" y="{y + 5}" width="{max(value * scale, 1):.1f}" height="16" '
            'rx="3"/>'
        )
        if tick is not None:
            found.append(f'<rect class="tick" x="{left + tick * scale - 1:.1f}" y="{y + 1}" width="2" height="24"/>')
        found.append(_text(width - right + 10, y + 16, told, "start", "soft"))
    return _svg(width, len(rows) * pitch + 4, found)


def heat(rows: Sequence[str], columns: Sequence[str], counts: NDArray[np.int64], width: int = 480) -> str:
    """A table of counts as shades: each row's share."""
    left, top, pitch = 150, 24, 22
    cell = (width - left) / max(len(columns), 1)
    found = []
    every = max(1, -(-len(columns) * 38 // (width - left)))
    for column, name in enumerate(columns):
        if column % every == 0:
            found.append(_text(left + (column + 0.5) * cell, 16, name, "middle", "soft", max(int(cell * every / 7), 3)))
    for row, name in enumerate(rows):
        total, y = max(int(counts[row].sum()), 1), top + row * pitch
        found.append(_text(left - 10, y + 15, name, "end"))
        for column in range(len(columns)):
            count = int(counts[row, column])
            shade = (count / total) ** 0.5
            title = f"<title>{escape(name)}, {escape(columns[column])}: {count:,}</title>"
            found.append(
                f'<rect class="{"heat" if count else "track"}" x="{left + column * cell + 1:.1f}" y="{y}" '
                f'width="{max(cell - 2, 1):.1f}" height="{pitch - 3}" rx="2"'
                + (f' style="opacity:{0.15 + 0.85 * shade:.2f}"' if count else "")
                + f">{title}</rect>"
            )
    return _svg(width, top + len(rows) * pitch + 2, found)


def strips(rows: Sequence[tuple[str, NDArray[np.float64]]], ends: tuple[str, str], width: int = 480) -> str:
    """A strip a row: how much of each stretch of time there is, 0 to 1."""
    left, pitch = 150, 22
    found = []
    for number, (name, shares) in enumerate(rows):
        y, cell = number * pitch, (width - left) / max(len(shares), 1)
        found.append(_text(left - 10, y + 15, name, "end"))
        found.append(f'<rect class="track" x="{left}" y="{y + 4}" width="{width - left}" height="14" rx="2"/>')
        found += [
            f'<rect class="heat" x="{left + place * cell:.1f}" y="{y + 4}" width="{cell + 0.3:.1f}" height="14" '
            f'style="opacity:{0.25 + 0.75 * min(shares[place], 1):.2f}"/>'
            for place in np.flatnonzero(shares > 0).tolist()
        ]
    y = len(rows) * pitch + 14
    found += [_text(left, y, ends[0], "start", "soft", 20), _text(width, y, ends[1], "end", "soft", 20)]
    return _svg(width, y + 6, found)


def window(
    signal: NDArray[np.float32], caption: str, groups: Sequence[int], width: int = 300, height: int = 110
) -> str:
    """A window's channels over its steps; channels of one group (a stream) share a scale, and a band of the picture."""
    bands = sorted(set(groups))
    tall = (height - 22) / max(len(bands), 1)
    found = [f'<rect class="plot" x="0" y="0" width="{width}" height="{height - 20}" rx="4"/>']
    for place, band in enumerate(bands):
        mine = [channel for channel, of in enumerate(groups) if of == band]
        values = signal[:, mine].astype(np.float64)
        there = values[np.isfinite(values)]
        low, high = (float(there.min()), float(there.max())) if len(there) else (0.0, 1.0)
        span = high - low or 1.0
        for number, channel in enumerate(mine):
            points = (tall - 6) * (1 - (signal[:, channel].astype(np.float64) - low) / span) + place * tall + 4
            found.append(f'<path class="l{number % HUES}" d="{_path(points, width)}"/>')
    found.append(_text(2, height - 5, caption, "start", "soft", 46))
    return _svg(width, height, found)


def _path(points: NDArray[np.float64], width: int) -> str:
    pieces, pen = [], "M"
    for step, y in enumerate(points.tolist()):
        if not np.isfinite(y):
            pen = "M"
            continue
        pieces.append(f"{pen}{4 + step * (width - 8) / max(len(points) - 1, 1):.1f} {y:.1f}")
        pen = "L"
    return "".join(pieces)


def _text(x: float, y: float, text: str, anchor: str, kind: str = "", most: int = 18) -> str:
    shown = shortened(text, most)
    named = f' class="{kind}"' if kind else ""
    title = f"<title>{escape(text)}</title>" if shown != text else ""
    return f'<text{named} x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(shown)}{title}</text>'


def shortened(text: str, most: int) -> str:
    """A text within so many letters of usual width, cut in its middle: what tells names apart mostly ends them."""
    if _breadth(text) <= most:
        return text
    head = tail = ""
    for place in range(len(text) // 2):
        for more_head, more_tail in ((head, text[-1 - place] + tail), (text[: place + 1], text[-1 - place] + tail)):
            if _breadth(f"{more_head}…{more_tail}") > most:
                return f"{head}…{tail}"
            head, tail = more_head, more_tail
    return f"{head}…{tail}"


def _breadth(text: str) -> float:
    """A capital is a fourth wider than other letters."""
    return len(text) + sum(letter.isupper() for letter in text) / 4


def _svg(width: int, height: float, parts: Sequence[str]) -> str:
    return f'<svg viewBox="0 0 {width} {height:.0f}" width="{width}" role="img">{"".join(parts)}</svg>'
