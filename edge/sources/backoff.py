"""How long to wait before the next attempt: twice as long each time, up to a limit. Pure."""

from __future__ import annotations


class Backoff:
    """Delays in seconds: `first_s`, then doubling up to `most_s`; `reset` after a success."""

    def __init__(self, first_s: float, most_s: float) -> None:
        self._first_s = first_s
        self._most_s = most_s
        self._next_s = first_s

    def next_s(self) -> float:
        """The delay before the attempt that comes now."""
        delay_s = self._next_s
        self._next_s = min(self._most_s, 2 * delay_s)
        return delay_s

    def reset(self) -> None:
        """An attempt succeeded: begin anew."""
        self._next_s = self._first_s
