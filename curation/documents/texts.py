"""The documents that people read: the card for Hugging Face, the datasheet, the collection log. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Final

import msgspec

from curation.documents.facts import DatasetFacts

if TYPE_CHECKING:
    from curation.documents.collected import CollectionFacts

NOT_SAID: Final = "*Not said: {}.*"
_SIZES: Final = ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M"))
_SPDX_WORD: Final = re.compile(r"[A-Za-z0-9.+-]+")


def card(facts: DatasetFacts, *, exported: bool) -> str:
    """README.md: YAML as Hugging Face's hub reads it, then what a reader wants first. `exported`: it lies beside
    `data/PART-*.parquet`."""
    about = facts.about
    yaml = [f"pretty_name: {_quoted(facts.name)}"]
    if about.license and _SPDX_WORD.fullmatch(about.license):
        yaml.append(f"license: {about.license.lower()}")
    elif about.license:
        yaml += ["license: other", f"license_name: {_quoted(about.license)}"]
    yaml += ["task_categories:", "- time-series-forecasting" if not facts.classes else "- other"]
    yaml += ["tags:", "- time-series", "- sensors", *(f"- {_quoted(name)}" for name in facts.classes)]
    yaml += ["size_categories:", f"- {_size(facts.windows)}"]
    if exported:
        yaml += ["configs:", "- config_name: default", "  data_files:"]
        for part in facts.parts:
            yaml += [f"  - split: {part.name}", f"    path: data/{part.name}-*.parquet"]
        yaml += ["dataset_info:", "  features:", *_features(facts), "  splits:"]
        for part in facts.parts:
            yaml += [f"  - name: {part.name}", f"    num_examples: {part.windows}"]
    body = [
        f"# {facts.name}",
        about.description or NOT_SAID.format("a description"),
        f"{facts.windows:,} windows of {facts.steps} steps at {facts.rate_hz:g} Hz, {len(facts.channels)} channels, of "
        f"{facts.devices} devices and {facts.recordings} recordings, from {facts.since} to {facts.until}.",
        "## Classes",
        *_table(("label", "definition", *(part.name for part in facts.parts)), _class_rows(facts)),
        "## Channels",
        f"Over {facts.statistics_of}.",
        *_table(("channel", "unit", "mean", "std", "min", "max", "missing"), _channel_rows(facts)),
        *_missing(facts),
    ]
    return "---\n" + "\n".join(yaml) + "\n---\n\n" + _joined(body)


def _features(facts: DatasetFacts) -> Iterator[str]:
    yield from ("  - name: signal", "    dtype:", "      array2_d:")
    yield from (
        "        shape:",
        f"        - {facts.steps}",
        f"        - {len(facts.channels)}",
        "        dtype: float32",
    )
    yield from ("  - name: y", "    dtype:", "      class_label:", "        names:")
    yield from (f"          '{number}': {_quoted(name)}" for number, name in enumerate(facts.classes))


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", " ") + '"'


def _size(windows: int) -> str:
    return next((name for most, name in _SIZES if windows < most), "n>1M")


def _class_rows(facts: DatasetFacts) -> Iterator[tuple[str, ...]]:
    for name in (*facts.classes, ""):
        counts = [part.labels.get(name, 0) for part in facts.parts]
        if name or any(counts):
            plan = facts.plan.classes.get(name)
            definition = (plan.definition if plan else "") or ("not said" if name else "no label")
            yield (name or "(none)", definition, *(f"{count:,}" for count in counts))


def _channel_rows(facts: DatasetFacts) -> Iterator[tuple[str, ...]]:
    for each in facts.channels:
        figures = ("" if value is None else f"{value:.6g}" for value in (each.mean, each.std, each.min, each.max))
        total = each.missing + each.count
        yield (each.name, each.unit or "not said", *figures, f"{each.missing:,} of {total:,}")


def _table(head: Sequence[str], rows: Iterator[tuple[str, ...]]) -> list[str]:
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    lines += ["| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in row) + " |" for row in rows]
    return ["\n".join(lines)]


def _missing(facts: DatasetFacts) -> list[str]:
    if not facts.missing:
        return []
    return ["## What nobody said", "\n".join(f"- {each}" for each in facts.missing)]


def _joined(parts: Sequence[str]) -> str:
    return "\n\n".join(part for part in parts if part) + "\n"


def datasheet(facts: DatasetFacts) -> str:
    """The seven sections of Gebru et al. 2021, each with what is known, and what is not."""
    plan, privacy, about = facts.plan, facts.privacy, facts.about
    people = f", {facts.subjects} subjects" if facts.subjects is not None else ""
    personal = "dataset.toml says that it holds personal data" if privacy.personal else "dataset.toml says of none"
    sources = ", ".join(f"{each.role} ({each.tool}): {each.marks:,} marks" for each in facts.label_sources)
    drops = ", ".join(f"{reason}: {count:,}" for reason, count in facts.drops.items())
    return _joined(
        [
            f"# Datasheet of {facts.name}",
            f"Taken on {facts.made} by {facts.tool}.",
            "## 1. Motivation",
            plan.purpose or NOT_SAID.format("what it was made for"),
            f"Made by {', '.join(about.creators)}." if about.creators else NOT_SAID.format("who made it"),
            "## 2. Composition",
            f"{facts.windows:,} windows of {facts.steps} steps × {len(facts.channels)} channels at {facts.rate_hz:g} "
            f"Hz, of {facts.devices} devices, {facts.recordings} recordings{people}. Parts: "
            + ", ".join(f"{part.name} {part.windows:,}" for part in facts.parts)
            + ".",
            *_table(("label", "definition", *(part.name for part in facts.parts)), _class_rows(facts)),
            f"Windows that are not in it: {drops}." if drops else "No window was left out.",
            f"Personal data: {personal}. Attributes of recordings: {', '.join(facts.attributes) or 'none'}.",
            "## 3. Collection",
            f"From {facts.since} to {facts.until}.",
            "\n".join(f"- {each}" for each in plan.sources) or NOT_SAID.format("the sources"),
            f"Consent: {privacy.consent}" if privacy.consent else NOT_SAID.format("consent"),
            "## 4. Preprocessing, cleaning, labelling",
            f"Streams were put on a grid of {facts.rate_hz:g} Hz ({facts.interpolation}), and windows cut every "
            f"{facts.hop} steps. Missing values are NaN. A window's label: {facts.policy}. Marks: {sources or 'none'}.",
            "## 5. Uses",
            plan.purpose or NOT_SAID.format("what it is for"),
            about.ethics or NOT_SAID.format("biases, limits, and what it must not be used for"),
            "## 6. Distribution",
            f"Licence: {about.license}." if about.license else NOT_SAID.format("the licence"),
            f"May be used by: {', '.join(privacy.access)}." if privacy.access else NOT_SAID.format("who may use it"),
            f"Cite as: {about.cite}" if about.cite else NOT_SAID.format("how to cite it"),
            "## 7. Maintenance",
            f"Contact: {about.contact}." if about.contact else NOT_SAID.format("whom to ask"),
            f"Kept for {privacy.retention}." if privacy.retention else NOT_SAID.format("how long it is kept"),
            f"Version {facts.version}." if facts.version else NOT_SAID.format("a version"),
            *_missing(facts),
        ]
    )


def collection_log(
    facts: DatasetFacts,
    events: Sequence[tuple[str, str]],
    recordings: Iterator[tuple[str, ...]],
    collected: CollectionFacts | None = None,
) -> str:
    """What came from where, and who did what when. `events` are times with what happened; `recordings` are rows of
    source, stream, rate, units, recordings; `collected` is what the log says, where it was asked."""
    changes = [] if collected is None else list(collected.changes)
    return _joined(
        [
            f"# Collection log of {facts.name}",
            f"Taken on {facts.made} by {facts.tool}. People are roles: annotators are numbered by their first mark.",
            "## Sources",
            "\n".join(f"- {each}" for each in facts.plan.sources) or NOT_SAID.format("[plan] sources"),
            "## Streams",
            *_table(("stream", "rate (Hz)", "channels and units", "recordings"), recordings),
            *_collected(collected),
            "## What was done when",
            "\n".join(f"- {time}: {what}" for time, what in sorted([*events, *changes])) or "Nothing.",
            "## Not in it",
            "\n".join(f"- {reason}: {count:,} windows" for reason, count in facts.drops.items())
            or "Nothing was left out.",
        ]
    )


def _collected(found: CollectionFacts | None) -> list[str]:
    """Agents, sensors and calibrations."""
    if found is None:
        return ["Agents' versions and calibrations are in the log, which was not asked (`--log`)."]
    agents = ((each.version, str(each.devices), each.first, each.last) for each in found.agents)
    sensors = ([text or "not said" for text in msgspec.structs.astuple(each)] for each in found.sensors)
    heard = _table(("agent's version", "devices", "first heard", "last heard"), agents)
    told = _table(("stream", "sensor", "mounting", "calibrated", "against", "axes"), (tuple(each) for each in sensors))
    return [
        "## Agents",
        *(heard if found.agents else ["The log says nothing of agents (any more: it keeps their status for days)."]),
        "## Sensors and calibrations",
        *(told if found.sensors else ["No stream's description says anything of its sensor."]),
    ]
