"""All that an agent says of itself at an instant, and how people read it: as one line, or as a page. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import msgspec

from ingest.showing import counted, printable


class BadLineView(msgspec.Struct, frozen=True):
    """Bytes that gave no sample."""

    time: str
    """ISO 8601, UTC, to the nanosecond."""
    reason: str
    raw: str
    """As an example for people."""
    time_ns: int = 0


class ValueView(msgspec.Struct, frozen=True):
    """A channel's newest value."""

    channel: str
    unit: str
    value: float | None
    """In the unit; None where it is missing, or is no finite number."""
    state: str = ""
    """The value's name, of a channel with named values."""


class SourceView(msgspec.Struct, frozen=True):
    """One source. Counts are since the agent began."""

    name: str
    type: str
    decoder: str
    stream: str
    """`device/stream`."""
    samples: int
    lost: dict[str, int]
    """By reason; where nobody knows how many, once each time."""
    bytes: int
    silent_s: float | None
    """Since the newest bytes; None where none came."""
    rate_hz: float | None
    """What was learned; None so long as nothing was."""
    waiting_for: str
    findings: list[str]
    """What is wrong, and what to do."""
    bad_lines: list[BadLineView]
    """The newest last."""
    heard: str = ""
    """When the newest bytes came, as `BadLineView.time`; empty where none did."""
    heard_ns: int | None = None
    raw: str = ""
    """The newest line or message, as an example for people."""
    values: list[ValueView] = []
    """Of the newest sample; empty where none came."""


class ButtonView(msgspec.Struct, frozen=True):
    """One button. Counts are since the agent began."""

    name: str
    device: str
    does: str
    """`press = fall`."""
    marks: int
    is_open: bool
    """A range that it has begun is open."""
    waiting_for: str
    said: str
    """Why its last press did nothing; empty where it did."""


class OpenView(msgspec.Struct, frozen=True):
    """What has begun and is no mark yet."""

    kind: str
    device: str
    label: str
    author: str
    start: str
    """As `BadLineView.time`; empty where the clock is not set."""
    name: str = ""
    """Of a recording."""
    left_s: float | None = None
    """Until it ends by itself."""


class Overview(msgspec.Struct, frozen=True):
    """An agent. Counts are since it began."""

    version: str
    agent: str
    config: str
    pid: int
    up_s: float
    log: str
    log_waiting_for: str
    spool: str
    figures: dict[str, float]
    sources: list[SourceView]
    time: str = ""
    """When it said so, as `BadLineView.time`."""
    time_ns: int = 0
    buttons: list[ButtonView] = []
    open: list[OpenView] = []
    config_hash: str = ""
    revision: str = ""
    """Of what came through the log and is laid over the local file; empty: nothing is."""
    configured: str = ""
    """What became of the newest that came; empty: none did, since it began."""
    pps: str = ""
    """How the pulse per second is; empty: none is configured."""
    pps_trouble: str = ""
    """The same where times are not led by it now."""

    @property
    def samples(self) -> int:
        """Of all sources."""
        return sum(source.samples for source in self.sources)


def start_line(view: Overview) -> str:
    """Who runs, on what."""
    ways = ", ".join(f"{source.name} ({source.type}, {source.decoder}, {source.stream})" for source in view.sources)
    count = len(view.sources)
    return (
        f"sensorloom {view.version}, agent {view.agent}: {count} source{'s' if count > 1 else ''}: {ways}; "
        f"log {view.log}; spool {view.spool}"
    )


def minute_line(view: Overview, before: Overview, seconds: float) -> str:
    """What came in these seconds, and what was lost since the start."""
    rates = ", ".join(
        f"{now.name} {_rate(now.samples - then.samples, seconds)}"
        for now, then in zip(view.sources, before.sources, strict=True)
    )
    return "; ".join([f"{view.samples:,} samples ({rates})", *_rest(view)])


def status_line(view: Overview, before: Overview, seconds: float, width: int) -> str:
    """The same in at most `width` characters: what is lost comes before what is well."""
    line = f"{view.samples:,} samples, {_rate(view.samples - before.samples, seconds)}"
    for part in _rest(view):
        longer = f"{line}; {part}"
        if len(longer) > width:
            return longer if len(line) > width - 2 else f"{longer[: width - 1]}…"
        line = longer
    return line[:width]


def service_line(view: Overview) -> str:
    """How it is, for `systemctl status`: what is waited for comes first."""
    waits = [f"{source.name} waits for {source.waiting_for}" for source in view.sources if source.waiting_for]
    if view.log_waiting_for:
        waits.append(f"the log waits for {view.log_waiting_for}")
    count = len(view.sources)
    heard = f"{count - sum(bool(s.waiting_for) for s in view.sources)} of {count} sources heard"
    return printable("; ".join([*waits, heard, f"{view.samples:,} samples", *_rest(view)]))


def _rate(samples: int, seconds: float) -> str:
    hertz = max(0, samples) / seconds if seconds > 0 else 0.0
    return f"{hertz:,.0f}/s" if hertz >= 100 or hertz == 0 else f"{hertz:.3g}/s"


