"""NMEA 0183: sentences of a GPS receiver, those of one epoch joined to one fix.

An epoch is what carries one UTC time: RMC, GGA, GLL and GNS say it, VTG, GSA and the like belong to the one under way.
A fix is given when the next epoch begins: only then nothing can be added to it. A sentence without a checksum, or with
a wrong one, is a fault; an epoch without a position is counted (`no_fix`), and is no sample. Sentences that bear on no
fix, makers' own ones (`$P…`) and AIS (`!…`) among them, say nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import date
from itertools import pairwise
from math import nan
from typing import ClassVar, Final, Self

import numpy as np

from edge.decoders.lines import Lines, bare, fault
from edge.decoders.nmea.sentences import Said, fault_of, kind_of, read
from edge.protocol import Fault, Frame, Key, SourceConfig
from ingest.errors import UsageError
from ingest.settings import suggest

UNITS: Final[Mapping[str, str]] = {
    "lat": "deg",
    "lon": "deg",
    "alt": "m",
    "speed": "m/s",
    "course": "deg",
    "hdop": "1",
    "vdop": "1",
    "satellites": "1",
    "quality": "1",
}
"""The channels that a fix may have: WGS 84, height above mean sea level, course from true north."""
_TIMED: Final = frozenset(("RMC", "GGA", "GLL", "GNS", "ZDA"))
_WEIGHT: Final = {"GLL": 1, "RMC": 2, "GNS": 3, "GGA": 4}
"""Whose position counts where several say one: that of the sentence with most digits in common receivers."""
_START: Final = re.compile(rb"[$!]")
_TAG_BLOCK: Final = re.compile(rb"\\[^\\]*\\")
_NAMED: Final = re.compile(rb"[$!][A-Z0-9]{3,12},")
_TOLERANCE_NS: Final = 10_000_000
"""Sentences of one fix may say its time with more or fewer decimals: no receiver gives a hundred a second."""
_USUAL, _SURE = 8, 16
"""A kind of sentence that was there in so many fixes is missed; and how long it is remembered."""
_EPOCH_DAY: Final = date(1970, 1, 1).toordinal()
_DAY_NS: Final = 86_400 * 10**9
_LAG_NS: Final = 600 * 10**9
"""So long around midnight the date that a receiver says may be the other day's."""


