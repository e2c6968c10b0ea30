"""Versions of documents: each says its `format`, and a later one is told apart from damage. Pure."""

from __future__ import annotations

import contextlib

import msgspec


class _Versioned(msgspec.Struct, frozen=True):
    format: int


def newer_format(body: bytes | msgspec.Raw, *expected: int) -> str:
    """What to say of a document of another format, "" where it has one of those expected.

    With what a later version wrote into it, it does not decode as the document that it should be here.
    """
    with contextlib.suppress(msgspec.MsgspecError, ValueError):
        found = msgspec.json.decode(body, type=_Versioned).format
        if found not in expected:
            return f"found format {found}, expected {max(expected)}; upgrade sensorloom"
    return ""
