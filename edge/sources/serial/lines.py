"""Where a port's lines end: in LF, CR, CR LF or what a configuration says, or after so many bytes. Pure.

Decoders split at line feeds only; what is handed on here has one behind each line. What comes before the first line's
end after an opening is left out: it may be the rest of a line. Bytes that never end a line are noticed and told.
"""

from __future__ import annotations

import re
from typing import Final, Protocol

from edge.protocol import RAW_BYTES
from ingest.showing import shown_bytes
from ingest.times import NS

NO_LINE: Final = "no_line"
TORN: Final = "torn"
NO_LINE_BYTES: Final = 4096
"""So much without a line's end is lost: no sensor's line is that long, but for those of JSON."""
NO_LINE_NS: Final = 10 * NS
"""What has no end for so long is lost, however little it is."""
PAUSE_S: Final = 0.03
"""Longer than a USB adapter keeps bytes back (16 ms)."""
TELL_NS: Final = 5 * NS
"""Bytes that come for so long without a line's end are told."""
LONG_NS: Final = 60 * NS
"""The same where a line may be longer than `NO_LINE_BYTES`, and takes its time."""
NAMES: Final = {"lf": b"\n", "crlf": b"\n", "cr": b"\r", "nul": b"\0", "\n": b"\n", "\r": b"\r", "\r\n": b"\n"}
"""The line ends that have names; CR LF ends in LF, and decoders take the CR away."""
_OTHERS: Final = 3
"""So many ends of another kind in a row, and none of the known kind between them, mean that lines end so now: fewer
may be noise."""
_END: Final = re.compile(b"\r\n|\r|\n")
_NO_ENDS: Final = bytes.maketrans(b"\r\n", b"  ")
_TEXT: Final = frozenset(range(32, 127)) | frozenset(b"\t\r\n")


class Lines(Protocol):
    """Bytes of a port to lines that end in a line feed. In the pieces in which they come: it never matters which."""

    pause_s: float
    """A pause of this length says something; infinity where none does."""

    @property
    def trouble(self) -> str:
        """What is wrong with what comes, for people; empty when all is well."""
        ...

    @property
    def is_lost(self) -> bool:
        """What comes says nothing: no line ends."""
        ...

    def begin(self, *, is_opened: bool = True) -> None:
        """The port was opened; or bytes were lost in the middle."""
        ...

    def feed(self, data: bytes, at_ns: int) -> bytes:
        """What is to be handed on of bytes that came now."""
        ...

    def pause(self) -> None:
        """For `pause_s` nothing came; for certain."""
        ...

    def take_loss(self) -> str:
        """Why what came before this moment is lost, once; empty where nothing is."""
        ...


class RawBytes:
    """Bytes as they are, for a decoder that finds its way into them without line ends."""

    pause_s = float("inf")
    trouble = ""
    is_lost = False

    def begin(self, *, is_opened: bool = True) -> None:
        """See `Lines`."""

    def feed(self, data: bytes, at_ns: int) -> bytes:
        """See `Lines`."""
        return data

    def pause(self) -> None:
        """See `Lines`."""

    def take_loss(self) -> str:
        """See `Lines`."""
        return ""


