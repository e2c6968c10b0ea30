"""What waits to be sent to one tab: marks and answers always, samples and tiles while there is room. Pure.

A tab that reads too slowly costs bounded memory. Of samples and tiles the newest are left out and counted: what is
drawn first is what was asked for first. What is said of marks is never left out: where too much of it waits, the tab is
given up, and asks for all when it is back.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Final, NamedTuple

WORDS_MAX: Final = 16 << 20
"""Bytes of messages that wait."""
FRAMES_MAX: Final = 4 << 20
"""Bytes of frames that wait."""


class _Frame(NamedTuple):
    view: int
    data: bytes | str


class _Later(NamedTuple):
    make: Callable[[], str]


class Outbox:
    """Messages before frames, each in their order, but for those that are to come behind frames."""

    def __init__(self) -> None:
        self.dropped = 0
        """Frames that were left out."""
        self._words: deque[str] = deque()
        self._frames: deque[_Frame | _Later] = deque()
        self._words_bytes = self._frames_bytes = 0

    def say(self, text: str) -> bool:
        """A message that must not be lost; False: too much waits, give the tab up."""
        if self._words_bytes + len(text) > WORDS_MAX and self._words:
            return False
        self._words.append(text)
        self._words_bytes += len(text)
        return True

    def show(self, view: int, data: bytes | str) -> bool:
        """A frame, or what ends a view's frames, which is always taken; False: a frame was left out."""
        if isinstance(data, bytes) and self._frames_bytes and self._frames_bytes + len(data) > FRAMES_MAX:
            self.dropped += 1
            return False
        self._frames.append(_Frame(view, data))
        self._frames_bytes += len(data)
        return True

    def follow(self, make: Callable[[], str]) -> None:
        """A message behind the frames that wait now, and made when it is its turn; never left out, never forgotten."""
        self._frames.append(_Later(make))

    def forget(self, view: int) -> None:
        """What waits of a view is not wanted any more."""
        self._frames = deque(it for it in self._frames if isinstance(it, _Later) or it.view != view)
        self._frames_bytes = sum(len(it.data) for it in self._frames if isinstance(it, _Frame))

    def take(self) -> bytes | str | None:
        """The next one to send; None: nothing waits."""
        if self._words:
            text = self._words.popleft()
            self._words_bytes -= len(text)
            return text
        if self._frames:
            frame = self._frames.popleft()
            if isinstance(frame, _Later):
                return frame.make()
            self._frames_bytes -= len(frame.data)
            return frame.data
        return None
