"""Marks in words."""

from __future__ import annotations

from ingest.records import MarkAdd
from ingest.units import format_time
from labeling.marks import ResolvedMark


def in_words(mark: MarkAdd | ResolvedMark) -> str:
    """One line: its id, device, label, range (the end exclusive; none for an instant), and who stands behind it."""
    end = "" if mark.end_ns == mark.start_ns else f" to {format_time(mark.end_ns)}"
    author = f" {mark.author}" if mark.author else ""
    return f'{mark.id} of {mark.device}: "{mark.label}" {format_time(mark.start_ns)}{end}, by {mark.tool}{author}'
