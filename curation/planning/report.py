"""`dataset report`: what a dataset is like, found and told, and a page that shows it. Nothing of it needs a network."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

import msgspec
import numpy as np
import polars as pl
from numpy.typing import NDArray

from curation.planning.drift import holm, ks_distance, permuted, share_range, variation_distance
from curation.planning.outlook import Outlook, outlook_of
from curation.planning.page import Section, page
from curation.planning.summaries import KINDS, by_class, robust, summaries, typical
from curation.planning.svg import bars, heat, strips, window
from ingest.errors import UsageError
from ingest.files import explained, put
from ingest.showing import counted
from ingest.units import exact_time, format_time
from windowing.dataset.reader import Dataset
from windowing.dataset.status import status_of

SEED: Final = 1
CERTAIN: Final = 0.01
"""A difference is told where chance gives one so large less often, all tests together."""
OUTLIERS_MAX: Final = 6
FAR: Final = 10.0
"""So many robust deviations away from the others of its label is an outlier."""
FEW: Final = 12
"""Of fewer windows of a label none is an outlier."""
EXAMPLES: Final = 3
ROWS_MAX: Final = 24
_BINS: Final = 120
_BATCH: Final = 1024
Ints = NDArray[np.int64]


class Drift(msgspec.Struct, frozen=True):
    """A number of windows, or their labels, beside an earlier dataset's."""

    what: str
    distance: float
    """Kolmogorov and Smirnov's, or of labels the total variation: 0 to 1."""
    p: float
    """By shuffling recordings, corrected for so many tests (Holm)."""


class Far(msgspec.Struct, frozen=True):
    """A window that is not like the others."""

    row: int
    window: str
    why: str


class Share(msgspec.Struct, frozen=True):
    """A class's share of what is labelled beside the plan's."""

    label: str
    wanted: float
    have: float
    low: float
    high: float
    """95 % of other recordings like these lie between `low` and `high`."""


class Findings(msgspec.Struct, frozen=True):
    """What the page shows, in figures."""

    windows: int
    outlook: Outlook
    outliers: tuple[Far, ...]
    outliers_all: int
    drift: tuple[Drift, ...] | None
    """None: beside no other."""
    new_windows: int
    shares: tuple[Share, ...]
    told: tuple[str, ...]
    """What stands out, in words."""


def findings_of(dataset: Dataset, against: Dataset | None) -> Findings:
    """What is found in `dataset`, and what drifted since `against`. Raises `UsageError`, `CorruptError`."""
    if not len(dataset):
        raise UsageError("report: the dataset has no window yet; `dataset status` says what was dropped")
    table = _summaries(dataset)
    scores = by_class(table, _labels(dataset), FEW)
    far = np.flatnonzero(np.abs(scores).max(axis=1) > FAR)
    worst = far[np.argsort(-np.abs(scores[far]).max(axis=1), kind="stable")]
    names = [f"{kind} of {channel}" for kind in KINDS for channel in dataset.channels]
    ids = dataset.columns(("window",))["window"]
    outliers = []
    for row in worst[:OUTLIERS_MAX].tolist():
        place = int(np.abs(scores[row]).argmax())
        why = f"{names[place]} {table[row, place]:.4g}, {abs(scores[row, place]):.0f} deviations away"
        outliers.append(Far(row, ids[row], why))
    drift, new = (None, 0) if against is None else _drift(dataset, against, table, names)
    outlook = outlook_of(dataset, status_of(dataset))
    shares = tuple(_shares(dataset))
    told = tuple(_told(outlook, len(far), drift, shares))
    return Findings(len(dataset), outlook, tuple(outliers), len(far), drift, new, shares, told)


def _summaries(dataset: Dataset) -> NDArray[np.float64]:
    places = range(0, len(dataset), _BATCH)
    batches = (dataset.signals(np.arange(at, min(at + _BATCH, len(dataset)))) for at in places)
    return summaries(batches, len(dataset.channels))


