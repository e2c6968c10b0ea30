"""What sources and decoders are: the interfaces between a sensor's bytes and the agent.

A source brings bytes with the time at which they arrived; a decoder turns bytes into samples. Both are plug-ins
(`edge.plugins`). Pure: what is here does no I/O.
"""

from __future__ import annotations

import builtins
from collections.abc import AsyncIterator, Collection, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from typing import Any, ClassVar, Final, Literal, NamedTuple, Protocol, Self, TypeAlias, TypeVar, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from ingest.errors import UsageError
from ingest.records import Correction, SampleType
from ingest.states import States

T = TypeVar("T")
Values = NDArray[np.float64]
"""`(samples, channels)`: raw values in the order of `SourceConfig.channels`; NaN where one is missing."""
Times = NDArray[np.int64]
"""`(samples,)`, ns."""
STALLED: Final = "stalled"
"""The reason of what may be missing because this process, or its machine, stood still."""
REPEATED: Final = "repeated"
"""The reason of a fault that is none: the table says by what a sample is known that came before."""
RAW_BYTES: Final = 60
"""So much of what could not be understood is shown."""
ClockKind: TypeAlias = Literal["arrival", "device", "counted", "kernel"]


@dataclass(frozen=True, slots=True)
class Key:
    """A key of agent.toml, as people are told of it: their documentation is generated from these."""

    kind: str
    """What it takes: `text`, `whole number`, `duration`, `one of 5, 3.1.1` …"""
    meaning: str
    """A sentence, or a few."""
    example: str
    """A value as TOML has it: `9600`, `"100Hz"`."""
    default: str | None = None
    """What holds without it, for people; None where it must be given."""
    synonyms: tuple[str, ...] = ()
    """What people write in its place: an unknown key of such a name is answered with this one."""
    is_said: bool = False
    """It is said to the sensor, or looked for in what the sensor says: it may have any character."""


class Read(NamedTuple):
    """One of the reads that an arrival was put together from."""

    end: int
    """The offset behind it in the arrival's data."""
    monotonic_ns: int
    wall_ns: int
    began_ns: int | None = None
    """Of a read that was made late, of bytes that came at an even pace: from when on (CLOCK_BOOTTIME) they came. None:
    it was made as they came."""


@dataclass(frozen=True, slots=True)
class Arrival:
    """Bytes that a source read, and when.

    `monotonic_ns` and `wall_ns` are read together, right after the (last) bytes came: CLOCK_BOOTTIME (which goes on
    while the machine is suspended, as CLOCK_MONOTONIC does not) and CLOCK_REALTIME.
    """

    data: bytes
    monotonic_ns: int
    wall_ns: int
    token: Hashable = None
    """What `Source.ack` wants to hear once `data` is durable; None where nothing waits for it."""
    identity: bytes = b""
    """By which a delivery after a crash is known as one that is already in the spool (MQTT: packet id, topic
    and payload); empty where nothing is ever delivered twice."""
    redelivered: bool = False
    """The sender says that this may be a second delivery (MQTT: DUP). Only such a one is looked up by `identity`."""
    urgent: bool = False
    """The sender's window is full: it sends nothing more, and may drop what it holds, until something is acknowledged.
    Fsync now, whatever the schedule."""
    is_message: bool = False
    """`data` is one whole message (`Decoder.message`), not a piece of a stream of bytes (`Decoder.feed`)."""
    reads: tuple[Read, ...] = ()
    """Of what was put together from several reads to spare work: all of them but the last, in their order."""
    waited_ns: int = 0
    """Up to so long before `monotonic_ns` the bytes may have come: they waited in a kernel's buffer while this process
    was stopped, or at a broker while it was away. 0 where they were taken as they came."""
    device: str = ""
    """Whose they are, where the source itself tells several devices apart; it need not be a name that a device can
    have."""
    stream: str = ""
    """Of which stream, where the source itself tells several apart; it need not be a name that a stream can have."""


@dataclass(frozen=True, slots=True)
class Interruption:
    """Bytes may be missing here: a port vanished and is back, a queue ran over.

    The decoder is reset, and the time up to the next sample is announced as a gap with this reason.
    """

    reason: str
    monotonic_ns: int
    wall_ns: int
    since_ns: int | None = None
    """From when on (CLOCK_BOOTTIME) they may be missing, where that is earlier than what came since: a broker was away,
    and what it kept was delivered first. None: behind the newest sample; 0: since the boot before this one."""
    goes_on: bool = False
    """What is missing was lost somewhere before: the line under way is whole, as far as can be known, and the decoder
    is not reset."""
    device: str = ""
    """Whose it is, as in `Arrival`; empty: of all that the source brings."""
    stream: str = ""
    """Of which stream, as in `Arrival`."""
    is_whole: bool = False
    """Nothing is missing, and what came since `since_ns` may be wrong: nothing but that is announced."""


