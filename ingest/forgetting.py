"""Whom to forget: a device whole, or some of its recordings. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

Span = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Forgotten:
    """Devices, each whole (None) or by its recordings."""

    recordings: Mapping[str, frozenset[str] | None]
    spans: Mapping[str, Sequence[Span]] = field(default_factory=dict)
    """By device, the times of its recordings that are forgotten, `[start_ns, end_ns)`: marks within go with them."""

    def has(self, device: str, recording: str) -> bool:
        """Is this recording to be forgotten?"""
        if device not in self.recordings:
            return False
        some = self.recordings[device]
        return some is None or recording in some

    def whole(self, device: str) -> bool:
        """Is all of this device to be forgotten?"""
        return device in self.recordings and self.recordings[device] is None

    def rows(self, devices: Sequence[str], recordings: Sequence[str]) -> NDArray[np.bool_]:
        """Which rows are of them."""
        known: dict[tuple[str, str], bool] = {}
        found = np.zeros(len(devices), np.bool_)
        for row, key in enumerate(zip(devices, recordings, strict=True)):
            found[row] = known[key] if key in known else known.setdefault(key, self.has(*key))
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
        some = [key in within for key in zip(devices, ids, strict=True)]
        stays = np.array([kind == "recording_undo" for kind in kinds], np.bool_)  # it keeps them out
        return np.asarray((whole | np.array(some, np.bool_)) & ~stays)
