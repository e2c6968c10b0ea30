"""Whether an agent is well after a change of what it runs: a new release, a new configuration. Pure."""

from __future__ import annotations

from typing import Final

from edge.agent.overview import Overview, SourceView
from ingest.showing import printable

SPOKE_S: Final = 30.0
"""Who was heard within so long before the change is expected to be heard after it."""


def complaints(now: Overview, before: Overview | None) -> list[str]:
    """What is worse now than it was, a line each.

    Sources are compared by name: one that is new, or was not heard before either, is nothing that the change broke.
    """
    known = {} if before is None else {source.name: source for source in before.sources}
    pairs = [(source, known[source.name]) for source in now.sources if source.name in known]
    return [printable(text) for pair in pairs if (text := _complaint(*pair))]


def _complaint(now: SourceView, before: SourceView) -> str:
    if now.waiting_for:
        return "" if before.waiting_for else f"{now.name}: waits for {now.waiting_for}, and did not before"
    if before.silent_s is None or before.silent_s > SPOKE_S:
        return ""
    if now.silent_s is None:
        return f"{now.name}: nothing was heard of it, and was before"
    return f"{now.name}: gives no sample, and did before" if before.samples and not now.samples else ""


class Steadiness:
    """Since when one process has been well, by any clock in seconds that rises."""

    def __init__(self) -> None:
        self._pid = 0
        self._since_s = 0.0

    def well_s(self, view: Overview, found: list[str], at_s: float) -> float:
        """For how long this process has had nothing to complain of; 0 where it has now, or is another one."""
        if found or view.pid != self._pid:
            self._pid, self._since_s = (0 if found else view.pid), at_s
        return at_s - self._since_s
