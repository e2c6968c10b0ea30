"""When a partition is sealed."""

from __future__ import annotations

import math

import pytest

from ingest.engine.rhythm import Limits, due_at, due_bytes


def test_a_large_state_is_written_with_more_output() -> None:
    """A seal of 16 MB with a state of 30 was two thirds state."""
    limits, mb = Limits(), 1 << 20
    assert [due_bytes(limits, size) for size in (0, mb - 1, mb)] == [limits.seal_bytes] * 3
    assert due_bytes(limits, 10 * mb) == 50 * mb
    assert due_bytes(limits, 1000 * mb) == limits.held_bytes * 2 // 3
    assert due_bytes(Limits(seal_bytes=200 * mb), 10 * mb) == 200 * mb


NEVER = -math.inf
SLOW, PROMPT = Limits(seal_seconds=10), Limits(seal_seconds=10, prompt=True)


@pytest.mark.parametrize(
    ("limits", "looked", "urgent", "due"),
    [
        (SLOW, NEVER, False, 110),
        (SLOW, 99.9, False, 110),
        (PROMPT, NEVER, False, 100),
        (PROMPT, 89, False, 100),
        (PROMPT, 97, False, 107),
        (PROMPT, 97, True, 100),
        (PROMPT, 99.75, True, 100.25),
        (SLOW, NEVER, True, 100),
        (SLOW, 99.75, True, 100.25),
        (Limits(seal_seconds=0.125), 100, True, 100.125),
    ],
)
def test_output_is_due_in_a_rhythm_and_at_once_after_a_quiet(
    limits: Limits, looked: float, urgent: bool, due: float
) -> None:
    assert due_at(limits, 100, looked, urgent=urgent) == due
