"""Who else looks, and where."""

from __future__ import annotations

import msgspec

from timeline.protocol.fields import Name, Ns, Uuid


class Person(msgspec.Struct, frozen=True):
    """Who is looking, with one tab, and where."""

    tab: Uuid
    user: str
    device: str | None = None
    from_ns: Ns | None = None
    to_ns: Ns | None = None
    pending: Pending | None = None


class Pending(msgspec.Struct, frozen=True):
    """A range that somebody is about to mark: it ghosts in its owner's lane."""

    start_ns: Ns
    end_ns: Ns
    label: str = ""


class Presence(msgspec.Struct, frozen=True, tag="presence", tag_field="type"):
    """Where the tab looks, for the others; at most a few a second."""

    device: Name | None = None
    from_ns: Ns | None = None
    to_ns: Ns | None = None
    pending: Pending | None = None


class People(msgspec.Struct, frozen=True, tag="people", tag_field="type"):
    """Who looks, the tab itself left out: of very many 64, those at the same device first."""

    people: tuple[Person, ...]
