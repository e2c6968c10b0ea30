"""Samples of one stream until they become chunks, and what was lost among them until it becomes a gap. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from edge.protocol import SourceConfig, Times, Values
from ingest.chunker import Limits, Origin, stamped_chunks
from ingest.records import Channel, Chunk, Gap, StreamDescription, schema_id

FRESH_SAMPLES: Final = 1000
"""So many samples wait to be looked at together: until then they take several times the memory of their own type."""


def describe(config: SourceConfig) -> StreamDescription:
    """What the bytes of a source's stream mean."""
    channels = tuple(Channel(name, unit, config.scales.get(name, 1.0)) for name, unit in config.channels.items())
    rate = config.rate
    numerator, denominator = (0, 1) if rate is None else (rate.numerator, rate.denominator)
    return StreamDescription(
        config.stream, channels, config.dtype, numerator, denominator, config.sensor, config.mounting
    )


@dataclass(slots=True)
class Loss:
    """Samples that will never come, between two instants."""

    start_ns: int
    samples: int = 0
    """-1 where nobody knows how many."""
    end_ns: int | None = None
    """The first sample behind them."""

    def add(self, samples: int) -> None:
        """More of them; an unknown number stays unknown."""
        self.samples = -1 if samples < 0 or self.samples < 0 else self.samples + samples
        self.end_ns = None


@dataclass(slots=True)
class Counters:
    """What a stream has come to since the agent started."""

    samples: int = 0
    chunks: int = 0
    lost: dict[str, int] = field(default_factory=dict)
    """By reason; where nobody knows how many, once each time."""


class StreamBatch:
    """Collects one stream. `seq` goes on over recordings: it counts the chunks of the boot.

    Samples come a few at a time, and are looked at together when somebody asks for what depends on them.
    """

    def __init__(self, description: StreamDescription, limits: Limits) -> None:
        self.description = description
        self.schema = schema_id(description)
        self.pending_bytes = 0
        self._counters = Counters()
        self._end_ns: int | None = None
        self._limits = limits
        self._dtype = np.dtype(description.dtype).newbyteorder("<")
        self._range = np.iinfo(self._dtype) if self._dtype.kind in "iu" else None
        self._sample_bytes = 8 + self._dtype.itemsize * len(description.channels)
        self._seq = 0
        self._fresh: list[tuple[Times, Values]] = []
        """Not looked at yet."""
        self._fresh_samples = 0
        self._times: list[Times] = []
        self._values: list[NDArray[Any]] = []
        self._losses: dict[str, Loss] = {}

    @property
    def counters(self) -> Counters:
        """What the stream has come to."""
        self._settle()
        return self._counters

    @property
    def end_ns(self) -> int | None:
        """Behind the newest sample of this recording, or behind what was announced; None before the first."""
        self._settle()
        return self._end_ns

    @end_ns.setter
    def end_ns(self, end_ns: int) -> None:
        self._settle()
        self._end_ns = end_ns

    def add(self, times: Times, values: Values) -> None:
        """Samples, `(samples,)` ns rising strictly and `(samples, channels)`; what does not fit the type is lost."""
        for loss in self._losses.values():
            loss.end_ns = int(times[0]) if loss.end_ns is None else loss.end_ns
        self._fresh.append((times, values))
        self.pending_bytes += self._sample_bytes * len(times)
        self._fresh_samples += len(times)
        if self._fresh_samples >= FRESH_SAMPLES:
            self._settle()

    def _settle(self) -> None:
        """Look at what was added."""
        if not self._fresh:
            return
        fresh, self._fresh, self._fresh_samples = self._fresh, [], 0
        times, values = fresh[0] if len(fresh) == 1 else map(np.concatenate, zip(*fresh, strict=True))
        if self._range is not None:
            times, values = self._fitting(times, values, self._range)
        if len(times):
            self._times.append(times)
            self._values.append(values.astype(self._dtype))
            self._counters.samples += len(times)
            self._end_ns = int(times[-1]) + 1

    def _fitting(self, times: Times, values: Values, allowed: np.iinfo[Any]) -> tuple[Times, Values]:
        """The samples whose values are integers that the type holds; the others are lost."""
        fits = (np.rint(values) == values) & (values >= allowed.min) & (values <= allowed.max)
        good = fits.all(axis=1)
        if good.all():
            return times, values
        bad = np.flatnonzero(~good)
        if bad[0]:
            self._end_ns = int(times[bad[0] - 1]) + 1
        self._lose("range", len(bad), int(times[bad[0]]))
        self._losses["range"].end_ns = int(times[bad[-1]]) + 1
        return times[good], values[good]

    def lose(self, reason: str, samples: int, at_ns: int) -> None:
        """Samples (-1: nobody knows how many) are lost about now."""
        self._settle()
        self._lose(reason, samples, at_ns)

    def _lose(self, reason: str, samples: int, at_ns: int) -> None:
        counted = self._counters.lost
        counted[reason] = counted.get(reason, 0) + max(1, samples)
        start_ns = at_ns if self._end_ns is None else min(self._end_ns, at_ns)
        self._losses.setdefault(reason, Loss(start_ns)).add(samples)

    def drain(self, origin: Origin, now_ns: int) -> list[Chunk | Gap]:
        """What was collected: the gaps first, so that no chunk passes one that was not announced."""
        self._settle()
        records: list[Chunk | Gap] = []
        end_ns = now_ns if self._end_ns is None else max(now_ns, self._end_ns)
        for reason, loss in self._losses.items():
            until_ns = max(end_ns if loss.end_ns is None else loss.end_ns, loss.start_ns + 1)
            whose = (origin.device, origin.recording, origin.stream, origin.boot)
            records.append(Gap(*whose, loss.start_ns, until_ns, loss.samples, reason))
        self._losses = {}
        if self._times:
            times, values = np.concatenate(self._times), np.concatenate(self._values)
            chunks = list(stamped_chunks(origin, times, values, self._limits, self._seq))
            self._seq += len(chunks)
            self._counters.chunks += len(chunks)
            records += chunks
        self._times, self._values, self.pending_bytes = [], [], 0
        return records

    def forget_recording(self) -> None:
        """A new recording begins: nothing of the old one's times counts."""
        self._settle()
        self._end_ns = None
