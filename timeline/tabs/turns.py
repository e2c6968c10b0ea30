"""The order of what one tab does to one mark, where the log takes nothing for a while. Pure.

A tab sends on while its earlier acts are under way. When one of them is to be sent again, those that follow on the same
mark must not pass it: an edit would find no mark, and of two edits the older one would be the last word.
"""

from __future__ import annotations

from typing import Final

from timeline.protocol import Accepted, Act, Rejected

WORDS: Final = "an earlier change of this mark waits to be sent again"


class Turns:
    """Which acts a tab is to send again, by mark, in the order in which they came first."""

    def __init__(self) -> None:
        self._waiting: dict[tuple[str, str], list[str]] = {}

    def __len__(self) -> int:
        """How many acts there are to come again."""
        return sum(map(len, self._waiting.values()))

    def too_early(self, act: Act) -> Rejected | None:
        """The answer to an act before which another one must come; None: it may be done now."""
        waiting = self._waiting.get((act.device, act.mark), [])
        if not waiting or waiting[0] == act.act:
            return None
        return Rejected(act.act, "log", WORDS, again=True)

    def answered(self, act: Act, answer: Accepted | Rejected) -> None:
        """What became of an act."""
        key = act.device, act.mark
        waiting = self._waiting.setdefault(key, [])
        if isinstance(answer, Rejected) and answer.again:
            if act.act not in waiting:
                waiting.append(act.act)
        elif act.act in waiting:
            waiting.remove(act.act)
        if not waiting:
            del self._waiting[key]
