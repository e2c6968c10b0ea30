"""What is said of one source at an instant: from what its pipeline has heard and its recorder has counted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import isfinite
from typing import Final, NamedTuple

import msgspec

from edge.agent.diagnosis import EXAMPLE, Finding
from edge.agent.hearing import Hearing
from edge.agent.marking.book import Open
from edge.agent.members import Member
from edge.agent.overview import BadLineView, OpenView, SourceView, ValueView
from edge.agent.pipeline import Pipeline
from edge.protocol import SourceConfig
from edge.recording.correcting import physical
from ingest.showing import shown_bytes
from ingest.units import exact_time

_LINE_BYTES: Final = 256
"""So much of the newest line is looked at."""


class Now(NamedTuple):
    """An instant by two clocks."""

    monotonic_ns: int
    """CLOCK_BOOTTIME."""
    wall_ns: int


def not_begun(source: SourceConfig) -> SourceView:
    """Of a source that nobody reads yet."""
    return SourceView(
        name=source.name,
        type=source.type,
        decoder=source.decoder,
        stream=f"{source.device}/{source.stream}",
        samples=0,
        lost={},
        bytes=0,
        silent_s=None,
        rate_hz=None,
        waiting_for="",
        findings=[],
        bad_lines=[],
    )


def pipeline_views(pipeline: Pipeline, findings: Mapping[str, Sequence[Finding]], now: Now) -> list[SourceView]:
    """Of a source at work; of one of several devices as a whole, and of each of them."""

    def texts(name: str) -> list[str]:
        failed = [f"{pipeline.failure}; it is read no more: mend that, and start the agent anew"]
        return failed * bool(pipeline.failure) + [finding.text for finding in findings.get(name, ())]

    views = [source_view(pipeline, one, texts(pipeline.name_of(one)), now) for one in pipeline.members.values()]
    if not pipeline.config.is_family:
        return views
    return [family_view(pipeline, texts(pipeline.config.name), now), *views]


def family_view(pipeline: Pipeline, findings: Sequence[str], now: Now) -> SourceView:
    """Of a source of several devices as a whole: what is of none of them, and whether it is heard at all."""
    hearing = pipeline.hearing
    silent_ns = None if hearing.heard_ns is None else max(0, now.monotonic_ns - hearing.heard_ns)
    heard_ns = None if silent_ns is None else now.wall_ns - silent_ns
    return msgspec.structs.replace(
        not_begun(pipeline.config),
        lost=dict(pipeline.refused),
        bytes=hearing.size_bytes,
        silent_s=None if silent_ns is None else silent_ns / 1e9,
        waiting_for=pipeline.waiting_for,
        findings=list(findings),
        heard="" if heard_ns is None else exact_time(heard_ns),
        heard_ns=heard_ns,
        raw=shown_bytes(_newest_line(hearing.newest), EXAMPLE),
    )


def source_view(pipeline: Pipeline, member: Member, findings: Sequence[str], now: Now) -> SourceView:
    """Of a source at work, as far as it feeds this stream; `findings` are what is wrong with it."""
    source, hearing, recorder = member.config, member.hearing, member.recorder
    counters, rate = recorder.counters[source.stream], recorder.rates.get(source.stream)
    silent_ns = None if hearing.heard_ns is None else max(0, now.monotonic_ns - hearing.heard_ns)
    heard_ns = None if silent_ns is None else now.wall_ns - silent_ns
    return SourceView(
        name=pipeline.name_of(member),
        type=source.type,
        decoder=source.decoder,
        stream=f"{source.device}/{source.stream}",
        samples=counters.samples,
        lost=dict(counters.lost),
        bytes=hearing.size_bytes,
        silent_s=None if silent_ns is None else silent_ns / 1e9,
        rate_hz=None if rate is None else rate.found_hz,
        waiting_for="" if pipeline.config.is_family else pipeline.waiting_for,
        findings=list(findings),
        bad_lines=[
            BadLineView(exact_time(bad.wall_ns), bad.reason, shown_bytes(bad.raw.strip(), EXAMPLE), bad.wall_ns)
            for bad in hearing.bad
        ],
        heard="" if heard_ns is None else exact_time(heard_ns),
        heard_ns=heard_ns,
        raw=shown_bytes(_newest_line(hearing.newest), EXAMPLE),
        values=newest_values(source, hearing),
    )


def newest_values(source: SourceConfig, hearing: Hearing) -> list[ValueView]:
    """Of the newest sample, in the channels' units."""
    if hearing.frame is None or not len(hearing.frame.values):
        return []
    row = physical(source, hearing.frame.values[-1:])[0].tolist()
    return [_value(source, *named) for named in zip(source.channels.items(), row, strict=True)]


def _value(source: SourceConfig, channel: tuple[str, str], value: float) -> ValueView:
    name, unit = channel
    if not isfinite(value):
        return ValueView(name, unit, None)
    states = dict(source.states.get(name, ()))
    state = states.get(int(value), "") if value.is_integer() else ""
    return ValueView(name, unit, value, state)


def _newest_line(data: bytes) -> bytes:
    """The last whole line; of a message or of packed bytes, all that there is."""
    lines = data.strip(b"\r\n").rsplit(b"\n", 2)
    if len(lines) > 1 and not data.endswith(b"\n"):
        lines.pop()
    return lines[-1].rstrip(b"\r")[:_LINE_BYTES]


def open_views(is_open: Mapping[str, Open], monotonic_ns: int) -> list[OpenView]:
    """What has begun and is no mark yet."""
    return [
        OpenView(
            kind=opened.kind,
            device=opened.device,
            label=opened.label,
            author=opened.author,
            start=exact_time(opened.start_utc_ns) if opened.start_utc_ns else "",
            name=opened.name,
            left_s=max(0, opened.until_ns - monotonic_ns) / 1e9 if opened.until_ns else None,
        )
        for opened in is_open.values()
    ]