class Settled(NamedTuple):
    """Deliveries that come no more: their acknowledgement was read by who sent them."""

    identities: Sequence[bytes] = ()
    """As `Arrival.identity` named them; one named again by a later arrival is another delivery."""
    all_but: Collection[bytes] | None = None
    """Where it is given: of all others, only these may come again."""


class Source(Protocol):
    """Where bytes come from. One task uses it: `open`, `arrivals`, `close`; `ack` is called in between, on the same
    event loop."""

    keys: ClassVar[Mapping[str, Key]]
    """The keys of a `[[source]]` table that this type knows besides the common ones."""

    @classmethod
    def from_config(cls, config: SourceConfig) -> Self:
        """The source that a table describes. Raises `UsageError`; touches no device, no network."""
        ...

    @property
    def waiting_for(self) -> str:
        """What keeps it from delivering, for people (`/dev/ttyUSB0: no such file`); empty when all is well."""
        ...

    @property
    def trouble(self) -> str:
        """What is wrong although it is open, for people (`4,096 bytes and no line end; is baud = 9600 right?`); empty
        when all is well."""
        ...

    @property
    def missing(self) -> str:
        """Why what the sensor says now is lost for good (`port_lost`): nobody listens, and nobody keeps it.

        Empty while it is read, or kept at the other side, and until the first attempt to open it has failed. Asked for
        at each commit: while it says something, the loss is announced as it grows.
        """
        ...

    @property
    def heard_ns(self) -> int | None:
        """CLOCK_BOOTTIME up to which all that the sensor said has surely come; None where that is always up to now.

        It stands while somebody else keeps what the sensor says (a broker that is away, or has more in its queue): no
        progress passes it. 0 while nothing is known in this boot.
        """
        ...

    async def open(self) -> None:
        """Get ready. Waits, with back-off and for ever, for a device that is away: `waiting_for` says so.

        Raises:
            PermanentError: what no waiting mends.
        """
        ...

    def arrivals(self) -> AsyncIterator[Arrival | Interruption]:
        """What arrives, for ever, through vanished devices and lost connections; a recorded file comes to an end.

        Where the first attempt to open it failed, an `Interruption` comes first: nobody heard what was said meanwhile.

        Where it may come in the middle of a line (a port that was just opened), it leaves out what is before the first
        line's end: `2.5` may have been `12.5`. Lines end in a line feed, whatever they end in where they come from.
        """
        ...

    def ack(self, token: Hashable) -> None:
        """The arrival with this token is fsynced. Called in the order of arrival; a token acknowledges itself only."""
        ...

    def settled(self) -> Settled:
        """What of the arrivals with an identity comes no more, since the last call."""
        ...

    def again(self) -> None:
        """Arrivals were given up without an acknowledgement, and there is room now: let the sender deliver them again.

        Called on the event loop; where the sender keeps nothing, nothing happens."""
        ...

    async def close(self) -> None:
        """Let go of the device. May be called at any time, also without `open`, and twice."""
        ...

    def left(self) -> Iterable[Arrival | Interruption]:
        """What came before `close` and was not taken, in order and once, where nobody brings it again."""
        ...


@runtime_checkable
class Completing(Protocol):
    """A source that knows of its stream what a table need not say."""

    @classmethod
    def completed(cls, config: SourceConfig, said: Collection[str]) -> SourceConfig:
        """The same with what the source knows; `said` are the keys that the table has. Raises `UsageError`."""
        ...


@runtime_checkable
class Leaving(Protocol):
    """A source for which somebody keeps what it has not taken."""

    async def leave(self, successor: Source | None) -> None:
        """It is not read any more as it is configured: where `successor`, if any, does not take what is kept for it,
        nothing more is to be kept. Called while its arrivals are still taken, before `close`; raises nothing."""
        ...


@runtime_checkable
class Commanded(Protocol):
    """A source through which something can be said to its sensor."""

    @property
    def commands(self) -> Mapping[str, bytes]:
        """What can be said, by name, as its table has it."""
        ...

    async def say(self, name: str) -> None:
        """Say it; returns when it is written.

        Raises:
            TransientError: it could not be written now.
        """
        ...


@dataclass(frozen=True, slots=True, eq=False)
class Frame:
    """Consecutive samples that were decoded together."""

    values: Values
    times_ns: Times | None
    """The device's own times, ns UTC; None where it gives none. Of the clock `kernel`: CLOCK_BOOTTIME."""
    offset: int
    """Bytes fed since the start or `reset`, up to the end of the line that the (last) sample's time belongs to."""
    device: str = ""
    """Whose samples they are, where the decoder tells several devices apart."""


