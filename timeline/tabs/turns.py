"""The order of what one tab does, where the log takes nothing for a while, and what goes with another act. Pure.

A tab sends on while its earlier acts are under way. When one of them is to be sent again, those that follow on the same
mark must not pass it: an edit would find no mark, and of two edits the older one would be the last word. An act that
belongs to another one neither passes it nor is done where that one was refused: of two marks that were to be united the
second would be taken back, and the first never reach over it.
"""

from __future__ import annotations

from typing import Final

from timeline.protocol import Accepted, Act, Rejected

WORDS: Final = "an earlier change of this mark waits to be sent again"
BELONGS_WORDS: Final = "what it belongs to waits to be sent again"
REFUSED_WORDS: Final = "what it belongs to was refused"
REFUSED_MAX: Final = 2_000
"""So many refused acts are remembered, the newest: what belongs to one is under way, or never sent."""


class Turns:
    """Which acts a tab is to send again, by mark, in the order in which they came first; and which were refused."""

    def __init__(self) -> None:
        self._waiting: dict[tuple[str, str], list[str]] = {}
        self._refused: dict[str, None] = {}

    def __len__(self) -> int:
        """How many acts there are to come again."""
        return sum(map(len, self._waiting.values()))

    def too_early(self, act: Act) -> Rejected | None:
        """The answer to an act that another one must come before, or take along; None: it may be done now."""
        if act.behind in self._refused:
            return Rejected(act.act, "mark", REFUSED_WORDS)
        if act.behind is not None and any(act.behind in waiting for waiting in self._waiting.values()):
            return Rejected(act.act, "log", BELONGS_WORDS, again=True)
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
        if isinstance(answer, Rejected) and not answer.again:
            self._refused[act.act] = None
            if len(self._refused) > REFUSED_MAX:
                del self._refused[next(iter(self._refused))]
