"""What the timeline's page and its server say to one another: every message of the socket, every answer over HTTP.

Messages are JSON objects whose `type` says which; samples and tiles come as binary frames (`timeline.frames`). An
instant is a `Ns`: nanoseconds UTC in a string, since a JavaScript number holds them only roughly. Ranges are half-open,
`[from_ns, to_ns)`; a mark whose ends are equal is an instant. README.md beside this file says what follows on what.

A new field goes to the end of a message and has a default: pages and servers of two versions understand one another.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Final, Literal, TypeAlias

import msgspec
from msgspec import Meta

PROTOCOL: Final = 1
"""A page that speaks another one must be loaded again."""
MESSAGE_BYTES: Final = 65_536
"""A message from a page is smaller; a larger one closes the socket (1009)."""
STREAMS_MAX: Final = 64
COLUMNS_MAX: Final = 8_192

Ns: TypeAlias = Annotated[str, Meta(pattern="^(0|-?[1-9][0-9]{0,18})$")]
"""Nanoseconds UTC, or a difference of two, as a decimal number in a string."""
Uuid: TypeAlias = Annotated[str, Meta(pattern="^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$")]
Name: TypeAlias = Annotated[str, Meta(min_length=1, max_length=255)]
Number: TypeAlias = Annotated[int, Meta(ge=0, le=0xFFFF_FFFF)]
Role: TypeAlias = Literal["viewer", "annotator", "reviewer", "admin"]
"""Viewers see; annotators mark, and change their own marks and rules'; reviewers change everybody's."""
Kind: TypeAlias = Literal["add", "edit", "retract", "undo"]


# What there is.


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


class Label(msgspec.Struct, frozen=True):
    """A label of the palette."""

    name: str
    code: str
    """Two letters, for bars that are too short for the name."""
    key: str = ""
    """"1" to "9"; "" beyond them."""


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


class Mark(msgspec.Struct, frozen=True):
    """A mark as it stands, or as it was when it was retracted."""

    id: str
    device: str
    start_ns: Ns
    end_ns: Ns
    label: str
    author: str
    tool: str
    """"rule", "operator", "button" or "import"; a rule's mark that a person edited is that person's."""
    confidence: float = 1.0
    stands: bool = True
    """False: it was retracted, and is shown struck through or not at all."""
    trim: bool = False
    """A range that gives no windows; its label is ""."""
    reason: str = ""
    """A note; of a trim, why."""
    revision: str = ""
    """Of the rule that made it."""
    evidence: dict[str, float] = {}
    """Of a rule's mark: the values and thresholds that opened and closed it."""
    client_ns: Ns = "0"
    """When the author of the newest event did it, by the author's clock."""
    marked_ns: Ns = "0"
    """When the log took that event."""
    order: int = 0
    """Of two states of one mark, the one with the larger number is newer; the same at every server."""


class Event(msgspec.Struct, frozen=True):
    """What was done to a mark: who sees it come from another person says who and what."""

    kind: Kind
    author: str
    tool: str
    client_ns: Ns
    """With author and mark it names the event: a tab knows its own by it."""
    fields: tuple[str, ...] = ()
    """Of an edit: "start_ns", "end_ns", "label", "confidence"."""
    reason: str = ""


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


# From the page.


class Hello(msgspec.Struct, frozen=True, tag="hello", tag_field="type"):
    """The first message of a tab."""

    protocol: int
    tab: Uuid
    """Drawn by the tab when it is opened, the same at every connection."""


class Ping(msgspec.Struct, frozen=True, tag="ping", tag_field="type"):
    """Asks for the server's time; answered at once."""

    ping: Number
    client_ns: Ns = "0"


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
    """New samples of these streams are pushed, whatever the range."""


class Marks(msgspec.Struct, frozen=True, tag="marks", tag_field="type"):
    """Asks for the marks of a device in a range; from then on the tab hears of every change to marks of the device."""

    request: Number
    device: Name
    from_ns: Ns
    to_ns: Ns
    most: Annotated[int, Meta(ge=1, le=100_000)] = 20_000


class Density(msgspec.Struct, frozen=True, tag="density", tag_field="type"):
    """Asks how many marks of each label there are in each of `columns` equal spans."""

    request: Number
    device: Name
    from_ns: Ns
    to_ns: Ns
    columns: Annotated[int, Meta(ge=1, le=COLUMNS_MAX)]


class Act(msgspec.Struct, frozen=True, tag="act", tag_field="type"):
    """Something that a person does to a mark. Sent again after a lost connection it is done once, at any server."""

    act: Uuid
    """Names it in the answer."""
    kind: Kind
    device: Name
    mark: Name
    """The mark's id; of an add, a UUID that the tab drew."""
    client_ns: Ns
    """When it was done by the tab's clock; a user's acts on one mark all have other ones."""
    offset_ns: Ns = "0"
    """Server's time less the tab's, as measured."""
    round_trip_ns: Ns = "0"
    start_ns: Ns | None = None
    """Of an add; of an edit, where it changes it. So are the next three."""
    end_ns: Ns | None = None
    label: Annotated[str, Meta(max_length=200)] | None = None
    confidence: Annotated[float, Meta(ge=0, le=1)] | None = None
    trim: bool = False
    """Of an add: its range gives no windows; it has no label."""
    reason: Annotated[str, Meta(max_length=2_000)] = ""
    """Why; of an add that is no trim, its note."""
    undoes_ns: Ns | None = None
    """Of an undo: the `client_ns` of the edit or retract of one's own that it takes back; None: one's own add."""


class Presence(msgspec.Struct, frozen=True, tag="presence", tag_field="type"):
    """Where the tab looks, for the others; at most a few a second."""

    device: Name | None = None
    from_ns: Ns | None = None
    to_ns: Ns | None = None
    pending: Pending | None = None


