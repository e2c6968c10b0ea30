"""JSON texts: an object, an array of numbers in the order of the channels, or a number alone; or an array of these.

`fields` says where a channel lies in an object, names joined by dots: `{x = "acc.x"}`; else it has the channel's name.
A missing field, null or NaN is a missing value, and so is an infinite one, counted. On a stream of bytes texts are
lines, or span several; a message is one text, or several.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from json import loads
from math import isinf, isnan, nan
from typing import Any, ClassVar, Final, Self

import msgspec

from edge.decoders.guard import FAILED
from edge.decoders.json.texts import Text, Texts
from edge.decoders.lines import Lines, bare, fault
from edge.decoders.numbers import TIME_UNIT, TIMEZONE, DeviceTime, Row, frames_of
from edge.protocol import Fault, Frame, Key, SourceConfig
from ingest.errors import UsageError
from ingest.units import parse_size

_NO_JSON: Final = re.compile(rb'("(?:[^"\\]++|\\.)*+")|([+-]?nan\b)|([+-]?inf(?:inity)?\b)', re.IGNORECASE)
_LEAST_BYTES: Final = 1000
_MOST_BYTES: Final = 256 * 2**20
_UNPARSABLE: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


class JsonDecoder:
    """Decodes JSON texts."""

    keys: ClassVar[Mapping[str, Key]] = {
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
        "numbers_as_text": Key(
            "true or false",
            'Whether a text that holds a number, as in `"x": "0.5"`, is that number.',
            "true",
            "false",
            ("strings", "text_numbers", "numbers_as_strings", "parse_strings"),
        ),
        "max_message": Key(
            "size",
            "How long a message, or a text on a serial line, may be; a longer one is left out and counted.",
            '"4MB"',
            "1MB",
            ("max_size", "max_packet", "max_bytes", "message_size", "max_document"),
        ),
    }

    def __init__(
        self,
        paths: list[str],
        time: tuple[str, DeviceTime] | None,
        *,
        takes_texts: bool = False,
        max_bytes: int = 1_000_000,
    ) -> None:
        self._max_bytes = max_bytes
        self._lines = Lines(max_bytes)
        self._texts = Texts(max_bytes)
        self._paths = paths
        self._time = time
        self._takes_texts = takes_texts
        self._parse = msgspec.json.Decoder().decode

    @classmethod
    def from_config(cls, config: SourceConfig) -> Self:
        """Raises `UsageError` where a field belongs to no channel, or a key says what cannot be."""
        fields: dict[str, Any] = config.option("fields", dict, {})
        for name, path in fields.items():
            if name not in config.channels or not isinstance(path, str):
                known = ", ".join(config.channels)
                raise UsageError(f'{config.where}: fields: {name} = {path!r}: expected one of {known} = "its path"')
        time_field, time = config.option("time_field", str, ""), DeviceTime.from_config(config)
        return cls(
            [str(fields.get(name, name)) for name in config.channels],
            (time_field, time) if time_field else None,
            takes_texts=config.option("numbers_as_text", bool, False),
            max_bytes=_size(config),
        )

    def feed(self, data: bytes) -> Iterable[Frame | Fault]:
        """See `edge.protocol.Decoder`."""
        block, long = self._lines.feed(data)
        if block is not None:
            yield from frames_of(self._lines.each(block, self._line))
        if long is not None:
            yield long

    def message(self, data: bytes) -> Iterable[Frame | Fault]:
        """See `edge.protocol.Decoder`: one text, or several; where it is broken, so much of it is one fault."""
        block = self._lines.whole(data)
        if len(data) > self._max_bytes:
            return [fault("too_long", block.offset, -1, data)]
        return frames_of(self._message(data, block.offset, block.offset + len(block.data)))

    def reset(self) -> Iterable[Frame | Fault]:
        """See `edge.protocol.Decoder`: of a text that was not whole, nothing is given."""
        left, (torn, at) = self._texts.end(), self._lines.reset()
        if left is not None:
            return [fault("torn", left[1], -1, left[0])]
        return [fault("torn", at, -1, torn)] if torn else []

    # --- texts

    def _line(self, line: bytes, offset: int) -> Iterator[Row | Fault]:
        if self._texts.is_empty:
            try:
                found = self._parse(line)
            except _UNPARSABLE:
                pass
            else:
                yield from self._rows(found, line, offset, offset + len(line) + 1)
                return
        yield from self._look(self._texts, line, offset)

    def _look(self, texts: Texts, line: bytes, offset: int) -> Iterator[Row | Fault]:
        """What a line says that is not simply a text."""
        for item in texts.push(bare(line), offset):
            if isinstance(item, Text):
                yield from self._text(item)
            else:
                yield fault(item.reason, item.offset, -1, item.data)

    def _message(self, data: bytes, offset: int, end: int) -> Iterator[Row | Fault]:
        try:
            found = self._parse(data)
        except _UNPARSABLE:
            yield from _joined(self._texts_of(data, offset))
            return
        try:
            yield from self._rows(found, data, offset, end)
        except Exception:  # a bug: it must not cost more than this message
            yield fault(FAILED, offset, -1, data)

    def _texts_of(self, data: bytes, offset: int) -> Iterator[Row | Fault]:
        texts = Texts(self._max_bytes)
        for line in bare(data).split(b"\n"):
            yield from self._look(texts, line, offset)
            offset += len(line) + 1
        left = texts.end()
        if left is not None:
            yield fault("json", left[1], -1, left[0])

    def _text(self, text: Text) -> Iterator[Row | Fault]:
        try:
            try:
                found = self._parse(text.data)
            except _UNPARSABLE:  # other JSON libraries write NaN and Infinity, and C says nan and inf
                found = loads(_NO_JSON.sub(_as_json, text.data).decode("utf-8"))
        except (ValueError, RecursionError):
            yield fault("json", text.offset, -1, text.data)
            return
        yield from self._rows(found, text.data, text.offset, text.end)

    # --- samples

    def _rows(self, found: Any, text: bytes, offset: int, end: int) -> Iterator[Row | Fault]:
        several = isinstance(found, list) and any(isinstance(item, dict | list) for item in found)
        for sample in found if several else [found]:
            values = self._values(sample)
            if isinstance(values, str):
                yield fault(values, offset, -1 if values == "columns" else 1, text)
                continue
            infinite = any(map(isinf, values))
            if infinite:
                values = [nan if isinf(value) else value for value in values]
            if all(map(isnan, values)):
                yield fault("infinite" if infinite else "missing", offset, 1, text)
                continue
            try:
                time = None if self._time is None else self._time[1].of_json(_at(sample, self._time[0]))
            except ValueError:
                yield fault("time", offset, 1, text)
                continue
            if infinite:
                yield fault("infinite", offset, 0, text)
            yield values, time, end

    def _values(self, sample: Any) -> list[float] | str:
        """A sample's values, some of which may be infinite; or the reason why it is none."""
        if isinstance(sample, dict):
            found = [sample[path] if path in sample else _at(sample, path) for path in self._paths]
        else:
            found = sample if isinstance(sample, list) else [sample]
            if len(found) != len(self._paths):
                return "columns"
        try:
            return [_number(self._untexted(value)) for value in found]
        except ValueError:
            return "text" if any(isinstance(value, str) for value in found) else "number"

    def _untexted(self, value: Any) -> Any:
        if not self._takes_texts or not isinstance(value, str):
            return value
        if "_" in value or not value.isascii():
            raise ValueError("no number")
        return float(value) if value.strip() else None


