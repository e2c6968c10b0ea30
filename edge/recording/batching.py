"""Samples of one stream until they become chunks, and what was lost among them until it becomes a gap. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from edge.protocol import SourceConfig, Times, Values
from edge.recording.correcting import Corrector
from edge.recording.plausibility import IMPLAUSIBLE, UNKNOWN_STATE, Enumeration, Mask, Plausibility
from ingest.chunker import Limits, Origin, stamped_chunks
from ingest.records import Channel, Chunk, Clock, Gap, StreamDescription, schema_id

ALIKE_NS: Final = 20_000_000
"""Errors below this are usual: they cut no chunk."""
FRESH_SAMPLES: Final = 1000
"""So many samples wait to be looked at together: until then they take several times the memory of their own type."""


def describe(config: SourceConfig) -> StreamDescription:
    """What the bytes of a source's stream mean."""
    stored = Corrector(config)
    channels = tuple(
        Channel(
            name, unit, stored.scales.get(name, 1.0), stored.offsets.get(name, 0.0), states=config.states.get(name, ())
        )
        for name, unit in config.channels.items()
    )
    rate = config.rate
    numerator, denominator = (0, 1) if rate is None else (rate.numerator, rate.denominator)
    return StreamDescription(
        config.stream,
        channels,
        config.dtype,
        numerator,
        denominator,
        config.sensor,
        config.mounting,
        config.correction,
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


@dataclass(slots=True)
class Account:
    """What goes on over the recordings of a boot, also where two of them are under way at once."""

    seq: int = 0
    """Of the next chunk."""
    counters: Counters = field(default_factory=Counters)


class StreamBatch:
    """Collects one stream.

    Samples come a few at a time, and are looked at together when somebody asks for what depends on them.
    """

    def __init__(self, config: SourceConfig, limits: Limits, account: Account) -> None:
        self.description = description = describe(config)
        self.schema = schema_id(description)
        self.pending_bytes = 0
        self.account = account
        self._counters = account.counters
        self._end_ns: int | None = None
        self._limits = limits
        self._has_rate = config.rate is not None or not config.is_on_our_axis
        self._dtype = np.dtype(description.dtype).newbyteorder("<")
        self._range = np.iinfo(self._dtype) if self._dtype.kind in "iu" else None
        self._corrector = Corrector(config)
        self._plausibility = Plausibility(config)
        self._enumeration = Enumeration(config)
        self.sample_bytes = 8 + self._dtype.itemsize * len(description.channels)
        """What a sample takes in memory, about."""
        self._fresh: list[tuple[Times, Values]] = []
        self._fresh_error = 0
        """Not looked at yet."""
        self._fresh_samples = 0
        self._times: list[Times] = []
        self._values: list[NDArray[Any]] = []
        self._errors: list[int] = []
        """Beside `_times`: how much further off than usual its samples' times may be, ns."""
        self._losses: dict[str, Loss] = {}

    @property
    def has_samples(self) -> bool:
        """Whether `drain` gives a chunk."""
        return bool(self._fresh or self._times)

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

    def add(self, times: Times, values: Values, error_ns: int = 0) -> None:
        """Samples, `(samples,)` ns rising strictly and `(samples, channels)`; what does not fit the type, or cannot be,
        is lost. Their times may be `error_ns` further off than the timebase's usual ones."""
        if not _alike(error_ns, self._fresh_error):
            self._settle()
        self._fresh_error = max(error_ns, self._fresh_error)
        for loss in self._losses.values():
            loss.end_ns = int(times[0]) if loss.end_ns is None else loss.end_ns
        self._fresh.append((times, values))
        self.pending_bytes += self.sample_bytes * len(times)
        self._fresh_samples += len(times)
        if self._fresh_samples >= FRESH_SAMPLES:
            self._settle()

    def _settle(self) -> None:
        """Look at what was added."""
        if not self._fresh:
            return
        fresh, self._fresh, self._fresh_samples = self._fresh, [], 0
        error_ns, self._fresh_error = self._fresh_error, 0
        times, values = fresh[0] if len(fresh) == 1 else map(np.concatenate, zip(*fresh, strict=True))
        values = self._corrector.apply(values)
        if self._plausibility.is_needed:
            times, values = self._without(IMPLAUSIBLE, ~self._plausibility.sift(values), times, values)
        if self._enumeration.is_needed:
            times, values = self._without(UNKNOWN_STATE, self._enumeration.strange(values), times, values)
        if self._range is not None:
            packed = _packed(values, self._dtype)
            if not (packed == values).all():  # seldom: only then is it asked which
                times, values = self._without("range", _unfit(values, self._range), times, values)
                packed = values.astype(self._dtype)
        else:
            times, packed = self._floats(times, values)
        if len(times):
            self._times.append(times)
            self._values.append(packed)
            self._errors.append(error_ns)
            self._counters.samples += len(times)
            self._end_ns = int(times[-1]) + 1

    def _floats(self, times: Times, values: Values) -> tuple[Times, NDArray[Any]]:
        """In the stream's own type; what it does not hold is missing, never infinite."""
        with np.errstate(over="ignore"):
            packed = values.astype(self._dtype)
        large = np.isinf(packed)
        if not large.any():
            return times, packed
        packed[large] = np.nan
        empty = np.isnan(packed).all(axis=1)
        counted = self._counters.lost
        counted["too_large"] = counted.get("too_large", 0) + int((large.any(axis=1) & ~empty).sum())
        return self._without("too_large", empty & large.any(axis=1), times, packed)

    def _without(self, reason: str, bad: Mask, times: Times, values: Values) -> tuple[Times, Values]:
        """The samples but for the bad ones, which are lost."""
        rows = np.flatnonzero(bad)
        if not len(rows):
            return times, values
        if rows[0]:
            self._end_ns = int(times[rows[0] - 1]) + 1
        self._lose(reason, len(rows), int(times[rows[0]]))
        self._losses[reason].end_ns = int(times[rows[-1]]) + 1
        return times[~bad], values[~bad]

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
        """What was collected: the gaps first, so that no chunk passes one that was not announced.

        A loss behind which no sample has come reaches up to `now_ns`.
        """
        self._settle()
        records: list[Chunk | Gap] = []
        for reason, loss in self._losses.items():
            until_ns = max(now_ns if loss.end_ns is None else loss.end_ns, loss.start_ns + 1)
            whose = (origin.device, origin.recording, origin.stream, origin.boot)
            records.append(Gap(*whose, loss.start_ns, until_ns, loss.samples, reason))
            if loss.end_ns is None and not self._times:
                self._end_ns = max(until_ns, self._end_ns or until_ns)
        self._losses = {}
        for error_ns, times, values in self._sections():
            own, limits = _uncertain(origin, error_ns), self._even(times)
            chunks = list(stamped_chunks(own, times, values, limits, self.account.seq, has_rate=self._has_rate))
            self.account.seq += len(chunks)
            self._counters.chunks += len(chunks)
            records += chunks
        self._times, self._values, self._errors, self.pending_bytes = [], [], [], 0
        return records

    def _sections(self) -> Iterator[tuple[int, Times, NDArray[Any]]]:
        """What was collected, cut where it changes by much how far off the times may be."""
        begin, error_ns = 0, self._errors[0] if self._errors else 0
        for end in range(1, len(self._errors) + 1):
            if end < len(self._errors) and _alike(self._errors[end], error_ns):
                error_ns = max(error_ns, self._errors[end])
                continue
            part = slice(begin, end)
            yield error_ns, np.concatenate(self._times[part]), np.concatenate(self._values[part])
            begin, error_ns = end, self._errors[end] if end < len(self._errors) else 0

    def _even(self, times: Times) -> Limits:
        """Limits by which the samples of a tick that came a little late make one chunk, not one and a rest."""
        span_ns = int(times[-1]) - int(times[0])
        number = max(1, round(span_ns / self._limits.span_ns))
        return Limits(max(1, span_ns // number + 1), self._limits.bytes)

    def forget_recording(self) -> None:
        """A new recording begins: nothing of the old one's times counts."""
        self._settle()
        self._end_ns = None


def _packed(values: Values, dtype: np.dtype[Any]) -> NDArray[Any]:
    """Integers of that type; whatever it makes of values that it does not hold."""
    with np.errstate(invalid="ignore"):
        return values.astype(dtype)


def _unfit(values: Values, allowed: np.iinfo[Any]) -> Mask:
    """The samples with a value that is no integer which the type holds, `(samples,)`."""
    with np.errstate(invalid="ignore"):
        bad: Mask = ~((np.rint(values) == values) & (values >= allowed.min) & (values <= allowed.max)).all(axis=1)
    return bad


def _alike(one_ns: int, other_ns: int) -> bool:
    """Whether samples that may be so far off can share a chunk, which says the larger."""
    least, most = sorted((max(one_ns, ALIKE_NS), max(other_ns, ALIKE_NS)))
    return most <= 8 * least


def _uncertain(origin: Origin, error_ns: int) -> Origin:
    """The origin of samples that may be so far off."""
    clock = origin.clock
    if not error_ns or clock is None:
        return origin
    return replace(origin, clock=Clock(clock.source, clock.offset_ns, clock.ppm, max(clock.uncertainty_ns, error_ns)))
