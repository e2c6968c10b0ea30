"""Since when a cluster gives no answer. Pure: times come in as arguments, in seconds of one clock that never steps."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass
from typing import Final

SILENT_S: Final = 6.0
"""What has no answer for so long is worth a word; a new leader of a partition is found in less."""
FORGOTTEN_S: Final = 15.0
"""Who gave up and has not asked again for so long does not want to know any more."""


@dataclass(slots=True)
class Question:
    """What was asked, since when, and when it was given up, if it was."""

    what: str
    since_s: float
    given_up_s: float | None = None

    def is_open(self, now_s: float) -> bool:
        """Whether somebody waits for the answer, or will ask again."""
        return self.given_up_s is None or now_s - self.given_up_s < FORGOTTEN_S


class Silence:
    """The questions without an answer, each since it was first asked."""

    def __init__(self) -> None:
        self._questions: dict[Hashable, Question] = {}

    def asked(self, key: Hashable, what: str, now_s: float) -> None:
        """A question is asked; one that was asked before, and given up a moment ago, goes on."""
        known = self._questions.get(key)
        if known is None or not known.is_open(now_s):
            self._questions[key] = Question(what, now_s)
        else:
            known.given_up_s = None

    def answered(self, key: Hashable) -> None:
        """It has an answer, be it a refusal."""
        self._questions.pop(key, None)

    def given_up(self, key: Hashable, now_s: float) -> None:
        """Who asked waits no longer; who has not waited for long does not ask again on that account."""
        known = self._questions.get(key)
        if known is None or now_s - known.since_s < SILENT_S:
            self._questions.pop(key, None)
        else:
            known.given_up_s = now_s

    def longest(self, now_s: float) -> Question | None:
        """The question that has waited longest, where that is long."""
        self._questions = {key: question for key, question in self._questions.items() if question.is_open(now_s)}
        oldest = min(self._questions.values(), key=lambda question: question.since_s, default=None)
        return oldest if oldest is not None and now_s - oldest.since_s >= SILENT_S else None