class LineEnds:
    """Lines that end in `end`; None: in LF, CR or CR LF, as is found, and found anew when it changes.

    `longest` is what the decoder takes as one line. `keeps_first`: what comes first after an opening is a whole line.
    """

    pause_s = float("inf")

    def __init__(
        self, end: bytes | None, baud: int, longest: int = NO_LINE_BYTES, *, keeps_first: bool = False
    ) -> None:
        self._given = end
        self._longest = longest
        self._keeps_first = keeps_first
        self._unended = _Unended(baud, end)
        self.begin()

    def begin(self, *, is_opened: bool = True) -> None:
        """See `Lines`."""
        self._end = self._given
        self._begun = False
        self._is_first_whole = is_opened and self._keeps_first
        self._is_given_up = False
        self._loss = ""
        self._held = b""
        """Before the first line's end: what came so far."""
        self._kept = b""
        """A CR that may be half a CR LF."""
        self._after_cr = False
        self._others = 0
        """Ends of the other kind since the last one of the known kind."""
        self._unended.clear()

    @property
    def trouble(self) -> str:
        """See `Lines`."""
        return self._unended.trouble

    @property
    def is_lost(self) -> bool:
        """See `Lines`."""
        return self._is_given_up or self._unended.count > self._longest

    def feed(self, data: bytes, at_ns: int) -> bytes:
        """See `Lines`."""
        if not self._begun:
            return self._look_for_first(data, at_ns)
        if self._are_whole(data):
            self._others = 0
            self._unended.clear()
            return data
        found = self._translate(data)
        end = found.rfind(b"\n") + 1
        if end:
            self._unended.clear()
        if end < len(found):
            self._unended.add(found[end:], at_ns, self._longest)
        return found

    def pause(self) -> None:
        """See `Lines`."""

    def take_loss(self) -> str:
        """See `Lines`."""
        loss, self._loss = self._loss, ""
        return loss

    def _look_for_first(self, data: bytes, at_ns: int) -> bytes:
        self._held += data
        end = self._first_end()
        if end:
            held, self._held, self._begun, self._is_given_up = self._held, b"", True, False
            self._unended.clear()
            first = self._translate(held[:end])
            return (first if self._is_first_whole else b"") + self.feed(held[end:], at_ns)
        self._unended.add(data, at_ns)
        if not self._is_given_up and self._unended.is_long:
            self._is_given_up = True  # the decoder counts what it makes of this: once, as what follows is `is_lost`
            self._loss = NO_LINE
            held, self._held = self._held, b""
            return held
        self._held = self._held[-NO_LINE_BYTES:]
        return b""

    def _first_end(self) -> int:
        """Behind the first line's end in what is held; 0 where there is none. Finds out what ends lines."""
        line_feed, first = self._held.find(b"\n"), self._held.find(self._given or b"\r")
        if self._given is not None:
            return min((at for at in (line_feed, first) if at >= 0), default=-1) + 1
        second = self._held.find(b"\r", first + 1) if first >= 0 else -1
        if second >= 0 and not 0 <= line_feed < second:
            self._end = b"\r"
            return first + 1
        if line_feed >= 0:
            self._end = b"\n"
        return line_feed + 1

    def _are_whole(self, data: bytes) -> bool:
        """Whether these are lines that end in LF or CR LF and nothing else, as is known: nearly always they are."""
        is_usual = self._end == b"\n" and not self._kept and data.endswith(b"\n")
        return is_usual and data.count(b"\r") == data.count(b"\r\n")

    def _translate(self, data: bytes) -> bytes:
        """The same with a line feed for each line's end."""
        if self._given == b"\n":
            return data
        if self._given is not None and self._given != b"\r":
            return data.replace(self._given, b"\n")
        done, rest = b"", self._kept + data
        self._kept = b""
        while rest:
            more, rest = self._by_line_feeds(rest) if self._end == b"\n" else self._by_returns(rest)
            done += more
        return done

    def _by_line_feeds(self, data: bytes) -> tuple[bytes, bytes]:
        """Lines that end in LF or CR LF, as they are; and what is left where lines begin to end in CR."""
        if b"\r" not in data:
            if b"\n" in data:
                self._others = 0
            return data, b""
        if data.endswith(b"\r"):  # half a CR LF, perhaps; it ends no line
            data, self._kept = data[:-1], b"\r"
        for match in _END.finditer(data):
            self._others = self._others + 1 if match[0] == b"\r" else 0
            if self._others == _OTHERS:
                rest, self._kept = data[match.start() :] + self._kept, b""
                self._end, self._others = b"\r", 0
                return data[: match.start()], rest
        return data, b""

    def _by_returns(self, data: bytes) -> tuple[bytes, bytes]:
        """CR, LF and CR LF as one end each, also where the halves come apart; and what is left where CR is none."""
        if self._after_cr:
            self._after_cr = False
            self._others = self._others + 1 if data.startswith(b"\n") else 0
            data = data.removeprefix(b"\n")
            if self._is_other():
                return b"", data
        end = len(data)
        for match in _END.finditer(data):
            if match[0] == b"\r" and match.end() == len(data):
                self._after_cr = True  # what follows says whether this was half a CR LF; the line ends already now
                break
            self._others = 0 if match[0] == b"\r" else self._others + 1
            if self._is_other():
                end = match.end()
                break
        return data[:end].replace(b"\r\n", b"\n").replace(b"\r", b"\n"), data[end:]

    def _is_other(self) -> bool:
        """Whether lines end in LF now; nothing is found anew where a configuration says what it is."""
        if self._given is not None or self._others < _OTHERS:
            return False
        self._end, self._others = b"\n", 0
        return True


