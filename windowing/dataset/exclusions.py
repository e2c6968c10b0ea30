"""What people took out of a dataset, and put back: a ledger, and the trims among the marks. Both are honoured at every
opening; no shard is rewritten."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec
import numpy as np
import polars as pl
from numpy.typing import NDArray

from ingest.engine.ledger import append_page, is_redacted, page_name, read_ledger
from ingest.engine.store import Store
from ingest.errors import CorruptError, UsageError
from labeling.marks import ResolvedMark

EXCLUSIONS: Final = "exclusions"
"""The ledger's name."""


class Exclusion(msgspec.Struct, frozen=True, tag_field="kind", tag="exclude"):
    """Windows of a device that touch `[start_ns, end_ns)` leave; None: no bound. `recording`: only of this one."""

    device: str
    reason: str
    start_ns: int | None = None
    end_ns: int | None = None
    recording: str | None = None


class Return(msgspec.Struct, frozen=True, tag_field="kind", tag="return"):
    """Takes an exclusion back."""

    number: int
    reason: str


@dataclass(frozen=True, slots=True)
class Excluded:
    """An exclusion in its place."""

    number: int
    what: Exclusion
    time_ns: int
    author: str
    undone: bool = False
    """It was taken back."""


def read_exclusions(root: Path, upto: int | None = None) -> list[Excluded]:
    """Every exclusion of a dataset, also those that were taken back; by the first `upto` pages of the ledger, or all.

    Raises `CorruptError`.
    """
    found: dict[int, Excluded] = {}
    for page in read_ledger(root, EXCLUSIONS)[:upto]:
        if is_redacted(page):
            continue
        try:
            what = msgspec.convert(page.body, Exclusion | Return)
        except msgspec.ValidationError as error:
            where = root / page_name(EXCLUSIONS, page.number)
            raise CorruptError(f"{where}: {error}; upgrade sensorloom") from None
        if isinstance(what, Exclusion):
            found[page.number] = Excluded(page.number, what, page.time_ns, page.author)
        elif what.number in found:
            before = found[what.number]
            found[what.number] = Excluded(before.number, before.what, before.time_ns, before.author, undone=True)
    return list(found.values())


async def exclude(store: Store, root: Path, what: Exclusion, *, time_ns: int, author: str) -> int:
    """Take something out; the exclusion's number.

    Raises:
        UsageError: it has no reason, or no time between its bounds.
    """
    if not what.reason.strip():
        raise UsageError("exclude: say why, as in --reason 'sensor was loose'")
    if what.start_ns is not None and what.end_ns is not None and what.start_ns >= what.end_ns:
        raise UsageError("exclude: --from does not lie before --to")
    page = await append_page(store, root, EXCLUSIONS, msgspec.to_builtins(what), time_ns=time_ns, author=author)
    return page.number


async def take_back(store: Store, root: Path, number: int, reason: str, *, time_ns: int, author: str) -> Excluded:
    """Take an exclusion back. Raises `UsageError` where none of this number stands."""
    standing = {each.number: each for each in read_exclusions(root) if not each.undone}
    if number not in standing:
        known = ", ".join(map(str, standing)) or "none"
        raise UsageError(f"exclude: --undo {number}: no such exclusion stands; those that do: {known}")
    body = msgspec.to_builtins(Return(number, reason))
    await append_page(store, root, EXCLUSIONS, body, time_ns=time_ns, author=author)
    return standing[number]


def excluded_windows(index: pl.DataFrame, exclusions: Iterable[Exclusion]) -> list[NDArray[np.bool_]]:
    """For each exclusion, `(windows,) bool`: which rows of an index it takes out."""
    device, recording = index["device"], index["recording"]
    t0, t1 = index["t0_ns"].to_numpy(), index["t1_ns"].to_numpy()
    masks = []
    for what in exclusions:
        mask = (device == what.device).to_numpy().copy()
        if what.recording is not None:
            mask &= (recording == what.recording).to_numpy()
        if what.start_ns is not None:
            mask &= t1 > what.start_ns
        if what.end_ns is not None:
            mask &= t0 < what.end_ns
        masks.append(mask)
    return masks


def without_recordings(
    index: pl.DataFrame, recordings: Iterable[tuple[str, str]]
) -> tuple[pl.DataFrame, dict[tuple[str, str], int]]:
    """The rows that are not of these recordings, by device and id ("": all of it), and how many there were of each."""
    listed = list(recordings)
    whole = [Exclusion(device, "", recording=recording or None) for device, recording in listed]
    index, counts = without(index, whole)
    return index, dict(zip(listed, counts, strict=True))


def without(index: pl.DataFrame, exclusions: Sequence[Exclusion]) -> tuple[pl.DataFrame, list[int]]:
    """The rows that stay, and how many each exclusion takes out, whatever the others take."""
    masks = excluded_windows(index, exclusions)
    if not masks:
        return index, []
    gone = np.logical_or.reduce(masks)
    return index.filter(~gone), [int(mask.sum()) for mask in masks]


def without_trimmed(index: pl.DataFrame, trims: Sequence[ResolvedMark]) -> tuple[pl.DataFrame, list[int]]:
    """The rows that no trim touches, and how many each one touches, whatever the others do; all windows are of one
    length. An instant touches the window that holds it."""
    counts = [0] * len(trims)
    by_device: dict[str, list[int]] = {}
    for place, trim in enumerate(trims):
        by_device.setdefault(trim.device, []).append(place)
    gone = np.zeros(len(index), np.bool_)
    for device, places in by_device.items():
        rows = np.flatnonzero((index["device"] == device).to_numpy())
        rows = rows[np.argsort(index["t0_ns"].to_numpy()[rows], kind="stable")]
        t0, t1 = index["t0_ns"].to_numpy()[rows], index["t1_ns"].to_numpy()[rows]
        for place in places:
            start_ns, end_ns = trims[place].start_ns, max(trims[place].end_ns, trims[place].start_ns + 1)
            first, behind = int(np.searchsorted(t1, start_ns, side="right")), int(np.searchsorted(t0, end_ns))
            gone[rows[first:behind]] = True
            counts[place] = max(0, behind - first)
    return (index.filter(~gone) if gone.any() else index), counts
