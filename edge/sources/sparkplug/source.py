"""The source `sparkplug`: the metrics of an edge node of Sparkplug B, or of a device behind it, by their names.

What brings its messages, and keeps the books of them, is the source `mqtt`; what they say is in `session`. A rebirth is
asked for on the same connection.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, ClassVar, Final, Self

from edge.devices import Pattern, pattern_of
from edge.protocol import Arrival, Key, SourceConfig
from edge.sources.clock import now
from edge.sources.mqtt.link import Link
from edge.sources.mqtt.settings import KEYS, Settings, passing, settings
from edge.sources.mqtt.source import NOBODY, MqttSource, Whose
from edge.sources.sparkplug.payload import rebirth_command
from edge.sources.sparkplug.session import PARKED, Session, names_of
from ingest.errors import UsageError

_ID: Final = frozenset("/+#")
"""Signs that no id has (Sparkplug 3.0, section 4.1)."""


class SparkplugSource(MqttSource):
    """An edge node as a `Source`."""

    keys: ClassVar[Mapping[str, Key]] = {
        **{name: key for name, key in KEYS.items() if name != "topic"},
        "group_id": Key("text", "The edge node's group.", '"plant-3"', synonyms=("group",)),
        "edge_node_id": Key("text", "The edge node.", '"gateway-7"', synonyms=("node", "edge_node", "node_id")),
        "device_id": Key(
            "text",
            "The device behind it whose metrics are read. With `{device}` in `device`, each of its devices is one of "
            "its own.",
            '"press"',
            "none: the edge node's own metrics",
            ("sparkplug_device", "edge_device"),
        ),
        "metrics": Key(
            "table of texts",
            "A channel's metric, where it has another name.",
            '{ temp = "Motor/Temperature" }',
            "each channel's own name",
            ("metric", "fields", "names", "paths", "columns"),
        ),
    }

    def __init__(self, settings: Settings, session: Session, command: str) -> None:
        super().__init__(settings)
        self._session = session
        self._command = command
        """The topic of commands to the edge node."""
        self._heard: Link | None = None
        """The connection of the newest message."""

    @classmethod
    def from_config(cls, config: SourceConfig) -> Self:
        """Raises `UsageError` where a key says what cannot be."""
        return cls._of(config, _settings(config))

    @classmethod
    def passing(cls, config: SourceConfig, token: str) -> Self:
        """See `MqttSource.passing`."""
        return cls._of(config, passing(_settings(config), token))

    @classmethod
    def _of(cls, config: SourceConfig, found: Settings) -> Self:
        metrics, pattern = config.option("metrics", dict, {}), pattern_of(config)
        for name, metric in metrics.items():
            if name not in config.channels or not isinstance(metric, str):
                known = ", ".join(config.channels)
                raise UsageError(
                    f'{config.where}: metrics: {name} = {metric!r}: expected one of {known} = "its metric"'
                )
        names = names_of(config.channels, metrics)
        if len(set(names)) < len(names):
            raise UsageError(f"{config.where}: metrics: two channels have one metric")
        device = _device(config, pattern)
        session = Session(names, device, pattern, max(1, min(PARKED, found.window // 2)))
        return cls(found, session, f"spBv1.0/{config.options['group_id']}/NCMD/{config.options['edge_node_id']}")

    @property
    def trouble(self) -> str:
        """See `edge.protocol.Source`."""
        said, session = super().trouble, self._session
        if said:
            return said
        if session.rebirths > 1:
            return (
                f"no birth after {session.rebirths} rebirths were asked for; does the edge node take commands, and may "
                f"this client publish to {self._command}?"
            )
        return "the edge node is dead: its connection to the broker has ended" if session.is_dead else ""

    @property
    def heard_ns(self) -> int | None:
        """See `edge.protocol.Source`. What waits for a birth is not in the books either."""
        return self._heard_ns if self._session.parked else super().heard_ns

    def compare(self, topic: str) -> Whose:
        """One session has many topics; whose a message is says its session."""
        return NOBODY

    def hand_on(self, link: Link, topic: str, item: Arrival) -> None:
        """See `MqttSource`."""
        is_another, self._heard = self._heard not in (None, link), link
        for found in [*(self._session.reconnected() if is_another else ()), *self._session.take(topic, item)]:
            self.put(found)
        if self._session.asks(now()[0]):
            link.publish(self._command, rebirth_command(time.time_ns() // 1_000_000))

    def left_out(self, topic: str) -> None:
        """See `MqttSource`."""
        self._session.unread(topic)


def _settings(config: SourceConfig) -> Settings:
    group, node = _id(config, "group_id"), _id(config, "edge_node_id")
    options: dict[str, Any] = {**config.options, "topic": f"spBv1.0/{group}/+/{node}/#"}
    return settings(replace(config, options=options, device_named=True))


def _id(config: SourceConfig, key: str) -> str:
    found = config.option(key, str)
    if not found or _ID & set(found) or not found.isprintable():
        raise UsageError(f"{config.where}: {key}: found {found!r}; an id of Sparkplug has no /, + and #")
    return found


def _device(config: SourceConfig, pattern: Pattern | None) -> str | None:
    """The Sparkplug device that is read; None: all."""
    if pattern is None:
        return _id(config, "device_id") if "device_id" in config.options else ""
    if pattern.parts != ("device",):
        raise UsageError(f'{config.where}: device: found "{config.device}"; of an edge node it is made of {{device}}')
    if "device_id" in config.options:
        raise UsageError(f'{config.where}: device_id: "{config.device}" is each of its devices; take device_id out')
    return None
