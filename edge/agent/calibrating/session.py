"""A calibration at work: a source's samples, in the channels' units and not calibrated, until all was measured."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Final, Protocol

import numpy as np

from edge.agent.calibrating.solving import FACES, Solution, face_of, solve_points, solve_positions
from edge.agent.calibrating.stillness import Still, Stillness
from edge.agent.trial import passing_source
from edge.decoders import decoder_of
from edge.decoders.guard import GuardedDecoder
from edge.protocol import Arrival, Frame, SourceConfig, Values
from edge.recording.correcting import physical
from ingest.errors import TransientError
from ingest.times import NS

NEAR: Final = 0.2
"""A point that is nearer to the one before than this share of what is between their references is the same one."""


class Measuring(Protocol):
    """What is to be measured."""

    @property
    def wants(self) -> str:
        """What people are to do next; empty where all was measured."""
        ...

    def take(self, still: Still) -> str:
        """A stretch; what people are told of it."""
        ...

    def solve(self) -> Solution:
        """What was found. Raises `UnfitSetError`."""
        ...


class Positions:
    """An accelerometer with each of its six faces up once, in any order."""

    def __init__(self, gravity: float, unit: str) -> None:
        self._gravity = gravity
        self._unit = unit
        self._found: list[tuple[str, Still]] = []

    @property
    def wants(self) -> str:
        """See `Measuring`."""
        known = {face for face, _ in self._found}
        left = [face for face in FACES if face not in known]
        return f"put it down with one of {', '.join(left)} up, and let it lie" if left else ""

    def take(self, still: Still) -> str:
        """See `Measuring`."""
        face, words = face_of(still.mean, self._gravity), _words(still, self._unit)
        if face is None:
            return f"still, but no axis points up or down: {words}; put it on a face (and see its unit and scale)"
        again = " again" if face in {known for known, _ in self._found} else ""
        self._found.append((face, still))
        return f"{face} up{again}: {words}"

    def solve(self) -> Solution:
        """See `Measuring`."""
        return solve_positions(self._found, self._gravity)


class Points:
    """One channel at some references, in their order."""

    def __init__(self, references: Sequence[float], unit: str) -> None:
        self._references = references
        self._unit = unit
        self._found: list[tuple[float, Still]] = []

    @property
    def wants(self) -> str:
        """See `Measuring`."""
        left = self._references[len(self._found) :]
        return f"bring it to {left[0]:g} {self._unit}, and give it time" if left else ""

    def take(self, still: Still) -> str:
        """See `Measuring`."""
        words, number = _words(still, self._unit), len(self._found)
        if self._found and number < len(self._references):
            before, last = self._found[-1]
            least = NEAR * abs(self._references[number] - before)
            if abs(float(still.mean[0] - last.mean[0])) < least:
                return f"still as before: {words}"
        if number < len(self._references):
            self._found.append((self._references[number], still))
            return f"{self._references[number]:g} {self._unit}: it says {words}"
        return f"not needed: {words}"

    def solve(self) -> Solution:
        """See `Measuring`."""
        return solve_points(self._found)


@dataclass(frozen=True, slots=True)
class Limits:
    """What counts as still, and for how long it is waited for."""

    hold_s: float
    still: float
    """Standard deviation, in the channels' unit."""
    most_s: float


async def measure(
    config: SourceConfig,
    channels: Sequence[str],
    measuring: Measuring,
    limits: Limits,
    stop: asyncio.Event,
    say: Callable[[str], None],
    token: str,
) -> Solution:
    """Read until all was measured, or the source is at its end, or the time is over.

    Raises:
        UnfitSetError: that gives no calibration.
        TransientError: nothing was read.
    """
    reading = _Reading(replace(config, correction=None), channels, measuring, limits, say)
    serving, stopping = asyncio.create_task(reading.run(token)), asyncio.create_task(stop.wait())
    try:
        await asyncio.wait({serving, stopping}, timeout=limits.most_s, return_when=asyncio.FIRST_COMPLETED)
        if serving.done():
            serving.result()
    finally:
        for task in (serving, stopping):
            task.cancel()
        await asyncio.gather(serving, stopping, return_exceptions=True)
    if not reading.samples:
        raise TransientError(f"{config.name}: nothing was read; see sensorloom agent test")
    return measuring.solve()


class _Reading:
    """A source, read for its values alone."""

    def __init__(
        self,
        config: SourceConfig,
        channels: Sequence[str],
        measuring: Measuring,
        limits: Limits,
        say: Callable[[str], None],
    ) -> None:
        self.samples = 0
        self._config = config
        self._columns = [list(config.channels).index(name) for name in channels]
        self._measuring = measuring
        self._limits = limits
        self._stillness = Stillness(limits.hold_s, limits.still)
        self._say = say

    async def run(self, token: str) -> None:
        """Until all was measured, or the source is at its end."""
        config = self._config
        decoder = GuardedDecoder(decoder_of(config), lambda _: None)
        source = passing_source(config, token)
        self._say(self._measuring.wants)
        try:
            await source.open()
            async for item in source.arrivals():
                if not isinstance(item, Arrival):
                    decoder.reset()
                    continue
                found = decoder.message(item.data) if item.is_message else decoder.feed(item.data)
                for frame in found:
                    if isinstance(frame, Frame):
                        self._take(frame, item.monotonic_ns)
                if not self._measuring.wants:
                    return
        finally:
            with suppress(Exception):
                await source.close()

    def _take(self, frame: Frame, arrived_ns: int) -> None:
        values: Values = physical(self._config, frame.values)[:, self._columns]
        for still in self._stillness.take(self._times_s(frame, arrived_ns), values):
            wanted = self._measuring.wants
            self._say(self._measuring.take(still))
            if self._measuring.wants != wanted:
                self._say(self._measuring.wants)
        varies = self._stillness.restless()
        if varies is not None:
            self._say(
                f"not still for {5 * self._limits.hold_s:g} s: it varied by {varies:.2g} at least (standard "
                f"deviation), {self._limits.still:.2g} counts as still; does it lie? What is as noisy as that takes "
                f"--still {1.5 * varies:.1g}"
            )

    def _times_s(self, frame: Frame, arrived_ns: int) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
        """By its rate where it has one, else as it came: to the second it does not matter."""
        count, rate = len(frame.values), self._config.rate
        first, self.samples = self.samples, self.samples + count
        if rate is not None:
            return (first + np.arange(count)) / float(rate)
        if frame.times_ns is not None:
            return np.asarray(frame.times_ns / NS, dtype=np.float64)
        return np.full(count, arrived_ns / NS)


def _words(still: Still, unit: str) -> str:
    values = ", ".join(f"{value:.5g}" for value in still.mean)
    return f"{values} {unit}, noise {float(still.noise.max()):.2g}, {still.samples:,} samples"
