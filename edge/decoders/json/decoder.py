"""JSON lines: an object, an array of numbers in the order of the channels, or a number alone; or an array of these.

`fields` says where a channel lies in an object, names joined by dots: `{x = "acc.x"}`; else it has the channel's name.
A missing field or null is a missing value.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from math import isfinite, isnan, nan
from typing import Any, ClassVar, Self

import msgspec

from edge.decoders.lines import Lines
from edge.decoders.numbers import TIME_UNIT, Row, TimeParser, frames_of, time_parser
from edge.protocol import Fault, Frame, Key, SourceConfig
from ingest.errors import UsageError

_MAX_BYTES = 65_536
"""A message may hold many samples."""


class JsonDecoder:
    """Decodes lines of JSON."""

    keys: ClassVar[Mapping[str, Key]] = {
        "fields": Key(
            "table of texts",
            "Where a channel lies in an object, names joined by dots.",
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
    }

    def __init__(self, paths: list[list[str]], time: tuple[list[str], TimeParser] | None) -> None:
        self._lines = Lines(_MAX_BYTES)
        self._paths = paths
        self._time = time
        self._parse = msgspec.json.Decoder().decode

    @classmethod
    def from_config(cls, config: SourceConfig) -> Self:
        """Raises `UsageError` where a field belongs to no channel."""
        fields: dict[str, Any] = config.option("fields", dict, {})
        for name, path in fields.items():
            if name not in config.channels or not isinstance(path, str):
                known = ", ".join(config.channels)
                raise UsageError(f'{config.where}: fields: {name} = {path!r}: expected one of {known} = "its path"')
        time_field = config.option("time_field", str, "")
        time = (time_field.split("."), time_parser(config)) if time_field else None
        return cls([str(fields.get(name, name)).split(".") for name in config.channels], time)

    def feed(self, data: bytes) -> Iterable[Frame | Fault]:
        """See `edge.protocol.Decoder`."""
        block, fault = self._lines.feed(data)
        if block is not None:
            yield from frames_of(self._rows(block.data, block.offset))
        if fault is not None:
            yield fault

    def message(self, data: bytes) -> Iterable[Frame | Fault]:
        """See `edge.protocol.Decoder`."""
        return self.feed(data if data.endswith(b"\n") else data + b"\n")

    def reset(self) -> Iterable[Frame | Fault]:
        """See `edge.protocol.Decoder`."""
        fault = self._lines.reset()
        return [] if fault is None else [fault]

    def _rows(self, data: bytes, offset: int) -> Iterator[Row | Fault]:
        for line in data[:-1].split(b"\n"):
            end = offset + len(line) + 1
            if self._lines.is_long(line):
                yield Fault("too_long", offset)
            elif line.strip():
                yield from self._line(line, offset, end)
            offset = end

    def _line(self, line: bytes, offset: int, end: int) -> Iterator[Row | Fault]:
        try:
            found = self._parse(line)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            yield Fault("json", offset)
            return
        several = isinstance(found, list) and any(isinstance(item, dict | list) for item in found)
        for sample in found if several else [found]:
            row = self._row(sample, end)
            yield row if not isinstance(row, str) else Fault(row, offset)

    def _row(self, sample: Any, end: int) -> Row | str:
        """A sample's row, or the reason why it is none."""
        try:
            values = self._values(sample)
            time = None if self._time is None else self._time[1](_text(_at(sample, self._time[0])))
        except (ValueError, ArithmeticError):
            return "number"
        if len(values) != len(self._paths):
            return "columns"
        return "missing" if all(map(isnan, values)) else (values, time, end)

    def _values(self, sample: Any) -> list[float]:
        if isinstance(sample, dict):
            return [_number(_at(sample, path)) for path in self._paths]
        return [_number(item) for item in (sample if isinstance(sample, list) else [sample])]


def _at(sample: Any, path: list[str]) -> Any:
    for name in path:
        sample = sample.get(name) if isinstance(sample, dict) else None
    return sample


def _number(value: Any) -> float:
    """Raises `ValueError` for what is no number."""
    if value is None:
        return nan
    if isinstance(value, bool) or not isinstance(value, int | float) or not isfinite(value):
        raise ValueError("no number")
    return float(value)


def _text(value: Any) -> str:
    """A time as text: JSON numbers keep what their shortest decimal form says."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise ValueError("no time")
    return str(value)
