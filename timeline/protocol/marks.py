"""Labels and marks: as they stand, what a page asks of them and does to them, and what it is told."""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

import msgspec
from msgspec import Meta

from timeline.protocol.fields import COLUMNS_MAX, Name, Ns, Number, Uuid

Kind: TypeAlias = Literal["add", "edit", "retract", "undo", "accept"]
"""`accept` says that a mark of a rule, or of somebody else, is right as it is; who rejects one retracts it."""


class Label(msgspec.Struct, frozen=True):
    """A label of the palette."""

    name: str
    code: str
    """Two letters, for bars that are too short for the name."""
    key: str = ""
    """"1" to "9"; "" beyond them."""


class Mark(msgspec.Struct, frozen=True, omit_defaults=True):
    """A mark as it stands, or as it was when it was retracted. Fields that have their default are not sent: they would
    be a third of all."""

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
    """Of the rule that made it, whosever it is by now."""
    evidence: dict[str, float] = {}
    """Of a rule's mark: the values and thresholds that opened it, then those that closed it, each value before what it
    was compared with; of a person's, what the clock was."""
    client_ns: Ns = "0"
    """When the author of the newest event did it, by the author's clock."""
    marked_ns: Ns = "0"
    """When the log took that event."""
    order: int = 0
    """Of two states of one mark, the one with the larger number is newer; the same at every server."""
    reviewed_by: str = ""
    """Who accepted it as it is; "": nobody."""
    rule: str = ""
    """The rules that made it, whosever it is by now; "": no rule did."""


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
    offset_ns: Ns = "0"
    """Server's time less the author's, as the author's tab measured it; "0" where nobody did."""
    round_trip_ns: Ns = "0"
    """How long that took: the offset is within half of it."""


class Marks(msgspec.Struct, frozen=True, tag="marks", tag_field="type"):
    """Asks for the marks of a device in a range; from then on the tab hears of every change to marks of the device."""

    request: Number
    device: Name
    from_ns: Ns
    to_ns: Ns
    most: Annotated[int, Meta(ge=1, le=100_000)] = 20_000
    part: Annotated[int, Meta(ge=0, le=100_000)] | None = None
    """So many of them where there are more than `most`; None: `most`."""


class Density(msgspec.Struct, frozen=True, tag="density", tag_field="type"):
    """Asks how many marks of each label there are in each of `columns` equal spans."""

    request: Number
    device: Name
    from_ns: Ns
    to_ns: Ns
    columns: Annotated[int, Meta(ge=1, le=COLUMNS_MAX)]


class Queue(msgspec.Struct, frozen=True, tag="queue", tag_field="type"):
    """Asks what waits for review: rules' marks of a device that stand, and that nobody has touched. From then on the
    tab hears when there are more or less of them."""

    request: Number
    device: Name
    from_ns: Ns = "0"
    """Those from here on first, by their start; then those before."""
    most: Annotated[int, Meta(ge=1, le=1_000)] = 50


class Neighbour(msgspec.Struct, frozen=True, tag="neighbour", tag_field="type"):
    """Asks for the mark of a device that comes next after another one, or before it, by start, end and id."""

    request: Number
    device: Name
    start_ns: Ns
    end_ns: Ns
    mark: str = ""
    """The other one's id, as long as it is; "" where it is the instant `start_ns`."""
    later: bool = True


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
    """Of an add; of an edit, where it changes it. So are the next three, and `reason`, which may be an edit's all."""
    end_ns: Ns | None = None
    label: Annotated[str, Meta(max_length=200)] | None = None
    confidence: Annotated[float, Meta(ge=0, le=1)] | None = None
    trim: bool = False
    """Of an add: its range gives no windows; it has no label."""
    reason: Annotated[str, Meta(max_length=2_000)] = ""
    """Why; of an add that is no trim, its note. Of an edit the note from then on; blanks alone empty it."""
    undoes_ns: Ns | None = None
    """Of an undo: the `client_ns` of the edit or retract of one's own that it takes back; None: one's own add."""
    behind: Uuid | None = None
    """The act before it of one gesture: it is done only where that one was. A split is an edit and an add."""


class Labels(msgspec.Struct, frozen=True, tag="labels", tag_field="type"):
    """The palette, where it is another one."""

    labels: tuple[Label, ...]


class MarksOf(msgspec.Struct, frozen=True, tag="marks", tag_field="type"):
    """Answers `marks`: those that meet the range, by start."""

    request: Number
    device: str
    marks: tuple[Mark, ...]
    complete: bool = True
    """False: there are more; ask for `density`, or less."""
    total: int = 0
    """How many marks of the device stand."""


class NeighbourOf(msgspec.Struct, frozen=True, tag="neighbour", tag_field="type"):
    """Answers `neighbour`."""

    request: Number
    device: str
    mark: Mark | None = None
    """None: there is none on that side."""


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


class QueueOf(msgspec.Struct, frozen=True, tag="queue", tag_field="type"):
    """Answers `queue`."""

    request: Number
    device: str
    total: int
    """How many wait, of the whole device."""
    marks: tuple[Mark, ...]


class Queued(msgspec.Struct, frozen=True, tag="queued", tag_field="type"):
    """So many marks of a device wait for review now."""

    device: str
    total: int


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
    code: Literal["role", "device", "label", "range", "mark", "log", "act"]
    """`act`: one of its fields is none, or more than is taken."""
    words: str
    again: bool = False
    """It may be sent again, and should be: the log takes nothing just now."""
