"""Names of hosts, as resolvers take them. Pure."""

from __future__ import annotations

import re
from typing import Final

_LABEL: Final = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9_-]*[A-Za-z0-9_])?")
_LABEL_BYTES: Final = 63
_NAME_BYTES: Final = 253


def host_fault(host: str) -> str:
    """Why no resolver takes the name of a host (RFC 1123, section 2.1; `_` is tolerated); empty where one may.

    An IPv6 address, with or without its brackets, is taken as it is.
    """
    if ":" in host:
        return ""
    try:
        name = host.encode("idna").decode() if host and not host.isascii() else host
    except UnicodeError:
        return f'"{host}" is no name of a host'
    if not name:
        return "no host is named"
    labels = name.removesuffix(".").split(".")
    if "" in labels:
        return f'"{host}" has an empty part between two dots'
    if len(name) > _NAME_BYTES or any(len(label) > _LABEL_BYTES for label in labels):
        return f'"{host}" is too long: a part has at most {_LABEL_BYTES} characters, the whole {_NAME_BYTES}'
    bad = next((label for label in labels if not _LABEL.fullmatch(label)), "")
    return f'"{host}": "{bad}" has other characters than letters, digits and -' if bad else ""
