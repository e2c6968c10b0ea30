"""What `dataset status` says beside figures: the plan, balance, where labels come from, agreement, causes, clocks."""

from __future__ import annotations

import math
from collections import Counter
from pathlib import Path

import msgspec

from curation.planning.progress import Balance, Progress, balance_of, columns_of, progress_of
from ingest.showing import counted, printable
from labeling.agreement import krippendorff_alpha, ratings_of
from service.causes import COUNTERS
from windowing.dataset.reader import Dataset, open_figures
from windowing.dataset.status import DatasetStatus

_BAR: int = 20
_DROPS = {
    "gap": "a hole longer than max_gap: a bad link, or a stream slower than it",
    "coverage": "too few values in a channel: see min_coverage, interpolation",
    "edge": "beyond the begin or end of a recording",
    "no_stream": "a stream that the recording does not have",
    "trim": "taken out on the timeline, or by `marks trim`",
}
"""Why, in a few words; `window check` says more, of the log itself."""
_CLOCKS = ("unsynced.samples", "uncertain.samples", "quarantine.samples", "late.samples")


class Outlook(msgspec.Struct, frozen=True):
    """What there is beside what is wanted, and how good it is."""

    plan: tuple[Progress, ...]
    balance: Balance
    causes: dict[str, str]
    """Of drops and of samples that were left out, by reason."""
    label_sources: dict[str, int]
    """Windows by what gave their label: `person`, `rule`, `background`."""
    agreement: float | None
    """Krippendorff's alpha of those who marked the same ranges; None: nobody did."""
    clocks: dict[str, int]
    """Samples that were left out for their times, by reason."""
    samples: int
    """All that came."""


def outlook(path: str | Path, status: DatasetStatus) -> Outlook:
    """The outlook of the dataset in a folder, whose figures are `status`. Raises `UsageError`, `CorruptError`."""
    return outlook_of(open_figures(path), status)


def outlook_of(dataset: Dataset, status: DatasetStatus) -> Outlook:
    """The outlook of an opened dataset."""
    plan = dataset.contents.config.plan
    known = ("device", "recording", *dataset.attributes)
    table = dataset.columns(("label", "tool", "revision", *(name for name in columns_of(plan) if name in known)))
    sources = Counter(
        "none" if label is None else "background" if tool is None else "person" if revision is None else "rule"
        for label, tool, revision in table.select("label", "tool", "revision").iter_rows()
    )
    ratings = ratings_of([mark for mark in dataset.counting.marks if mark.by_person])
    alpha = krippendorff_alpha(ratings.table, ratings.weights) if len(ratings.annotators) > 1 else math.nan
    reasons = {name.removeprefix("drop."): count for name, count in status.drops.items() if count}
    causes = {name: _DROPS[name] for name in reasons if name in _DROPS}
    causes |= {name: why for name, why in COUNTERS.items() if status.counts.get(name)}
    return Outlook(
        tuple(progress_of(plan, table)),
        balance_of(status.labels),
        causes,
        dict(sources),
        None if math.isnan(alpha) else alpha,
        {name: status.counts[name] for name in _CLOCKS if status.counts.get(name)},
        status.counts.get("samples", 0),
    )


def render_outlook(found: Outlook) -> str:
    """As lines for people."""
    rows: list[tuple[str, str]] = []
    for each in found.plan:
        note = f"; {each.note}" if each.note else ""
        rows.append(("plan" if not rows else "", printable(f"{_bar(each.share)} {each.have:,} of {each.wanted:,} "
                                                           f"{each.unit}: {each.what}{note}")))  # fmt: skip
    if found.balance.ratio is not None:
        rows.append(("balance", f"largest class {found.balance.ratio:.1f} × the smallest, "
                                f"evenness {found.balance.evenness:.2f} of 1"))  # fmt: skip
    told = ", ".join(f"{name} {count:,}" for name, count in sorted(found.label_sources.items()))
    rows.append(("labels by", told or "nobody"))
    agreed = "nobody marked what another one did" if found.agreement is None else f"alpha {found.agreement:.2f}"
    rows.append(("agreement", agreed))
    left = ", ".join(f"{name} {count:,}" for name, count in found.clocks.items())
    of = f" of {counted(found.samples, 'sample')} were left out" if left else ""
    rows.append(("clocks", f"{left}{of}" if left else "no sample was left out for its time"))
    rows += [("why", f"{name}: {why}") for name, why in found.causes.items()]
    width = max(len(name) for name, _ in rows) + 2
    return "\n".join(f"{name:<{width}}{text}".rstrip() for name, text in rows)


def _bar(share: float) -> str:
    full = int(share * _BAR)
    return "█" * full + "·" * (_BAR - full)
