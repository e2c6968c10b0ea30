"""Whom to forget: a device whole, or some of its recordings. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ingest.records import Forget, MarkRetract, Record, RecordingUndo
from ingest.wire import encode

Span = tuple[int, int]
_ERASED: Final = "erased"
_NOTHING: Final = MarkRetract("", _ERASED, "", "rule")
_NOTHING_BYTES: Final = encode(_NOTHING)
_END: Final = encode(Forget("", "", 0, _ERASED))[-9:]
"""What every `Forget` ends with that nobody said: no author, no time."""


def forgotten_by(record: Record) -> tuple[str, str] | None:
    """Of whom nothing is to be used from a record on: a device with "", or with one of its recordings; None: of nobody.

    In `readings` a recording is forgotten by the `RecordingUndo` that says so in `marks` too: releases that do not know
    it there pass it over, where a `Forget` with a field more would forget the device.
    """
    if isinstance(record, Forget):
        return record.device, ""
    if isinstance(record, RecordingUndo) and record.forget and not record.back:
        return record.device, record.recording
    return None


def instead_of(device: str = "") -> bytes:
    """The record that lies in an archive where one of somebody forgotten would: it says so of a device, or changes
    nothing."""
    return encode(Forget(device, "", 0, _ERASED) if device else _NOTHING)


def stands_in(value: bytes) -> bool:
    """Is this such a record? The log has, or had, another one there."""
    return value.endswith(_END) or value == _NOTHING_BYTES


@dataclass(frozen=True, slots=True)
class Forgotten:
    """Devices, each whole (None) or by its recordings."""

    recordings: Mapping[str, frozenset[str] | None]
    spans: Mapping[str, Sequence[Span]] = field(default_factory=dict)
    """By device, the times of its recordings that are forgotten, `[start_ns, end_ns)`: marks within go with them."""
    before_ns: int | None = None
    """Whatever ended by this instant goes too, whoever's it is."""
    marks_before_ns: int | None = None
    """Marks whose every event ends by this instant go too: no window that stays reaches back so far."""

    def has(self, device: str, recording: str) -> bool:
        """Is this recording to be forgotten?"""
        if device not in self.recordings:
            return False
        some = self.recordings[device]
        return some is None or recording in some

    def whole(self, device: str) -> bool:
        """Is all of this device to be forgotten?"""
        return device in self.recordings and self.recordings[device] is None

    def rows(
        self, devices: Sequence[str], recordings: Sequence[str], ends: NDArray[np.int64] | None = None
    ) -> NDArray[np.bool_]:
        """Which rows are of them; `ends`, `(rows,)` ns UTC, is where each one ends."""
        known: dict[tuple[str, str], bool] = {}
        found = np.zeros(len(devices), np.bool_)
        for row, key in enumerate(zip(devices, recordings, strict=True)):
            found[row] = known[key] if key in known else known.setdefault(key, self.has(*key))
        if self.before_ns is not None and ends is not None:
            found |= ends <= self.before_ns
        return found

    def marks(
        self,
        devices: Sequence[str],
        ids: Sequence[str],
        kinds: Sequence[str],
        starts: Sequence[int | None],
        ends: Sequence[int | None],
    ) -> NDArray[np.bool_]:
        """Which events of marks are of them: all of a device, or all of a mark that was added within a recording."""
        whole = np.array([self.whole(device) for device in devices], np.bool_)
        within = {
            (device, name)
            for device, name, start, end in zip(devices, ids, starts, ends, strict=True)
            if start is not None and end is not None
            if any(begin <= start and end <= stop for begin, stop in self.spans.get(device, ()))
        }
        if self.marks_before_ns is not None:
            within |= self._old_marks(devices, ids, ends)
        some = [key in within for key in zip(devices, ids, strict=True)]
        stays = np.array([kind == "recording_undo" for kind in kinds], np.bool_)  # it keeps them out
        return np.asarray((whole | np.array(some, np.bool_)) & ~stays)

    def _old_marks(
        self, devices: Sequence[str], ids: Sequence[str], ends: Sequence[int | None]
    ) -> set[tuple[str, str]]:
        latest: dict[tuple[str, str], int] = {}
        for device, name, end in zip(devices, ids, ends, strict=True):
            if end is not None:
                latest[device, name] = max(end, latest.get((device, name), end))
        assert self.marks_before_ns is not None, "it was asked before"
        return {key for key, end in latest.items() if end <= self.marks_before_ns}