class FixedRecords:
    """Records of `size` bytes and nothing between them. One begins after a pause: there is no other way to tell.

    A record that a pause tears, or that has a line's end within, is thrown away, and so is all up to the next pause.
    """

    def __init__(self, size: int, baud: int) -> None:
        self.pause_s = max(PAUSE_S, 50 / baud)
        self._size = size
        self._unended = _Unended(baud, None, size)
        self.begin()

    def begin(self, *, is_opened: bool = True) -> None:
        """See `Lines`."""
        self._is_aligned = False
        self._is_given_up = False
        self._loss = ""
        self._held = b""
        self._unended.clear()

    @property
    def trouble(self) -> str:
        """See `Lines`."""
        return self._unended.trouble

    @property
    def is_lost(self) -> bool:
        """See `Lines`."""
        return self._is_given_up

    def feed(self, data: bytes, at_ns: int) -> bytes:
        """See `Lines`."""
        if not self._is_aligned:
            return self._give_up(data, at_ns)
        self._unended.clear()
        self._held += data
        whole = len(self._held) // self._size * self._size
        records = [self._held[at : at + self._size].strip(b"\r\n") for at in range(0, whole, self._size)]
        self._held = self._held[whole:]
        for number, record in enumerate(records):
            if b"\n" in record or b"\r" in record:
                self._is_aligned, self._held, self._loss = False, b"", TORN
                records = records[:number]
                break
        return b"".join(record + b"\n" for record in records)

    def pause(self) -> None:
        """See `Lines`."""
        if self._held:
            self._held, self._loss = b"", TORN
        self._is_aligned, self._is_given_up = True, False

    def take_loss(self) -> str:
        """See `Lines`."""
        loss, self._loss = self._loss, ""
        return loss

    def _give_up(self, data: bytes, at_ns: int) -> bytes:
        """Bytes that nobody knows the beginning of: after a bound the decoder counts them as torn, once."""
        self._unended.add(data, at_ns)
        if self._is_given_up or not self._unended.is_long:
            return b""
        self._is_given_up, self._loss = True, NO_LINE
        return data.translate(_NO_ENDS)


class _Unended:
    """Bytes that came and ended no line: how many, since when, and what to say of them."""

    def __init__(self, baud: int, end: bytes | None, size: int = 0) -> None:
        self.trouble = ""
        self.count = 0
        self.lasted_ns = 0
        self._baud = baud
        self._end = end
        self._size = size
        self._since_ns = 0
        self._raw = b""

    @property
    def is_long(self) -> bool:
        """Whether they are lost."""
        return self.count > NO_LINE_BYTES or self.lasted_ns > NO_LINE_NS

    def clear(self) -> None:
        """A line ended."""
        if self.count:
            self.trouble, self.count, self.lasted_ns, self._raw = "", 0, 0, b""

    def add(self, data: bytes, at_ns: int, longest: int = NO_LINE_BYTES) -> None:
        """More that ends no line came; a line may have `longest` bytes."""
        if not self.count:
            self._since_ns = at_ns
        self.count += len(data)
        self.lasted_ns = at_ns - self._since_ns
        self._raw = (self._raw + data[-RAW_BYTES:])[-RAW_BYTES:]
        tell_ns = TELL_NS if longest <= NO_LINE_BYTES else LONG_NS
        if not self.trouble and (self.lasted_ns >= tell_ns or self.count > longest):
            self.trouble = self._say()

    def _say(self) -> str:
        shown = shown_bytes(self._raw, RAW_BYTES)
        if self._size:
            return (
                f'bytes but no pause, so that nobody knows where a record of {self._size} begins, such as "{shown}"; '
                "leave record_bytes out if its lines end in anything"
            )
        return f'bytes but no line end, such as "{shown}"; {self._advice()}'

    def _advice(self) -> str:
        others = set(self._raw) - _TEXT
        if len(others) == 1 and (end := bytes(others)) < b" ":
            name = "nul" if end == b"\0" else f"\\u{end[0]:04x}"
            return f'try line_end = "{name}"'
        if others:
            return f"is baud = {self._baud} right?"
        if self._end is not None and set(b"\r\n") & set(self._raw):
            return "leave line_end out, and it is found"
        return "try record_bytes = N if its records have a length in place of an end"