class NmeaDecoder:
    """Decodes a receiver's sentences into fixes with the given channels."""

    keys: ClassVar[Mapping[str, Key]] = {}

    def __init__(self, channels: list[str]) -> None:
        self._lines = Lines(1024)
        self._channels = channels
        self._begin()

    def _begin(self) -> None:
        self._last_ns: int | None = None
        """The last epoch's time, once the receiver has said a date."""
        self._clock_ns: int | None = None
        """Of the epoch under way, since midnight."""
        self._day: date | None = None
        """What it says."""
        self._found: dict[str, float] = {}
        self._weight = 0
        self._kinds: set[str] = set()
        """Of the epoch's sentences."""
        self._usual: dict[str, int] = {}
        """In how many fixes of late each kind was there."""
        self._place = (b"", 0, 0)
        """The epoch's first sentence, and where it begins and ends."""

    @classmethod
    def from_config(cls, config: SourceConfig) -> Self:
        """Raises `UsageError` for a channel that a fix does not have, or in another unit."""
        for name, unit in config.channels.items():
            if name not in UNITS:
                raise UsageError(f'{config.where}: channels: unknown channel "{name}"{suggest(name, UNITS)}')
            if unit != UNITS[name]:
                raise UsageError(f'{config.where}: channels: {name}: found unit "{unit}", expected "{UNITS[name]}"')
        return cls(list(config.channels))

    def feed(self, data: bytes) -> Iterable[Frame | Fault]:
        """See `edge.protocol.Decoder`."""
        block, long = self._lines.feed(data)
        if block is not None:
            yield from self._lines.each(block, self._line)
        if long is not None:
            yield long

    def message(self, data: bytes) -> Iterable[Frame | Fault]:
        """See `edge.protocol.Decoder`; but a fix waits for the next one: messages may be a sentence each."""
        return self._lines.each(self._lines.whole(data), self._line)

    def reset(self) -> Iterable[Frame | Fault]:
        """See `edge.protocol.Decoder`: the fix that is under way is given."""
        last = self._finish()
        torn, offset = self._lines.reset()
        self._begin()
        return [*last, *([fault("torn", offset, _cost(torn), torn)] if torn else [])]

    # --- a line

    def _line(self, line: bytes, offset: int) -> Iterator[Frame | Fault]:
        text = bare(line).strip()
        if not text or text.startswith(b"#"):
            return
        place = line, offset, offset + len(line) + 1
        *torn, sentence = _sentences(text)
        for piece in torn:
            if piece[:1] not in b"$!" or fault_of(piece):
                yield fault("garbage", offset, _cost(piece), piece)
            else:
                yield from self._sentence(piece, place)
        yield from self._sentence(sentence, place)

    def _sentence(self, sentence: bytes, place: tuple[bytes, int, int]) -> Iterable[Frame | Fault]:
        reason = fault_of(sentence) if sentence[:1] in b"$!" else "garbage"
        if reason:
            return (fault(reason, place[1], _cost(sentence), sentence),)
        kind = kind_of(sentence)
        if not kind:
            return ()
        try:
            return self._take(read(sentence, kind), place)
        except ValueError:
            return (fault("sentence", place[1], _cost(sentence), sentence),)

    def _take(self, said: Said, place: tuple[bytes, int, int]) -> Iterable[Frame | Fault]:
        if said.kind not in _TIMED:
            self._kinds.add(said.kind)
            for name, value in said.values.items():
                self._found.setdefault(name, value)
            return ()
        if said.clock_ns is None:  # a receiver that does not know the time yet
            return (fault("no_time", place[1], 0, place[0]),)
        finished = () if self._is_same(said.kind, said.clock_ns) else self._finish()
        self._kinds.add(said.kind)
        if self._clock_ns is None:
            self._clock_ns, self._place = said.clock_ns, place
        self._day = said.day or self._day
        weight = _WEIGHT.get(said.kind, 0)
        if "lat" in said.values and weight < self._weight:
            del said.values["lat"], said.values["lon"]
        elif "lat" in said.values:
            self._weight = weight
        self._found.update(said.values)
        return finished

    # --- an epoch

    def _is_same(self, kind: str, clock_ns: int) -> bool:
        """Whether this time is that of the epoch under way."""
        if self._clock_ns is None or clock_ns == self._clock_ns:
            return self._clock_ns is not None
        return kind not in self._kinds and abs(clock_ns - self._clock_ns) < _TOLERANCE_NS

    def _is_missed(self) -> bool:
        """Whether a kind of sentence that is usually there was not."""
        missed = False
        for kind in {*self._usual, *self._kinds}:
            count = self._usual.get(kind, 0)
            missed |= kind not in self._kinds and count >= _USUAL
            self._usual[kind] = min(_SURE, count + 1) if kind in self._kinds else max(0, count - 2)
        return missed

    def _finish(self) -> tuple[Frame | Fault, ...]:
        """The epoch under way as a fix; nothing where there is none."""
        clock_ns, day, found, (line, offset, end) = self._clock_ns, self._day, self._found, self._place
        missed = clock_ns is not None and "lat" in found and self._is_missed()
        self._clock_ns, self._day, self._found, self._weight, self._kinds = None, None, {}, 0, set()
        if clock_ns is None:
            return ()
        time_ns = self._last_ns = _time(clock_ns, day, self._last_ns)
        if "lat" not in found:
            return (fault("no_fix", offset, 0, line),)
        values = np.array([[found.get(name, nan) for name in self._channels]], dtype=np.float64)
        if np.isnan(values).all():
            return (fault("missing", offset, 1, line),)
        frame = Frame(values, None if time_ns is None else np.array([time_ns], dtype=np.int64), end)
        if missed and np.isnan(values).any():
            return (fault("incomplete", offset, 0, line), frame)
        return (frame,)


def _time(clock_ns: int, day: date | None, last_ns: int | None) -> int | None:
    """The instant of a time of day; None until a date was said.

    Around midnight many receivers say the other day's date for some seconds: there the day counts that continues the
    fix before. Without a date it is the day that lies nearest to that one.
    """
    if day is None:
        if last_ns is None:
            return None
        days = (last_ns - clock_ns + _DAY_NS // 2) // _DAY_NS
        return days * _DAY_NS + clock_ns
    said_ns = (day.toordinal() - _EPOCH_DAY) * _DAY_NS + clock_ns
    if last_ns is not None and min(clock_ns, _DAY_NS - clock_ns) < _LAG_NS:
        for other_ns in (said_ns - _DAY_NS, said_ns + _DAY_NS):
            if abs(other_ns - last_ns) < _LAG_NS:
                return other_ns
    return said_ns


def _sentences(text: bytes) -> list[bytes]:
    """A line's sentences: one, or several where line feeds were lost; what else is in it."""
    if text[:1] == b"\\":
        text = _TAG_BLOCK.sub(b"", text, count=1)  # NMEA 4.10 puts the sender before it
    if text[:1] in b"$!" and not fault_of(text):
        return [text]  # a text may have such signs in it
    starts = [match.start() for match in _START.finditer(text)]
    edges = [*([0] if not starts or starts[0] else []), *starts, len(text)]
    return [text[start:end] for start, end in pairwise(edges)]


def _cost(piece: bytes) -> int:
    """How many fixes may be lost by what is no sentence: unknown, but none where it would not bear on one."""
    known = _NAMED.match(piece) is not None and kind_of(piece) not in _TIMED
    return 0 if known else -1
