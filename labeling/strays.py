"""Marks that label nothing: of a device that has no data, or at times at which it has none. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final, Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

from ingest.records import MarkAdd
from ingest.settings import meant
from ingest.units import format_time
from labeling.marks import ResolvedMark

EXAMPLES_MAX: Final = 3
Times = NDArray[np.int64]
Spans = Mapping[str, tuple[Times, Times]]
"""Begins and ends of what there is of each device (windows, or all of its samples): `(n,)` int64 each, ns UTC."""


class Stray(msgspec.Struct, frozen=True):
    """The marks of one device that touch nothing."""

    device: str
    marks: int
    reason: Literal["device", "time"]
    """There is nothing of the device at all, or nothing at these times."""
    text: str
    """For people: examples, what there is instead, and the name that was probably meant."""


def strays(marks: Iterable[MarkAdd | ResolvedMark], spans: Spans, what: str = "windows") -> list[Stray]:
    """The marks that touch nothing in `spans`, by device; `what` says in words what a device has there."""
    by_device: dict[str, list[MarkAdd | ResolvedMark]] = {}
    for mark in marks:
        by_device.setdefault(mark.device, []).append(mark)
    found = []
    for device, group in sorted(by_device.items()):
        if device not in spans or not len(spans[device][0]):
            near = meant(device, (name for name, (starts, _) in spans.items() if len(starts)))
            hint = f'; did you mean "{near}"?' if near else ""
            text = f'"{device}": {_counted(group)}, but no {what} of such a device{hint}'
            found.append(Stray(device, len(group), "device", text))
            continue
        starts, ends = spans[device]
        astray = [mark for mark, it in zip(group, ~_touching(group, starts, ends), strict=True) if it]
        if astray:
            shown = ", ".join(_shown(mark) for mark in astray[:EXAMPLES_MAX])
            reach = f"{format_time(int(starts.min()))} to {format_time(int(ends.max()))}"
            text = f'"{device}": {_counted(astray)} where it has no {what}, as {shown}; its {what} go from {reach}'
            found.append(Stray(device, len(astray), "time", text))
    return found


def _touching(marks: Sequence[MarkAdd | ResolvedMark], starts: Times, ends: Times) -> NDArray[np.bool_]:
    """Which marks share an instant with one of the spans."""
    order = np.argsort(starts, kind="stable")
    starts, reach = starts[order], np.maximum.accumulate(ends[order])
    begins = np.array([mark.start_ns for mark in marks], np.int64)
    stops = np.array([max(mark.end_ns, mark.start_ns + 1) for mark in marks], np.int64)
    before = np.searchsorted(starts, stops, side="left")
    return np.asarray((before > 0) & (reach[np.maximum(before - 1, 0)] > begins))


def _counted(marks: Sequence[MarkAdd | ResolvedMark]) -> str:
    return f"{len(marks):,} mark{'s' if len(marks) > 1 else ''}"


def _shown(mark: MarkAdd | ResolvedMark) -> str:
    start = format_time(mark.start_ns)
    return f"{mark.label} at {start}" if mark.end_ns == mark.start_ns else f"{mark.label} from {start}"


def near_labels(new: Iterable[str], known: Iterable[str]) -> list[tuple[str, str]]:
    """Labels that are not known, each with the known one that it is probably a slip of; other digits are no slip."""
    names = set(known)
    pairs = [(label, meant(label, names)) for label in sorted(set(new) - names)]
    return [(label, near) for label, near in pairs if near and _without_digits(near) != _without_digits(label)]


def _without_digits(text: str) -> str:
    """The text if it has digits, else something that equals no other: `run1` and `run2` are two labels."""
    plain = "".join(character for character in text if not character.isdigit())
    return plain if plain != text else f"{text} as it is"
