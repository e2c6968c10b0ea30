"""The recordings of a device in their course: one begins, streams of it are announced to have gaps, it ends; the
records of all that in their order. Pure."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from typing import Final

from edge.recording.terms import Held, Previous
from ingest.records import Gap, Progress, Record, RecordingEnd, RecordingStart

BACKLOG: Final = "-backlog"
"""Ends the name of a recording of what a device had kept, beside one that is live."""


class Course:
    """Those of one boot; or what a device had kept, `beside` those that are live."""

    def __init__(
        self, device: str, boot: bytes, attributes: Mapping[str, str], previous: Previous, beside: Course | None
    ) -> None:
        self.recording: str | None = None
        """The one under way."""
        self.started_ns = 0
        self.ended_ns: int | None = None
        """The end of the recording before, in this boot."""
        self.unheard: dict[str, str] = {}
        """Streams that were interrupted between two recordings, and why."""
        self.asked: dict[str, str] = {}
        """Attributes that a recording has which somebody asked for."""
        self.out: list[Held] = []
        """Records since `take`."""
        self._device = device
        self._boot = boot
        self._attributes = attributes
        self._previous = previous
        self._is_beside = beside is not None
        self._numbers: Iterator[int] = itertools.count() if beside is None else beside._numbers
        self._held = False

    def begin(self, start_ns: int, *, held: bool) -> None:
        """One begins; what was interrupted before it is announced. `held`: its times wait for the clock."""
        number = next(self._numbers)
        self.recording = f"{self._boot.hex()[:12]}-{number}" + (BACKLOG if self._is_beside else "")
        self._held = held
        reason = BACKLOG[1:] if self._is_beside else "restart" if number else "start"
        whose = self._device, self.recording, self._boot
        self.emit(RecordingStart(*whose, start_ns, reason, *self._previous, {**self._attributes, **self.asked}), held)
        self._previous = Previous()
        self.started_ns = start_ns
        if self.ended_ns is not None and self.ended_ns < start_ns:
            for name, why in self.unheard.items():
                self.announce(name, self.ended_ns, start_ns, why, held=held)
        self.unheard = {}

    def announce(self, stream: str, start_ns: int, end_ns: int, reason: str, *, held: bool) -> None:
        """Of a stream something may be missing there."""
        assert self.recording is not None
        self.emit(Gap(self._device, self.recording, stream, self._boot, start_ns, end_ns, -1, reason), held)

    def promise(self, stream: str, complete_to_ns: int, *, held: bool) -> None:
        """A stream is complete so far."""
        assert self.recording is not None
        self.emit(Progress(self._device, self.recording, stream, self._boot, complete_to_ns), held)

    def end(self, end_ns: int, reason: str) -> None:
        """The one under way ends."""
        assert self.recording is not None
        self.emit(RecordingEnd(self._device, self.recording, self._boot, end_ns, reason), self._held)
        self.recording, self.ended_ns = None, end_ns

    def emit(self, record: Record, held: bool) -> None:
        """One more record of the one under way."""
        self.out.append(Held(record, held))

    def take(self) -> list[Held]:
        """The records since the last call."""
        out, self.out = self.out, []
        return out
