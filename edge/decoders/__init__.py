"""Decoders by name; a module is imported when a configuration names it."""

from __future__ import annotations

from typing import Final

from edge.protocol import Decoder, plugin

DECODERS: Final[dict[str, str]] = {
    "csv": "edge.decoders.csv.decoder:CsvDecoder",
    "json": "edge.decoders.json.decoder:JsonDecoder",
    "nmea": "edge.decoders.nmea.decoder:NmeaDecoder",
}


def decoder_type(name: str, where: str) -> type[Decoder]:
    """The decoder class of that name. Raises `UsageError` where there is none, or its library is missing."""
    found: type[Decoder] = plugin("decoder", DECODERS, name, where)
    return found
