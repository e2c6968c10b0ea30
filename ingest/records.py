"""The records that travel through the log, one frozen struct a kind.

A record is encoded by `ingest.wire` as a MessagePack array whose first element is the kind's number.
New fields go to the end of a struct and have a default: old bytes stay readable, and old readers skip what
they do not know. Times are integer nanoseconds UTC; ranges are half-open `[start_ns, end_ns)`.
"""

from __future__ import annotations

import hashlib
from typing import Annotated, Any, Literal, TypeAlias

import msgspec

SampleType: TypeAlias = Literal["int8", "uint8", "int16", "uint16", "int32", "float32", "float64"]
"""How one value lies in `Chunk.values`: little-endian, the sensor's own type."""


MAX_TIME_NS = 1 << 62
"""Instants lie this far from 1970 at most: differences and files of int64 can hold them."""
MAX_MISSING = 1 << 44
"""So many samples can be missing at once: their sums can be counted."""
Time: TypeAlias = Annotated[int, msgspec.Meta(ge=-MAX_TIME_NS, le=MAX_TIME_NS)]
"""Nanoseconds UTC; others are no record."""
Missing: TypeAlias = Annotated[int, msgspec.Meta(ge=-1, le=MAX_MISSING)]


class Clock(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What the device knew of its clock when a chunk was taken."""

    source: str
    """"ntp", "gps", "rtc", "device", "import" …; "unsynced" data are never windowed."""
    offset_ns: int = 0
    ppm: float = 0.0
    uncertainty_ns: int = 0


class RecordingStart(msgspec.Struct, frozen=True, array_like=True, tag=1):
    """A recording begins. The first record of a boot names the boot before it and how far it reached."""

    device: str
    recording: str
    boot: bytes
    start_ns: Time
    reason: str
    previous_boot: bytes = b""
    previous_reach_ns: Time = 0
    attributes: dict[str, str] = {}
    """What is so of the recording as a whole, as in `subject` and `site`: see `ingest.attributes`."""


class RecordingEnd(msgspec.Struct, frozen=True, array_like=True, tag=2):
    """A recording is over: nothing of it follows in this partition."""

    device: str
    recording: str
    boot: bytes
    end_ns: Time
    reason: str


class Chunk(msgspec.Struct, frozen=True, array_like=True, gc=False, tag=3):
    """A run of consecutive samples of one stream; (device, stream, boot, seq) names it for ever.

    Sample `i` of `count` lies at `t0_ns + (phase + i * period_num) // period_den` when `period_den > 0`
    (`0 <= phase < period_den` carries the fraction of a nanosecond over a chunk's edge, so that 12 kHz stays
    exact over a whole file), else at `t0_ns + deltas[i] * tick_ns`, with `deltas` int32 or int64 (told by length).
    `values` holds `(count, channels)` row-major in the schema's sample type.
    """

    device: str
    recording: str
    stream: str
    boot: bytes
    seq: int
    schema: bytes
    t0_ns: int
    period_num: int
    period_den: int
    phase: int
    tick_ns: int
    deltas: bytes
    count: int
    values: bytes
    missing: int = 0
    """Samples known to be missing right before this chunk."""
    missing_reason: str = ""
    clock: Clock | None = None
    signature: bytes = b""


class Gap(msgspec.Struct, frozen=True, array_like=True, tag=4):
    """Samples that will never come: announced, so that nobody waits and nobody wonders."""

    device: str
    recording: str
    stream: str
    boot: bytes
    start_ns: Time
    end_ns: Time
    samples: Missing
    """How many, or -1 where that is not known."""
    reason: str


class Progress(msgspec.Struct, frozen=True, array_like=True, tag=5):
    """Every sample before `complete_to_ns` is already earlier in this partition, or announced as a gap."""

    device: str
    recording: str
    stream: str
    boot: bytes
    complete_to_ns: Time


class Forget(msgspec.Struct, frozen=True, array_like=True, tag=6):
    """Stop using a device's data from here on."""

    device: str
    author: str
    time_ns: Time
    reason: str


CLOCK_OFFSET = "clock offset s"
"""In a mark's evidence: the server's time less its author's, in seconds."""
CLOCK_ROUND_TRIP = "clock round trip s"
"""In a mark's evidence: how long the measurement took; the offset is within half of it."""
REACTION = "reaction delay s"
"""In the evidence of a mark that was set while it happened: by how many seconds its author's are usually late, as that
person's own corrections tell. The mark's times are as they were set: nothing was taken off."""


class MarkAdd(msgspec.Struct, frozen=True, array_like=True, tag=16, gc=False):
    """A label on a time range of a device (`end_ns == start_ns`: an instant)."""

    device: str
    id: str
    start_ns: Time
    end_ns: Time
    label: str
    author: str
    tool: str
    """"rule", "operator", "button" or "import"."""
    confidence: float = 1.0
    client_ns: Time = 0
    server_ns: Time = 0
    evidence: dict[str, float] = {}
    """A rule's mark says what opened and closed it: values and thresholds by name. A person's says what the clock was:
    see `MarkEdit`."""
    revision: str = ""
    """Of a rule's mark: the revision of the rule that made it. Marks made before there was this field do not say."""
    trim: bool = False
    """It labels nothing: no window may touch its range. A trim has no label, so releases that do not know it find an
    invalid mark."""
    reason: str = ""
    """Why it is a trim; of another mark, its note."""


class MarkEdit(msgspec.Struct, frozen=True, array_like=True, tag=17, gc=False):
    """Changes a mark; a field that is None stays as it is."""

    device: str
    id: str
    author: str
    tool: str
    start_ns: Time | None = None
    end_ns: Time | None = None
    label: str | None = None
    confidence: float | None = None
    client_ns: Time = 0
    """When its author did it; with the author it names this event, for who takes it back."""
    server_ns: Time = 0
    reason: str = ""
    """Why; the mark's note from then on. "" leaves the note as it is, blanks alone empty it."""
    undoes_ns: Time = 0
    """Not 0: it changes nothing, but takes its author's edit or retract of this `client_ns` back."""
    accept: bool = False
    """Its author has looked at the mark, and it is right as it is. Releases that do not know the field find an edit, by
    which a rule's mark becomes its author's."""
    evidence: dict[str, float] = {}
    """What its author's clock was: `CLOCK_OFFSET` and `CLOCK_ROUND_TRIP`, where they were measured."""


class MarkRetract(msgspec.Struct, frozen=True, array_like=True, tag=18, gc=False):
    """Takes a mark back."""

    device: str
    id: str
    author: str
    tool: str
    client_ns: Time = 0
    """As in `MarkEdit`."""
    server_ns: Time = 0
    reason: str = ""
    undo: bool = False
    """Its author takes back that they ever added it."""
    evidence: dict[str, float] = {}
    """As in `MarkEdit`."""


class RecordingUndo(msgspec.Struct, frozen=True, array_like=True, tag=19):
    """A recording was brought by mistake: its windows leave every dataset of the log at opening. It lies in `marks`;
    where the recording is to be forgotten, in `readings` too.

    Of several, the last one in the log counts; one with `back` brings the windows back.
    """

    device: str
    recording: str
    author: str
    reason: str
    time_ns: Time = 0
    back: bool = False
    forget: bool = False
    """It is to be forgotten: nothing of it is imported again. Without a recording, all of the device is; its windows
    are kept out by a `Forget`."""


class Channel(msgspec.Struct, frozen=True, array_like=True):
    """One channel of a stream: its physical value is `raw * scale + offset` in `unit`."""

    name: str
    unit: str
    scale: float = 1.0
    offset: float = 0.0
    low: float | None = None
    high: float | None = None
    states: tuple[tuple[int, str], ...] = ()
    """The names of its values by rising code (see `ingest.states`): nothing lies between two of them. Empty: it
    measures a quantity."""


def split_channel(text: str) -> tuple[str, str]:
    """Stream and channel of `air.PM2.5`: a stream's name has no dot, a channel's may. Empty where there is none."""
    stream, _, channel = text.partition(".")
    return stream, channel


class Correction(msgspec.Struct, frozen=True, array_like=True):
    """What was made of a stream's values before they were recorded: what the sensor said was off, or its axes are not
    the device's. `axes` of `matrix @ (said - bias)`, in the channels' units."""

    matrix: tuple[tuple[float, ...], ...] = ()
    """`(channels, channels)`; empty: each channel's value is its own."""
    bias: tuple[float, ...] = ()
    """`(channels,)`; empty: none."""
    axes: tuple[str, ...] = ()
    """By channel, which one it was before, with its sign, as in `-y`; empty: itself."""
    date: str = ""
    """When the sensor was calibrated (ISO 8601); empty: it was not."""
    reference: str = ""
    """Against what, for people."""


class StreamDescription(msgspec.Struct, frozen=True, array_like=True, tag=32):
    """What a stream's bytes mean; known by `schema_id`, a hash of its content."""

    stream: str
    channels: tuple[Channel, ...]
    dtype: SampleType
    rate_num: int = 0
    """Nominal rate in hertz as a fraction; 0 where there is none."""
    rate_den: int = 1
    sensor: str = ""
    mounting: str = ""
    correction: Correction | None = None
    """None: the values are what the sensor said."""


class Birth(msgspec.Struct, frozen=True, array_like=True, tag=48):
    """An agent came up."""

    device: str
    agent: str
    boot: bytes
    time_ns: Time
    version: str
    config_hash: str = ""
    revision: str = ""
    """Of the `Configuration` that is laid over its local file; empty: none is."""


class Heartbeat(msgspec.Struct, frozen=True, array_like=True, tag=49):
    """An agent is alive; `figures` are its counters by name. One that has figures also says what runs, as a birth."""

    device: str
    agent: str
    boot: bytes
    time_ns: Time
    figures: dict[str, float] = {}
    version: str = ""
    config_hash: str = ""
    revision: str = ""


class Death(msgspec.Struct, frozen=True, array_like=True, tag=50):
    """An agent went down, with the reason if it knew one; `configured`: it goes on, without this device."""

    device: str
    agent: str
    boot: bytes
    time_ns: Time
    reason: str
    version: str = ""
    config_hash: str = ""


class Change(msgspec.Struct, frozen=True, array_like=True, tag=51):
    """Something of an agent was to be changed, or was: how that came out.

    `what` is `release`: the program itself, or `configuration`, whose `old` and `new` are revisions (empty: the local
    file alone). `outcome` is `taken`, `refused` (it was not tried) or `rolled_back` (it was tried, and the old one is
    back), with the reason, for people; of a configuration first `trying`.
    """

    device: str
    agent: str
    boot: bytes
    time_ns: Time
    what: str
    old: str
    new: str
    outcome: str
    reason: str


class CommandResult(msgspec.Struct, frozen=True, array_like=True, tag=52):
    """What became of a `Command`, at `time_ns`: `outcome` is `done` (it was written to the sensor), `refused` (it was
    not tried), `failed` or `unknown` (the agent died meanwhile; it is not repeated), with the reason, for people."""

    device: str
    agent: str
    boot: bytes
    time_ns: Time
    id: str
    source: str
    name: str
    outcome: str
    reason: str


class Configuration(msgspec.Struct, frozen=True, array_like=True, tag=80):
    """What an agent is to read from now on: over its local file, and only what that allows. The newest one in `config`
    whose key is the agent's own device counts."""

    device: str
    revision: str
    """`edge.remote.revision_of` the text."""
    text: str
    """TOML; empty: the local file alone."""
    author: str
    time_ns: Time


class Command(msgspec.Struct, frozen=True, array_like=True, tag=81):
    """Say to a sensor what its agent's local file has under `name`."""

    device: str
    """The agent's own."""
    id: str
    """Of this command: it is carried out once."""
    source: str
    name: str
    author: str
    time_ns: Time
    """When it was given: an agent refuses one that is old."""


DEAD_VALUE_BYTES = 65_536
"""A dead letter keeps so much of a record's bytes: whatever was in the log, the letter must fit there too."""
DEAD_REASON_CHARACTERS = 500


class DeadLetter(msgspec.Struct, frozen=True, array_like=True, tag=64):
    """What could not be understood, where it lay, and why; (topic, partition, offset) names it.

    `value` is its first 64 KiB, `reason` up to 500 characters.
    """

    device: str
    topic: str
    partition: int
    offset: int
    reason: str
    value: bytes


Reading: TypeAlias = RecordingStart | RecordingEnd | Chunk | Gap | Progress | Forget
Mark: TypeAlias = MarkAdd | MarkEdit | MarkRetract
Status: TypeAlias = Birth | Heartbeat | Death | Change | CommandResult
Order: TypeAlias = Configuration | Command
"""What an agent is told."""
Record: TypeAlias = Reading | Mark | RecordingUndo | StreamDescription | Status | Order | DeadLetter


def content_of(description: StreamDescription) -> list[Any]:
    """A stream description as it is encoded and hashed: a channel without states, and a stream without a correction,
    have the fields of before there were any, so that streams keep their bytes and their ids."""
    content: list[Any] = msgspec.to_builtins(description)
    channels = 1 + StreamDescription.__struct_fields__.index("channels")  # behind the tag
    content[channels] = [fields if fields[-1] else fields[:-1] for fields in content[channels]]
    return content if description.correction is not None else content[:-1]


def schema_id(description: StreamDescription) -> bytes:
    """The 16 bytes by which chunks name their stream description: a hash of its content."""
    return hashlib.sha256(msgspec.msgpack.encode(content_of(description))).digest()[:16]
