"""What a bad line does to what is said on it: bytes lost, garbage between, things said twice, pauses. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from simulators.speech import Utterance


@dataclass(frozen=True, slots=True)
class Disturbance:
    """How bad the line is; nothing by default."""

    drop_bytes: float = 0.0
    """The share of bytes that get lost, each by itself."""
    garbage: float = 0.0
    """The share of utterances before which a line of garbage comes."""
    duplicates: float = 0.0
    """The share of utterances that are said twice."""
    pause_ns: int = 0
    pause_every_ns: int = 0
    """The mean time between pauses of `pause_ns`; what falls into one is said late, when it is over."""


@dataclass(slots=True)
class Damage:
    """What was done, counted while it is."""

    dropped_bytes: int = 0
    torn: int = 0
    """Utterances that lost bytes."""
    torn_samples: int = 0
    garbage: int = 0
    duplicates: int = 0
    pauses: int = 0


def disturb(
    rng: np.random.Generator, said: Iterable[Utterance], line: Disturbance, damage: Damage
) -> Iterator[Utterance]:
    """What is heard, in order; `t_ns` is when. The same generator state does the same damage."""
    silent_from = silent_to = 0
    for utterance in said:
        t_ns, data, samples = utterance
        if line.pause_every_ns and t_ns >= silent_to:
            if not silent_from:
                silent_from = t_ns + int(rng.exponential(line.pause_every_ns))
            if t_ns >= silent_from:
                silent_to = t_ns + line.pause_ns
                silent_from = 0
                damage.pauses += 1
        t_ns = max(t_ns, silent_to)
        if line.garbage and rng.random() < line.garbage:
            damage.garbage += 1
            yield Utterance(t_ns, _garbage(rng), 0)
        if line.drop_bytes:
            data = _thinned(rng, data, line.drop_bytes)
            lost = len(utterance.data) - len(data)
            damage.dropped_bytes += lost
            if lost:
                damage.torn += 1
                damage.torn_samples += samples
        yield Utterance(t_ns, data, samples)
        if line.duplicates and rng.random() < line.duplicates:
            damage.duplicates += 1
            yield Utterance(t_ns, data, 0)  # nothing new in it


def _garbage(rng: np.random.Generator) -> bytes:
    """Up to 40 bytes of anything but a line feed, and one."""
    noise: bytes = rng.integers(0, 256, int(rng.integers(1, 41)), dtype=np.uint8).tobytes()
    return noise.replace(b"\n", b"?") + b"\n"


def _thinned(rng: np.random.Generator, data: bytes, share: float) -> bytes:
    kept = rng.random(len(data)) >= share
    return np.frombuffer(data, np.uint8)[kept].tobytes()
