"""The figures of an agent, by name, as heartbeats carry them and its end shows them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from edge.agent.marking.desk import Desk
from edge.agent.pipeline import Pipeline
from edge.agent.publisher import PublisherFigures
from edge.config import AgentConfig
from edge.recording.recorder import Recorder
from edge.spool.spool import Spool


def recorded(recorders: Mapping[str, Recorder]) -> dict[str, float]:
    """What the streams have come to; named by device too, where there are several."""
    return {
        f"{device}/{name}" if len(recorders) > 1 else name: value
        for device, recorder in recorders.items()
        for name, value in of_device(recorder).items()
    }


def of_device(recorder: Recorder) -> dict[str, float]:
    """What the streams of one device have come to."""
    found: dict[str, float] = {}
    for stream, counters in recorder.counters.items():
        found[f"{stream}.samples"] = counters.samples
        found[f"{stream}.chunks"] = counters.chunks
        for reason, count in counters.lost.items():
            found[f"{stream}.lost.{reason}"] = count
    return found


def by_device(recorders: Mapping[str, Recorder], common: Mapping[str, float]) -> dict[str, dict[str, float]]:
    """Each device's own; what the agent has in common stands with its first one."""
    found = {device: of_device(recorder) for device, recorder in recorders.items()}
    if found:
        next(iter(found.values())).update(common)
    return found


def refused(pipelines: Iterable[Pipeline]) -> dict[str, float]:
    """What sources of several devices brought of none that is recorded."""
    return {f"{one.config.name}.refused.{reason}": count for one in pipelines for reason, count in one.refused.items()}


def spooled(spool: Spool, refused_samples: int) -> dict[str, float]:
    """What the spool holds, and what it cost: its readings, and what both queues have lost. `refused_samples` never got
    that far."""
    queue, both = spool.readings, (spool.readings.stats, spool.urgent.stats)
    return {
        "spool.bytes": queue.size_bytes,
        "spool.backlog": queue.backlog,
        "spool.dropped_samples": queue.stats.dropped_samples,
        "spool.refused_samples": refused_samples,
        "spool.dropped_records": sum(stats.dropped_records.total() for stats in both),
        "spool.damaged_records": sum(stats.damaged_records for stats in both),
        "spool.lost_records": sum(stats.lost_records for stats in both),
        "spool.payload_bytes": queue.stats.payload_bytes,
        "spool.written_bytes": queue.stats.written_bytes,
        "spool.fsyncs": queue.stats.fsyncs,
    }


def marked(desk: Desk, missed: int) -> dict[str, float]:
    """What buttons and the shell have marked; `missed` edges of buttons came too fast to be kept."""
    found = {"marks.made": desk.made, "marks.retracted": desk.retracted, "marks.waiting": desk.waiting}
    found |= {"marks.lost": desk.lost, "marks.missed_edges": missed}
    return {name: float(count) for name, count in found.items() if count}


def published(done: PublisherFigures) -> dict[str, float]:
    """What the log has acknowledged."""
    return {
        "published.records": done.records,
        "published.bytes": done.bytes,
        "lag_s": round(done.lag_s, 3),
        "retries": done.retries,
        "live": done.live,
        "too_large": done.too_large,
    }


def lost_words(config: AgentConfig, lost: Mapping[tuple[str, str], int]) -> str:
    """What an agent lost at its end, by device and stream, for people."""
    names = {(source.device, source.stream): source.name for source in config.sources}
    by_source = ", ".join(f"{names.get(whose, '/'.join(whose))} {count:,}" for whose, count in lost.items())
    return (
        f"{config.spool_dir}: {sum(lost.values()):,} samples could not be written and are lost: {by_source}; the disk "
        "took nothing up to the end: free some space. The next start says up to where this one came"
    )
