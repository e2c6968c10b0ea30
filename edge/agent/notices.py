"""Who waits for what, for people: told when it changes, not again and again. Pure."""

from __future__ import annotations

from collections.abc import Callable


class Notices:
    """What keeps the parts of an agent from going on; `report` is called with a line at each change.

    What is over again before it was said more than `patience` times in a row is not told.
    """

    def __init__(self, report: Callable[[str], None], over: str = "goes on", patience: int = 0) -> None:
        self._report = report
        self._over = over
        self._patience = patience
        self._said: dict[str, str] = {}
        self._heard: dict[str, int] = {}
        """How often somebody said that he waits, since he last went on."""

    @property
    def first(self) -> str:
        """What the first one waits for; empty when nobody does."""
        return next((what for what in self._said.values() if what), "")

    def say(self, who: str, what: str) -> None:
        """`who` waits for `what` now; for nothing, where that is empty."""
        self._heard[who] = self._heard.get(who, 0) + 1 if what else 0
        if what != self._said.get(who, "") and not 0 < self._heard[who] <= self._patience:
            self._said[who] = what
            self._report(f"{who}: waiting for {what}" if what else f"{who}: {self._over}")
