"""Frames of what is new, made once for all tabs of a server: fifty that follow one device differ in two numbers."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from timeline.history.live import Samples
from timeline.protocol.frames import LIVE, samples_frames
from timeline.protocol.positions import placed
from timeline.site import Timeline


def as_known(timeline: Timeline, samples: Samples) -> NDArray[np.float64]:
    """The samples' values under the channels that pages know, and as they draw them, `(samples, channels)`."""
    channels = timeline.channels(samples.device, samples.stream)
    return placed(samples.under(channels), channels) if channels else samples.values


class LiveFrames:
    """The frames of samples that are told to all tabs now; each tab readdresses them."""

    def __init__(self, timeline: Timeline) -> None:
        self._timeline = timeline
        self._made: dict[int, tuple[Samples, Sequence[bytes]]] = {}

    def of(self, samples: Samples) -> Sequence[bytes]:
        """The samples' frames, of no view yet."""
        found = self._made.get(id(samples))
        if found is None:
            frames = list(samples_frames(0, 0, samples.times, as_known(self._timeline, samples), LIVE))
            found = self._made[id(samples)] = samples, frames  # held with them: no other one gets its id
        return found[1]
