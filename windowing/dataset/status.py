"""What a dataset holds, in figures."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec
import numpy as np

from ingest.engine.manifest import Manifest, chain_folder, entry_name
from ingest.showing import counted, printable
from ingest.units import exact_time
from labeling.marks import ResolvedMark
from labeling.strays import Spans, Stray, Times, strays
from windowing.dataset.contents import Contents
from windowing.dataset.exclusions import Excluded
from windowing.dataset.heard import states_of, units_of, unnamed_streams
from windowing.dataset.index import label_windows
from windowing.dataset.labelled import ALL, NONE, codes_of
from windowing.dataset.reader import Dataset, open_figures
from windowing.dataset.reading import read_contents, read_portions

if TYPE_CHECKING:
    import polars as pl

SHOWN_STRAYS_MAX: Final = 10
_SOMEWHERE: Final = (np.zeros(1, np.int64), np.zeros(1, np.int64))
SHOWN_RECORDINGS_MAX: Final = 3


class ChainStatus(msgspec.Struct, frozen=True):
    """How far a chain is sealed."""

    chain: str
    seq: int
    through: int
    """The first offset that is not sealed."""
    lost: int
    """Records that the log no longer had when they were wanted."""
    sealed_ns: int
    """When the newest entry's file was written: of a copy, when it was copied, where that did not keep times."""
    sealed: str
    """The same as text, with nine digits."""
    append_ns: int | None
    """The append time of the last record before `through`; None where it is not known."""
    append: str | None


class ExcludedStatus(msgspec.Struct, frozen=True):
    """Something that was taken out."""

    number: int
    device: str
    start_ns: int | None
    start: str | None
    end_ns: int | None
    end: str | None
    recording: str | None
    reason: str
    author: str
    windows: int


class TrimStatus(msgspec.Struct, frozen=True):
    """A trim that stands."""

    id: str
    device: str
    start_ns: int
    start: str
    end_ns: int
    end: str
    reason: str
    author: str
    windows: int
    """How many it touches, whatever others do."""


class DatasetStatus(msgspec.Struct, frozen=True):
    """A dataset in figures, at its newest cut."""

    name: str
    spec: str
    channels: tuple[str, ...]
    windows: int
    labels: dict[str, int]
    """Windows by label; "" for those without."""
    drops: dict[str, int]
    """Windows that were not made, by reason; `drop.trim`: those that were, and left at opening."""
    counts: dict[str, int]
    """What else the windower counted: samples, chunks, late, duplicate …"""
    marks: dict[str, int]
    """The marks that stand, those of them that count, those of rules that do not, those over no window, and what the
    fold of their events set aside, by reason."""
    rules: dict[str, dict[str, int]]
    """What rules counted, by revision: their marks, the samples that they saw, those that some rule cannot run on …"""
    undone: dict[str, int]
    """The recordings, `device/recording`, whose import was undone in the log, and how many windows each had here."""
    excluded: tuple[ExcludedStatus, ...]
    """What people took out and did not put back."""
    units: dict[str, dict[str, int]]
    """By channel: the units in which it came, each with the number of recordings; several are mixed in windows."""
    unnamed: dict[str, int]
    """The streams that no window names, each with the number of recordings."""
    shards: int
    bytes: int
    """Of every file that the manifests name, states left out."""
    chains: tuple[ChainStatus, ...]
    counted_rules: str = NONE
    """The revision of the rules whose marks count, "none" or "all"."""
    again: int = 0
    """Windows that were cut again, long after, of samples that came again: left out."""
    unknown: dict[str, int] = {}
    """Windows whose label `[labels] classes` does not name, by label: they are unlabelled."""
    strays: tuple[Stray, ...] = ()
    """The marks that count and touch no window, by device; what was taken out counts as windows here."""
    trims: tuple[TrimStatus, ...] = ()
    """The trims that stand, each with the windows that leave for it."""
    overlapping: dict[str, dict[str, int]] = {}
    """By device: the recordings some of whose windows lie at the times of another one's, each with how many."""
    states: dict[str, dict[int, str]] = {}
    """What the values of channels with named states mean, by channel and code."""


