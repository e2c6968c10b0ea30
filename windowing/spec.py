"""What a window is: the `[window]` table of dataset.toml as a frozen value with a hash.

The hash covers exactly what determines which windows there are and their signal bytes. Label policy is not in it, and
neither are the marks of a mark-anchored run: their ids are in the window ids.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Container, Mapping
from dataclasses import dataclass, field, replace
from fractions import Fraction
from typing import Any, Final, Literal, TypeAlias, get_args

import msgspec

from ingest.errors import UsageError
from ingest.records import split_channel
from ingest.settings import check_keys, suggest
from ingest.times import NS, period_of
from ingest.units import parse_duration, parse_rate

Anchor: TypeAlias = Literal["epoch", "recording", "mark"]
Interpolation: TypeAlias = Literal["linear", "hold", "nearest", "none"]

SEMANTICS: Final = 2
"""Raised when the same specification gives other windows or other bytes than before: a dataset goes on under those that
it was founded with, a new one has the newest.

1: an empty cell is missing whatever stands beside it; without `max_gap`, 500 ms; the last dot ends a stream's name.
2: empty cells are bridged as missing rows are; without `max_gap`, the stream's own periods say what is a gap
   (`ingest.pace`); the first dot ends a stream's name, as in rules.
"""
DEFAULT_MAX_GAP: Final = "500ms"
DEFAULT_MAX_CLOCK_UNCERTAINTY: Final = "1h"
_MAX_SPAN_NS: Final = 1 << 60
_MAX_RATE_HZ: Final = 10**8
_MAX_DENOMINATOR: Final = 1 << 32
_MAX_CELLS: Final = 1 << 28
_SAMPLES: Final = re.compile(r"\s*(?P<count>[0-9]{1,9})\s*samples?\s*")


@dataclass(frozen=True, slots=True)
class StreamRule:
    """How instants between the samples of a stream get their values, and over which distance at most."""

    interpolation: Interpolation = "linear"
    max_gap_ns: int | None = 500_000_000
    """None: some of the stream's own periods."""

    @property
    def of_states(self) -> StreamRule:
        """The rule for channels with named states: nothing lies between two of them, the last known one holds."""
        return self if self.interpolation == "none" else replace(self, interpolation="hold")


@dataclass(frozen=True, slots=True)
class StreamPlan:
    """What a specification wants of one stream."""

    name: str
    channels: tuple[str, ...]
    columns: tuple[int, ...]
    """Where the channels lie among the window's channels."""
    units: tuple[str | None, ...]
    """The unit that each channel must have, None where any will do."""
    rule: StreamRule
    max_uncertainty_ns: int = parse_duration(DEFAULT_MAX_CLOCK_UNCERTAINTY)
    """Samples whose times may be further off (`ingest.records.Clock.uncertainty_ns`) are left out, counted."""


