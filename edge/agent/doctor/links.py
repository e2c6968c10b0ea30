"""Whom an agent needs on the network: whether each is there, and what a broker does not grant."""

from __future__ import annotations

import socket
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import urlsplit

from edge.agent.doctor.remedies import LinkFacts
from edge.config import AgentConfig
from edge.protocol import SourceConfig
from edge.sources.serial.port import why_unreached
from ingest.errors import PermanentError
from ingest.showing import masked

PATIENCE_S: Final = 5.0


def link_facts(config: AgentConfig, token: str) -> Iterator[LinkFacts]:
    """Of the log, where it lies behind a network, and of each source's broker; `token` makes a name there its own."""
    address, _, _ = config.log.partition("?")
    if address.startswith("kafka://"):
        hosts = address.removeprefix("kafka://").partition("/")[0].rpartition("@")[2].split(",")
        problems = {host: _unreached(host) for host in hosts}
        if all(problems.values()):  # one of them names all others
            yield from (LinkFacts("log", host, problem) for host, problem in problems.items())
        else:
            yield LinkFacts("log", masked(address))
    for source in config.sources:
        if source.type == "mqtt":
            yield _broker(source, token)


def _unreached(address: str) -> str:
    """Why nobody answers at `host:port`; empty where somebody does."""
    try:
        parts = urlsplit(f"//{address}")
        with socket.create_connection((parts.hostname, parts.port or 9092), timeout=PATIENCE_S):
            return ""
    except (OSError, ValueError) as error:
        return why_unreached(error).replace("the adapter's program", "the broker")


def _broker(source: SourceConfig, token: str) -> LinkFacts:
    """A connection of its own, as the agent's but under another name, of which nothing is left."""
    from edge.agent.doctor.connack import greet  # its library: only where a broker is named
    from edge.sources.mqtt import failures
    from edge.sources.mqtt.client import CONNECT_S
    from edge.sources.mqtt.settings import settings

    wanted = settings(source)
    try:
        said = greet(wanted, f"sensorloom-{token}")
    except PermanentError as error:
        return LinkFacts(source.name, wanted.url, str(error))
    except (OSError, UnicodeError, EOFError) as error:
        return LinkFacts(source.name, wanted.url, failures.connecting(error, wanted, CONNECT_S, datetime.now(UTC)))
    if isinstance(said, str):
        return LinkFacts(source.name, wanted.url, said)
    return LinkFacts(
        source.name, wanted.url, limits=list(limits(said, wanted.qos, wanted.max_message, wanted.session_expiry_s))
    )


def limits(said: Mapping[str, Any], qos: int, max_message: int, session_expiry_s: int) -> Iterator[str]:
    """What a broker's CONNACK (MQTT 5.0, section 3.2.2.3) does not grant of what a source wants, and what to do."""
    if said.get("MaximumQoS", 2) < qos:
        yield "it has no QoS 1: what it holds while this agent is away is lost; allow it there, or say qos = 0"
    if said.get("SessionExpiryInterval", session_expiry_s) < session_expiry_s:
        yield (
            f"it keeps a session for {said['SessionExpiryInterval']:,} s only, not {session_expiry_s:,} s; raise that "
            "there (Mosquitto: persistent_client_expiration), or lower session_expiry"
        )
    if said.get("MaximumPacketSize", max_message) < max_message:
        yield (
            f"it takes packets up to {said['MaximumPacketSize']:,} bytes, max_message allows {max_message:,}: a larger "
            "message never comes here; raise that there (Mosquitto: max_packet_size), or lower max_message"
        )
    if said.get("ServerKeepAlive", 30) < 10:
        yield f"it ends a connection that is silent for {said['ServerKeepAlive']} s; raise that there"
