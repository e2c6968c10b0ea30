"""SenML packs (RFC 8428), in JSON or CBOR: which of both, each says by its first byte."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import ClassVar, Final, Self

from edge.decoders.cbor.decoder import read_items
from edge.decoders.framing.keys import FRAME_KEYS, framing_of
from edge.decoders.framing.shape import Framing, Piece
from edge.decoders.json.decoder import JsonDecoder
from edge.decoders.lines import fault
from edge.decoders.numbers import MAX_MESSAGE, Row, frames_of, max_message_of
from edge.decoders.objects import Reader
from edge.decoders.senml.pack import Packs
from edge.protocol import Fault, Frame, Key, SourceConfig
from ingest.errors import UsageError

_ARRAYS: Final = range(0x80, 0xA0)
"""The first byte of a CBOR array, as a pack is one; no JSON text begins so."""


class SenmlDecoder:
    """Decodes packs: JSON on lines and in messages, CBOR in frames and in messages."""

    keys: ClassVar[Mapping[str, Key]] = {
        "prefix": Key(
            "text",
            "What is before each channel in a record's full name, which is the base name and the name.",
            '"urn:dev:ow:10e2073a01080063:"',
            "none",
            ("base_name", "bn", "base", "name_prefix"),
        ),
        "fields": Key(
            "table of texts",
            "A channel's full name, where it is not the prefix and the channel.",
            '{ temp = "urn:dev:ow:10e2073a01080063:temperature" }',
            "the prefix and each channel's own name",
            ("names", "columns", "field", "paths"),
        ),
        **FRAME_KEYS,
        "max_message": MAX_MESSAGE,
    }

    def __init__(self, reader: Reader, framing: Framing | None, max_bytes: int) -> None:
        self._reader = reader
        self._framing = framing
        self._texts = JsonDecoder(reader, max_bytes)
        self._max_bytes = max_bytes
        self._offset = 0
        """Bytes of messages since the start or `reset`."""

    @classmethod
    def from_config(cls, config: SourceConfig) -> Self:
        """Raises `UsageError` where a field belongs to no channel, or a key says what cannot be."""
        prefix, fields = config.option("prefix", str, ""), config.option("fields", dict, {})
        for name, full in fields.items():
            if name not in config.channels or not isinstance(full, str):
                known = ", ".join(config.channels)
                raise UsageError(
                    f'{config.where}: fields: {name} = {full!r}: expected one of {known} = "its full name"'
                )
        names = [str(fields.get(name, prefix + name)) for name in config.channels]
        if len(set(names)) < len(names):
            raise UsageError(f"{config.where}: fields: two channels have one name")
        has_times = config.clock == "device"
        reader = Packs(names, list(config.channels.values()), has_times=has_times, may_lag=config.rate is not None)
        framing = framing_of(config, None) if "frame" in config.options else None
        return cls(reader, framing, max_message_of(config))

    def feed(self, data: bytes) -> Iterable[Frame | Fault]:
        """See `edge.protocol.Decoder`."""
        return self._texts.feed(data) if self._framing is None else self._framed(self._framing.feed(data))

    def message(self, data: bytes) -> Iterable[Frame | Fault]:
        """See `edge.protocol.Decoder`."""
        begin = self._offset
        self._offset += len(data) + (not data.endswith(b"\n"))
        if len(data) > self._max_bytes:
            return [fault("too_long", begin, -1, data)]
        return frames_of(self._read(data, begin, self._offset))

    def reset(self) -> Iterable[Frame | Fault]:
        """See `edge.protocol.Decoder`."""
        self._offset = 0
        return list(self._texts.reset() if self._framing is None else self._framed(self._framing.reset()))

    def _framed(self, pieces: Iterable[Piece | Fault]) -> Iterator[Frame | Fault]:
        for piece in pieces:
            if isinstance(piece, Fault):
                yield piece
            else:
                yield from frames_of(self._read(piece.rows.tobytes(), piece.offset, piece.offset + piece.step))

    def _read(self, data: bytes, offset: int, end: int) -> Iterator[Row | Fault]:
        if data[:1] and data[0] in _ARRAYS:
            return read_items(self._reader, data, offset, end)
        return self._texts.read(data, offset, end)
