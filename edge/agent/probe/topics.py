"""Listening to a broker that nobody has described: which topics there are, and what is said on each."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

from paho.mqtt.client import MQTTMessage

from edge.agent.probe.scoring import Heard
from edge.errors import SourceUnavailableError
from edge.protocol import SourceConfig
from edge.sources.clock import now
from edge.sources.mqtt import failures
from edge.sources.mqtt.client import CONNECT_S, connect, new_client, subscription
from edge.sources.mqtt.settings import Settings, passing, settings

TOPICS_MOST: Final = 200
ALIKE: Final = 3
"""So many topics of one pattern are devices that one source may read."""
BYTES_MOST: Final = 8_000_000
"""So much of messages is kept."""
_TURN_S: Final = 0.1


@dataclass(slots=True)
class Topics:
    """What was heard at a broker."""

    heard: dict[str, list[Heard]] = field(default_factory=dict)
    """By topic."""
    more: int = 0
    """Messages that were not kept, of too many topics."""
    size_bytes: int = 0

    def advice(self) -> str:
        """What to say of topics that are alike, and of messages that were not kept; empty where there are neither."""
        said = f"{self.more:,} messages of more than {TOPICS_MOST} topics were left out; " if self.more else ""
        pattern = alike(self.heard)
        if pattern:
            many = f"{said}{len(self.heard)} topics are alike"
            return f'{many}: one source reads such, each as a device: topic = "{pattern}"'
        return f"{said}name fewer behind the broker's address, as in mqtt://host/site/#" if said else ""

    @property
    def is_full(self) -> bool:
        """Nothing more is kept."""
        return self.size_bytes >= BYTES_MOST

    def note(self, topic: str, payload: bytes, at_ns: int) -> None:
        """A message came."""
        is_new = topic not in self.heard
        if self.is_full or (is_new and len(self.heard) >= TOPICS_MOST):
            self.more += 1
            return
        self.size_bytes += len(payload)
        self.heard.setdefault(topic, []).append(Heard(payload, at_ns))


def alike(topics: Iterable[str]) -> str:
    """The pattern of topics of which one level alone differs, `site/{device}/acc`; empty where they are none such, or
    fewer than `ALIKE`."""
    split = [topic.split("/") for topic in topics]
    if len(split) < ALIKE or len(set(map(len, split))) > 1:
        return ""
    levels = [set(level) for level in zip(*split, strict=True)]
    if sum(len(level) > 1 for level in levels) != 1:
        return ""
    return "/".join("{device}" if len(level) > 1 else next(iter(level)) for level in levels)


def listen_at_broker(options: Mapping[str, Any], base: str, seconds: float, token: str) -> Topics:
    """What is published at a broker within some seconds. `options` are keys of a source of type `mqtt`, with a topic
    that may have wildcards; nothing is left at the broker.

    Raises:
        UsageError: the options are none of such a source.
        SourceUnavailableError: why nothing can be heard there, and what to do.
        PermanentError: a file that they name cannot be read.
    """
    config = SourceConfig(
        where="sensorloom agent init",
        base=base,
        name="init",
        type="mqtt",
        decoder="json",
        device="init",
        device_named=True,
        stream="init",
        channels={"x": "1"},
        options=options,
    )
    ear = _Ear(passing(settings(config), token))
    ear.listen(seconds)
    if ear.refusal:
        raise SourceUnavailableError(f"{ear.wanted.url}: {ear.refusal}")
    return ear.found


class _Ear:
    """One connection, which listens."""

    def __init__(self, wanted: Settings) -> None:
        self.wanted: Final = wanted
        self.found: Final = Topics()
        self.refusal = ""
        """Why nothing can be heard."""
        self._is_granted = False
        self._client = new_client(wanted)
        self._client.on_message = self._on_message
        self._client.on_connect = self._on_connect
        self._client.on_subscribe = self._on_subscribe

    def listen(self, seconds: float) -> None:
        """Connect, subscribe, and take what comes for so long, or until nothing more is kept."""
        try:
            connect(self.wanted, self._client)
        except (OSError, UnicodeError, EOFError) as error:
            self.refusal = failures.connecting(error, self.wanted, CONNECT_S, datetime.now(UTC))
            return
        try:
            self._take(CONNECT_S, until_granted=True)
            if not (self._is_granted or self.refusal):
                self.refusal = f"no answer in {CONNECT_S:g} s; is it an MQTT broker that listens there?"
            self._take(seconds)
        finally:
            self._client.disconnect()

    def _take(self, seconds: float, *, until_granted: bool = False) -> None:
        until_s = time.monotonic() + seconds
        while not (self.refusal or self.found.is_full) and (left_s := until_s - time.monotonic()) > 0:
            if until_granted and self._is_granted:
                return
            if self._client.loop(min(_TURN_S, left_s)) and not self.refusal:
                self.refusal = failures.closed_unanswered(self.wanted, "the connection was closed", self._client.alert)

    def _on_connect(self, _client: Any, _data: Any, _flags: Any, code: Any, _properties: Any) -> None:
        if code.is_failure:
            self.refusal = failures.refused(code.value, str(code), self.wanted)
        else:
            self._client.subscribe([subscription(self.wanted)])

    def _on_subscribe(self, _client: Any, _data: Any, _mid: int, codes: Any, _properties: Any) -> None:
        self._is_granted = True
        if codes[0].is_failure:
            self.refusal = failures.subscribing(self.wanted.topic, codes[0].value, str(codes[0]))

    def _on_message(self, _client: Any, _data: Any, message: MQTTMessage) -> None:
        with suppress(UnicodeDecodeError):  # a topic that is none
            if not message.retain:  # that is old news
                self.found.note(message.topic, bytes(message.payload), now()[0])
