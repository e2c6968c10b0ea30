"""What an error inside a decoder costs: the line that it was about, whoever wrote the decoder. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from typing import Final

from edge.protocol import RAW_BYTES, Decoder, Fault, Frame

FAILED: Final = "decoder_failed"
"""The reason of the faults."""
HELD_BYTES: Final = 65_536
"""So much of a line that has begun is kept, to be fed again."""
_SKIPPED_BYTES: Final = 4096
"""So far is looked for the end of a line that failed before it was whole."""


class GuardedDecoder:
    """A decoder that never raises, around one that may.

    What raised is fed again, line by line, after a reset: the lines that raise are faults of an unknown number of
    samples. What a decoder held of lines before, to be joined with later ones, goes with them.
    """

    def __init__(self, decoder: Decoder, told: Callable[[Exception], None]) -> None:
        self._decoder = decoder
        self._told = told
        """Hears of each exception."""
        self._held = b""
        """Fed, of a line that is not at its end yet."""
        self._fed = 0
        """Bytes since the start or `reset`."""
        self._base = 0
        """Of these, the bytes before the decoder's own last reset: its offsets begin there."""
        self._skip = 0
        """So many bytes may still be thrown away up to the end of a line that failed."""

    def feed(self, data: bytes) -> list[Frame | Fault]:
        """See `edge.protocol.Decoder`."""
        if self._skip:
            data = self._rest(data)
        try:
            found = list(self._decoder.feed(data))
        except Exception as error:
            self._told(error)
            return self._feed_again(data)
        self._fed += len(data)
        end = data.rfind(b"\n") + 1
        self._held = data[end:] if end else self._held + data
        if len(self._held) > HELD_BYTES:
            self._held = b""
        return self._placed(found)

    def message(self, data: bytes) -> list[Frame | Fault]:
        """See `edge.protocol.Decoder`: a message that raises is one fault."""
        start, self._fed = self._fed, self._fed + len(data) + (not data.endswith(b"\n"))
        try:
            return self._placed(list(self._decoder.message(data)))
        except Exception as error:
            self._told(error)
            self._restart(self._fed)
            return [Fault(FAILED, start, -1, data[:RAW_BYTES])]

    def reset(self) -> list[Frame | Fault]:
        """See `edge.protocol.Decoder`."""
        try:
            found = self._placed(list(self._decoder.reset()))
        except Exception as error:
            self._told(error)
            found = [Fault(FAILED, self._fed - len(self._held), -1, self._held[:RAW_BYTES])]
        self._held, self._fed, self._base, self._skip = b"", 0, 0, 0
        return found

    def _feed_again(self, data: bytes) -> list[Frame | Fault]:
        text, start = self._held + data, self._fed - len(self._held)
        self._fed += len(data)
        self._held = b""
        self._restart(start)
        found, failed, offset = list[Frame | Fault](), False, start
        for line in _lines(text):
            end = offset + len(line)
            try:
                found += self._placed(list(self._decoder.feed(line)))
                self._held = b"" if line.endswith(b"\n") else line
            except Exception:
                failed = True
                found.append(Fault(FAILED, offset, -1, line[:RAW_BYTES]))
                self._restart(end)
                self._skip = 0 if line.endswith(b"\n") else _SKIPPED_BYTES
            offset = end
        if not failed:  # it was about what it held before
            found.insert(0, Fault(FAILED, start, -1, text[:RAW_BYTES]))
        return found

    def _restart(self, base: int) -> None:
        try:
            list(self._decoder.reset())
        except Exception as error:
            self._told(error)
        self._base = base

    def _rest(self, data: bytes) -> bytes:
        """What is behind the line that failed."""
        end = data.find(b"\n") + 1 or len(data)
        self._skip = 0 if data[end - 1 : end] == b"\n" else max(0, self._skip - end)
        self._fed += end
        self._base = self._fed
        return data[end:]

    def _placed(self, items: Iterable[Frame | Fault]) -> list[Frame | Fault]:
        if not self._base:
            return list(items)
        return [
            replace(item, byte_offset=item.byte_offset + self._base)
            if isinstance(item, Fault)
            else replace(item, offset=item.offset + self._base)
            for item in items
        ]


def _lines(text: bytes) -> Iterator[bytes]:
    """The lines, each with its line feed."""
    start = 0
    while start < len(text):
        end = text.find(b"\n", start) + 1 or len(text)
        yield text[start:end]
        start = end
