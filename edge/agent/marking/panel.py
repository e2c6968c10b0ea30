"""Buttons: edges of their lines in, acts out. Pure.

A line says when it is pressed and when it is let go, which of that nobody kept (`missed`), and how it stands when it is
looked at for the first time, or again. Edges that change nothing are glitches too short for the kernel to see both
ends of. A press that may be a long one is none before it is let go, or long enough.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from msgspec.structs import replace

from edge.agent.marking.book import Act, Begun, Book, Kind, Open, Refused, button_key, range_key
from edge.buttontables import Button

TOOL: Final = "button"
DEBOUNCE: Final = "debounce s"
"""Evidence: so long a change must last; a mark's time is the change's, not that time's end."""


class Panel:
    """All buttons of an agent."""

    def __init__(self, buttons: Iterable[Button], book: Book) -> None:
        self.missed = 0
        """Edges that nobody kept."""
        self._buttons = {button.name: button for button in buttons}
        self._book = book
        self._is_down: dict[str, bool] = {}

    def stands(self, name: str, at_ns: int, *, is_down: bool) -> list[Act]:
        """How a button stands as its line is looked at for the first time, or again."""
        button, key = self._buttons[name], button_key(name)
        before = self._book.state.open.get(key)
        self._is_down[name] = is_down
        if before is None:
            if is_down and button.hold:
                return [Refused(name, f"{name}: is held down as it is first seen; let it go, and press again")]
            return []
        if before.kind == "hold" and is_down and button.hold == before.label:
            self._book.unwatched(key)
            self._book.seen([key], at_ns)
            return [Begun(self._book.state.open[key])]
        if before.kind == "wait":
            del self._book.state.open[key]
            return self._short(button, before.start_ns)
        return self._book.lose(key, "it was let go while nobody looked")

    def edge(self, name: str, at_ns: int, *, is_down: bool, missed: int = 0) -> list[Act]:
        """A change of a line; before it, so many were missed."""
        at_ns -= self._buttons[name].settings.debounce_ns
        acts: list[Act] = []
        if missed:
            self.missed += missed
            acts.append(Refused(name, f"{name}: {missed:,} edges came too fast to be kept: is its contact loose?"))
            if button_key(name) in self._book.state.open:
                acts += self._book.lose(button_key(name), "edges came too fast to be kept")
            self._is_down[name] = False
        if self._is_down.get(name, False) == is_down:
            return acts
        self._is_down[name] = is_down
        return acts + (self._pressed(name, at_ns) if is_down else self._let_go(name, at_ns))

    def heard(self, name: str, up_to_ns: int) -> list[Act]:
        """All changes up to then have come; while its line is away, nobody knows that."""
        key = button_key(name)
        opened = self._book.state.open.get(key)
        if opened is None or name not in self._is_down:
            return []
        up_to_ns -= self._buttons[name].settings.debounce_ns
        self._book.seen([key], up_to_ns)
        if opened.kind in ("press", "wait") and self._is_down.get(name) and self._is_long(opened, up_to_ns):
            return self._take_back(opened)
        return []

    def lost(self, name: str) -> None:
        """Its line is away: `stands` says how it is when it is back. A stop that is pressed meanwhile nobody hears."""
        button = self._buttons[name]
        key = range_key(button.device, button.stop)
        if self._is_down.pop(name, None) is not None and button.stop and key in self._book.state.open:
            self._book.unwatched(key)

    def _pressed(self, name: str, at_ns: int) -> list[Act]:
        button, book = self._buttons[name], self._book
        if button.hold:
            return book.begin(button_key(name), self._opening(button, "hold", button.hold, at_ns, name))
        if button.undo_ns:
            kind: Kind = "press" if button.press else "wait"
            label = button.press or button.start or button.stop
            acts = book.begin(button_key(name), self._opening(button, kind, label, at_ns, name))
            return [act for act in acts if not isinstance(act, Begun)]  # it is confirmed when it is let go
        return self._short(button, at_ns)

    def _short(self, button: Button, at_ns: int) -> list[Act]:
        book, label = self._book, button.start or button.stop
        if button.press:
            return book.add(self._opening(button, "press", button.press, at_ns, button.name), at_ns)
        key = range_key(button.device, label)
        if button.stop and (key in book.state.open or not button.start):
            return book.end(key, at_ns, button.name, label)
        return _told(book.begin(key, self._opening(button, "range", label, at_ns, key)), button.name)

    def _let_go(self, name: str, at_ns: int) -> list[Act]:
        button, key = self._buttons[name], button_key(name)
        opened = self._book.state.open.get(key)
        if opened is None:
            return []  # it was a short press, or has taken something back
        if opened.kind == "hold":
            return self._book.end(key, at_ns, name, button.hold)
        if self._is_long(opened, at_ns):
            return self._take_back(opened)
        del self._book.state.open[key]
        return self._short(button, opened.start_ns)

    def _is_long(self, opened: Open, at_ns: int) -> bool:
        return at_ns - opened.start_ns >= self._buttons[opened.who].undo_ns

    def _take_back(self, pressed: Open) -> list[Act]:
        """A long press: what is open of this button's label, else its last mark."""
        button, book = self._buttons[pressed.who], self._book
        del book.state.open[button_key(button.name)]
        label = button.start or button.stop
        whose = range_key(button.device, label) if label else button.name
        if whose in book.state.open:
            return book.drop(whose)
        return _told(book.undo(whose, pressed.start_ns + button.undo_ns, button.name), button.name)

    def _opening(self, button: Button, kind: Kind, label: str, at_ns: int, who: str) -> Open:
        opened = self._book.opening(kind, button.device, label, at_ns, button.author, TOOL, who)
        return replace(opened, evidence=_evidence(button))


def _evidence(button: Button) -> dict[str, float]:
    return {DEBOUNCE: button.settings.debounce_ns / 1e9}


def _told(acts: list[Act], name: str) -> list[Act]:
    """Refusals name the button."""
    return [Refused(name, act.words) if isinstance(act, Refused) else act for act in acts]
