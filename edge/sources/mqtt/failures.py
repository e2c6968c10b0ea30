"""What to tell people of a connection that does not come about: what was found, and what to do. Pure.

A reason is one line. What TLS says of a certificate is kept (`verify_message`), with the next step behind it.
"""

from __future__ import annotations

import socket
import ssl
from datetime import datetime
from typing import Final

from edge.sources.access import way_in
from edge.sources.mqtt.settings import Settings

_EXPIRED, _NOT_YET_VALID, _NAME_MISMATCH, _ADDRESS_MISMATCH = 10, 9, 62, 64
"""OpenSSL's X509_V_ERR_…, as in `SSLCertVerificationError.verify_code`."""
_UNSUPPORTED: Final = 132
_REASONS: Final = {
    133: "client id not valid; write another client_id",
    137: "the broker is busy",
    138: "the broker has banned this client; see its configuration",
    140: "authentication method not known to it",
    151: "quota exceeded",
    159: "too many connections a second",
}
"""CONNACK's reason codes (MQTT 5.0, section 3.2.2.2), in words with a next step; paho gives those of 3.1.1 so too."""
_LOGINS: Final = (134, 135)
"""A user name or password that is wrong, and a client that is not let in: most brokers do not tell them apart."""
_ALERTS: Final = {
    "EXPIRED": "it has expired, or the broker's clock is wrong: renew it",
    "REVOKED": "it was revoked: have another one signed",
    "UNKNOWN_CA": "the broker does not know the authority that signed it: have it signed by the broker's",
}
"""Of TLS's alerts (RFC 8446, section 6.2)."""
_GRANTS: Final = {
    128: "the broker refuses it; see what it allows this client",
    131: "the broker refuses it for reasons of its own",
    135: "forbidden; see what the broker allows this client",
    143: "the broker takes no such topic; correct it",
    151: "quota exceeded",
    158: "the broker has no shared subscriptions",
    162: "the broker takes no wildcards; name one topic",
}
"""SUBACK's reason codes (section 3.9.3)."""


def connecting(error: Exception, settings: Settings, connect_s: float, now: datetime) -> str:
    """Why no connection came about. `now` is this device's clock, of which certificates depend."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return _certificate(error, settings, now)
    if isinstance(error, ssl.SSLError):
        return _tls(error, settings)
    if isinstance(error, TimeoutError):
        return f"no connection within {connect_s:g} s; is the port right, or does a firewall drop it?"
    if isinstance(error, socket.gaierror):
        return f'{error.strerror}: no address for "{settings.host}"; is it spelled right, and does DNS work here?'
    if isinstance(error, UnicodeError):
        return f'no host has the name "{settings.host}"; correct it'
    if settings.tls and isinstance(error, ConnectionError | EOFError) and not isinstance(error, ConnectionRefusedError):
        return f"{_words(error)} during the TLS handshake; {_perhaps_plain(settings)}"
    if isinstance(error, ConnectionRefusedError):
        return f"{_words(error)}: nobody listens there; is the broker running, is port {settings.port} right?"
    return _words(error)


def unreadable(key: str, path: str, error: OSError) -> str:
    """Why a file that a key names cannot be read, and what to do."""
    if isinstance(error, ssl.SSLError):
        return f"{path}: holds no certificates in PEM ({error.reason or error}); name another file in {key}"
    if isinstance(error, PermissionError):
        return f"{path}: {_words(error)}; {way_in(path, '', writes=False)}"
    return f"{path}: {_words(error)}; put it there, or name another file in {key}"


def closed_unanswered(settings: Settings, reason: str, alert: str = "") -> str:
    """Why a connection ended before the broker had answered its CONNECT; `alert` is what its TLS said."""
    if alert:
        return _alert(alert, settings)
    if settings.tls:
        return f"{reason} before any answer; {_perhaps_certificate(settings)}, or be no broker"
    return f"{reason} before any answer; if port {settings.port} is for TLS, write mqtts://"


def refused(code: int, text: str, settings: Settings) -> str:
    """What CONNACK says."""
    if code == _UNSUPPORTED:
        return 'does not speak MQTT 5; say protocol = "3.1.1"'
    todo = _login(settings) if code in _LOGINS else _REASONS.get(code)
    return f"refused: {text} (code {code})" + (f": {todo}" if todo else "")


def _login(settings: Settings) -> str:
    """What to do where the broker does not let this client in."""
    if settings.cert_file and not settings.username:
        return f"it lets nobody in with {settings.cert_file} alone; see what it allows its name, or say username"
    if not settings.username:
        return "it lets nobody in without a name: say username and password_file"
    what = f'"{settings.username}" with the password of password_file, {settings.password_file}'
    if not settings.password_file:
        what = f'"{settings.username}" without a password (say password_file)'
    return f"it does not let in {what}; correct them, or see what it allows {settings.client_id}"


def subscribing(topic: str, code: int, text: str) -> str:
    """What SUBACK says of a topic."""
    what = _GRANTS.get(code, "see what the broker allows this client")
    return f'topic "{topic}": {text} (code {code}): {what}'


def _certificate(error: ssl.SSLCertVerificationError, settings: Settings, now: datetime) -> str:
    said = error.verify_message.rstrip(".")
    if error.verify_code == _EXPIRED:
        todo = f"renew it at the broker, or set this device's clock, which says {now:%Y-%m-%d}"
    elif error.verify_code == _NOT_YET_VALID:
        todo = f"set this device's clock, which says {now:%Y-%m-%d}"
    elif error.verify_code in (_NAME_MISMATCH, _ADDRESS_MISMATCH):
        todo = f'it is for another host than "{settings.host}": write in broker the name that it is for'
    elif settings.ca_file:
        todo = f"{settings.ca_file} does not hold the authority that signed it"
    else:
        todo = "no authority known here signed it: name the authority's certificate in ca_file"
    return f"TLS: the broker's certificate is not valid: {said}; {todo}"


def _tls(error: ssl.SSLError, settings: Settings) -> str:
    reason = error.reason or str(error)
    if reason in ("WRONG_VERSION_NUMBER", "UNEXPECTED_EOF_WHILE_READING", "PACKET_LENGTH_TOO_LONG", "HTTP_REQUEST"):
        return f"TLS: what answers does not speak it ({reason}); {_perhaps_plain(settings)}"
    return _alert(reason, settings) if "ALERT" in reason else f"TLS: {reason}"


def _alert(reason: str, settings: Settings) -> str:
    """What the broker's TLS says of this client, mostly of its certificate."""
    if "CERTIFICATE_REQUIRED" in reason or not settings.cert_file:
        return f"TLS: {reason}: the broker wants a client's certificate: say cert_file and key_file"
    kinds = [todo for kind, todo in _ALERTS.items() if kind in reason]
    todo = kinds[0] if kinds else "has its authority signed it?"
    return f"TLS: {reason}: {settings.cert_file}: the broker refuses this certificate; {todo}"


def _perhaps_certificate(settings: Settings) -> str:
    if settings.cert_file:
        return f"it may refuse this client's certificate ({settings.cert_file})"
    return "it may want a client's certificate (say cert_file and key_file)"


def _perhaps_plain(settings: Settings) -> str:
    return f"if port {settings.port} is without TLS, write mqtt://, else correct the port (often 8883)"


def one_line(text: str) -> str:
    """A text of elsewhere without line ends and control characters."""
    return "".join(sign if sign.isprintable() else " " for sign in text)


def _words(error: BaseException) -> str:
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
