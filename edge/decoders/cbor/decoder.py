"""CBOR items (RFC 8949), or sequences of them (RFC 8742): objects and arrays, as the decoder `json` reads them.

An item does not show where it ends to who lost its beginning: on a port each comes in a frame of its own.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from io import SEEK_CUR, BytesIO
from typing import Any, ClassVar, Final, Self

from cbor2 import CBORDecoder as Parser
from cbor2 import CBORError

from edge.decoders.framing.keys import FRAME_KEYS, framing_of
from edge.decoders.framing.shape import Framing
from edge.decoders.lines import fault
from edge.decoders.numbers import MAX_MESSAGE, Row, frames_of, max_message_of
from edge.decoders.objects import OBJECT_KEYS, Objects, Reader
from edge.decoders.repetitions import Remembering, Repetitions
from edge.protocol import Fault, Frame, Key, SourceConfig
from ingest.errors import UsageError

MAX_DEPTH: Final = 64
"""Of arrays in arrays: no reading needs more."""
SELF_DESCRIBED: Final = bytes.fromhex("d9d9f7")
"""The tag 55799 that says no more than that CBOR follows (RFC 8949, 3.4.6)."""


class CborDecoder:
    """Decodes CBOR items, of which `reader` makes samples."""

    keys: ClassVar[Mapping[str, Key]] = {**OBJECT_KEYS, **FRAME_KEYS, "max_message": MAX_MESSAGE}

    def __init__(self, reader: Reader, framing: Framing | None, max_bytes: int) -> None:
        self._reader = reader
        self._framing = framing
        self._max_bytes = max_bytes
        self._offset = 0
        """Bytes of messages since the start or `reset`."""

    @classmethod
    def from_config(cls, config: SourceConfig) -> Self:
        """Raises `UsageError` where a field belongs to no channel, or a key says what cannot be."""
        if config.type == "replay":
            raise UsageError(f"{config.where}: decoder: {config.decoder} reads no lines, and a replay has nothing else")
        return cls(Objects.from_config(config), framing_of(config, None), max_message_of(config))

    def recall(self, repetitions: Repetitions) -> None:
        """See `edge.decoders.repetitions.Remembering`."""
        if isinstance(self._reader, Remembering):
            self._reader.recall(repetitions)

    def feed(self, data: bytes) -> Iterable[Frame | Fault]:
        """See `edge.protocol.Decoder`."""
        return self.message(data) if self._framing is None else self._framed(self._framing.feed(data))

    def message(self, data: bytes) -> Iterable[Frame | Fault]:
        """See `edge.protocol.Decoder`: one item, or several; where one is broken, it and the rest are one fault."""
        begin = self._offset
        self._offset += len(data) + (not data.endswith(b"\n"))
        if len(data) > self._max_bytes:
            return [fault("too_long", begin, -1, data)]
        return frames_of(read_items(self._reader, data, begin, self._offset))

    def reset(self) -> Iterable[Frame | Fault]:
        """See `edge.protocol.Decoder`."""
        self._offset = 0
        return [] if self._framing is None else list(self._framed(self._framing.reset()))

    def _framed(self, pieces: Iterable[Any]) -> Iterator[Frame | Fault]:
        for piece in pieces:
            if isinstance(piece, Fault):
                yield piece
            else:
                data, end = piece.rows.tobytes(), piece.offset + piece.step
                yield from frames_of(read_items(self._reader, data, piece.offset, end))


def read_items(reader: Reader, data: bytes, offset: int, end: int) -> Iterator[Row | Fault]:
    """What the items say that lie one behind the other in `data`."""
    file = BytesIO(data)
    try:
        parser = Parser(file, object_hook=_named, max_depth=MAX_DEPTH, read_size=1)
        while True:
            if data.startswith(SELF_DESCRIBED, file.tell()):
                file.seek(len(SELF_DESCRIBED), SEEK_CUR)
            found = parser.decode()
            yield from reader.rows(found, data, offset, end)
            if file.tell() == len(data):
                return
    except (CBORError, RecursionError, UnicodeDecodeError, OverflowError, MemoryError):
        yield fault("cbor", offset, -1, data)


def _named(found: Mapping[Any, Any], is_key: bool) -> Any:
    """A map with names as keys, as paths have them; one that is itself a key stays what it is."""
    return found if is_key else {str(key): value for key, value in found.items()}
