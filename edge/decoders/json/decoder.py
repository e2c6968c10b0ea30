"""JSON texts: an object, an array of numbers in the order of the channels, or a number alone; or an array of these.

`fields` says where a channel lies in an object, names joined by dots: `{x = "acc.x"}`; else it has the channel's name.
A missing field, null or NaN is a missing value, and so is an infinite one, counted. On a stream of bytes texts are
lines, or span several; a message is one text, or several.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from json import loads
from typing import ClassVar, Final, Self

import msgspec

from edge.decoders.guard import FAILED
from edge.decoders.json.texts import Text, Texts
from edge.decoders.lines import Lines, bare, fault
from edge.decoders.numbers import MAX_MESSAGE, Row, frames_of, max_message_of
from edge.decoders.objects import OBJECT_KEYS, Objects, Reader
from edge.decoders.repetitions import Remembering, Repetitions
from edge.protocol import Fault, Frame, Key, SourceConfig

_NO_JSON: Final = re.compile(rb'("(?:[^"\\]++|\\.)*+")|([+-]?nan\b)|([+-]?inf(?:inity)?\b)', re.IGNORECASE)
_UNPARSABLE: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


class JsonDecoder:
    """Decodes JSON texts, of which `reader` makes samples."""

    keys: ClassVar[Mapping[str, Key]] = {
        **OBJECT_KEYS,
        "max_message": MAX_MESSAGE,
    }

    def __init__(self, reader: Reader, max_bytes: int = 1_000_000) -> None:
        self._reader = reader
        self._max_bytes = max_bytes
        self._lines = Lines(max_bytes)
        self._texts = Texts(max_bytes)
        self._parse = msgspec.json.Decoder().decode

    @classmethod
    def from_config(cls, config: SourceConfig) -> Self:
        """Raises `UsageError` where a field belongs to no channel, or a key says what cannot be."""
        return cls(Objects.from_config(config), max_message_of(config))

    def recall(self, repetitions: Repetitions) -> None:
        """See `edge.decoders.repetitions.Remembering`."""
        if isinstance(self._reader, Remembering):
            self._reader.recall(repetitions)

    def feed(self, data: bytes) -> Iterable[Frame | Fault]:
        """See `edge.protocol.Decoder`."""
        block, long = self._lines.feed(data)
        if block is not None:
            yield from frames_of(self._lines.each(block, self._line))
        if long is not None:
            yield long

    def message(self, data: bytes) -> Iterable[Frame | Fault]:
        """See `edge.protocol.Decoder`: one text, or several; where it is broken, so much of it is one fault."""
        block = self._lines.whole(data)
        if len(data) > self._max_bytes:
            return [fault("too_long", block.offset, -1, data)]
        return frames_of(self.read(data, block.offset, block.offset + len(block.data)))

    def reset(self) -> Iterable[Frame | Fault]:
        """See `edge.protocol.Decoder`: of a text that was not whole, nothing is given."""
        left, (torn, at) = self._texts.end(), self._lines.reset()
        if left is not None:
            return [fault("torn", left[1], -1, left[0])]
        return [fault("torn", at, -1, torn)] if torn else []

    # --- texts

    def _line(self, line: bytes, offset: int) -> Iterator[Row | Fault]:
        if self._texts.is_empty:
            try:
                found = self._parse(line)
            except _UNPARSABLE:
                pass
            else:
                yield from self._reader.rows(found, line, offset, offset + len(line) + 1)
                return
        yield from self._look(self._texts, line, offset)

    def _look(self, texts: Texts, line: bytes, offset: int) -> Iterator[Row | Fault]:
        """What a line says that is not simply a text."""
        for item in texts.push(bare(line), offset):
            if isinstance(item, Text):
                yield from self._text(item)
            else:
                yield fault(item.reason, item.offset, -1, item.data)

    def read(self, data: bytes, offset: int, end: int) -> Iterator[Row | Fault]:
        """What one whole message says that lies from `offset` to `end`."""
        try:
            found = self._parse(data)
        except _UNPARSABLE:
            yield from _joined(self._texts_of(data, offset))
            return
        try:
            yield from self._reader.rows(found, data, offset, end)
        except Exception:  # a bug: it must not cost more than this message
            yield fault(FAILED, offset, -1, data)

    def _texts_of(self, data: bytes, offset: int) -> Iterator[Row | Fault]:
        texts = Texts(self._max_bytes)
        for line in bare(data).split(b"\n"):
            yield from self._look(texts, line, offset)
            offset += len(line) + 1
        left = texts.end()
        if left is not None:
            yield fault("json", left[1], -1, left[0])

    def _text(self, text: Text) -> Iterator[Row | Fault]:
        try:
            try:
                found = self._parse(text.data)
            except _UNPARSABLE:  # other JSON libraries write NaN and Infinity, and C says nan and inf
                found = loads(_NO_JSON.sub(_as_json, text.data).decode("utf-8"))
        except (ValueError, RecursionError):
            yield fault("json", text.offset, -1, text.data)
            return
        yield from self._reader.rows(found, text.data, text.offset, text.end)


def _as_json(match: re.Match[bytes]) -> bytes:
    """A word that JSON does not have as one that it has."""
    if match[1] is not None:
        return match[1]
    return b"null" if match[2] is not None else b"1e999"


def _joined(items: Iterable[Row | Fault]) -> Iterator[Row | Fault]:
    """One fault for lines of a broken text that follow one another."""
    broken = False
    for item in items:
        again = isinstance(item, Fault) and item.reason == "json"
        if not (again and broken):
            yield item
        broken = again
