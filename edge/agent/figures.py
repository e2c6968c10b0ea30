"""The figures of an agent, by name, as heartbeats carry them and its end shows them."""

from __future__ import annotations

from collections.abc import Mapping

from edge.agent.publisher import PublisherFigures
from edge.recording.recorder import Recorder
from edge.spool.spool import Queue


def recorded(recorders: Mapping[str, Recorder]) -> dict[str, float]:
    """What the streams have come to; named by device too, where there are several."""
    found: dict[str, float] = {}
    for device, recorder in recorders.items():
        for stream, counters in recorder.counters.items():
            name = f"{device}/{stream}" if len(recorders) > 1 else stream
            found[f"{name}.samples"] = counters.samples
            found[f"{name}.chunks"] = counters.chunks
            for reason, count in counters.lost.items():
                found[f"{name}.lost.{reason}"] = count
    return found


def spooled(queue: Queue, refused_samples: int) -> dict[str, float]:
    """What a queue of the spool holds, and what it cost; `refused_samples` never got that far."""
    return {
        "spool.bytes": queue.size_bytes,
        "spool.backlog": queue.backlog,
        "spool.dropped_samples": queue.stats.dropped_samples,
        "spool.refused_samples": refused_samples,
        "spool.damaged_records": queue.stats.damaged_records,
        "spool.payload_bytes": queue.stats.payload_bytes,
        "spool.written_bytes": queue.stats.written_bytes,
        "spool.fsyncs": queue.stats.fsyncs,
    }


def published(done: PublisherFigures) -> dict[str, float]:
    """What the log has acknowledged."""
    return {
        "published.records": done.records,
        "published.bytes": done.bytes,
        "lag_s": round(done.lag_s, 3),
        "retries": done.retries,
        "live": done.live,
    }