@dataclass(slots=True)
class _Tally:
    """What is counted window by window."""

    windows: int = 0
    labels: Counter[str] = field(default_factory=Counter)
    unknown: Counter[str] = field(default_factory=Counter)
    undone: Counter[tuple[str, str]] = field(default_factory=Counter)
    excluded: Counter[Excluded] = field(default_factory=Counter)
    trims: Counter[ResolvedMark] = field(default_factory=Counter)
    trimmed: int = 0
    again: int = 0
    spans: dict[str, tuple[Times, Times]] = field(default_factory=dict)
    """From when to when each device's windows go."""
    overlapping: dict[str, dict[str, int]] = field(default_factory=dict)

    def add(self, contents: Contents, table: pl.DataFrame, unknown: Mapping[str, int]) -> None:
        """Windows with their labels, of contents that hold these alone."""
        self.windows += len(table)
        self.labels.update(label or "" for label in table["label"])
        self.unknown.update(unknown)
        self.undone.update(contents.undone)
        self.excluded.update(contents.exclusions)
        self.trims.update(contents.trims)
        self.trimmed += contents.trimmed
        self.again += contents.again
        for (device,), rows in table.select("device", "t0_ns", "t1_ns").partition_by("device", as_dict=True).items():
            self.spans[str(device)] = (rows["t0_ns"].to_numpy(), rows["t1_ns"].to_numpy())
        self.overlapping |= _overlapping(table)


def dataset_status(path: str | Path) -> DatasetStatus:
    """The figures of the dataset in a folder, whose windows are read a few chains after the other.

    Raises `UsageError`, `CorruptError`.
    """
    contents, tally = read_contents(path, columns=()), _Tally()
    by_device: dict[str, list[ResolvedMark]] = {}
    for mark in contents.choice.count(contents.marks.marks).marks:
        by_device.setdefault(mark.device, []).append(mark)
    policy = contents.config.labels
    for part in read_portions(contents):
        devices = part.index["device"].unique().to_list()
        if not tally.spans.keys().isdisjoint(devices):
            return status_of(open_figures(path))  # a window of theirs may be in two chains, and counts once
        marks = tuple(mark for device in devices for mark in by_device.get(device, ()))
        table, labels = label_windows(part.index, marks, policy)
        tally.add(part, table, codes_of(labels, policy.classes, contents.classes).unknown)
        # Of a device without marks nobody asks where its windows are.
        tally.spans |= {device: _SOMEWHERE for device in devices if device not in by_device and device in tally.spans}
    return _status(contents, tally)


def status_of(dataset: Dataset) -> DatasetStatus:
    """The figures of an opened dataset."""
    tally = _Tally()
    tally.add(dataset.contents, dataset.windows(), dataset.unknown)
    return _status(dataset.contents, tally)


