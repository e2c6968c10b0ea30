"""What an agent says of itself, as Prometheus reads it: the text format, version 0.0.4. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Final, Literal, NamedTuple, TypeAlias

from edge.agent.overview import Overview, SourceView

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
_PREFIX: Final = "sensorloom_agent_"
_Kind: TypeAlias = Literal["gauge", "counter"]
_Labels: TypeAlias = Mapping[str, str]


class _Metric(NamedTuple):
    name: str
    kind: _Kind
    help: str
    values: Sequence[tuple[_Labels, float]]


_FIGURES: Final[Mapping[str, tuple[str, _Kind, str]]] = {
    "spool.bytes": ("spool_bytes", "gauge", "What the spool holds on its disk."),
    "spool.backlog": ("spool_backlog_records", "gauge", "Records that the log does not have yet."),
    "spool.dropped_samples": ("spool_dropped_samples_total", "counter", "Samples that a full spool dropped by rule."),
    "spool.refused_samples": ("spool_refused_samples_total", "counter", "Samples that no disk took."),
    "spool.dropped_records": ("spool_dropped_records_total", "counter", "Records that a full spool dropped by rule."),
    "spool.damaged_records": ("spool_damaged_records_total", "counter", "Records that the disk gave back damaged."),
    "spool.lost_records": ("spool_lost_records_total", "counter", "Records that waited in a spool somebody deleted."),
    "spool.written_bytes": ("spool_written_bytes_total", "counter", "Bytes written to the spool."),
    "spool.fsyncs": ("spool_fsyncs_total", "counter", "How often the spool was made durable."),
    "published.records": ("published_records_total", "counter", "Records that the log has acknowledged."),
    "published.bytes": ("published_bytes_total", "counter", "Bytes of them."),
    "lag_s": ("lag_seconds", "gauge", "Age of the newest record that the log has, while a backlog drains."),
    "retries": ("retries_total", "counter", "Appends that were made again."),
    "too_large": ("too_large_records_total", "counter", "Records that the log does not take."),
    "repeated": ("repeated_total", "counter", "Deliveries that were known already, and left out."),
    "pps.locked": ("pps_locked", "gauge", "1 while a pulse per second leads the times."),
    "pps.error_s": ("pps_error_seconds", "gauge", "So near to UTC is what the pulse leads."),
    "pps.clock_ahead_s": ("pps_clock_ahead_seconds", "gauge", "How far the system's clock is ahead of the pulse."),
    "pps.pulses": ("pps_pulses_total", "counter", "Pulses."),
    "pps.missed": ("pps_missed_total", "counter", "Pulses that the kernel did not see."),
    "pps.extra": ("pps_extra_total", "counter", "What it saw between pulses."),
    "conflicts": ("conflicts", "gauge", "Other agents that speak for this one's devices."),
}


def exposition(view: Overview) -> str:
    """All of it, a metric after the other, each with its help and type."""
    return "".join(line for metric in _metrics(view) for line in _lines(metric))


def _metrics(view: Overview) -> Iterator[_Metric]:
    about = {"version": view.version, "agent": view.agent, "config_hash": view.config_hash}
    yield _Metric("info", "gauge", "Which agent this is.", [(about, 1.0)])
    yield _Metric("uptime_seconds", "gauge", "Since the agent began.", [({}, view.up_s)])
    yield _Metric("log_waiting", "gauge", "1 while the log is waited for.", [({}, float(bool(view.log_waiting_for)))])
    for figure, (name, kind, text) in _FIGURES.items():
        if figure in view.figures:
            yield _Metric(name, kind, text, [({}, view.figures[figure])])
    yield _of_sources(view, "samples_total", "counter", "Samples recorded.", lambda s: s.samples)
    yield _of_sources(view, "received_bytes_total", "counter", "Bytes that came.", lambda s: s.bytes)
    yield _of_sources(view, "waiting", "gauge", "1 while it is waited for.", lambda s: bool(s.waiting_for))
    yield _of_sources(view, "findings", "gauge", "How much is wrong with it now.", lambda s: len(s.findings))
    yield _of_sources(view, "silent_seconds", "gauge", "Since the newest bytes.", lambda s: s.silent_s)
    yield _of_sources(view, "rate_hertz", "gauge", "Its true rate, once that is known.", lambda s: s.rate_hz)
    lost = [(_who(s) | {"reason": why}, float(count)) for s in view.sources for why, count in s.lost.items()]
    yield _Metric("source_lost_total", "counter", "Samples lost, or times something was lost, by reason.", lost)


def _of_sources(view: Overview, name: str, kind: _Kind, text: str, of: Callable[[SourceView], float | None]) -> _Metric:
    """Of each source that has it."""
    found = [(_who(source), value) for source in view.sources if (value := of(source)) is not None]
    return _Metric(f"source_{name}", kind, text, [(who, float(value)) for who, value in found])


def _who(source: SourceView) -> dict[str, str]:
    device, _, stream = source.stream.partition("/")
    return {"source": source.name, "device": device, "stream": stream}


def _lines(metric: _Metric) -> Iterator[str]:
    name = _PREFIX + metric.name
    yield f"# HELP {name} {metric.help}\n# TYPE {name} {metric.kind}\n"
    for labels, value in metric.values:
        told = ",".join(f'{key}="{_escaped(text)}"' for key, text in labels.items())
        yield f"{name}{{{told}}} {value!r}\n" if told else f"{name} {value!r}\n"


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
