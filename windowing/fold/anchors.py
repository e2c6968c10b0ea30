"""Where windows start: grids and cursors for the anchors epoch, recording and mark."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import NamedTuple

import msgspec

from windowing.fold.grid import Grid
from windowing.spec import Anchor, StreamPlan, WindowSpec


class AnchorMark(NamedTuple):
    """A resolved mark that windows are anchored to: `[start_ns, end_ns)` on a device."""

    id: str
    device: str
    start_ns: int
    end_ns: int


@dataclass(frozen=True, slots=True)
class Layout:
    """What a specification comes to, worked out once."""

    spec_id: str
    anchor: Anchor
    length: int
    hop: int
    channels: int
    period: tuple[int, int]
    tolerance_ns: int
    min_steps: int
    plans: tuple[StreamPlan, ...]
    bridges: bool
    """Empty cells are bridged as missing rows are."""

    @classmethod
    def of(cls, spec: WindowSpec) -> Layout:
        """The layout of a specification."""
        return cls(
            spec.id,
            spec.anchor,
            spec.length,
            spec.hop,
            len(spec.channels),
            spec.period,
            spec.tolerance_ns,
            spec.min_steps,
            spec.streams,
            spec.semantics > 1,
        )


@dataclass(slots=True)
class Cursor:
    """The windows of one anchor in one recording, from `next_k` on: window `k` begins at instant `k * hop`."""

    anchor: str
    """The anchor's id: "epoch", "recording", or the mark's."""
    grid: Grid
    prefix: str
    """What the ids of its windows begin with."""
    next_k: int | None = None
    """None: not known before the first window is cut."""
    stop_k: int | None = None
    """Windows from here on do not lie wholly within the mark; None: no such end."""


def new_cursor(layout: Layout, device: str, recording: str, anchor: str, origin_ns: int) -> Cursor:
    """A cursor whose instant 0 is `origin_ns`; its id prefix is a hash of all that names its windows but `k`."""
    content = msgspec.json.encode([device, recording, layout.spec_id, anchor])
    prefix = hashlib.sha256(content).hexdigest()[:16]
    first = None if anchor == "epoch" and layout.anchor == "epoch" else 0
    return Cursor(anchor, Grid(origin_ns, *layout.period), prefix, first)


def mark_cursor(layout: Layout, device: str, recording: str, mark: AnchorMark, origin_ns: int) -> Cursor | None:
    """The cursor of a mark whose first reference sample is `origin_ns`; None where no window fits within."""
    cursor = new_cursor(layout, device, recording, mark.id, origin_ns)
    steps = cursor.grid.at_or_before(mark.end_ns)
    if steps < layout.length:
        return None
    cursor.stop_k = (steps - layout.length) // layout.hop + 1
    return cursor
