"""JSON texts out of lines: one may span several, and several may lie in one. Pure.

Where a text is torn, what follows must not be swallowed in search of its end. So the grammar (RFC 8259, section 2) is
followed token by token: as soon as no JSON text can begin as the lines so far do, the first of them is a fault, and the
next one may begin a text of its own.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final, NamedTuple

MAX_DEPTH: Final = 64
"""Of brackets in brackets: no reading needs more, and looking again at lines stays cheap."""
_TOKEN: Final = re.compile(
    rb"""[ \t\r]*(?:
        ([{}\[\],:])
        | ("(?:[^"\\\x00-\x1f]++|\\.)*+")
        | ([^\s{}\[\],:"]++)
        | $
    )""",
    re.VERBOSE,
)
_ATOM: Final = re.compile(
    rb"-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?|true|false|null|[+-]?(?i:nan|inf|infinity)", re.VERBOSE
)
_STRUCTURE: Final = re.compile(rb"[{}\[\],:]")


class Text(NamedTuple):
    """A whole JSON text, as far as its structure tells."""

    data: bytes
    offset: int
    end: int
    """Behind its last line."""


class Broken(NamedTuple):
    """A line that belongs to no text."""

    reason: str
    data: bytes
    offset: int


class Texts:
    """Takes lines, gives texts and broken lines, in order. Holds at most `max_bytes`."""

    def __init__(self, max_bytes: int) -> None:
        self._max = max_bytes
        self._lines: list[tuple[bytes, int]] = []
        """Of the text that has begun, with their offsets."""
        self._size = 0
        self._syntax = Syntax()
        self._in_doubt = False
        """What had brackets was broken: a number alone on its line may have been in them."""

    @property
    def is_empty(self) -> bool:
        """Whether no text is under way: a line that is one of its own needs no look at its tokens."""
        return not self._lines and not self._in_doubt

    def push(self, line: bytes, offset: int) -> Iterator[Text | Broken]:
        """What a line (without its line feed) completes."""
        todo = [(line, offset)]
        while todo:
            line, offset = todo.pop()
            end, start = offset + len(line) + 1, 0
            while True:
                stop = self._syntax.read(line, start)
                if stop is None or (self._syntax.is_whole and self._is_doubtful(start)):
                    lines = [*self._lines, (line[start:], offset)]
                    self._forget()
                    yield self._broken("json", *lines[0])
                    todo += reversed(lines[1:])
                    break
                if not self._syntax.is_whole:
                    if self._syntax.has_begun:
                        yield from self._hold(line[start:], offset)
                    break
                first = self._lines[0][1] if self._lines else offset
                data = b"\n".join([held for held, _ in self._lines] + [line[start:stop]])
                self._forget()
                self._in_doubt = False
                yield Text(data, first, end)
                start = stop

    def end(self) -> tuple[bytes, int] | None:
        """Nothing follows: the text that is not whole, if any, with its offset."""
        left = (b"\n".join(line for line, _ in self._lines), self._lines[0][1]) if self._lines else None
        self._forget()
        self._in_doubt = False
        return left

    def _hold(self, line: bytes, offset: int) -> Iterator[Broken]:
        self._lines.append((line, offset))
        self._size += len(line) + 1
        if self._size > self._max:
            yield Broken("too_long", *self._lines[0])
            self._forget()
            self._in_doubt = True

    def _forget(self) -> None:
        self._lines, self._size, self._syntax = [], 0, Syntax()

    def _is_doubtful(self, start: int) -> bool:
        """Whether a text that is whole is a number behind another text, or alone where it may be one of a broken
        array."""
        if self._lines or not self._syntax.is_scalar:
            return False
        doubtful = self._in_doubt or start > 0
        self._in_doubt = False  # of a broken array, only the last one stands without a comma
        return doubtful

    def _broken(self, reason: str, line: bytes, offset: int) -> Broken:
        self._in_doubt = self._in_doubt or _STRUCTURE.search(line) is not None
        return Broken(reason, line, offset)


class Syntax:
    """Where in a JSON text one is: a stack of open brackets, and what may follow."""

    def __init__(self) -> None:
        self._open = bytearray()
        self._next = "value"
        self.is_whole = False
        self.has_begun = False
        self.is_scalar = False

    def read(self, line: bytes, start: int) -> int | None:
        """Go over a line's tokens: where the text, or the line, is over; None where none can go on like that."""
        at = start
        while True:
            match = _TOKEN.match(line, at)
            if match is None:
                return None
            sign, string, atom = match.groups()
            if sign is None and string is None and atom is None:
                return len(line)
            self.is_scalar = self.is_scalar or (not self.has_begun and sign is None)
            self.has_begun = True
            if not (self._sign(sign) if sign is not None else self._value(string is not None, atom)):
                return None
            at = match.end()
            if self._next == "nothing":
                self.is_whole = not self.is_scalar or not line[at:].strip()  # `7 8` is two lines run into one
                return at if self.is_whole else None

    def _value(self, is_string: bool, atom: bytes | None) -> bool:
        if is_string and self._next in ("key", "key or end"):
            self._next = "colon"
            return True
        if self._next not in ("value", "value or end") or (atom is not None and _ATOM.fullmatch(atom) is None):
            return False
        self._close()
        return True

    def _sign(self, sign: bytes) -> bool:
        wanted = self._next
        if sign in (b"{", b"["):
            self._next = "key or end" if sign == b"{" else "value or end"
            self._open += sign
            return wanted in ("value", "value or end") and len(self._open) <= MAX_DEPTH
        if sign == b":":
            self._next = "value"
            return wanted == "colon"
        if sign == b",":
            self._next = "key" if self._open[-1:] == b"{" else "value"
            return wanted == "comma or end"
        opening, empty = (b"{", "key or end") if sign == b"}" else (b"[", "value or end")
        if self._open[-1:] != opening or wanted not in (empty, "comma or end"):
            return False
        self._open.pop()
        self._close()
        return True

    def _close(self) -> None:
        self._next = "comma or end" if self._open else "nothing"
