"""What a file says that describes itself: signals with names, units and times, marks, and what of it was lost. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any, Final, Literal, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ingest.errors import UsageError
from ingest.measures import check_unit, literal_unit
from ingest.names import normal
from ingest.times import Times, period_of
from ingest.wire import MAX_SPAN_NS

ClockKind: TypeAlias = Literal["utc", "local", "none"]
"""What a file's times are: instants; the time on some wall, whose zone it does not say; or counted from anything."""

LOST_BYTES: Final = "bytes"
"""In `Contents.lost`: bytes that could not be read."""
_LABEL_MAX: Final = 200
_PLAIN: Final = frozenset(
    ("none", "n/a", "na", "boolean", "bool", "a.u.", "au", "unitless", "normalized", "count", "counts", "-")
)
_SPELT: Final[Mapping[str, str]] = {
    "microvolts": "uV", "microvolt": "uV", "millivolts": "mV", "millivolt": "mV", "volts": "V", "volt": "V",
    "celsius": "degC", "deg c": "degC", "degrees celsius": "degC", "cel": "degC", "m/s/s": "m/s2", "m/s^2": "m/s2",
    "percent": "%", "meters": "m", "metres": "m", "degrees": "deg", "degree": "deg", "radians": "rad", "hertz": "Hz",
    "seconds": "s", "second": "s", "milliseconds": "ms", "pascal": "Pa", "microtesla": "uT", "microsiemens": "{uS}",
}  # fmt: skip


class FileMark(NamedTuple):
    """A label that the file has beside its signals, in the times of its signals; an instant where both are equal."""

    start_ns: int
    end_ns: int
    label: str


@dataclass(frozen=True, slots=True)
class Signal:
    """Channels that are sampled together."""

    name: str
    """Empty: the file has no name for it."""
    channels: tuple[str, ...]
    values: NDArray[Any]
    """`(samples, channels)`, numbers as the file has them; NaN is missing."""
    times: Times
    """With a `rate`, when each piece begins, else `(samples,)`; ns, of the file's clock."""
    rate: Fraction | None = None
    """Hertz; samples of a piece lie exactly so far apart."""
    starts: tuple[int, ...] = (0,)
    """The first samples of the pieces; between two of them time is missing."""
    units: tuple[str, ...] = ()
    """As sensorloom writes them, "" where the file says none; (): it says none at all."""
    scales: tuple[float, ...] = ()
    """Physical value per raw one; (): they are physical."""
    offsets: tuple[float, ...] = ()
    unsynced: bool = False
    """Nobody knows how its clock stood to that of other signals."""

    @property
    def start_ns(self) -> int:
        """Its first sample's time; there is one."""
        return int(self.times.min()) if self.rate is None else int(self.times[0])

    @property
    def newest_ns(self) -> int:
        """The newest of its samples' times, however far that is."""
        if self.rate is None:
            return int(self.times.max())
        num, den = period_of(self.rate)
        counts: list[int] = np.diff([*self.starts, len(self.values)]).tolist()
        first: list[int] = self.times.tolist()
        return max(t0 + (count - 1) * num // den for t0, count in zip(first, counts, strict=True))


@dataclass(frozen=True, slots=True)
class Contents:
    """A file that describes itself."""

    kind: str
    """As in "XDF", for messages."""
    signals: tuple[Signal, ...]
    clock: ClockKind = "utc"
    marks: tuple[FileMark, ...] = ()
    device: str = ""
    """Whose they are, where the file says so."""
    fallback_unit: str = ""
    """Of channels for which neither the file nor anybody else says one; empty: somebody has to."""
    lost: Mapping[str, int] = field(default_factory=dict)
    """What could not be read, by kind."""
    notes: tuple[str, ...] = ()
    """What a person should know, each a sentence."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What a reader of files is told."""

    time_field: str | None = None
    """Which of several times a file has for each sample."""
    key: bytes = b""
    """That signatures are checked with; empty: they are not."""
    start_known: bool = False
    """The time of the file's first sample is said elsewhere."""
    one_clock: bool = False
    """Somebody vouches that all signals have one clock."""


def file_unit(text: str) -> str:
    """A unit as a file spells it, as sensorloom writes it; one of its own stands in braces. "" for none."""
    word = " ".join(text.replace("µ", "u").replace("μ", "u").split())
    if not word or word.lower() in _PLAIN:
        return "1" if word else ""
    for spelt in (word, _SPELT.get(word.lower(), "")):
        try:
            check_unit(spelt)
        except UsageError:
            continue
        known = literal_unit(spelt)
        return spelt if known is None else known.name or "1"
    own = "".join(character for character in word if character.isprintable() and character not in "{}")
    return f"{{{own}}}" if own else "1"


def file_label(text: str) -> str:
    """A label as a file has it: in one line, of characters that can be seen; "" where nothing is left."""
    shown = "".join(character if character.isprintable() else " " for character in text)
    return normal(" ".join(shown.split())[:_LABEL_MAX])


def unique(names: Sequence[str], fallback: str) -> tuple[str, ...]:
    """Names of channels that differ: a second x is x-2; one that is empty is `fallback` and its number."""
    found: list[str] = []
    for number, name in enumerate(names, 1):
        shown = file_label(name) or f"{fallback}{number}"
        again, other = 2, shown
        while other in found:
            other, again = f"{shown}-{again}", again + 1
        found.append(other)
    return tuple(found)


def stream_name(text: str) -> str:
    """A stream's name: without the dot that separates it from its channels, and the slash before a topic."""
    return file_label(text.strip("/").replace(".", "_"))


def check_span(path: str, times: Times) -> None:
    """Raise `UsageError` for times that no record holds."""
    if len(times) and (int(times.max()) >= MAX_SPAN_NS or int(times.min()) <= -MAX_SPAN_NS):
        raise UsageError(f"{path}: its times are out of range: they go from 1824 to 2116")


def seconds_to_ns(seconds: NDArray[np.float64], path: str) -> Times:
    """Whole nanoseconds. Raises `UsageError` where one is no time."""
    if len(seconds) and not (np.isfinite(seconds).all() and (np.abs(seconds) < MAX_SPAN_NS / 1e9).all()):
        raise UsageError(f"{path}: damaged: it has times that are none")
    whole = np.floor(seconds)
    times: Times = whole.astype(np.int64) * 10**9 + np.rint((seconds - whole) * 1e9).astype(np.int64)
    return times
