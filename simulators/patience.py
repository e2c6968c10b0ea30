"""How long one waits for something that moves. Pure."""

from __future__ import annotations

from collections.abc import Hashable


class Patience:
    """As long as it moves, and then for so many looks more.

    It is looks that are counted, not seconds: between two of them whoever is waited for has its turn. On a machine that
    is busy, or stood still, a turn takes longer, and so does each look.
    """

    def __init__(self, looks: int) -> None:
        self._looks = looks
        self._left = looks
        self._seen: Hashable = None

    def lasts(self, seen: Hashable) -> bool:
        """Look: whether to wait on, as long as `seen` was another one at one of the last looks."""
        if seen != self._seen:
            self._seen, self._left = seen, self._looks
        self._left -= 1
        return self._left > 0