def _status(contents: Contents, tally: _Tally) -> DatasetStatus:
    totals = contents.windows.totals + Counter({"drop.trim": tally.trimmed})
    chains = [
        _chain_status(folder.folder, name, head)
        for folder in (contents.windows, contents.labels)
        for name, head in folder.heads.items()
    ]
    counting = contents.choice.count(contents.marks.marks)
    astray = strays(counting.marks, _spans(contents, tally))
    marks = {**contents.marks.counts, **counting.counts, "standing": len(contents.marks.marks)}
    marks |= {"counted": len(counting.marks), "over_no_window": sum(stray.marks for stray in astray)}
    return DatasetStatus(
        name=contents.config.name,
        spec=contents.config.window.id,
        channels=contents.config.window.channels,
        windows=tally.windows,
        labels=dict(sorted(tally.labels.items())),
        drops={reason: count for reason, count in sorted(totals.items()) if reason.startswith("drop.")},
        counts={reason: count for reason, count in sorted(totals.items()) if not reason.startswith("drop.")},
        marks=dict(sorted(marks.items())),
        rules={revision: dict(sorted(chains.totals.items())) for revision, chains in contents.rules.items()},
        undone={f"{device}/{recording}": tally.undone[device, recording] for device, recording in contents.undone},
        excluded=tuple(_excluded(each, tally.excluded[each]) for each in contents.exclusions),
        units={channel: dict(units) for channel, units in units_of(contents.streams)},
        unnamed=unnamed_streams(contents.streams),
        shards=len(contents.shards),
        bytes=sum(ref.bytes for ref in [*contents.windows.files, *contents.labels.files]),
        chains=tuple(sorted(chains, key=lambda chain: chain.chain)),
        counted_rules=contents.rules_counted,
        again=tally.again,
        unknown=dict(tally.unknown),
        strays=tuple(astray),
        trims=tuple(_trim(each, tally.trims[each]) for each in contents.trims),
        overlapping=tally.overlapping,
        states=states_of(contents.streams, contents.config.window.channels),
    )


def _spans(contents: Contents, tally: _Tally) -> Spans:
    """From when to when each device's windows go; windows that were taken out by their range among them."""
    spans = dict(sorted(tally.spans.items()))
    window = contents.config.window
    length_ns = window.length * window.period[0] // window.period[1]
    gone = [
        (each.what.device, each.what.start_ns, each.what.end_ns) for each, windows in tally.excluded.items() if windows
    ]
    gone += [(trim.device, trim.start_ns, trim.end_ns) for trim, windows in tally.trims.items() if windows]
    for device, start_ns, end_ns in gone:
        if start_ns is not None and end_ns is not None:
            starts, ends = spans.get(device, (np.empty(0, np.int64), np.empty(0, np.int64)))
            spans[device] = np.append(starts, start_ns - length_ns), np.append(ends, end_ns + length_ns)
    return spans


def _overlapping(windows: pl.DataFrame) -> dict[str, dict[str, int]]:
    """Windows that lie at the times of another recording of their device: of a file that was imported twice, or of two
    devices with one name."""
    table = windows.select("device", "recording", "t0_ns", "t1_ns").sort("device", "t0_ns")
    device, recording = table["device"], table["recording"]
    behind = (device == device.shift()) & (recording != recording.shift()) & (table["t0_ns"] < table["t1_ns"].shift())
    behind = behind.fill_null(value=False)
    found: dict[str, dict[str, int]] = {}
    counts = Counter(table.filter(behind | behind.shift(-1, fill_value=False)).select("device", "recording").rows())
    for (name, each), count in sorted(counts.items()):
        found.setdefault(name, {})[each] = count
    return found


def _chain_status(folder: Path, name: str, head: Manifest) -> ChainStatus:
    entry = folder / entry_name(chain_folder(head.topic, head.partition), head.seq)
    sealed_ns = entry.stat().st_mtime_ns
    append_ns = None if head.last is None else head.last.append_ns
    return ChainStatus(
        name,
        head.seq,
        head.through,
        head.totals.get("lost.offsets", 0),
        sealed_ns,
        exact_time(sealed_ns),
        append_ns,
        None if append_ns is None else exact_time(append_ns),
    )


def _excluded(each: Excluded, windows: int) -> ExcludedStatus:
    what = each.what
    return ExcludedStatus(
        each.number,
        what.device,
        what.start_ns,
        None if what.start_ns is None else exact_time(what.start_ns),
        what.end_ns,
        None if what.end_ns is None else exact_time(what.end_ns),
        what.recording,
        what.reason,
        each.author,
        windows,
    )


def _trim(mark: ResolvedMark, windows: int) -> TrimStatus:
    span = mark.start_ns, exact_time(mark.start_ns), mark.end_ns, exact_time(mark.end_ns)
    return TrimStatus(mark.id, mark.device, *span, mark.reason, mark.author, windows)


