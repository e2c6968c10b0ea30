from __future__ import annotations

from edge.sources.backoff import Backoff


def test_delays_double_up_to_the_limit_and_begin_anew() -> None:
    backoff = Backoff(0.1, 0.5)
    assert [backoff.next_s() for _ in range(5)] == [0.1, 0.2, 0.4, 0.5, 0.5]
    backoff.reset()
    assert backoff.next_s() == 0.1