FromPage: TypeAlias = Hello | Ping | View | Marks | Density | Act | Presence


# To the page.


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


class Devices(msgspec.Struct, frozen=True, tag="devices", tag_field="type"):
    """All devices, where something is new: a device, a stream, a description."""

    devices: tuple[Device, ...]


class Labels(msgspec.Struct, frozen=True, tag="labels", tag_field="type"):
    """The palette, where it is another one."""

    labels: tuple[Label, ...]


class Shown(msgspec.Struct, frozen=True, tag="shown", tag_field="type"):
    """A view was answered: what has no frame has nothing there. It comes after the view's frames."""

    view: Number
    gaps: tuple[Gap, ...] = ()
    recordings: tuple[Recording, ...] = ()
    nearest_ns: Ns | None = None
    """Where there is no sample at all in the range: the nearest there is."""
    dropped: int = 0
    """Streams whose frames were left out, since the tab is slow: ask again."""


class LiveNews(msgspec.Struct, frozen=True, tag="live", tag_field="type"):
    """Of a device that the tab follows: gaps and recordings as they come."""

    view: Number
    device: str
    gaps: tuple[Gap, ...] = ()
    recordings: tuple[Recording, ...] = ()
    skipped: int = 0
    """Frames of live samples that were left out, since the tab is slow: the next view has them."""


class MarksOf(msgspec.Struct, frozen=True, tag="marks", tag_field="type"):
    """Answers `marks`: those that meet the range, by start."""

    request: Number
    device: str
    marks: tuple[Mark, ...]
    complete: bool = True
    """False: there are more; ask for `density`, or less."""
    total: int = 0
    """How many marks of the device stand."""


class Changed(msgspec.Struct, frozen=True, tag="changed", tag_field="type"):
    """A mark of a device that the tab has asked for is new or another one. None of them is ever left out."""

    mark: Mark
    event: Event


class DensityOf(msgspec.Struct, frozen=True, tag="density", tag_field="type"):
    """Answers `density`."""

    request: Number
    device: str
    labels: tuple[str, ...]
    cells: tuple[tuple[int, int, int], ...]
    """(column, place in `labels`, marks that meet the column's span), where there are any."""


class Accepted(msgspec.Struct, frozen=True, tag="accepted", tag_field="type"):
    """An act is in the log, durably; a tab may forget it."""

    act: Uuid
    position: str
    """Where: `partition:offset` of the topic `marks`; "" where an earlier sending of it is there."""
    mark: Mark | None = None
    """As it stands after it; None: its add is not there yet."""


class Rejected(msgspec.Struct, frozen=True, tag="rejected", tag_field="type"):
    """An act was not done."""

    act: Uuid
    code: Literal["role", "device", "label", "range", "mark", "log", "busy"]
    words: str
    again: bool = False
    """It may be sent again, and should be: the log takes nothing just now."""


class People(msgspec.Struct, frozen=True, tag="people", tag_field="type"):
    """Who looks, the tab itself left out."""

    people: tuple[Person, ...]


class Trouble(msgspec.Struct, frozen=True, tag="trouble", tag_field="type"):
    """What is wrong, in words; empty words: nothing any more."""

    about: Literal["log", "history", "message", "session"]
    words: str
    view: Number | None = None


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
    | Accepted
    | Rejected
    | People
    | Trouble
)


# Over HTTP.


class Login(msgspec.Struct, frozen=True):
    """A person's name and password."""

    user: Annotated[str, Meta(max_length=200)]
    password: Annotated[str, Meta(max_length=1_000)]


class Session(msgspec.Struct, frozen=True):
    """Who is signed in."""

    user: str
    role: Role
    csrf: str
    """Goes into the header `X-CSRF-Token` of every request that is no GET."""
    expires_ns: Ns


class GalleryRow(msgspec.Struct, frozen=True):
    """A recording."""

    device: str
    recording: str
    start_ns: Ns
    end_ns: Ns | None
    """None: it goes on."""
    until_ns: Ns
    """Its end, or its last sample so far."""
    samples: int
    spark: tuple[tuple[float, float] | None, ...]
    """Lowest and highest value of the first stream's first channel in equal spans; None: nothing there."""
    labels: dict[str, float]
    """The share of its length that each label covers."""
    coverage: float
    """The share that any mark covers."""
    flags: tuple[Literal["gap", "still", "clock unsure", "unlabelled", "live"], ...]


class Gallery(msgspec.Struct, frozen=True):
    """All recordings, the newest first."""

    rows: tuple[GalleryRow, ...]
    truncated: bool = False


class Problem(msgspec.Struct, frozen=True):
    """Any answer that is no success."""

    error: str
    """A word for programs: "session", "csrf", "rate", "role", "request", "missing", "log"."""
    words: str


CLOSE_CODES: Final[Mapping[int, str]] = {
    1009: "a message is larger than 64 KiB",
    1012: "the server ends: connect again, to this or another one",
    4400: "a message is none of this protocol",
    4401: "the session is over: sign in again, then connect",
    4408: "the tab takes nothing any more: connect again",
    4409: "the page speaks another protocol: load it again",
    4429: "too many sockets: try again later",
}
_decoder: msgspec.json.Decoder[FromPage] = msgspec.json.Decoder(FromPage)
_encoder: Final = msgspec.json.Encoder()


def decode(text: str | bytes) -> FromPage:
    """A page's message. Raises `msgspec.MsgspecError` where it is none."""
    return _decoder.decode(text)


def encode(message: ToPage) -> str:
    """The text of a message to a page."""
    return _encoder.encode(message).decode()