def render_status(status: DatasetStatus) -> str:
    """The figures as lines for people."""
    rows: list[tuple[str, str]] = [("dataset", f"{status.name}, spec {status.spec}, {', '.join(status.channels)}")]
    rows.append(("windows", f"{status.windows:,} in {counted(status.shards, 'shard')}, {status.bytes:,} bytes"))
    rows += [(f"  {label or '(no label)'}", f"{count:,}") for label, count in status.labels.items()]
    for title, counts in (("dropped", status.drops), ("counted", status.counts), ("marks", status.marks)):
        rows.append((title, "" if counts else "nothing"))
        rows += [(f"  {reason.removeprefix('drop.')}", f"{count:,}") for reason, count in counts.items()]
    rows += [("  touch nothing", printable(stray.text)) for stray in status.strays[:SHOWN_STRAYS_MAX]]
    if len(status.strays) > SHOWN_STRAYS_MAX:
        rows.append(("", f"and marks of {len(status.strays) - SHOWN_STRAYS_MAX:,} more devices; see --json"))
    rows += [
        ("  no class", f'{counted(count, "window")} labelled "{label}"') for label, count in status.unknown.items()
    ]
    for revision, counts in status.rules.items():
        counts_now = status.counted_rules in (revision, ALL)
        rows.append(("rules", f"revision {revision}{'' if counts_now else ': its marks do not count'}"))
        rows += [(f"  {reason}", f"{count:,}") for reason, count in counts.items()]
    for device, counts in status.overlapping.items():
        names = ", ".join(list(counts)[:SHOWN_RECORDINGS_MAX]) + (", …" if len(counts) > SHOWN_RECORDINGS_MAX else "")
        text = (
            f'"{device}": {sum(counts.values()):,} windows lie at the times of another recording\'s, of {names}: was a '
            "file imported twice (sensorloom import undo), or have two devices this name?"
        )
        rows.append(("overlapping", printable(text)))
    if status.again:
        rows.append(
            ("cut again", f"{status.again:,} windows of samples that came again: left out, the first ones count")
        )
    for recording, count in status.undone.items():
        rows.append(("undone", f"{counted(count, 'window')} of recording {recording}: its import was taken back"))
    for each in status.excluded:
        span = f"{each.start or 'its begin'} to {each.end or 'its end'}"
        of = each.device if each.recording is None else f"{each.device}, recording {each.recording}"
        rows.append(("excluded", f"{counted(each.windows, 'window')}, {each.number}: {of}, {span} ({each.reason})"))
    for trim in status.trims:
        said = f" ({trim.reason})" if trim.reason else ""
        text = f"{counted(trim.windows, 'window')}, {trim.id}: {trim.device}, {trim.start} to {trim.end}{said}"
        rows.append(("trimmed", printable(text)))
    for channel, units in status.units.items():
        if len(units) > 1:
            told = ", ".join(f"{unit} ({counted(count, 'recording')})" for unit, count in units.items())
            rows.append(("units", f"{channel} came in {told}: name the one that you want in [window.units]"))
    for channel, states in status.states.items():
        rows.append(
            ("states", printable(f"{channel}: " + ", ".join(f"{code} {name}" for code, name in states.items())))
        )
    for stream, count in status.unnamed.items():
        rows.append(("not named", f"the stream {stream} of {counted(count, 'recording')} is in no window"))
    rows.append(("sealed", "" if status.chains else "nothing yet"))
    for chain in status.chains:
        lost = f", {chain.lost:,} records lost" if chain.lost else ""
        rows.append((f"  {chain.chain}", f"entry {chain.seq}, through offset {chain.through}{lost}, at {chain.sealed}"))
    width = max(len(name) for name, _ in rows) + 2
    return "\n".join(f"{name:<{width}}{text}".rstrip() for name, text in rows)
