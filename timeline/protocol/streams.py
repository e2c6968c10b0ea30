"""What there is of a device, and what a tab sees of it: streams, recordings, gaps; views and what answers them."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

from timeline.protocol.fields import COLUMNS_MAX, STREAMS_MAX, Name, Ns, Number


class Channel(msgspec.Struct, frozen=True):
    """A channel of a stream, in physical values."""

    name: str
    unit: str
    low: float | None = None
    """The least that the sensor can say; None: not known."""
    high: float | None = None
    states: dict[str, str] = {}
    """The words for whole values, as in {"0": "raised"}: such a channel is drawn in steps."""


class Stream(msgspec.Struct, frozen=True):
    """A stream of a device."""

    name: str
    channels: tuple[Channel, ...]
    rate: float | None = None
    """Nominal, in hertz; None: it has none."""
    newest_ns: Ns | None = None
    """The last sample that the server has seen."""
    sensor: str = ""
    mounting: str = ""


class Device(msgspec.Struct, frozen=True):
    """A device, and from when to when there is something of it."""

    id: str
    streams: tuple[Stream, ...]
    first_ns: Ns | None = None
    last_ns: Ns | None = None


class Recording(msgspec.Struct, frozen=True):
    """From a start to an end of a device; what is still going on has no `end_ns`."""

    id: str
    device: str
    start_ns: Ns
    end_ns: Ns | None = None
    reason: str = ""
    """Why it ended; while it goes on, why it began."""


class Gap(msgspec.Struct, frozen=True):
    """Samples of a stream that will never come."""

    stream: str
    start_ns: Ns
    end_ns: Ns
    samples: int
    """How many; -1: not known."""
    reason: str


class Unsure(msgspec.Struct, frozen=True):
    """Samples of a stream whose times may be off."""

    stream: str
    start_ns: Ns
    end_ns: Ns
    uncertainty_ns: Ns
    """By so much, either way; by half or twice as much within the range."""


class View(msgspec.Struct, frozen=True, tag="view", tag_field="type"):
    """What the tab shows. It replaces the tab's earlier view: what of that was not sent yet is not sent any more."""

    view: Number
    """Drawn by the tab, rising; frames and messages that answer it carry it."""
    device: Name
    streams: Annotated[tuple[Name, ...], Meta(max_length=STREAMS_MAX)]
    from_ns: Ns
    to_ns: Ns
    columns: Annotated[int, Meta(ge=1, le=COLUMNS_MAX)]
    """Device pixels from left to right."""
    follow: bool = False
    """New samples of these streams are pushed, whatever the range; not of one that is `beside`."""
    beside: bool = False
    """It is answered beside the view, as an overview is, and replaces the earlier one beside it alone."""


class Devices(msgspec.Struct, frozen=True, tag="devices", tag_field="type"):
    """All devices, where something is new: a device, a stream, a description."""

    devices: tuple[Device, ...]


class Shown(msgspec.Struct, frozen=True, tag="shown", tag_field="type"):
    """A view was answered: what has no frame has nothing there. It comes after the view's frames."""

    view: Number
    gaps: tuple[Gap, ...] = ()
    recordings: tuple[Recording, ...] = ()
    nearest_ns: Ns | None = None
    """Where there is no sample at all in the range: the nearest there is."""
    dropped: int = 0
    """Streams whose frames were left out, since the tab is slow: ask again."""
    unsure: tuple[Unsure, ...] = ()
    newest_ns: Ns | None = None
    """The device's newest sample now: what came after the tab was told of it, before it followed, is history."""


class LiveNews(msgspec.Struct, frozen=True, tag="live", tag_field="type"):
    """Of a device that the tab follows: gaps and recordings as they come."""

    view: Number
    device: str
    gaps: tuple[Gap, ...] = ()
    recordings: tuple[Recording, ...] = ()
    skipped: int = 0
    """Frames of live samples that were left out, since the tab is slow: the next view has them."""
    unsure: tuple[Unsure, ...] = ()