def _rest(view: Overview) -> Iterator[str]:
    lost = _losses(view)
    if lost:
        yield f"lost {lost}"
    dropped = view.figures.get("spool.dropped_samples", 0) + view.figures.get("spool.refused_samples", 0)
    if dropped:
        yield f"{dropped:,.0f} dropped by the spool"
    if view.figures.get("too_large"):
        yield f"{view.figures['too_large']:,.0f} too large for the log"
    if view.figures.get("lag_s", 0) >= 1:
        yield f"{view.figures['lag_s']:,.0f} s behind"
    yield f"spool {view.figures.get('spool.backlog', 0):,.0f} records"
    yield f"log {view.figures.get('published.records', 0):,.0f}"


def _losses(view: Overview) -> str:
    """`imu 12 columns, gps 3 checksum, 1 torn`; the most first."""
    sources = sorted((source for source in view.sources if source.lost), key=lambda one: -sum(one.lost.values()))
    return ", ".join(f"{source.name} {_counts(source.lost.items())}" for source in sources)


def _counts(items: Iterable[tuple[str, int]]) -> str:
    return ", ".join(f"{count:,} {reason}" for reason, count in sorted(items, key=lambda item: -item[1]))


def _left_out(view: Overview) -> Iterator[str]:
    count = view.figures.get("too_large", 0)
    if count:
        yield (
            f"    {count:,.0f} records were left out for ever, too large for it: raise its max.message.bytes, or lower "
            "bytes and span of [chunk]"
        )


def page(view: Overview) -> str:
    """All of it, for `sensorloom agent status`."""
    lines = [
        f"agent {view.agent}, process {view.pid}, up {_span(view.up_s)}, sensorloom {view.version}, {view.config}",
        f"  log    {view.log}: {view.log_waiting_for or 'answers'}; {_figure(view, 'published.records')} records, "
        f"{view.figures.get('lag_s', 0):.1f} s behind",
        *_left_out(view),
        f"  spool  {view.spool}: {_figure(view, 'spool.backlog')} records wait, {_figure(view, 'spool.bytes')} bytes; "
        f"{_figure(view, 'spool.dropped_samples')} samples dropped, {_figure(view, 'spool.refused_samples')} refused",
    ]
    if view.revision or view.configured:
        lines.append(
            f"  remote {view.revision or 'none'} is laid over the file"
            + f"; newest {view.configured}" * bool(view.configured)
        )
    if view.pps:
        lines.append(f"  pps    {view.pps}")
    for source in view.sources:
        heard = "nothing heard yet" if source.silent_s is None else f"heard {_span(source.silent_s)} ago"
        rate = "" if source.rate_hz is None else f", {source.rate_hz:.6g} Hz"
        way = f"{source.type} → {source.decoder} → {source.stream}"
        lines.append(f"  {source.name}  {way}: {source.samples:,} samples{rate}, {heard}")
        if source.lost:
            lines.append(f"    lost: {_counts(source.lost.items())}")
        if source.waiting_for:
            lines.append(f"    waiting for {source.waiting_for}")
        lines += [f"    {finding}" for finding in source.findings]
        lines += [f"    {bad.time}  {bad.reason:<12} {bad.raw}" for bad in source.bad_lines]
    for button in view.buttons:
        lines.append(
            f"  button {button.name}  {button.does}, {button.device}: {counted(button.marks, 'mark')}"
            + (", open" if button.is_open else "")
        )
        lines += [f"    waiting for {button.waiting_for}"] * bool(button.waiting_for)
        lines += [f"    {button.said}"] * bool(button.said)
    for opened in view.open:
        left = "" if opened.left_s is None else f", {opened.left_s:.0f} s left"
        what = f"recording {opened.name}" if opened.name else opened.kind
        lines.append(
            f"  open   {what} {opened.label} of {opened.device}, by {opened.author}, since {opened.start}{left}"
        )
    return "\n".join(map(printable, lines))


def trial_page(sources: Iterable[SourceView], seconds: float) -> str:
    """What was read of sources in some seconds, for `sensorloom agent test`."""
    return "\n".join(printable(line) for source in sources for line in _trial_lines(source, seconds))


def _trial_lines(source: SourceView, seconds: float) -> Iterator[str]:
    rate = "" if source.rate_hz is None else f", {source.rate_hz:,.4g} a second"
    way = f"{source.type} → {source.decoder} → {source.stream}"
    yield f"{source.name}  {way}: {counted(source.samples, 'sample')} in {seconds:.3g} s{rate}"
    if source.raw:
        yield f"  raw      {source.raw}"
    if source.values:
        yield f"  decoded  {', '.join(map(value_words, source.values))}"
    if source.lost:
        yield f"  lost     {_counts(source.lost.items())}"
    for trouble in troubles(source):
        yield f"  wrong    {trouble}"
    if not troubles(source):
        yield "  good"


def troubles(source: SourceView) -> list[str]:
    """What is wrong with a source, or keeps it from being read."""
    return [f"waiting for {source.waiting_for}"] * bool(source.waiting_for) + source.findings


def value_words(value: ValueView) -> str:
    """`x = 0.98 g`, `position = 1 (down)`."""
    number = "missing" if value.value is None else f"{value.value:.6g}"
    unit = "" if value.unit == "1" or value.value is None else f" {value.unit}"
    return f"{value.channel} = {number}{unit}" + (f" ({value.state})" if value.state else "")


def _figure(view: Overview, name: str) -> str:
    return f"{view.figures.get(name, 0):,.0f}"


def _span(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.1f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"
