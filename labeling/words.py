"""Marks in words."""

from __future__ import annotations

from ingest.records import MarkAdd
from ingest.units import format_time
from labeling.marks import TRIM, ResolvedMark


def in_words(mark: MarkAdd | ResolvedMark) -> str:
    """One line: its id, device, label, range (the end exclusive; none for an instant), and who stands behind it."""
    end = "" if mark.end_ns == mark.start_ns else f" to {format_time(mark.end_ns)}"
    author = f" {mark.author}" if mark.author else ""
    what = TRIM if mark.trim else f'"{mark.label}"'
    return f"{mark.id} of {mark.device}: {what} {format_time(mark.start_ns)}{end}, by {mark.tool}{author}"
