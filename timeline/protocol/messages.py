"""All messages of the socket, from text and to text."""

from __future__ import annotations

from typing import Final, TypeAlias

import msgspec

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


def decode(text: str | bytes) -> FromPage:
    """A page's message. Raises `msgspec.MsgspecError` where it is none."""
    return _decoder.decode(text)


def encode(message: ToPage) -> str:
    """The text of a message to a page."""
    return _encoder.encode(message).decode()
