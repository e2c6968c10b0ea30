"""Objects and arrays to samples: what JSON and CBOR texts say, once they are parsed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal
from fractions import Fraction
from functools import partial
from math import nan
from typing import Any, Final, Protocol, Self

from edge.decoders.cells import sample
from edge.decoders.lines import fault
from edge.decoders.numbers import TIME_UNIT, TIMEZONE, DeviceTime, Row
from edge.decoders.repetitions import Repetitions
from edge.devices import NO_DEVICE, Pattern, pattern_of
from edge.protocol import REPEATED, Fault, Key, SourceConfig
from ingest.errors import UsageError

OBJECT_KEYS: Final = {
    "fields": Key(
        "table of texts",
        "Where a channel lies in an object, names joined by dots; a name may have dots itself.",
        '{ x = "acc.x", y = "acc.y" }',
        "each channel's own name",
        ("columns", "field", "path", "paths", "keys"),
    ),
    "time_field": Key(
        "text",
        "Where the device's own time lies, names joined by dots.",
        '"meta.ts"',
        "none",
        ("time", "timestamp", "time_key", "time_column"),
    ),
    "time_unit": TIME_UNIT,
    "timezone": TIMEZONE,
    "unique": Key(
        "list of texts",
        "Where that lies by which a sample is known as one that came before: the last of them is what counts up, as a "
        "frame counter does, those before it say whose it is. A repetition is left out, counted.",
        '["dev_eui", "fcnt"]',
        "none",
        ("dedup", "deduplicate", "unique_by", "key", "identity"),
    ),
    "numbers_as_text": Key(
        "true or false",
        'Whether a text that holds a number, as in `"x": "0.5"`, is that number.',
        "true",
        "false",
        ("strings", "text_numbers", "numbers_as_strings", "parse_strings"),
    ),
}


class Reader(Protocol):
    """Makes samples of a parsed text."""

    def rows(self, found: Any, text: bytes, offset: int, end: int) -> Iterator[Row | Fault]:
        """What a text says that lies from `offset` to `end`."""
        ...


class Objects:
    """Reads an object, an array of numbers in the order of the channels, or a number; or an array of these."""

    def __init__(
        self,
        paths: list[str],
        time: tuple[str, DeviceTime] | None,
        unique: tuple[str, ...] = (),
        *,
        takes_texts: bool = False,
        devices: Pattern | None = None,
        whose: tuple[str, ...] = (),
    ) -> None:
        self._paths = paths
        self._time = time
        self._unique = unique
        self._whose = (*whose, *unique)
        """What its repetitions are told apart by from those of others in the same memory."""
        self._repetitions = Repetitions()
        self._takes_texts = takes_texts
        self._devices = devices
        """By which of the objects' fields it is told whose they are; None where all are one device's."""

    @classmethod
    def from_config(cls, config: SourceConfig) -> Self:
        """As `OBJECT_KEYS` say. Raises `UsageError` where a field belongs to no channel."""
        fields: dict[str, Any] = config.option("fields", dict, {})
        for name, path in fields.items():
            if name not in config.channels or not isinstance(path, str):
                known = ", ".join(config.channels)
                raise UsageError(f'{config.where}: fields: {name} = {path!r}: expected one of {known} = "its path"')
        unique = config.option("unique", list, [])
        if not all(isinstance(path, str) and path for path in unique):
            raise UsageError(f'{config.where}: unique: found {unique}, expected texts, as in ["dev_eui", "fcnt"]')
        time_field, time = config.option("time_field", str, ""), DeviceTime.from_config(config)
        return cls(
            [str(fields.get(name, name)) for name in config.channels],
            (time_field, time) if time_field else None,
            tuple(unique),
            takes_texts=config.option("numbers_as_text", bool, False),
            devices=None if "{" in str(config.options.get("topic", "")) else pattern_of(config),
            whose=(config.device, config.stream),
        )

    def recall(self, repetitions: Repetitions) -> None:
        """See `edge.decoders.repetitions.Remembering`."""
        self._repetitions = repetitions

    def rows(self, found: Any, text: bytes, offset: int, end: int) -> Iterator[Row | Fault]:
        """See `Reader`."""
        several = isinstance(found, list) and any(isinstance(item, dict | list) for item in found)
        for one in found if several else [found]:
            if self._devices is None:
                yield from self._rows(one, "", text, offset, end)
                continue
            device = self._devices.fill({part: at(one, part) for part in self._devices.parts})
            if not device:
                yield fault(NO_DEVICE, offset, 1, text)
                continue
            for item in self._rows(one, device, text, offset, end):
                yield replace(item, device=device) if isinstance(item, Fault) else (*item[:3], device)

    def _rows(self, one: Any, device: str, text: bytes, offset: int, end: int) -> Iterator[Row | Fault]:
        if self._unique and self._is_known(one, device):
            yield fault(REPEATED, offset, 0, text)
            return
        values = self._values(one)
        if isinstance(values, str):
            yield fault(values, offset, -1 if values == "columns" else 1, text)
        else:
            yield from sample(values, partial(self._time_of, one), text, offset, end)

    def _is_known(self, one: Any, device: str) -> bool:
        """Whether a sample came before; one that does not say by what it is known did not."""
        keys = tuple(at(one, path) for path in self._unique)
        if any(key is None or isinstance(key, dict | list) for key in keys):
            return False
        return self._repetitions.is_known((*self._whose, device, *keys))

    def _time_of(self, one: Any) -> int | None:
        return None if self._time is None else self._time[1].of_json(at(one, self._time[0]))

    def _values(self, one: Any) -> list[float] | str:
        """A sample's values, some of which may be infinite; or the reason why it is none."""
        if isinstance(one, dict):
            found = [one[path] if path in one else at(one, path) for path in self._paths]
        else:
            found = one if isinstance(one, list) else [one]
            if len(found) != len(self._paths):
                return "columns"
        try:
            return [number_of(self._untexted(value)) for value in found]
        except ValueError:
            return "text" if any(isinstance(value, str) for value in found) else "number"

    def _untexted(self, value: Any) -> Any:
        if not self._takes_texts or not isinstance(value, str):
            return value
        if "_" in value or not value.isascii():
            raise ValueError("no number")
        return float(value) if value.strip() else None


def at(one: Any, path: str) -> Any:
    """What lies at a path; None where nothing does. A name that has the dots itself comes first."""
    if not isinstance(one, dict):
        return None
    if path in one:
        return one[path]
    cut = path.rfind(".")
    while cut >= 0:
        found = at(one.get(path[:cut]), path[cut + 1 :])
        if found is not None:
            return found
        cut = path.rfind(".", 0, cut)
    return None


def number_of(value: Any) -> float:
    """May be infinite. Raises `ValueError` for what is no number."""
    if value is None:
        return nan
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal | Fraction):
        raise ValueError("no number")
    try:
        return float(value)
    except OverflowError:
        return float("inf")
