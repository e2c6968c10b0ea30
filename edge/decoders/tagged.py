"""Lines of several streams on one port, each told by what it begins with: `A,1,2,3`, `$IMU,1,2,3`, `T:21.4`. Pure."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import ClassVar, Final, Self

from edge.decoders import decoder_type
from edge.decoders.lines import Block, Lines, bare, fault
from edge.decoders.repetitions import Remembering, Repetitions
from edge.protocol import Decoder, Fault, Frame, Key, SourceConfig

UNKNOWN: Final = "tag"
"""The reason of lines that no source wants."""
SEPARATORS: Final = b",;:=|"
"""One of these stands behind a tag, or a space, or nothing more."""
LINE_BYTES: Final = 1_000_000
"""A longer line is nobody's; the decoder of a stream knows how long its own may be."""
_REMEMBERED: Final = 1024
"""Lines of which a decoder may still say something."""


class TaggedDecoder:
    """Gives a decoder the lines that begin with `tag`, without it.

    `known`: all tags that are wanted on the port, where lines with another one are this stream's to count; empty where
    they are not.
    """

    keys: ClassVar[Mapping[str, Key]] = {}

    def __init__(self, decoder: Decoder, tag: bytes, known: Sequence[bytes] = ()) -> None:
        self._decoder = decoder
        self._tag = tag
        self._known = tuple(known)
        self._begin()

    @classmethod
    def from_config(cls, config: SourceConfig) -> Self:
        """Around the decoder that the table names. Raises `UsageError`."""
        decoder = decoder_type(config.decoder, config.where).from_config(config)
        return cls(decoder, config.tag.encode(), [tag.encode() for tag in config.tags])

    def _begin(self) -> None:
        self._lines = Lines(LINE_BYTES)
        self._fed = 0
        """Bytes that the decoder had."""
        self._places = deque[tuple[int, int, int]](maxlen=_REMEMBERED)
        """Of the lines that it had: the offset behind each there, where the line begins here, and what is behind it."""

    def recall(self, repetitions: Repetitions) -> None:
        """See `edge.decoders.repetitions.Remembering`."""
        if isinstance(self._decoder, Remembering):
            self._decoder.recall(repetitions)

    def feed(self, data: bytes) -> Iterable[Frame | Fault]:
        """See `edge.protocol.Decoder`."""
        block, long = self._lines.feed(data)
        found = [] if block is None else list(self._block(block))
        if long is not None and self._known:
            found.append(replace(long, samples=0))
        return found

    def message(self, data: bytes) -> Iterable[Frame | Fault]:
        """See `edge.protocol.Decoder`."""
        return list(self._block(self._lines.whole(data)))

    def reset(self) -> Iterable[Frame | Fault]:
        """See `edge.protocol.Decoder`."""
        torn, offset = self._lines.reset()
        found = list(self._placed(self._decoder.reset()))
        if torn and without(torn, self._tag) is not None:
            found.append(fault("torn", offset, -1, torn))
        self._begin()
        return found

    def _block(self, block: Block) -> Iterator[Frame | Fault]:
        offset = block.offset
        for line in block.data[:-1].split(b"\n"):
            end, own = offset + len(line) + 1, without(line, self._tag)
            if own is not None:
                self._fed += len(own) + 1
                self._places.append((self._fed, offset, end))
                yield from self._placed(self._decoder.feed(own + b"\n"))
            elif self._is_nobodys(line):
                yield fault(UNKNOWN, offset, 0, line)
            offset = end

    def _is_nobodys(self, line: bytes) -> bool:
        """Whether a line that says something is to be counted here."""
        if not self._known or line.startswith(b"#") or not bare(line).strip():
            return False
        return all(without(line, tag) is None for tag in self._known)

    def _placed(self, items: Iterable[Frame | Fault]) -> Iterator[Frame | Fault]:
        """What the decoder says, with offsets of the port's bytes."""
        for item in items:
            if isinstance(item, Frame):
                yield replace(item, offset=next((end for fed, _, end in self._places if fed >= item.offset), 0))
            else:
                begin = next((begin for fed, begin, _ in self._places if fed > item.byte_offset), 0)
                yield replace(item, byte_offset=begin)


def without(line: bytes, tag: bytes) -> bytes | None:
    """A line without its tag and what separates it; None where it begins otherwise."""
    text = line.lstrip(b" \t\r\0")
    if not text.startswith(tag):
        return None
    rest = text[len(tag) :]
    content = rest.lstrip(b" \t")
    if content and content[0] in SEPARATORS:
        return content[1:].lstrip(b" \t")
    is_apart = len(content) < len(rest) or not content.rstrip(b"\r\0")
    return content if is_apart else None