@dataclass(frozen=True, slots=True)
class WindowSpec:
    """Which windows are cut, and how their signal is made.

    `length` and `hop` are grid steps, `rate` is in hertz, `channels` are `stream.channel` in the order of the signal's
    last axis. Raises `UsageError` where the values cannot be what is meant.
    """

    length: int
    hop: int
    rate: Fraction
    channels: tuple[str, ...]
    anchor: Anchor = "epoch"
    rule: StreamRule = StreamRule()
    min_coverage: Fraction = Fraction(1)
    """The least share of a window's instants that each of its channels must have a value for."""
    overrides: Mapping[str, StreamRule] = field(default_factory=dict)
    """Rules of single streams, by name."""
    units: Mapping[str, str] = field(default_factory=dict)
    """The unit that a stream (`acc`) or channel (`acc.x`) must have."""
    max_uncertainty_ns: int = parse_duration(DEFAULT_MAX_CLOCK_UNCERTAINTY)
    """As in `StreamPlan`."""
    complete: bool = False
    """What came late is taken in as well: windows of an archive, which no stream can have."""
    semantics: int = SEMANTICS

    def __post_init__(self) -> None:
        _check(self)

    @property
    def streams(self) -> tuple[StreamPlan, ...]:
        """The named streams, in the order of their first channel; the first is the reference of anchors."""
        columns: dict[str, list[int]] = {}
        for column, channel in enumerate(self.channels):
            columns.setdefault(self.split(channel)[0], []).append(column)
        return tuple(
            StreamPlan(
                name,
                tuple(self.split(self.channels[column])[1] for column in listed),
                tuple(listed),
                tuple(self.units.get(self.channels[column], self.units.get(name)) for column in listed),
                self.overrides.get(name, self.rule),
                self.max_uncertainty_ns,
            )
            for name, listed in columns.items()
        )

    def split(self, channel: str) -> tuple[str, str]:
        """Stream and channel of one of the channels, `("air", "PM2.5")` of `air.PM2.5`; empty where there is no dot."""
        if self.semantics == 1:
            stream, _, name = channel.rpartition(".")
            return stream, name
        return split_channel(channel)

    @property
    def former(self) -> WindowSpec:
        """The same table under the semantics of before."""
        fixed = parse_duration(DEFAULT_MAX_GAP)

        def known(rule: StreamRule) -> StreamRule:
            return rule if rule.max_gap_ns is not None else StreamRule(rule.interpolation, fixed)

        overrides = {name: known(rule) for name, rule in self.overrides.items()}
        return replace(self, semantics=1, rule=known(self.rule), overrides=overrides)

    def among(self, ids: Container[str]) -> WindowSpec:
        """This table under the semantics that a dataset was founded with, which has windows of these specifications."""
        if self.semantics == 1 or self.id in ids:
            return self
        try:
            former = self.former
        except UsageError:  # it could not be said then
            return self
        return former if former.id in ids else self

    @property
    def period(self) -> tuple[int, int]:
        """The grid's period as a reduced fraction of nanoseconds `(num, den)`."""
        return period_of(self.rate)

    @property
    def tolerance_ns(self) -> int:
        """How far a sample may lie from an instant and be the sample at it: 1 where the period has no whole ns."""
        return 0 if self.period[1] == 1 else 1

    @property
    def min_steps(self) -> int:
        """The least number of steps that each channel must have a value for."""
        return -(-self.length * self.min_coverage.numerator // self.min_coverage.denominator)

    @property
    def id(self) -> str:
        """The first 16 hex digits of the SHA-256 of what determines positions and signal bytes."""
        content: dict[str, object] = {
            "semantics": self.semantics,
            "length": self.length,
            "hop": self.hop,
            "rate": [self.rate.numerator, self.rate.denominator],
            "anchor": self.anchor,
            "channels": self.channels,
            "min_steps": self.min_steps,
            "streams": {plan.name: [plan.rule.interpolation, plan.rule.max_gap_ns] for plan in self.streams},
        }
        if self.max_uncertainty_ns != parse_duration(DEFAULT_MAX_CLOCK_UNCERTAINTY):  # older datasets keep their ids
            content["max_clock_uncertainty"] = self.max_uncertainty_ns
        if self.complete:
            content["complete"] = True
        if self.units:
            content["units"] = [plan.units for plan in self.streams]
        return hashlib.sha256(msgspec.json.encode(content, order="sorted")).hexdigest()[:16]

    @classmethod
    def from_table(cls, table: Mapping[str, Any], where: str = "dataset.toml: window") -> WindowSpec:
        """The specification in a `[window]` table; `where` names it in errors.

        Raises:
            UsageError: an unknown key, a value of the wrong kind, or a length that is no whole number of steps.
        """
        check_keys(table, _KEYS, where)
        for key in ("length", "rate", "channels"):
            if key not in table:
                raise UsageError(f"{where}: {key} is missing; give at least length, rate and channels")
        rate = _located(where, "rate", parse_rate, _text(table["rate"], f"{where}.rate", "50Hz"))
        length = _steps(table["length"], rate, f"{where}.length")
        rule = _rule(table, StreamRule("linear", None), where)
        try:
            return cls(
                length=length,
                hop=_steps(table["hop"], rate, f"{where}.hop") if "hop" in table else length,
                rate=rate,
                channels=_channels(table["channels"], where),
                anchor=_choice(table.get("anchor", "epoch"), get_args(Anchor), f"{where}.anchor"),
                rule=rule,
                min_coverage=_coverage(table.get("min_coverage", 1), length, f"{where}.min_coverage"),
                overrides=_overrides(table.get("streams", {}), rule, f"{where}.streams"),
                units=_units(table.get("units", {}), f"{where}.units"),
                max_uncertainty_ns=_duration(table, "max_clock_uncertainty", DEFAULT_MAX_CLOCK_UNCERTAINTY, where),
                complete=_flag(table, "complete", where),
            )
        except UsageError as error:
            raise UsageError(str(error) if str(error).startswith(where) else f"{where}: {error}") from None


_RULE_KEYS: Final = ("interpolation", "max_gap")
_KEYS: Final = (
    *("length", "hop", "rate", "anchor", "channels", "min_coverage", "streams", "units", "max_clock_uncertainty"),
    *("complete", *_RULE_KEYS),
)


def _check(spec: WindowSpec) -> None:
    if not spec.channels or len(set(spec.channels)) != len(spec.channels):
        raise UsageError(f"channels: found {list(spec.channels)}, expected at least one, and each once")
    for channel in spec.channels:
        if not all(spec.split(channel)):
            raise UsageError(f'channels: "{channel}" is not stream.channel, as in acc.x')
    if spec.rate.numerator > _MAX_DENOMINATOR or not 0 < spec.rate <= _MAX_RATE_HZ:
        raise UsageError(f"rate: {spec.rate} Hz; use a rate up to {_MAX_RATE_HZ} Hz that is a simple fraction")
    for key, steps in (("length", spec.length), ("hop", spec.hop)):
        if steps < 1 or steps * NS / spec.rate >= _MAX_SPAN_NS:
            raise UsageError(f"{key}: {steps} steps at {spec.rate} Hz is out of range; use at least one step")
    if spec.length * len(spec.channels) > _MAX_CELLS:
        raise UsageError(f"length: a window of {spec.length} × {len(spec.channels)} values exceeds {_MAX_CELLS} values")
    if not 0 < spec.min_coverage <= 1:
        raise UsageError(f"min_coverage: found {float(spec.min_coverage)}, expected a share above 0 and up to 1")
    _check_names(spec)
    if spec.max_uncertainty_ns <= 0:
        raise UsageError('max_clock_uncertainty: expected a duration above 0, as in "1s"')
    for rule in (spec.rule, *spec.overrides.values()):
        if rule.max_gap_ns is not None and not 0 <= rule.max_gap_ns < _MAX_SPAN_NS:
            raise UsageError(f"max_gap: {rule.max_gap_ns} ns is out of range; use 0 s or more")


def _check_names(spec: WindowSpec) -> None:
    streams = {spec.split(channel)[0] for channel in spec.channels}
    for name in spec.overrides:
        if name not in streams:
            raise UsageError(f'streams: "{name}" is no stream of the channels{suggest(name, streams)}')
    for name in spec.units:
        if name not in streams and name not in spec.channels:
            raise UsageError(f'units: "{name}" is no stream or channel{suggest(name, {*streams, *spec.channels})}')


def _text(value: object, where: str, example: str) -> str:
    if not isinstance(value, str):
        raise UsageError(f'{where}: found {value!r}, expected text such as "{example}"')
    return value


def _flag(table: Mapping[str, Any], key: str, where: str) -> bool:
    found = table.get(key, False)
    if not isinstance(found, bool):
        raise UsageError(f"{where}.{key}: found {found!r}, expected true or false")
    return found


def _located(where: str, key: str, parse: Any, text: str) -> Any:
    try:
        return parse(text)
    except UsageError as error:
        raise UsageError(f"{where}.{key}: {error}") from None


def _choice(value: object, known: tuple[str, ...], where: str) -> Any:
    if value not in known:
        raise UsageError(f'{where}: unknown value "{value}"{suggest(str(value), known)}')
    return value


def _coverage(value: object, length: int, where: str) -> Fraction:
    """The share of a window of `length` steps that is meant: a share, or a number of samples."""
    count = _count(value)
    if count is not None:
        if not 0 < count <= length:
            raise UsageError(f"{where}: found {value!r}, a window has 1 to {length} samples")
        return Fraction(count, length)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value <= 1:
        raise UsageError(
            f"{where}: found {value!r}, expected a share above 0 and up to 1, as in 0.8, or a number of samples, as in "
            '"100 samples"'
        )
    return Fraction(str(value))


def _count(value: object) -> int | None:
    """The number in `5 samples`, or a whole number above 1, which is no share."""
    if isinstance(value, int) and not isinstance(value, bool) and value > 1:
        return value
    found = _SAMPLES.fullmatch(value) if isinstance(value, str) else None
    return int(found["count"]) if found else None


def _steps(value: object, rate: Fraction, where: str) -> int:
    """Grid steps of a number of samples or of a duration; a duration must be a whole number of steps."""
    if isinstance(value, int) and not isinstance(value, bool):
        if value < 1:
            raise UsageError(f"{where}: found {value}, expected at least one sample")
        return value
    head, _, key = where.rpartition(".")
    duration_ns: int = _located(head, key, parse_duration, _text(value, where, "2.56s"))
    steps = Fraction(duration_ns, NS) * rate
    if duration_ns <= 0 or steps.denominator != 1:
        nearest = max(1, round(steps))
        seconds = Fraction(nearest) / rate
        raise UsageError(
            f'{where}: "{value}" is {float(steps):.6g} steps at {rate} Hz; '
            f"the nearest whole number is {nearest} samples ({float(seconds):.9g} s)"
        )
    return int(steps)


def _channels(value: object, where: str) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise UsageError(f'{where}.channels: found {value!r}, expected a list such as ["acc.x", "acc.y"]')
    return tuple(item.replace("`", "") for item in value)


def _duration(table: Mapping[str, Any], key: str, default: str, where: str) -> int:
    found: int = _located(where, key, parse_duration, _text(table.get(key, default), f"{where}.{key}", default))
    return found


def _rule(table: Mapping[str, Any], default: StreamRule, where: str) -> StreamRule:
    interpolation, max_gap_ns = default.interpolation, default.max_gap_ns
    if "interpolation" in table:
        interpolation = _choice(table["interpolation"], get_args(Interpolation), f"{where}.interpolation")
    if "max_gap" in table:
        max_gap_ns = _duration(table, "max_gap", DEFAULT_MAX_GAP, where)
    return StreamRule(interpolation, max_gap_ns)


def _table(value: object, where: str) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise UsageError(f"{where}: found {value!r}, expected a table")
    return value


def _overrides(value: object, default: StreamRule, where: str) -> dict[str, StreamRule]:
    rules = {}
    for name, entry in _table(value, where).items():
        table = _table(entry, f"{where}.{name}")
        check_keys(table, _RULE_KEYS, f"{where}.{name}")
        rules[name] = _rule(table, default, f"{where}.{name}")
    return rules


def _units(value: object, where: str) -> dict[str, str]:
    return {
        name.replace("`", ""): _text(unit, f"{where}.{name}", "m/s2") for name, unit in _table(value, where).items()
    }
