"""All messages of the socket, from text and to text."""

from __future__ import annotations

import json
import re
from typing import Any, Final, TypeAlias

import msgspec

from timeline.protocol.fields import Uuid
from timeline.protocol.line import Hello, Ping, Pong, Reading, Trouble, Welcome
from timeline.protocol.marks import (
    Accepted,
    Act,
    Changed,
    Density,
    DensityOf,
    Labels,
    Marks,
    MarksOf,
    Neighbour,
    NeighbourOf,
    Queue,
    Queued,
    QueueOf,
    Rejected,
)
from timeline.protocol.presence import People, Presence
from timeline.protocol.streams import Devices, LiveNews, Shown, View

FromPage: TypeAlias = Hello | Ping | View | Marks | Density | Queue | Neighbour | Act | Presence
ToPage: TypeAlias = (
    Welcome
    | Pong
    | Devices
    | Labels
    | Shown
    | LiveNews
    | MarksOf
    | Changed
    | DensityOf
    | QueueOf
    | Queued
    | NeighbourOf
    | Accepted
    | Rejected
    | People
    | Reading
    | Trouble
)
_decoder: msgspec.json.Decoder[FromPage] = msgspec.json.Decoder(FromPage)
_encoder: Final = msgspec.json.Encoder()
_FIELD: Final = re.compile(r" - at `\$\.(\w+)`$")
_LONGER: Final = re.compile(r"of length <= (\d+)")


class UnfitError(Exception):
    """An act that is none, but tells its name: its `answer` says what is wrong with it."""

    def __init__(self, act: Uuid, words: str) -> None:
        super().__init__(words)
        self.answer = Rejected(act, "act", words)


def decode(text: str | bytes) -> FromPage:
    """A page's message.

    Raises:
        UnfitError: it is an act with a field that is none, or too long. A tab sends what has no answer again and again.
        msgspec.MsgspecError: it is no message.
    """
    try:
        return _decoder.decode(text)
    except msgspec.MsgspecError as error:
        told = _told(text)
        if told.get("type") != "act":
            raise
        act = msgspec.convert(told.get("act"), Uuid)
        raise UnfitError(act, _what_is_wrong(told, str(error))) from None


def _told(text: str | bytes) -> dict[str, Any]:
    """What a text says, where that is more than a message may, as half a character; empty where it is no object."""
    try:
        told = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return told if isinstance(told, dict) else {}


def _what_is_wrong(told: dict[str, Any], error: str) -> str:
    field = _FIELD.search(error)
    longer = _LONGER.search(error)
    if field is None:
        return f"the act is none: {error}"
    found = told.get(field[1])
    if longer is None or not isinstance(found, str):
        return f"{field[1]}: {error.removesuffix(field[0])}"
    return f"{field[1]}: found {len(found):,} characters, expected no more than {int(longer[1]):,}"


def encode(message: ToPage) -> str:
    """The text of a message to a page."""
    return _encoder.encode(message).decode()
