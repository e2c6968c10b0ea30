"""Sources by name; a module is imported when a configuration names it."""

from __future__ import annotations

from typing import Final

from edge.protocol import Source, plugin

SOURCES: Final[dict[str, str]] = {
    "mqtt": "edge.sources.mqtt.source:MqttSource",
    "replay": "edge.sources.replay.source:ReplaySource",
    "serial": "edge.sources.serial.source:SerialSource",
}


def source_type(name: str, where: str) -> type[Source]:
    """The source class of that name. Raises `UsageError` where there is none, or its library is missing."""
    found: type[Source] = plugin("source", SOURCES, name, where)
    return found
