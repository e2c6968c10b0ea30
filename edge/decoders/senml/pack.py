"""A SenML pack to samples (RFC 8428): base fields resolved, names and units compared, one sample a time. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from fractions import Fraction
from math import nan
from typing import Any, Final, NamedTuple

from edge.decoders.cells import sample
from edge.decoders.lines import fault
from edge.decoders.numbers import Row
from edge.decoders.objects import number_of
from edge.protocol import Fault
from ingest.errors import UsageError
from ingest.measures import channel_unit

VERSION: Final = 10
"""The newest of `bver` that is understood: that of RFC 8428, and of all before it."""
RELATIVE: Final = 1 << 28
"""Below this a time, in seconds, counts from now (section 4.5.3)."""
_NAMED: Final = ("bs", "bv", "bu", "bt", "bn", "bver", "n", "u", "v", "vs", "vb", "s", "t", "ut", "vd")
_LABELS: Final[Mapping[str, str]] = dict(zip(map(str, range(-6, 9)), _NAMED, strict=True))
"""CBOR's (section 6)."""
UNITS: Final[Mapping[str, str]] = {"Cel": "degC", "%RH": "%", "lat": "deg", "lon": "deg", "/": "1", "count": "1"}
"""SenML's names (section 12.1) that are other ones here."""
_TIME_MAX: Final = Fraction(1 << 62, 10**9)


class Entry(NamedTuple):
    """A record with its base fields resolved."""

    name: str
    unit: str
    time: Fraction
    """Seconds since 1970, or from now where below `RELATIVE`."""
    value: Any


class BadPackError(Exception):
    """A pack that must not be read. Its text is the reason."""


class Packs:
    """Makes samples of packs; `names` are the channels' full names, in their order, `units` their units."""

    def __init__(self, names: list[str], units: list[str], *, has_times: bool, may_lag: bool) -> None:
        self._names = {name: number for number, name in enumerate(names)}
        self._units = [channel_unit(unit) for unit in units]
        self._has_times = has_times
        """Samples have the pack's times; else each is taken as it comes."""
        self._may_lag = may_lag
        """Some of a pack's may be older than the pack: a rate says how old."""

    def rows(self, found: Any, text: bytes, offset: int, end: int) -> Iterator[Row | Fault]:
        """See `edge.decoders.objects.Reader`. A pack with anything in it that must be understood, and is not, gives
        nothing."""
        try:
            entries = [entry for entry in resolved(found) if entry.name in self._names]
        except BadPackError as error:
            yield fault(str(error), offset, -1, text)
            return
        samples: dict[Fraction, list[float | str | None]] = {}
        for entry in entries:
            row, number = samples.setdefault(entry.time, [None] * len(self._names)), self._names[entry.name]
            row[number] = self._value(entry) if row[number] is None else "twice"
        if not samples:
            yield fault("missing", offset, 1, text)
        for time in sorted(samples):
            yield from self._sample(time, samples[time], text, offset, end)

    def _value(self, entry: Entry) -> float | str:
        """A number, or the reason why it is none."""
        if isinstance(entry.value, str):
            return "text"
        try:
            value = float(entry.value) if isinstance(entry.value, bool) else number_of(entry.value)
            unit = channel_unit(UNITS.get(entry.unit, entry.unit)) if entry.unit else None
        except ValueError:
            return "number"
        except UsageError:
            return "unit"
        return value if unit in (None, self._units[self._names[entry.name]]) else "unit"

    def _sample(
        self, time: Fraction, values: list[float | str | None], text: bytes, offset: int, end: int
    ) -> Iterator[Row | Fault]:
        bad = next((value for value in values if isinstance(value, str)), "")
        if not bad and time < RELATIVE and (self._has_times or (time and not self._may_lag)):
            bad = "relative_time"
        if bad:
            yield fault(bad, offset, 1, text)
            return
        numbers = [nan if value is None else float(value) for value in values]
        yield from sample(numbers, lambda: int(time * 10**9) if self._has_times else None, text, offset, end)


def resolved(pack: Any) -> Iterator[Entry]:
    """A pack's records, resolved (section 4.6). Raises `BadPackError`."""
    if not isinstance(pack, list) or not pack:
        raise BadPackError("pack")
    base: dict[str, Any] = {}
    for number, found in enumerate(pack):
        if not isinstance(found, dict):
            raise BadPackError("pack")
        record = {_LABELS.get(str(key), str(key)): value for key, value in found.items()}
        if any(key.endswith("_") for key in record):
            raise BadPackError("must_understand")
        if number and "bver" in record and record["bver"] != base.get("bver", VERSION):
            raise BadPackError("version")  # it must be the same throughout a pack (section 4.4)
        base.update((key, value) for key, value in record.items() if key in ("bn", "bt", "bu", "bv", "bver"))
        version = base.get("bver", VERSION)
        if isinstance(version, bool) or not isinstance(version, int) or version > VERSION:
            raise BadPackError("version")
        yield _entry(record, base)


def _entry(record: Mapping[str, Any], base: Mapping[str, Any]) -> Entry:
    name, unit = str(base.get("bn", "")) + str(record.get("n", "")), str(record.get("u", base.get("bu", "")))
    value = next((record[key] for key in ("v", "vb", "vs", "vd") if key in record), None)
    if isinstance(record.get("v"), bool):
        raise BadPackError("pack")
    if "v" in record and "bv" in base:
        value = _number(record["v"]) + _number(base["bv"])
    time = _number(base.get("bt", 0)) + _number(record.get("t", 0))
    if abs(time) > _TIME_MAX:
        raise BadPackError("pack")
    return Entry(name, unit, time, float(value) if isinstance(value, Fraction) else value)


def _number(value: Any) -> Fraction:
    """Exactly what the shortest decimal form of a number says."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) < float("inf"):
        raise BadPackError("pack")
    return Fraction(repr(value)) if isinstance(value, float) else Fraction(value)
