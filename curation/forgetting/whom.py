"""Whom somebody means: a device, a recording of it, or all recordings with an attribute."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import polars as pl

from ingest.errors import UsageError
from ingest.forgetting import Forgotten, Span
from ingest.settings import suggest
from windowing.dataset.contents import Contents
from windowing.dataset.heard import read_dropped


@dataclass(frozen=True, slots=True)
class Whom:
    """Who is to be forgotten."""

    forgotten: Forgotten
    names: tuple[str, ...]
    """What no file may name afterwards."""
    groups: tuple[str, ...] = ()
    """Groups of splits of which nothing is left."""

    @property
    def devices(self) -> tuple[str, ...]:
        """The devices that are forgotten whole."""
        return tuple(name for name, some in self.forgotten.recordings.items() if some is None)

    @property
    def recordings(self) -> tuple[tuple[str, str], ...]:
        """The recordings, by device, of those that are not."""
        found = self.forgotten.recordings.items()
        return tuple((device, name) for device, some in found if some is not None for name in sorted(some))


def whom_of(contents: Contents, asked: str) -> Whom:
    """Who is meant by `pump-7`, `pump-7/R1` or `subject=u07` in a dataset.

    A device that it does not know is believed: another place may have it.

    Raises:
        UsageError: no recording has such an attribute.
    """
    if "=" in asked:
        return _with_attribute(contents, *asked.split("=", 1))
    known = set(contents.index["device"].unique())
    device, slash, recording = asked.partition("/")
    if slash and asked not in known:
        return Whom(Forgotten({device: frozenset((recording,))}, _spans(contents, {device: {recording}})), ())
    return Whom(Forgotten({asked: None}), (asked,))


def _with_attribute(contents: Contents, name: str, value: str) -> Whom:
    attributes = contents.recordings.columns[2:]
    if name not in attributes:
        raise UsageError(f'forget: no recording has the attribute "{name}"{suggest(name, attributes)}')
    rows = contents.recordings.filter(pl.col(name) == value).select("device", "recording")
    if not len(rows):
        values = [str(each) for each in contents.recordings[name].drop_nulls().unique()]
        raise UsageError(f'forget: no recording has {name} "{value}"{suggest(value, values)}')
    some: dict[str, set[str]] = {}
    for device, recording in rows.iter_rows():
        some.setdefault(device, set()).add(recording)
    wanted = {device: frozenset(few) for device, few in some.items()}
    return Whom(Forgotten(wanted, _spans(contents, some)), (value,))


def _spans(contents: Contents, some: Mapping[str, set[str]]) -> dict[str, list[Span]]:
    """When the recordings were, as far as windows, or those that could not be had, tell."""
    columns = ("device", "recording", "t0_ns", "t1_ns")
    dropped = pl.concat([read_dropped(each.windows).select(columns) for each in contents.parts])
    times = pl.concat([contents.index.select(columns).cast({"device": pl.String, "recording": pl.String}), dropped])
    spans = times.group_by("device", "recording").agg(pl.col("t0_ns").min(), pl.col("t1_ns").max())
    found: dict[str, list[Span]] = {}
    for device, recording, start, end in spans.iter_rows():
        if recording in some.get(device, ()):
            found.setdefault(device, []).append((start, end))
    return found
