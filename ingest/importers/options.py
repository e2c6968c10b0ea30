"""What an import of readings is told, and what contradicts itself there. Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from fractions import Fraction
from typing import Any, Final, TypeVar, get_args

import msgspec

from ingest.chunker import Limits
from ingest.errors import UsageError
from ingest.importers.encodings import check_encoding
from ingest.importers.joining import CONTENT_BYTES
from ingest.importers.labels import LabelColumn
from ingest.importers.order import Repeated
from ingest.importers.selecting import is_pattern, split_names
from ingest.importers.source import Source, Table, Wanted
from ingest.importers.stamps import format_pattern
from ingest.measures import check_unit
from ingest.records import Channel, StreamDescription
from ingest.settings import suggest
from ingest.states import States, check_unscaled

T = TypeVar("T")
_LIMITS: Final = Limits()
SAMPLES_WANTED: Final = 32
"""So many samples a chunk has at least, as far as its span goes; what is quicker than 32 Hz is cut by the second."""
SPAN_MAX_NS: Final = 3600 * 10**9
_NOT_CONTENT: Final = (
    "open", "limits", "rate", "attributes", "named_units", "units_row", "label_columns", "label", "author",
    "keeps_offsets", "key", "one_clock", "by_pace",
)  # fmt: skip
"""Options that the boot does not hold, or holds in another form: labels may be added to what was imported before."""
_NEWER: Final = ("origin", "repeated", "decimal_comma", "states", "time_format", "skip_rows", "device_column",
                 "recording_column", "offsets", "encoding", "thousands")  # fmt: skip
"""Options that came later: the boot holds them where they are said, so that older imports keep theirs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadingsOptions:
    """What an import of readings is told; `check` says what does not go together."""

    device: str = ""
    """Empty where `device_column` names it."""
    stream: str
    columns: tuple[str, ...]
    """Names, ranges and patterns: see `selecting`."""
    units: tuple[str, ...] = ()
    """One for all channels, or one each; none: `named_units`, or the row of units in the file."""
    named_units: Mapping[str, str] = field(default_factory=dict)
    """By column, channel or stream; they go before `units`."""
    rate: Fraction | None = None
    """Hertz; sample `i` lies at `start_ns + i / rate`."""
    start_ns: int | None = None
    """The first sample's time; with a time column, that one counts from there."""
    time_column: str | None = None
    """Or several, with commas between them: their texts together are the time."""
    time_format: str | None = None
    time_unit: str | None = None
    timezone: str | None = None
    origin: tuple[str, int] | None = None
    """A value of the time column and the time that it means, ns UTC: files of one clock keep their offsets."""
    repeated: Repeated | None = None
    """What happens to rows that repeat a time; None: as "first", but never to more than a tenth of the rows."""
    recording: str | None = None
    open: bool = False
    attributes: Mapping[str, str] = field(default_factory=dict)
    """What is so of the recording as a whole: see `ingest.attributes`."""
    channel_names: tuple[str, ...] | None = None
    scales: tuple[float, ...] = (1.0,)
    """Physical value per raw one, in the channel's unit: one for all channels, or one each."""
    offsets: tuple[float, ...] = ()
    """Added to a scaled value, in the channel's unit: one for each channel; (): nothing is."""
    states: Mapping[str, States] = field(default_factory=dict)
    """By channel, the names of its values: another value is an error."""
    dtype: str = "auto"
    limits: Limits = field(default_factory=Limits)
    by_pace: bool = False
    """Of a slow stream chunks span more than `limits` says: see `paced`."""
    array: str | None = None
    """Which array of an `.npz` file."""
    decimal_comma: bool = False
    """Numbers of a text are written as 0,5."""
    thousands: str = ""
    """See `Wanted`."""
    skip_rows: int = 0
    units_row: bool = False
    encoding: str | None = None
    """See `Wanted`."""
    device_column: str | None = None
    """Whose rows they are: each device gets a recording of its own."""
    recording_column: str | None = None
    """Of which recording they are, as in episode_index."""
    label_columns: tuple[LabelColumn, ...] = ()
    label: str = ""
    """Of all of the recording, as its path says."""
    author: str = ""
    """Of the marks that labels become."""
    keeps_offsets: bool = False
    """Who brings it in keeps the offsets between files of one clock."""
    key: bytes = b""
    """That signatures of files are checked with; empty: they are not."""
    one_clock: bool = False
    """Somebody vouches that all signals of a file have one clock, whatever was measured."""

    def time_columns(self) -> tuple[str, ...]:
        """The columns that tell a row's time together."""
        return () if self.time_column is None else split_names("--time-column", self.time_column)

    def wanted(self) -> Wanted:
        """What is asked of a file."""
        keys = [label.column for label in self.label_columns]
        return Wanted(
            self.columns,
            self.time_columns(),
            tuple(dict.fromkeys([*filter(None, (self.device_column, self.recording_column)), *keys])),
            self.array,
            self.decimal_comma,
            self.skip_rows,
            self.units_row,
            self.encoding,
            self.thousands,
        )

    def value_columns(self) -> tuple[str, ...]:
        """The columns that become channels: all but those of times, devices and labels."""
        return tuple(name for name in self.columns if name not in self.wanted().apart)

    def resolved(self, table: Table) -> ReadingsOptions:
        """The same with the columns and units that were meant, now that the file has been read.

        Raises:
            UsageError: a channel has no unit.
        """
        # Names stay as they are: what was said of a file is part of the name of its import.
        columns = table.names if self.value_columns() != table.names else self.columns
        if self.units and not self.named_units:
            return replace(self, columns=columns)
        if len(self.units) > 1:
            raise UsageError("import: --unit: give units by name, as in x=g, or one for each channel, not both")
        channels = self.channel_names or table.names
        units, unknown = [], {*self.named_units}
        for place, names in enumerate(zip(table.names, channels, strict=True)):
            keys = [key for key in (*names, self.stream) if key in self.named_units]
            unknown -= {*names, self.stream}
            said = [self.named_units[key] for key in keys] + [*self.units] + [*table.units[place : place + 1]]
            if not said:
                raise UsageError(
                    f'{table.path}: "{names[0]}" has no unit; say --unit U for all, --unit {names[0]}=U, or '
                    '--units-row; a plain number has the unit "1"'
                )
            units.append(said[0])
        if unknown and unknown.isdisjoint({self.stream}) and not self.keeps_offsets:
            name = sorted(unknown)[0]
            raise UsageError(
                f'import: --unit: there is no "{name}"{suggest(name, {*table.names, *channels, self.stream})}'
            )
        return replace(self, columns=columns, units=tuple(units[:1] if len({*units}) == 1 else units), named_units={})

    def check(self) -> None:
        """Raise `UsageError` for what contradicts itself; columns and units are known."""
        self.check_early()
        if not self.device:
            raise UsageError("import: whose stream is it? Say --device D, or --device-column C")
        self.check_channels()

    def check_early(self) -> None:
        """Raise `UsageError` for what contradicts itself whatever the table holds."""
        for option in ("stream", "columns"):
            if not getattr(self, option):
                raise UsageError(f"import: --{option} is missing")
        check_encoding(self.encoding)
        self._check_times()
        if self.units and not self.named_units and not any(map(is_pattern, self.columns)):
            self.check_channels()

    def _check_times(self) -> None:
        if (self.rate is None) == (self.time_column is None):
            raise UsageError("import: say either --rate with --start, or --time-column")
        if self.rate is not None and self.start_ns is None:
            raise UsageError("import: --rate needs --start, the time of the first sample")
        if self.rate is not None and (self.time_unit or self.timezone or self.time_format):
            raise UsageError("import: --time-unit, --time-format and --timezone go with --time-column, not with --rate")
        if self.time_format is not None:
            if self.time_unit is not None:
                raise UsageError("import: --time-format is of text, --time-unit of numbers; say one of them")
            format_pattern(self.time_format)
        if self.skip_rows < 0:
            raise UsageError(f"import: --skip-rows: found {self.skip_rows}, expected 0 or more")
        self._check_ordering()
        if self.open and self.recording is None:
            raise UsageError("import: --open needs --recording, the name that the other files will join")

    def check_channels(self) -> None:
        """Raise `UsageError` for names and units that are none, or too many or few."""
        channels = self.channel_names or self.value_columns()
        count = len(self.value_columns())
        if not count or len(set(self.columns)) != len(self.columns) or len(set(channels)) != len(channels):
            raise UsageError(f"import: --columns names {', '.join(self.columns)}; name at least one, each once")
        for option, given in (("--unit", self.units), ("--scale", self.scales)):
            if len(given) not in (1, count):
                raise UsageError(f"import: {option}: found {len(given)}, expected 1 or {count}, one for each channel")
        if len(channels) != count:
            raise UsageError(f"import: --channel-names: found {len(channels)}, expected {count}, one for each channel")
        names = (
            *((("--device", self.device),) if self.device else ()),
            ("--stream", self.stream),
            *(("--columns", name) for name in channels),
        )
        for option, name in (*names, *(("--unit", unit) for unit in self.units)):
            if not name or not name.isprintable() or name != name.strip():
                raise UsageError(f'import: {option}: "{name}" is no name')
        for unit in self.units:
            try:
                check_unit(unit)
            except UsageError as error:
                raise UsageError(f"import: --unit: {error}") from None
        check_unscaled(self.states, dict(zip(channels, self._for_each(self.scales), strict=True)), "import: --scale")
        if "." in self.stream:
            raise UsageError(f'import: --stream: "{self.stream}" has a dot, which separates a stream from its channel')

    def _check_ordering(self) -> None:
        if self.rate is not None and (self.origin or self.repeated):
            raise UsageError("import: --origin and --repeated go with --time-column, not with --rate")
        if self.origin is not None and self.start_ns is not None:
            raise UsageError("import: say either --start, the first sample's time, or --origin, a value's time")
        if self.repeated is not None and self.repeated not in get_args(Repeated):
            raise UsageError(f'--repeated: unknown "{self.repeated}"{suggest(self.repeated, get_args(Repeated))}')

    def describe(self, dtype: Any) -> StreamDescription:
        """The stream's description."""
        names = self.channel_names or self.value_columns()
        offsets = self.offsets or (0.0,) * len(names)
        told = zip(names, self._for_each(self.units), self._for_each(self.scales), offsets, strict=True)
        channels = tuple(
            Channel(name, unit, scale, offset, states=self.states.get(name, ())) for name, unit, scale, offset in told
        )
        rate = self.rate or Fraction(0)
        return StreamDescription(self.stream, channels, dtype, rate.numerator, rate.denominator)

    def _for_each(self, given: tuple[T, ...]) -> tuple[T, ...]:
        """What was given for all channels, or for each, for each."""
        return given * len(self.value_columns()) if len(given) == 1 else given

    def content(self, source: Source) -> bytes:
        """16 bytes that the same content under the same options always has, however it is cut into chunks."""
        matters = {name: getattr(self, name) for name in self.__dataclass_fields__ if name not in _NOT_CONTENT}
        for name in _NEWER:
            if not matters[name]:
                del matters[name]
        matters |= {"chunk": (_LIMITS.span_ns, _LIMITS.bytes), "rate": str(self.rate)}
        told = msgspec.json.encode(matters, order="sorted")
        return hashlib.sha256(source.digest() + told).digest()[:16]

    def paced(self, steps: int, lasting_ns: int) -> ReadingsOptions:
        """The options for a stream of so many steps that last so long: by pace, a chunk spans `SAMPLES_WANTED` samples
        where these take longer than its limit, and `SPAN_MAX_NS` at most. A sample a minute is no chunk a sample."""
        if not self.by_pace or steps <= 0:
            return self
        span_ns = min(lasting_ns * SAMPLES_WANTED // steps, SPAN_MAX_NS)
        return replace(self, limits=Limits(max(self.limits.span_ns, span_ns), self.limits.bytes))

    def boot(self, content: bytes) -> bytes:
        """The boot of an import of this content: cut otherwise, its numbers mean other samples, and it is another boot
        of the same content."""
        if self.limits == _LIMITS:
            return content
        limits = b"%d,%d" % (self.limits.span_ns, self.limits.bytes)
        return content[:CONTENT_BYTES] + hashlib.sha256(content + limits).digest()[: len(content) - CONTENT_BYTES]
