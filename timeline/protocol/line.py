"""The line itself: its first messages, the server's clock, what is wrong, and why it is closed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Literal

import msgspec

from timeline.protocol.fields import Ns, Number, Role, Uuid
from timeline.protocol.marks import Label
from timeline.protocol.streams import Device

PROTOCOL: Final = 1
"""A page that speaks another one must be loaded again."""
MESSAGE_BYTES: Final = 65_536
"""A message from a page is smaller; a larger one closes the socket (1009)."""
CLOSE_CODES: Final[Mapping[int, str]] = {
    1009: "a message is larger than 64 KiB",
    1012: "the server ends: connect again, to this or another one",
    4400: "a message is none of this protocol",
    4401: "the session is over: sign in again, then connect",
    4408: "the tab takes nothing any more: connect again",
    4409: "the page speaks another protocol: load it again",
    4429: "too many sockets: try again later",
}


class Hello(msgspec.Struct, frozen=True, tag="hello", tag_field="type"):
    """The first message of a tab."""

    protocol: int
    tab: Uuid
    """Drawn by the tab when it is opened, the same at every connection."""


class Ping(msgspec.Struct, frozen=True, tag="ping", tag_field="type"):
    """Asks for the server's time; answered at once."""

    ping: Number
    client_ns: Ns = "0"


class Welcome(msgspec.Struct, frozen=True, tag="welcome", tag_field="type"):
    """Answers `hello`."""

    protocol: int
    server_ns: Ns
    server: str
    """Another one than before: another process answers."""
    site: str
    user: str
    role: Role
    may: tuple[str, ...]
    """Of "mark" (add, and change one's own and rules' marks), "review" (change everybody's), "people"."""
    labels: tuple[Label, ...]
    devices: tuple[Device, ...]


class Pong(msgspec.Struct, frozen=True, tag="pong", tag_field="type"):
    """Answers `ping`."""

    ping: Number
    client_ns: Ns
    server_ns: Ns


class Reading(msgspec.Struct, frozen=True, tag="reading", tag_field="type"):
    """The server reads the log for the first time: before `welcome`, and after it while devices and their past are
    still coming in. The last one has no words."""

    done: int
    total: int
    """Records; 0: the log has not said how many."""
    words: str


class Trouble(msgspec.Struct, frozen=True, tag="trouble", tag_field="type"):
    """What is wrong, in words; empty words: nothing any more."""

    about: Literal["log", "history", "message", "session"]
    words: str
    view: Number | None = None