def _groups(dataset: Dataset) -> Ints:
    """Each window's recording as a number from 0 on."""
    both = dataset.columns(("device", "recording"))
    found: Ints = both.select(pl.struct("device", "recording").rank("dense") - 1).to_series().cast(pl.Int64).to_numpy()
    return found


def _labels(dataset: Dataset) -> Ints:
    place = {label: number + 1 for number, label in enumerate(dataset.classes)}
    return np.array([place.get(label, 0) for label in dataset.columns(("label",))["label"]], np.int64)


def _drift(
    dataset: Dataset, against: Dataset, table: NDArray[np.float64], names: Sequence[str]
) -> tuple[tuple[Drift, ...], int]:
    """What is in `dataset` and not in `against`, beside what is in `against`."""
    if dataset.channels != against.channels:
        raise UsageError(f"report: --against has other channels: {', '.join(against.channels)}")
    both = pl.concat([each.columns(("device", "recording", "window", "label")) for each in (dataset, against)])
    count = len(dataset)
    before = set(both["window"][count:].to_list())
    fresh = np.array([name not in before for name in both["window"][:count]])
    kept = np.concatenate([fresh, np.ones(len(against), bool)])
    if not fresh.any():
        return (), 0
    new = np.concatenate([fresh, np.zeros(len(against), bool)])[kept]
    values = np.concatenate([table, _summaries(against)])[kept]
    some = both.filter(pl.Series(kept))
    groups = some.select(pl.struct("device", "recording").rank("dense") - 1).to_series().cast(pl.Int64).to_numpy()
    labels = some["label"].fill_null("").rank("dense").cast(pl.Int64).to_numpy() - 1
    found = [
        (
            "labels",
            variation_distance(labels, new),
            permuted(lambda w: variation_distance(labels, w), groups, new, seed=SEED),
        )
    ]
    for place, name in enumerate(names):
        column = values[:, place]
        p = permuted(lambda which, column=column: ks_distance(column, which), groups, new, seed=SEED)  # type: ignore[misc]
        found.append((name, ks_distance(column, new), p))
    corrected = holm([p for _, _, p in found])
    drifts = [Drift(name, distance, p) for (name, distance, _), p in zip(found, corrected, strict=True)]
    return tuple(sorted(drifts, key=lambda each: (each.p, -each.distance))), int(fresh.sum())


def _shares(dataset: Dataset) -> Iterator[Share]:
    """The plan's shares of classes beside those that there are."""
    wanted = {name: each.windows for name, each in dataset.contents.config.plan.classes.items() if each.windows}
    labels, groups = dataset.columns(("label",))["label"], _groups(dataset)
    counted_in = labels.is_in(list(wanted)).fill_null(value=False).to_numpy()
    if len(wanted) < 2 or not counted_in.any():
        return
    total = sum(wanted.values())
    _, groups = np.unique(groups[counted_in], return_inverse=True)
    mine = labels.filter(pl.Series(counted_in))
    for name, count in wanted.items():
        member = (mine == name).to_numpy()
        low, high = share_range(member, groups.astype(np.int64), seed=SEED)
        yield Share(name, count / total, float(member.mean()), low, high)


def _told(outlook: Outlook, far: int, drift: tuple[Drift, ...] | None, shares: Sequence[Share]) -> Iterator[str]:
    short = [each for each in outlook.plan if each.have < each.wanted]
    if outlook.plan:
        yield f"plan: {len(outlook.plan) - len(short)} of {len(outlook.plan)} wishes are met"
    for share in shares:
        if not share.low <= share.wanted <= share.high:
            yield (
                f"{share.label}: {share.have:.0%} of what is labelled, planned {share.wanted:.0%}; chance gives "
                f"{share.low:.0%} to {share.high:.0%}"
            )
    if far:
        yield f"outliers: {counted(far, 'window')} lie more than {FAR:g} robust deviations from others of their label"
    for each in drift or ():
        if each.p < CERTAIN:
            yield f"drift: {each.what}: distance {each.distance:.2f}, by chance in {each.p:.1%} at most"
    if drift is not None and not any(each.p < CERTAIN for each in drift):
        yield "drift: nothing differs by more than chance"


