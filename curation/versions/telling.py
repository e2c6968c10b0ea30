"""Versions in words: what was made, what there is, what differs. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec

from curation.versions.deciding import Difference, Moved
from curation.versions.making import Made
from ingest.showing import counted, printable
from ingest.units import exact_time, format_time
from windowing.dataset.versions import Version

_SHOWN_LEAKS_MAX: Final = 10
_SHOWN_MOVES_MAX: Final = 20


class ListedVersion(msgspec.Struct, frozen=True):
    """A version as it is listed."""

    version: str
    time_ns: int
    time: str
    author: str
    windows: int
    labels: dict[str, int]
    parts: dict[str, int]
    because: list[str]
    note: str
    erased: int
    """How many windows it lost since, by erasures."""
    lost: int
    """Records of the log that were gone (its retention took them) before they were windowed."""
    leaks_allowed: str
    digest: str
    """Of its windows, labels and parts together."""


def listed(version: Version) -> ListedVersion:
    """A version as it is listed."""
    from ingest.engine.manifest import sha256_of

    body = version.body
    return ListedVersion(
        version=body.number,
        time_ns=version.time_ns,
        time=exact_time(version.time_ns),
        author=version.author,
        windows=body.windows,
        labels=body.labels,
        parts=body.parts,
        because=body.because,
        note=body.note,
        erased=version.erased,
        lost=body.totals.get("lost.offsets", 0),
        leaks_allowed="" if body.leaks is None else body.leaks.allowed,
        digest=sha256_of(msgspec.json.encode(body.digests)),
    )


def render_versions(versions: Sequence[ListedVersion]) -> str:
    """The versions as lines, the newest first."""
    if not versions:
        return "no versions; `sensorloom dataset version` makes one"
    lines = []
    for each in reversed(versions):
        lines.append(f"{each.version}  {format_time(each.time_ns)}  {counted(each.windows, 'window')}, {_shares(each)}")
        lines.append(f"       {'; '.join(each.because)} ({printable(each.author)})")
        lines += [f"       {printable(each.note)}"] if each.note else []
        lines += [f"       {counted(each.erased, 'window')} erased since"] if each.erased else []
        lines += [f"       {counted(each.lost, 'record')} gone from the log before"] if each.lost else []
        lines += [f"       made in spite of leaks: {printable(each.leaks_allowed)}"] if each.leaks_allowed else []
    return "\n".join(lines)


def _shares(each: ListedVersion | Made) -> str:
    labels = ", ".join(f"{printable(label) or 'unlabelled'} {count:,}" for label, count in _last_none(each.labels))
    parts = ", ".join(f"{printable(part) or 'in none'} {count:,}" for part, count in _last_none(each.parts))
    return (labels or "no labels") + (f"; {parts}" if parts else "")


def _last_none(counts: dict[str, int]) -> list[tuple[str, int]]:
    return sorted(counts.items(), key=lambda item: (not item[0], item[0]))


def render_made(made: Made) -> str:
    """What came of making a version."""
    if made.leaks and made.number is None:
        return "\n".join(
            [*_leaks(made), "no version was made: mend the split, or say why they may be: --allow-leaks WHY"]
        )
    if made.number is None:
        return f"{made.previous}: nothing has changed since; no version was made"
    would = "would be " if made.dry else ""
    lines = [f"{would}{made.number}: {'; '.join(made.because)}", f"{counted(made.windows, 'window')}: {_shares(made)}"]
    return "\n".join([*lines, *_leaks(made)])


def _leaks(made: Made) -> list[str]:
    lines = []
    for leak in made.leaks[:_SHOWN_LEAKS_MAX]:
        first = f", as {' and '.join(leak.windows[0])}" if leak.windows else ""
        pairs = f" ({counted(len(leak.windows), 'pair')} of windows{first})" if leak.windows else ""
        lines.append(f"leak: {leak.kind}: {printable(leak.what)} lies in two parts{pairs}")
    more = len(made.leaks) - _SHOWN_LEAKS_MAX
    return [*lines, *([f"leak: and {more:,} more"] if more > 0 else [])]


def render_difference(found: Difference, before: str, now: str) -> str:
    """What differs, as lines."""
    lines = [
        f"{before} → {now}: {found.windows[0]:,} → {found.windows[1]:,} windows "
        f"({found.added:,} new, {found.removed:,} gone, {found.changed:,} with other samples)"
    ]
    lines += [f"  label {_name(label)}: {was:,} → {is_:,}" for label, (was, is_) in found.labels.items() if was != is_]
    lines += _moves("relabelled", found.relabelled)
    lines += [f"  part {_name(part)}: {was:,} → {is_:,}" for part, (was, is_) in found.parts.items() if was != is_]
    lines += _moves("moved", found.moved)
    lines += ["  classes have other numbers in y"] if found.renumbered else []
    lines += [f"  rules {found.rules[0]} → {found.rules[1]}"] if found.rules[0] != found.rules[1] else []
    lines += [f"  dataset.toml {printable(line)}" for line in found.config]
    return "\n".join(lines)


def _name(name: str | None) -> str:
    return printable(name) if name else "(none)"


def _moves(what: str, moved: Sequence[Moved]) -> list[str]:
    shown = moved[:_SHOWN_MOVES_MAX]
    lines = [f"  {what}: {_name(each.before)} → {_name(each.now)}: {counted(each.windows, 'window')}" for each in shown]
    return [*lines, *([f"  {what}: and {len(moved) - len(shown):,} other kinds"] if len(moved) > len(shown) else [])]