@dataclass(frozen=True, slots=True)
class Fault:
    """Bytes that gave no sample."""

    reason: str
    """One of a few words, to be counted: `checksum`, `garbage`, `columns`, `number`, `too_long` …"""
    byte_offset: int
    """Where, in bytes fed since the start or `reset`."""
    samples: int = 1
    """How many samples are lost by it; -1 where that cannot be known, 0 for what never was one."""
    raw: bytes = b""
    """The beginning of the bytes, at most `RAW_BYTES`: an example for people."""
    time_ns: int | None = None
    """When, by CLOCK_BOOTTIME, where the kernel says it; None: when the bytes came."""
    device: str = ""
    """Whose it is, where the decoder tells several devices apart; empty: nobody knows."""


class Decoder(Protocol):
    """Bytes to samples: incremental, bounded in memory, total. The chunks in which bytes come never matter:
    the samples and the faults are the same (samples of one `feed` may share a frame)."""

    keys: ClassVar[Mapping[str, Key]]
    """The keys of a `[[source]]` table that this decoder knows."""

    @classmethod
    def from_config(cls, config: SourceConfig) -> Self:
        """The decoder that a table describes. Raises `UsageError`."""
        ...

    def feed(self, data: bytes) -> Iterable[Frame | Fault]:
        """What these bytes complete, in order. Never raises for what bytes say."""
        ...

    def message(self, data: bytes) -> Iterable[Frame | Fault]:
        """What one whole message says: nothing of it waits for more. Offsets count it as ended by a line feed."""
        ...

    def reset(self) -> Iterable[Frame | Fault]:
        """The input was interrupted or is over: what is whole is given, what is torn is a fault; offsets begin at 0."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceConfig:
    """One `[[source]]` table of agent.toml, checked."""

    where: str
    """Its path for error messages: `agent.toml: source[0]`."""
    base: str
    """The folder that relative paths in it start from."""
    name: str
    type: str
    decoder: str
    device: str
    stream: str
    channels: Mapping[str, str]
    """Unit by channel name, in the order of the columns."""
    rate: Fraction | None = None
    """Nominal, in hertz."""
    dtype: SampleType = "float32"
    scales: Mapping[str, float] = field(default_factory=dict)
    """Physical value per raw one, by channel; 1 where none is said."""
    offsets: Mapping[str, float] = field(default_factory=dict)
    """The physical value where the raw one is 0, by channel; 0 where none is said."""
    correction: Correction | None = None
    """What is made of the physical values before they are recorded."""
    clock: ClockKind = "arrival"
    low: Mapping[str, float] = field(default_factory=dict)
    """By channel, the least value that can be, in the channel's unit: others are refused, counted."""
    high: Mapping[str, float] = field(default_factory=dict)
    """By channel, the greatest."""
    step: Mapping[str, float] = field(default_factory=dict)
    """By channel, the most by which a value can differ from the one before."""
    states: Mapping[str, States] = field(default_factory=dict)
    """By channel, the names of its values: others are refused, counted."""
    expect_ns: int | None = None
    """Silence for longer is told; None: what is usual for it is learned."""
    device_named: bool = False
    """The table itself names the device: it is not the agent's own by default."""
    home: str = ""
    """The agent's own device."""
    max_devices: int = 100
    """Of a source of several devices: so many are told apart."""
    sensor: str = ""
    mounting: str = ""
    tag: str = ""
    """What the lines of its stream begin with, of several streams on one port; empty: all lines are its own."""
    tags: tuple[str, ...] = ()
    """Of the first source on a port: the tags of all. Lines with another one are counted by it."""
    options: Mapping[str, Any] = field(default_factory=dict)
    """The keys of its source's and its decoder's own, as TOML has them."""

    @property
    def is_family(self) -> bool:
        """It brings several devices or streams: `device` or `stream` is a pattern (`edge.devices`)."""
        return "{" in self.device or self.has_streams

    @property
    def has_streams(self) -> bool:
        """It brings several streams."""
        return "{" in self.stream

    def of(self, device: str, stream: str) -> SourceConfig:
        """The same of one stream of one of its devices; what it does not tell apart may be empty."""
        return replace(
            self,
            device=device if "{" in self.device else self.device,
            stream=stream if self.has_streams else self.stream,
        )

    @property
    def is_on_our_axis(self) -> bool:
        """Its times are this machine's: final once its clock is set."""
        return self.clock in ("arrival", "kernel")

    def option(self, key: str, kind: builtins.type[T], default: T | None = None) -> T:
        """An own key's value. Raises `UsageError` where it is of another type, or missing and without a default."""
        value = self.options.get(key, default)
        if value is None:
            raise UsageError(f'{self.where}: "{key}" is missing; a source of type "{self.type}" needs it')
        if isinstance(value, bool) is not (kind is bool) or not isinstance(value, kind):
            raise UsageError(f"{self.where}: {key}: found {value!r}, expected {_KINDS.get(kind, kind.__name__)}")
        return value


_KINDS: Mapping[builtins.type, str] = {
    str: "text",
    int: "a whole number",
    bool: "true or false",
    dict: "a table",
    list: "a list",
}
