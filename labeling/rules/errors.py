"""What can be wrong with a rule file, and where: line, column and a caret under what is meant."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final, TypeVar

from ingest.errors import UsageError

_SHOWN_CHARACTERS_MAX: Final = 160
_TOLD_MAX: Final = 50
T = TypeVar("T")


class RuleError(UsageError):
    """A rule file that cannot be run; the message shows the place."""

    def __init__(self, message: str, place: tuple[int, int] = (0, 0)) -> None:
        super().__init__(message)
        self.place = place
        """Line and column."""


class Faults:
    """Collects what is wrong with a rule file: all of it is said at once."""

    def __init__(self, found: Iterable[RuleError] = ()) -> None:
        self.found = list(found)

    def attempt(self, make: Callable[[], T], otherwise: T) -> T:
        """What `make` returns; where it raises `RuleError`, that is kept, and `otherwise` returned."""
        try:
            return make()
        except RuleError as error:
            self.found.append(error)
            return otherwise

    def raise_all(self) -> None:
        """Raise one `RuleError` that says all that was found, in the file's order; nothing where there is nothing."""
        told = list({str(error): error for error in sorted(self.found, key=lambda error: error.place)}.values())
        if len(told) == 1:
            raise told[0]
        if told:
            more = len(told) - _TOLD_MAX
            rest = [f"and {more} more"] if more > 0 else []
            raise RuleError("\n".join([*map(str, told[:_TOLD_MAX]), *rest]), told[0].place)


@dataclass(frozen=True, slots=True)
class Source:
    """A text that places are named in: a line of a rule file, or an expression that is spread over several."""

    name: str
    """The file."""
    line: int
    """From 1."""
    column: int
    """Of the expression's first character, from 1."""
    text: str
    """The expression."""
    shown: str
    """The line that errors show; the expression begins at `column` of it."""

    def span(self, start: int = 0, stop: int | None = None) -> Span:
        """A part of the expression."""
        return Span(self, start, len(self.text) if stop is None else stop)


@dataclass(frozen=True, slots=True)
class Span:
    """Characters `[start, stop)` of an expression."""

    source: Source
    start: int
    stop: int

    @property
    def text(self) -> str:
        """The characters, with every run of white space as one space."""
        return " ".join(self.source.text[self.start : self.stop].split())

    def error(self, problem: str) -> RuleError:
        """The error of this place: file, line and column, what is wrong, the line and a caret."""
        source = self.source
        column = source.column + self.start
        head = f"{source.name}:{source.line}:{column}: {problem}"
        first = max(0, column - 1 - _SHOWN_CHARACTERS_MAX // 2)
        shown = source.shown[first : first + _SHOWN_CHARACTERS_MAX]
        carets = "^" * max(1, min(self.stop - self.start, len(shown) - (column - 1 - first)))
        return RuleError(f"{head}\n  {shown}\n  {' ' * (column - 1 - first)}{carets}", (source.line, column))
