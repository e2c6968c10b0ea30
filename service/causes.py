"""Why windows are missing, and which key changes it, in the words of whoever has to change it. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from ingest.settings import suggest
from ingest.showing import counted, printable
from ingest.units import format_time
from service.survey import StreamFigures, Survey
from windowing.fold.remarks import notes_on
from windowing.spec import StreamPlan

COUNTERS: Final = {
    "unsynced.samples": "the device's clock was not set (chunks say unsynced): they are never windowed",
    "uncertain.samples": "their times may be further off than [window] max_clock_uncertainty allows",
    "quarantine.samples": "they lie more than a day ahead of the log's clock: a device's clock was wrong",
    "late.samples": "they came behind what was complete, or their stream steps back in time",
    "forgotten.samples": "their device was to be forgotten",
    "duplicate.samples": "they are in the log already",
    "undecodable": "records that are none of this version; see the topic deadletter",
}
"""What else leaves samples out."""
_TOO_FINE: Final = 10
"""So many values for each sample are told."""


def causes(survey: Survey) -> list[str]:
    """Each cause as a text: what, how many windows or samples, and what to do. Empty where nothing is missing."""
    found = [
        *_missing_streams(survey),
        *_missing_channels(survey),
        *_lacking_recordings(survey),
        *_short(survey),
        *_gaps(survey),
        *_made_up(survey),
        *_others(survey),
        *_counted(survey),
    ]
    if not survey.windows and not found:
        found.append(_nothing(survey))
    return found


def _missing_streams(survey: Survey) -> Iterator[str]:
    for plan in survey.spec.streams:
        if plan.name not in survey.streams and survey.streams:
            known = suggest(plan.name, survey.streams)
            yield f'channels: no device in the log has a stream "{plan.name}"{known}'


def _missing_channels(survey: Survey) -> Iterator[str]:
    said = set()
    for plan in survey.spec.streams:
        figures = survey.streams.get(plan.name)
        if figures is None or not figures.descriptions:
            continue
        known = figures.channels
        for channel in plan.channels:
            if channel not in known:
                said.add(f"{plan.name}.{channel}")
                yield f'channels: the stream {plan.name} has no channel "{channel}"{suggest(channel, known)}'
    descriptions = [d for figures in survey.streams.values() for d in figures.descriptions]
    for note in notes_on(survey.spec.streams, descriptions):
        if note.partition(":")[0] not in said:
            yield note


def _lacking_recordings(survey: Survey) -> Iterator[str]:
    """Recordings that have some of the streams, but not all."""
    wanted = [plan.name for plan in survey.spec.streams if plan.name in survey.streams]
    of = {name: survey.streams[name].recordings for name in wanted}
    some = set[tuple[str, str]]().union(*of.values())
    lacking = sorted(key for key in some if any(key not in of[name] for name in wanted))
    if not lacking:
        return
    device, recording = lacking[0]
    has = [name for name in wanted if (device, recording) in of[name]]
    lacks = [name for name in wanted if name not in has]
    elsewhere = sorted(r for d, r in of[lacks[0]] if d == device)
    where = f", which is in recording {printable(elsewhere[0])}" if elsewhere else ", which it never had"
    drops = survey.drops.get("no_stream", 0)
    yield (
        f"no_stream: {counted(drops, 'window')}: {counted(len(lacking), 'recording')} without a stream: "
        f"{printable(recording)} of "
        f"{printable(device)} has {', '.join(has)}, and no {', '.join(lacks)}{where}; a window takes all its streams "
        "from one recording: import them with one --recording NAME, all but the last with --open"
    )


def _short(survey: Survey) -> Iterator[str]:
    spec = survey.spec
    length_ns = round(spec.length * spec.period[0] / spec.period[1])
    longest = max((last - first for first, last in survey.spans.values()), default=length_ns)
    if not survey.windows and longest < length_ns:
        yield f"length: the longest recording has {span(longest)}, a window {span(length_ns)}"


def _gaps(survey: Survey) -> Iterator[str]:
    drops = survey.drops.get("gap", 0)
    if not drops:
        return
    named = False
    for plan in survey.spec.streams:
        step_ns = survey.streams[plan.name].step_ns if plan.name in survey.streams else None
        limit_ns = _max_gap_ns(plan)
        if step_ns is not None and limit_ns is not None and step_ns > limit_ns:
            named = True
            yield (
                f"gap: {counted(drops, 'window')}: the samples of {plan.name} lie {span(step_ns)} apart, max_gap is "
                f'{span(limit_ns)}; say max_gap = "{span(5 * step_ns)}" in [window.streams.{plan.name}], with '
                'interpolation = "hold" where it is slower than the windows need'
            )
    if not named:
        yield f"gap: {drops:,} windows touch a hole longer than max_gap{_place(survey, 'gap')}"


def _made_up(survey: Survey) -> Iterator[str]:
    """Grids so much finer than a stream that most of their values were measured by nobody."""
    for plan in survey.spec.streams:
        figures = survey.streams.get(plan.name)
        if figures is None or plan.rule.interpolation != "linear" or not _quantities(plan, figures):
            continue
        rate_hz = max(figures.rates_hz, default=0.0) or (1e9 / figures.step_ns if figures.step_ns else 0.0)
        times = float(survey.spec.rate) / rate_hz if rate_hz else 0.0
        if times >= _TOO_FINE:
            yield (
                f"rate: windows have {times:.3g} values for each sample of {plan.name} ({rate_hz:.4g} Hz): what lies "
                'between is made up by interpolation; say a lower rate, or interpolation = "hold" in '
                f"[window.streams.{plan.name}]"
            )


def _quantities(plan: StreamPlan, figures: StreamFigures) -> bool:
    """Whether some description has a channel that windows interpolate: states are held."""
    return any(c.name in plan.channels and not c.states for d in figures.descriptions for c in d.channels)


def _max_gap_ns(plan: StreamPlan) -> int | None:
    """The longest hole that is bridged, where the configuration says one."""
    return plan.rule.max_gap_ns


def _others(survey: Survey) -> Iterator[str]:
    drops = survey.drops
    if drops.get("coverage"):
        yield (
            f"coverage: {drops['coverage']:,} windows have too few values in some channel{_place(survey, 'coverage')}; "
            "see min_coverage, max_gap and interpolation"
        )
    if drops.get("edge"):
        yield (
            f"edge: {drops['edge']:,} windows reach beyond the begin or end of their recording"
            f"{_place(survey, 'edge')}; min_coverage below 1 takes some"
        )
    for reason in sorted(drops.keys() - {"gap", "coverage", "edge", "no_stream"}):
        yield f"{reason}: {counted(drops[reason], 'window')}{_place(survey, reason)}"


def _counted(survey: Survey) -> Iterator[str]:
    for name, why in COUNTERS.items():
        if survey.counts[name]:
            yield f"{name}: {survey.counts[name]:,} are left out: {why}"
    if survey.undescribed:
        yield (
            f"streams: {survey.undescribed:,} records lie behind a chunk whose description is not in the log: a run "
            "waits for it; start the agent that made them, or import one of its files again"
        )
    for name in sorted(survey.streams.keys() - {plan.name for plan in survey.spec.streams}):
        yield f"not named: the stream {printable(name)} is in no window"


def _nothing(survey: Survey) -> str:
    """Why there is no window although nothing was left out."""
    spec = survey.spec
    if not survey.spans:
        return "the log has no samples: import some, or see whether the agent publishes to this log"
    if spec.anchor == "mark" and not survey.anchors:
        others = f" but {survey.other_anchors:,} of rules that are not named" if survey.other_anchors else ""
        return (
            f'anchor = "mark": the log has no marks to begin windows at{others}; import marks, or take another anchor'
        )
    if survey.open:
        return (
            f"{survey.open:,} recordings have not ended, and wait for more: of files, all but the last stream's are "
            "imported with --open; of agents, see whether they still send"
        )
    return "no window lies within a recording"


def _place(survey: Survey, reason: str) -> str:
    place = survey.places.get(reason)
    return (
        "" if place is None else f", first at {format_time(place[2])} in {printable(place[1])} of {printable(place[0])}"
    )


def span(ns: int) -> str:
    """A duration as one writes it in a configuration."""
    for unit, size in (("s", 10**9), ("ms", 10**6), ("us", 10**3)):
        if ns >= size:
            return f"{ns / size:.6g}{unit}"
    return f"{ns}ns"
