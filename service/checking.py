"""`sensorloom window check`: a survey as figures and lines."""

from __future__ import annotations

import msgspec

from ingest.showing import counted, printable
from service.causes import causes, span
from service.survey import Survey


class StreamReport(msgspec.Struct, frozen=True):
    """A stream of the log."""

    stream: str
    named: bool
    """Windows name it."""
    devices: int
    recordings: int
    samples: int
    rates_hz: tuple[float, ...]
    """As its descriptions say."""
    apart_ns: int | None
    """How far its samples lie apart, measured."""
    channels: dict[str, tuple[str, ...]]
    """Its channels, each with its units."""


class CheckReport(msgspec.Struct, frozen=True):
    """What a configuration would make of a log."""

    spec: str
    windows: int
    dropped: dict[str, int]
    open_recordings: int
    streams: tuple[StreamReport, ...]
    counts: dict[str, int]
    causes: tuple[str, ...]
    """Why windows are missing, and what changes it."""


def report_of(survey: Survey) -> CheckReport:
    """The figures of a survey."""
    named = {plan.name for plan in survey.spec.streams}
    return CheckReport(
        spec=survey.spec.id,
        windows=survey.windows,
        dropped=survey.drops,
        open_recordings=survey.open,
        streams=tuple(
            StreamReport(
                name,
                name in named,
                len(figures.devices),
                len(figures.recordings),
                figures.samples,
                tuple(figures.rates_hz),
                figures.step_ns,
                {channel: tuple(units) for channel, units in figures.channels.items()},
            )
            for name, figures in sorted(survey.streams.items())
        ),
        counts=dict(sorted(survey.counts.items())),
        causes=tuple(causes(survey)),
    )


def render_report(report: CheckReport) -> str:
    """The figures as lines for people; the causes are told apart from them."""
    lines = []
    for stream in report.streams:
        rate = ", ".join(f"{rate:g} Hz" for rate in stream.rates_hz) or "no rate"
        apart = "" if stream.apart_ns is None else f", {span(stream.apart_ns)} apart"
        named = "" if stream.named else " (not named)"
        channels = ", ".join(f"{printable(name)} in {' and '.join(units)}" for name, units in stream.channels.items())
        lines.append(
            f"stream {printable(stream.stream)}{named}: {counted(stream.devices, 'device')}, "
            f"{counted(stream.recordings, 'recording')}, {counted(stream.samples, 'sample')}, {rate}{apart}: "
            f"{channels or 'not described'}"
        )
    lines.append(
        f"windows: {report.windows:,}"
        + (f", {counted(report.open_recordings, 'open recording')}" if report.open_recordings else "")
    )
    lines += [f"dropped: {count:,} {reason}" for reason, count in report.dropped.items()]
    return "\n".join(lines)
