"""What a `[[source]]` table of type `mqtt` says, checked."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from edge.devices import Pattern, pattern_of, stream_pattern_of
from edge.protocol import Key, SourceConfig
from ingest.errors import UsageError
from ingest.settings import suggest
from ingest.times import NS
from ingest.units import parse_duration, parse_size

KEYS: Final[Mapping[str, Key]] = {
    "broker": Key(
        "text",
        "The broker's address: `mqtt://host:1883`, or `mqtts://host:8883` for TLS.",
        '"mqtts://broker.example:8883"',
        synonyms=("server", "host", "hostname", "url", "uri", "address", "port", "ip"),
    ),
    "topic": Key(
        "text",
        "The topic whose messages are read: one topic, one stream. A level in braces tells devices apart, each with "
        "recordings of its own, or streams of one table's kind: `site/{device}/acc`, `site/{device}/{stream}`. With "
        "`+` (one level) or `#` (the rest) it may name several topics of one device, which the table must then say "
        "itself.",
        '"plant/pump-7/acc"',
        synonyms=("topics", "subscribe", "subscription", "topic_filter"),
    ),
    "qos": Key(
        "0 or 1",
        "1: the broker keeps what is published while this agent is away, as far as its queue goes (Mosquitto: 1,000 "
        "messages), and an absence is announced as a gap of unknown size. 0: nobody keeps anything.",
        "0",
        "1",
        ("quality", "quality_of_service"),
    ),
    "client_id": Key(
        "text",
        "Under which name the broker keeps the session; each connection needs its own.",
        '"pump-7-acc"',
        "sensorloom-DEVICE-NAME",
        ("clientid", "client", "id"),
    ),
    "protocol": Key("5 or 3.1.1", "The version of MQTT.", '"3.1.1"', "5", ("version", "mqtt_version")),
    "window": Key(
        "whole number",
        "How many messages the broker sends before it waits for an acknowledgement; with 3.1.1 say what the "
        "broker's own setting is.",
        "1000",
        "60000; 20 with 3.1.1",
        ("receive_maximum", "inflight", "max_inflight", "max_inflight_messages"),
    ),
    "max_message": Key(
        "size",
        "The largest payload that is taken; a larger one is left out, told and counted as message_too_large. What is "
        "more than 16 times as large the broker is asked not to send at all (MQTT 5), and drops without a word.",
        '"4MB"',
        "1MB",
        ("max_size", "max_payload", "max_packet_size", "maximum_packet_size", "message_size_limit"),
    ),
    "session_expiry": Key(
        "duration",
        "How long the broker keeps the session, and what waits in it, while this agent is away (MQTT 5).",
        '"30d"',
        "7d",
        ("expiry", "session_expiry_interval", "clean_session", "clean_start"),
    ),
    "username": Key("text", "The name to log in with.", '"pump-7"', "none", ("user", "login", "user_name")),
    "password_file": Key(
        "text",
        "The file that holds the password and nothing else: a secret is never in agent.toml.",
        '"/etc/sensorloom/mqtt-password"',
        "none",
        ("password", "passwd", "pass", "secret", "token"),
    ),
    "ca_file": Key(
        "text",
        "The certificates that the broker's is checked against.",
        '"/etc/sensorloom/ca.pem"',
        "the system's",
        ("cafile", "ca", "ca_cert", "ca_certs", "cacert", "tls_ca"),
    ),
    "cert_file": Key(
        "text",
        "This client's own certificate, where the broker knows its clients by such; those between it and the "
        "authority behind it.",
        '"/etc/sensorloom/pump-7.pem"',
        "none",
        ("certfile", "cert", "certificate", "client_cert", "tls_cert", "client_certificate"),
    ),
    "key_file": Key(
        "text",
        "The private key of that certificate, without a passphrase and readable by the agent alone.",
        '"/etc/sensorloom/pump-7.key"',
        "in the file of the certificate",
        ("keyfile", "key", "client_key", "tls_key", "private_key"),
    ),
}

SENDABLE: Final = 16
"""So many times `max_message` the broker may still send: what is left out is counted here, as far as that is cheap."""
HEADER_BYTES: Final = 131_072
"""What a packet has besides its payload, at most: a topic of 64 KiB, and as much of properties as anybody sends."""
_PORTS: Final = {"mqtt": 1883, "mqtts": 8883}
_VERSIONS: Final = {"5": 5, "3.1.1": 3}
_WINDOWS: Final = {5: 60_000, 3: 20}
_WINDOW_MAX: Final = 65_535
_EXPIRY_MAX_S: Final = 0xFFFFFFFF
_TEXT_BYTES_MAX: Final = 65_535
_MESSAGE_BYTES_MAX: Final = 256_000_000
"""MQTT itself allows 268,435,455 bytes a packet."""
_NAMED: Final = re.compile(r"\{([^{}+#]+)\}")
_SHARED: Final = ("$share/", "$queue/", "$exclusive/")
"""Subscriptions that other clients take part in, or are kept from."""


@dataclass(frozen=True, slots=True)
class Settings:
    """A broker, and what is wanted of it."""

    url: str
    """Without secrets: for people."""
    host: str
    port: int
    tls: bool
    topic: str
    """A topic filter: a named part is a `+` in it."""
    qos: int
    client_id: str
    version: int
    """5, or 3 for 3.1.1."""
    window: int
    """How many messages the broker sends before it waits for an acknowledgement."""
    session_expiry_s: int
    max_message: int = 1_000_000
    """Bytes of payload."""
    max_message_text: str = "1MB"
    """As it was said."""
    username: str = ""
    password_file: str = ""
    ca_file: str = ""
    cert_file: str = ""
    key_file: str = ""
    is_passing: bool = False
    """The session ends with the connection: nothing is left at the broker."""
    has_grid: bool = False
    """The stream is placed on the grid of its rate, which shows by itself what was kept."""
    parts: Mapping[str, int] = field(default_factory=dict)
    """Named parts of the topic: in which of its levels each lies."""
    devices: Pattern | None = None
    """What tells devices apart by these parts; None where the topic does not."""
    streams: Pattern | None = None
    """The same of streams."""
    max_devices: int = 1

    @property
    def kept_bytes(self) -> int:
        """What is kept of a packet, at most."""
        return self.max_message + HEADER_BYTES

    @property
    def packet_bytes(self) -> int:
        """The largest packet that the broker may send."""
        return min(SENDABLE * self.max_message + HEADER_BYTES, 0xFFFFFFF)

    @property
    def longest_wait_ns(self) -> int:
        """How long a message can have waited in a session."""
        return self.session_expiry_s * NS


def settings(config: SourceConfig) -> Settings:
    """What the table says. Raises `UsageError`."""
    where = config.where
    protocol = config.option("protocol", str, "5")
    if protocol not in _VERSIONS:
        raise UsageError(f'{where}: protocol: unknown version "{protocol}"{suggest(protocol, _VERSIONS)}')
    version = _VERSIONS[protocol]
    qos = config.option("qos", int, 1)
    if qos not in (0, 1):
        raise UsageError(f"{where}: qos: found {qos}; 1 loses nothing, 0 is for what may be lost")
    window = config.option("window", int, _WINDOWS[version])
    if not 1 <= window <= _WINDOW_MAX:
        raise UsageError(f"{where}: window: {window} is not in 1..{_WINDOW_MAX}")
    size_text = config.option("max_message", str, "1MB")
    url = config.option("broker", str)
    topic, parts = _topic(config)
    host, port, tls = _address(url, where)
    found = Settings(
        url=url,
        host=host,
        port=port,
        tls=tls,
        topic=topic,
        qos=qos,
        client_id=_client_id(config),
        version=version,
        window=window,
        session_expiry_s=_session_expiry_s(config),
        max_message=_max_message(size_text, where),
        max_message_text=size_text,
        username=config.option("username", str, ""),
        password_file=_path(config, "password_file"),
        ca_file=_path(config, "ca_file"),
        cert_file=_path(config, "cert_file"),
        key_file=_path(config, "key_file"),
        has_grid=config.rate is not None and config.clock == "arrival",
        parts=parts,
        devices=pattern_of(config) if parts else None,
        streams=stream_pattern_of(config) if parts else None,
        max_devices=config.max_devices if parts else 1,
    )
    if found.password_file and not found.username:
        raise UsageError(f"{where}: password_file: a password needs a username; say whose it is")
    for key in ("ca_file", "cert_file", "key_file"):
        if getattr(found, key) and not tls:
            raise UsageError(f'{where}: {key}: "{url}" is without TLS; write mqtts:// where the broker speaks it')
    if found.key_file and not found.cert_file:
        raise UsageError(f"{where}: key_file: a key needs its certificate; say cert_file")
    return found


def passing(known: Settings, token: str) -> Settings:
    """The same for who only listens for a moment: under a name of its own, with nothing kept for it, so that nothing
    is taken from an agent that reads the same."""
    return replace(known, qos=0, client_id=f"sensorloom-{token}", is_passing=True)


def _path(config: SourceConfig, key: str) -> str:
    given = config.option(key, str, "")
    return str(Path(config.base) / given) if given else ""


def _max_message(text: str, where: str) -> int:
    try:
        size = parse_size(text)
    except UsageError as error:
        raise UsageError(f"{where}: max_message: {error}") from None
    if not 1 <= size <= _MESSAGE_BYTES_MAX:
        raise UsageError(f'{where}: max_message: found "{text}", expected 1B to 256MB')
    return size


def _session_expiry_s(config: SourceConfig) -> int:
    try:
        expiry_s = parse_duration(config.option("session_expiry", str, "7d")) // NS
    except UsageError as error:
        raise UsageError(f"{config.where}: session_expiry: {error}") from None
    if not 0 < expiry_s <= _EXPIRY_MAX_S:
        raise UsageError(f"{config.where}: session_expiry: {expiry_s} s is not in 1..{_EXPIRY_MAX_S}")
    return expiry_s


def _client_id(config: SourceConfig) -> str:
    device = config.home if config.is_family else config.device
    text = config.option("client_id", str, f"sensorloom-{device}-{config.name}")
    if not text or not text.isprintable() or len(text.encode()) > _TEXT_BYTES_MAX:
        raise UsageError(
            f"{config.where}: client_id: found {text!r}, expected a name: the broker keeps the session by it"
        )
    return text


def _topic(config: SourceConfig) -> tuple[str, dict[str, int]]:
    """The topic filter, and the levels that have a name."""
    where, text = config.where, config.option("topic", str)
    named = {match[1]: level for level, match in enumerate(map(_NAMED.fullmatch, text.split("/"))) if match}
    _check_parts(config, text, named)
    levels = ["+" if _NAMED.fullmatch(level) else level for level in text.split("/")]
    if not text or "#" in "".join(levels[:-1]) or any(len(level) > 1 and set("#+{}") & set(level) for level in levels):
        raise UsageError(
            f'{where}: topic: "{text}" is no topic filter; write a/b, a/{{device}}/c (one level, by which devices are '
            "told apart), a/+/c (one level) or a/# (the rest)"
        )
    if not text.isprintable() or len(text.encode()) > _TEXT_BYTES_MAX:
        raise UsageError(f"{where}: topic: {text[:60]!r} is no topic: it has signs that no topic can have, or too many")
    shared = next((prefix for prefix in _SHARED if text.lower().startswith(prefix)), None)
    if shared is not None:
        raise UsageError(
            f'{where}: topic: "{text}" shares its messages with other clients: a stream would have holes that nobody '
            f'sees; write the topic alone, as in "{_unshared(text, shared)}"'
        )
    if {"+", "#"} & set(text.split("/")) and not (config.device_named or named):
        raise UsageError(
            f'{where}: topic: "{text}" may bring several sensors: say which level tells devices apart, as in '
            f'"{text.replace("+", "{device}", 1)}"; or name one topic, and write a source for each; where they are one '
            "stream, say its device = ... in this table"
        )
    return "/".join(levels), named


def _check_parts(config: SourceConfig, text: str, named: Mapping[str, int]) -> None:
    """What a topic names must be what its devices are made of."""
    where, patterns = config.where, [one for one in (pattern_of(config), stream_pattern_of(config)) if one is not None]
    if text.count("{") > len(named):
        raise UsageError(
            f'{where}: topic: "{text}": a named part is a whole level, each with another name, as in a/{{device}}/c'
        )
    unknown = [part for pattern in patterns for part in pattern.parts if part not in named]
    if named and (not patterns or unknown):
        parts = "-".join(f"{{{part}}}" for part in named)
        found = f'"{config.device}"' if config.device_named or patterns else "none"
        raise UsageError(
            f'{where}: device: found {found}; topic "{text}" names {", ".join(named)}: write device = "{parts}", or + '
            "for what tells no devices or streams apart"
        )


def _unshared(text: str, prefix: str) -> str:
    """The topic of a shared subscription: `$share/GROUP/TOPIC`, `$queue/TOPIC`."""
    rest = text[len(prefix) :]
    return rest.partition("/")[2] or "a/b" if prefix == "$share/" else rest or "a/b"


def _address(url: str, where: str) -> tuple[str, int, bool]:
    """Host, port, whether by TLS."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise UsageError(f'{where}: broker: "{_without_secrets(url)}": {error}') from None
    if parts.username is not None or parts.password is not None:
        raise UsageError(f"{where}: broker: holds a user's name; say it in username, and in password_file")
    if parts.scheme not in _PORTS or not host or parts.path.strip("/") or parts.query or parts.fragment or port == 0:
        raise UsageError(f'{where}: broker: found "{url}"; write mqtt://host:1883, or mqtts://host:8883 for TLS')
    _check_host(host, url, where)
    return host, port or _PORTS[parts.scheme], parts.scheme == "mqtts"


def _without_secrets(url: str) -> str:
    scheme, mark, rest = url.partition("://")
    return scheme + mark + rest.rpartition("@")[2]


def _check_host(host: str, url: str, where: str) -> None:
    """A name that no resolver takes is refused before anybody asks one (RFC 1035, section 2.3.4; RFC 3490)."""
    try:
        encoded = host.encode("idna")
    except UnicodeError as error:
        reason = str(error.__cause__ or error)
    else:
        if host.isprintable() and not any(sign.isspace() for sign in host) and len(encoded) <= 253:
            return
        reason = "it has signs that no name has, or too many"
    raise UsageError(
        f'{where}: broker: "{url}": no host has the name "{host}" ({reason}); its parts have 1 to 63 letters, with a '
        "single dot between them"
    )