def _at(sample: Any, path: str) -> Any:
    """What lies at a path; None where nothing does. A name that has the dots itself comes first."""
    if not isinstance(sample, dict):
        return None
    if path in sample:
        return sample[path]
    cut = path.rfind(".")
    while cut >= 0:
        found = _at(sample.get(path[:cut]), path[cut + 1 :])
        if found is not None:
            return found
        cut = path.rfind(".", 0, cut)
    return None


def _number(value: Any) -> float:
    """May be infinite. Raises `ValueError` for what is no number."""
    if value is None:
        return nan
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError("no number")
    try:
        return float(value)
    except OverflowError:
        return float("inf")


def _as_json(match: re.Match[bytes]) -> bytes:
    """A word that JSON does not have as one that it has."""
    if match[1] is not None:
        return match[1]
    return b"null" if match[2] is not None else b"1e999"


def _joined(items: Iterable[Row | Fault]) -> Iterator[Row | Fault]:
    """One fault for lines of a broken text that follow one another."""
    broken = False
    for item in items:
        again = isinstance(item, Fault) and item.reason == "json"
        if not (again and broken):
            yield item
        broken = again


def _size(config: SourceConfig) -> int:
    text = config.option("max_message", str, "1MB")
    try:
        size = parse_size(text)
    except UsageError as error:
        raise UsageError(f"{config.where}: max_message: {error}") from None
    if not _LEAST_BYTES <= size <= _MOST_BYTES:
        raise UsageError(f'{config.where}: max_message: found "{text}", expected 1kB to 256MiB')
    return size