def write_report(dataset: Dataset, findings: Findings, out: Path, *, made_ns: int) -> None:
    """Write the page. Raises `UsageError` where the disk does not let it."""
    window_of = dataset.contents.config.window
    rate, seconds = float(window_of.rate), float(window_of.length / window_of.rate)
    times = dataset.columns(("t0_ns", "t1_ns"))
    begin, end = int(times["t0_ns"].to_numpy().min()), int(times["t1_ns"].to_numpy().max())
    tiles = [
        (f"{len(dataset):,}", "windows"),
        (f"{window_of.length} × {len(dataset.channels)}", f"{seconds:g} s at {rate:g} Hz"),
        (f"{len(dataset.classes)}", "classes"),
        (f"{dataset.columns(('device',))['device'].n_unique():,}", "devices"),
        (f"{int(_groups(dataset).max()) + 1:,}", "recordings"),
    ]
    text = page(
        dataset.name,
        f"{format_time(begin)} to {format_time(end)}; made {exact_time(made_ns)[:19]}Z",
        tiles,
        findings.told,
        list(_sections(dataset, findings, begin, end)),
    )
    try:
        put(out, text.encode())
    except OSError as error:
        raise UsageError(f"report: --out: {explained(error, error.filename or out)}") from error


def _sections(dataset: Dataset, findings: Findings, begin: int, end: int) -> Iterator[Section]:
    rows: list[tuple[str, float, float | None, str, int]]
    plan = findings.outlook.plan
    if plan:
        rows = [(each.what, each.share, 1.0, f"{each.have:,} of {each.wanted:,}", 0) for each in plan[:ROWS_MAX]]
        yield Section("Plan", "What dataset.toml wants, and what there is.", [bars(rows)])
    if findings.shares:
        rows = [
            (each.label, each.have, each.wanted, f"{each.have:.0%} ({each.low:.0%}–{each.high:.0%})", number)
            for number, each in enumerate(findings.shares)
        ]
        yield Section(
            "Against the plan",
            "Share of each class, and where it lies surely (95 %); the tick is the plan's.",
            [bars(rows)],
        )
    numbers = {label: number for number, label in enumerate(dataset.classes)}
    counts = [(label or "(no label)", count, numbers.get(label, 7)) for label, count in dataset.counts.items()]
    rows = [(name, float(count), None, f"{count:,} ({count / len(dataset):.0%})", hue) for name, count, hue in counts]
    yield Section("Balance", "Windows by label.", [bars(rows)])
    yield Section(
        "Coverage", "How much of each stretch of time has windows, device by device.", [_coverage(dataset, begin, end)]
    )
    yield Section(
        "Where labels come from",
        "Each row's windows by device, attribute and hour (UTC).",
        [f"<div class=pair>{''.join(_tables(dataset))}</div>"],
    )
    yield from _examples(dataset, findings)
    if findings.drift:
        shown = findings.drift[:ROWS_MAX]
        rows = [(each.what, each.distance, None, f"p {each.p:.3f}", 3 if each.p < CERTAIN else 0) for each in shown]
        told = (
            f"{findings.new_windows:,} new windows beside the earlier ones: the distance of their distributions, and "
            "how likely chance gives one so large, were recordings shuffled."
        )
        yield Section("Drift", told, [bars(rows)])


