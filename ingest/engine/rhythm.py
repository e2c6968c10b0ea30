"""When a partition is sealed: by how much output it has, how old that is, and whether somebody waits for it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from ingest.engine.operator import OUTPUT_TO_STATE

_SMALL_STATE: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class Limits:
    """When to seal, and how long to wait."""

    seal_bytes: int = 16 * 1024 * 1024
    """A partition is sealed when it has about so much output, or more where its state is large (`due_bytes`)."""
    held_bytes: int = 96 * 1024 * 1024
    """All partitions together hold about so much output at most, what is on its way to the disk included."""
    seal_seconds: float = 60.0
    """Output is sealed so long after the first record that no look at it has covered."""
    prompt: bool = False
    """Output is sealed at once instead where the last look at it is `seal_seconds` ago."""
    urgent_seconds: float = 0.5
    """The same for output that somebody waits for (`Running.urgent`): at once, and no oftener than that."""
    quiet_seconds: float = 900.0
    """A partition that has no output for so long is sealed all the same: a restart begins where its last seal ended."""
    quiet_bytes: int = 64 * 1024 * 1024
    """The same, after so many bytes of records."""
    poll_seconds: float = 0.25
    retry_seconds: float = 1.0


def due_bytes(limits: Limits, state_bytes: int) -> int:
    """How much output of a partition is to be sealed: `OUTPUT_TO_STATE` times the state that its last seal wrote, up to
    what may be held, since each seal writes about as much again; a small state is not worth waiting."""
    if state_bytes < _SMALL_STATE:
        return limits.seal_bytes
    return max(limits.seal_bytes, min(OUTPUT_TO_STATE * state_bytes, limits.held_bytes * 2 // 3))


def due_at(limits: Limits, since: float, looked: float, *, urgent: bool) -> float:
    """When output is to be sealed, in seconds as `since` and `looked`: when the first record came that the last look at
    the output does not cover, and when that look was (`-inf`: there was none)."""
    due = max(since, looked + limits.seal_seconds) if limits.prompt else since + limits.seal_seconds
    return min(due, max(since, looked + limits.urgent_seconds)) if urgent else due
