"""A dataset's windows flagged by rules. Flags are looked up and selected by; no window goes by itself."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from curation.cleaning.clocks import unsure_windows
from ingest.errors import UsageError
from ingest.settings import suggest
from preparing.cleaning import OF_VALUES, RULES, Bounds, Usual, flagged_steps, usual_of
from windowing.dataset.reader import Dataset

_TOGETHER: Final = 4096
_SCHEMA: Final = {
    "place": pl.Int64,
    "window": pl.String,
    "device": pl.String,
    "recording": pl.String,
    "t0_ns": pl.Int64,
    "rule": pl.String,
    "channel": pl.String,
    "steps": pl.Int32,
}


@dataclass(frozen=True, eq=False)
class Flags:
    """What the rules found in the windows of `dataset`; `flags_of` makes it."""

    dataset: Dataset
    table: pl.DataFrame
    """A row a window, rule and channel: place in `dataset.windows()`, window (its id), device, recording, t0_ns, rule,
    channel ("" where the whole window is meant), steps (how many break the rule)."""
    bounds: Bounds
    usual: Usual
    """What is usual in each channel of these windows: what `outlier`, `clipped` and `spike` compare with."""
    skipped: Mapping[str, str]
    """The rules that could not be asked, and why."""

    def windows_by_rule(self) -> dict[str, int]:
        """How many windows each rule flags; 0 for those that found nothing."""
        found = dict(self.table.group_by("rule").agg(pl.col("place").n_unique()).iter_rows())
        return {rule: found.get(rule, 0) for rule in RULES if rule not in self.skipped}

    def places(self, *rules: str) -> NDArray[np.int64]:
        """The places of the windows that one of these rules flags, of any where none is named. Raises `UsageError`."""
        for rule in rules:
            if rule not in RULES:
                raise UsageError(f'flags: found "{rule}"{suggest(rule, RULES)}')
            if rule in self.skipped:
                raise UsageError(f"flags: {rule} was not asked: {self.skipped[rule]}")
        table = self.table.filter(pl.col("rule").is_in(rules)) if rules else self.table
        return table["place"].unique().sort().to_numpy()

    def flagged(self, *rules: str) -> Dataset:
        """A handle on the windows that one of these rules flags."""
        return self.dataset.select(self.places(*rules))

    def clean(self, *rules: str) -> Dataset:
        """A handle on the windows that none of these rules flags; `len(flags.flagged(...))` are not in it."""
        kept = np.ones(len(self.dataset), np.bool_)
        kept[self.places(*rules)] = False
        return self.dataset.select(kept)


def flags_of(
    dataset: Dataset,
    bounds: Bounds | None = None,
    *,
    max_clock: int | None = None,
    source: str | Path | None = None,
) -> Flags:
    """Ask every rule of every window, labelled or not, in two passes over the signals.

    Args:
        dataset: whose windows.
        bounds: from when on the rules speak.
        max_clock: the largest uncertainty of a sample's time in ns that is sure enough; None asks nothing of clocks.
        source: where the samples' clocks are read, as in `Dataset.samples`.

    Raises:
        UsageError: a range is of no channel, or `source` is no log of this dataset.
        CorruptError: a window is damaged.
    """
    asked = bounds or Bounds()
    usual = usual_of((signals for _, signals in _batches(dataset)), len(dataset.channels))
    parts = [_duplicates(dataset)]
    for places, signals in _batches(dataset):
        found = flagged_steps(signals, dataset.channels, usual, asked, dataset.states)
        parts += [_rows(rule, dataset.channels, places, found[rule]) for rule in OF_VALUES]
    skipped = {}
    if max_clock is None:
        skipped["clock_unsure"] = "no largest uncertainty was given"
    else:
        parts.append(_clocks(dataset, max_clock, source))
    table = pl.concat(parts)
    about = dataset.columns(("window", "device", "recording", "t0_ns"))[table["place"].to_numpy()]
    table = pl.concat([table, about], how="horizontal").select(*_SCHEMA).sort("place", "rule", "channel")
    return Flags(dataset, table, asked, usual, skipped)


def _batches(dataset: Dataset) -> Iterator[tuple[NDArray[np.int64], NDArray[np.float32]]]:
    for begin in range(0, len(dataset), _TOGETHER):
        places = np.arange(begin, min(begin + _TOGETHER, len(dataset)))
        yield places, dataset.signals(places)


def _rows(rule: str, channels: Iterable[str], places: NDArray[np.int64], steps: NDArray[Any]) -> pl.DataFrame:
    """The rows of `(windows, channels)` counts that are not 0."""
    names = np.array([*channels], dtype=object)
    window, channel = np.nonzero(steps)
    return pl.DataFrame(
        {
            "place": places[window],
            "rule": pl.Series([rule] * len(window), dtype=pl.String),
            "channel": pl.Series(names[channel].tolist(), dtype=pl.String),
            "steps": pl.Series(steps[window, channel], dtype=pl.Int32),
        }
    )


def _whole(rule: str, places: NDArray[np.int64], steps: int) -> pl.DataFrame:
    return _rows(rule, [""], places, np.full((len(places), 1), steps))


def _duplicates(dataset: Dataset) -> pl.DataFrame:
    hashes = np.ascontiguousarray(dataset.hashes()).view("V16").reshape(-1)
    _, first = np.unique(hashes, return_index=True)
    again = np.ones(len(hashes), np.bool_)
    again[first] = False
    return _whole("duplicate", np.flatnonzero(again), dataset.contents.config.window.length)


def _clocks(dataset: Dataset, max_clock: int, source: str | Path | None) -> pl.DataFrame:
    found = unsure_windows(dataset, max_clock, source)
    return _whole("clock_unsure", found, dataset.contents.config.window.length)