def _coverage(dataset: Dataset, begin: int, end: int) -> str:
    table = dataset.columns(("device", "t0_ns", "t1_ns"))
    width = max((end - begin) / _BINS, 1.0)
    rows = []
    for (device,), of in sorted(table.partition_by("device", as_dict=True).items(), key=lambda each: str(each[0]))[
        :ROWS_MAX
    ]:
        # A stretch is covered by the union of windows: each adds what it reaches beyond those before it.
        starts, ends = of["t0_ns"].to_numpy(), of["t1_ns"].to_numpy()
        order = np.argsort(starts, kind="stable")
        starts, ends = starts[order], np.maximum.accumulate(ends[order])
        starts = np.maximum(starts, np.concatenate([[begin], ends[:-1]]))
        edges = begin + width * np.arange(_BINS + 1)
        covered = np.zeros(_BINS + 1)
        for sign, at in ((1, starts), (-1, ends)):
            covered += sign * np.array([np.maximum(edge - at[at < edge], 0).sum() for edge in edges])
        rows.append((str(device), np.diff(covered) / width))
    return strips(rows, (format_time(begin)[:19], format_time(end)[:19]))


def _tables(dataset: Dataset) -> Iterator[str]:
    others = [name for name in dataset.attributes if name not in ("device", "recording")]
    table = dataset.columns(("label", "device", "t0_ns", *others)).with_columns(
        pl.col("label").fill_null("(no label)"),
        hour=(pl.col("t0_ns") // 3_600_000_000_000 % 24).cast(pl.String).str.zfill(2),
    )
    labels = [*dataset.classes, "(no label)"]
    labels = [label for label in labels if (table["label"] == label).any()]
    for name in ("device", *others, "hour"):
        column = table[name].fill_null("(none)")
        values = [f"{hour:02}" for hour in range(24)] if name == "hour" else column.unique().sort().to_list()
        if name in others and not 1 < len(values) <= ROWS_MAX:
            continue
        counts = np.zeros((len(labels), len(values[: 2 * ROWS_MAX])), np.int64)
        found = table.select("label", column.alias("value")).group_by("label", "value").len()
        place = {value: number for number, value in enumerate(values[: 2 * ROWS_MAX])}
        for label, value, count in found.iter_rows():
            if value in place:
                counts[labels.index(label), place[value]] = count
        yield f"<div><h3>by {_plain(name)}</h3>{heat(labels, list(place), counts)}</div>"


def _examples(dataset: Dataset, findings: Findings) -> Iterator[Section]:
    streams = [channel.partition(".")[0] for channel in dataset.channels]
    groups = [streams.index(stream) for stream in streams]
    scores, labels = robust(_summaries(dataset)), _labels(dataset)
    shown = []
    for number, label in enumerate(dataset.classes):
        rows = np.flatnonzero(labels == number + 1)
        if len(rows):
            near = typical(scores, rows, EXAMPLES)
            pictures = "".join(window(X, _caption(dataset, row), groups)
                               for row, X in zip(near.tolist(), dataset.signals(near), strict=True))  # fmt: skip
            shown.append(f"<h3>{_plain(label)}</h3><div class=row>{pictures}</div>")
    yield Section(
        "Examples", f"The windows nearest to the middle of their class. Channels: {', '.join(dataset.channels)}.", shown
    )
    if findings.outliers:
        rows = np.array([each.row for each in findings.outliers])
        figures = [
            f"<figure>{window(X, _caption(dataset, each.row, labelled=True), groups)}"
            f"<figcaption>{_plain(each.why)}</figcaption></figure>"
            for each, X in zip(findings.outliers, dataset.signals(rows), strict=True)
        ]
        told = (
            f"The farthest of {findings.outliers_all:,} windows that are not like others of their label; all are kept."
        )
        yield Section("Outliers", told, [f"<div class=row>{''.join(figures)}</div>"])


def _caption(dataset: Dataset, row: int, *, labelled: bool = False) -> str:
    device, t0_ns, label = dataset.select([row]).columns(("device", "t0_ns", "label")).row(0)
    return f"{device} · {format_time(t0_ns)[:19]}" + (f" · {label or 'no label'}" if labelled else "")


def _plain(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;")
