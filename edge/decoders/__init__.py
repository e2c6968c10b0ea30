"""Decoders by name; a module is imported when a configuration names it."""

from __future__ import annotations

from typing import Final

from edge.plugins import plugin
from edge.protocol import Decoder, SourceConfig

DECODERS: Final[dict[str, str]] = {
    "binary": "edge.decoders.binary.decoder:BinaryDecoder",
    "cbor": "edge.decoders.cbor.decoder:CborDecoder",
    "csv": "edge.decoders.csv.decoder:CsvDecoder",
    "json": "edge.decoders.json.decoder:JsonDecoder",
    "keyvalue": "edge.decoders.keyvalue.decoder:KeyValueDecoder",
    "nmea": "edge.decoders.nmea.decoder:NmeaDecoder",
    "regex": "edge.decoders.regex.decoder:RegexDecoder",
    "senml": "edge.decoders.senml.decoder:SenmlDecoder",
    "ubx": "edge.decoders.ubx.decoder:UbxDecoder",
}
OF_SOURCES: Final[dict[str, str]] = {
    "scans": "edge.decoders.scans.decoder:ScansDecoder",
    "w1": "edge.decoders.w1.decoder:W1Decoder",
}
"""Those that belong to sources, which need no table to name them."""


def decoder_type(name: str, where: str) -> type[Decoder]:
    """The decoder class of that name. Raises `UsageError` where there is none, or its library is missing."""
    found: type[Decoder] = plugin("decoder", OF_SOURCES if name in OF_SOURCES else DECODERS, name, where)
    return found


def decoder_of(config: SourceConfig) -> Decoder:
    """The decoder of a source's lines. Raises `UsageError`."""
    kind = decoder_type(config.decoder, config.where)
    if config.tag:
        from edge.decoders.tagged import TaggedDecoder

        kind = TaggedDecoder
    return kind.from_config(config)
