"""Lines of names and values: `x=0.01 y=-0.02 z=0.98`, `temp:21.5,hum:40`.

What is between two separators is a pair: a name, `=` or `:`, and a value. A channel's value is found by its name; a
name that is not there is a missing value, and names that nobody asked for say nothing. What is no pair makes its line a
fault, and so does a name that comes twice: it is two lines that ran into one.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import ClassVar, Final, Self

from edge.decoders.cells import DECIMAL, LineDecoder, is_garbage, number, sample
from edge.decoders.lines import fault
from edge.decoders.numbers import TIME_UNIT, TIMEZONE, DeviceTime, Row
from edge.protocol import Fault, Key, SourceConfig
from ingest.errors import UsageError

_ANY: Final = re.compile(rb" ?[,;] ?| ")
_SIGN: Final = re.compile(rb"[=:]")
_QUOTED: Final = re.compile(rb"""([=:]\s*)(?:"((?:[^"\\]|\\.)*)"|'((?:[^'\\]|\\.)*)')""")
_OPEN: Final = (b'"', b"'")


class KeyValueDecoder(LineDecoder):
    """Decodes lines of pairs; the values of `names`, in their order, are a sample."""

    keys: ClassVar[Mapping[str, Key]] = {
        "fields": Key(
            "table of texts",
            "Under which name a line has a channel.",
            '{ x = "ax", y = "ay" }',
            "each channel's own name",
            ("columns", "field", "names", "keys"),
        ),
        "separator": Key(
            'one character, or "whitespace"',
            "What is between two pairs.",
            '"|"',
            "commas, semicolons and white space, each of them",
            ("delimiter", "sep", "delim", "field_separator"),
        ),
        "decimal": Key(DECIMAL.kind, DECIMAL.meaning, DECIMAL.example, ".", DECIMAL.synonyms),
        "time_field": Key(
            "text",
            "Under which name a line has the device's own time.",
            '"t"',
            "none",
            ("time", "timestamp", "time_key", "time_column"),
        ),
        "time_unit": TIME_UNIT,
        "timezone": TIMEZONE,
    }

    def __init__(
        self, names: list[bytes], separator: bytes | None, time: tuple[bytes, DeviceTime] | None, *, comma: bool = False
    ) -> None:
        super().__init__()
        self._names = names
        self._separator = separator
        """Between two pairs; None: a comma, a semicolon or white space. Empty: white space alone."""
        self._time = time
        self._comma = comma

    @classmethod
    def from_config(cls, config: SourceConfig) -> Self:
        """Raises `UsageError` where a field belongs to no channel, or a key says what cannot be."""
        fields = names_of(config, "fields", "its name")
        separator = config.option("separator", str, "")
        if separator not in ("", "whitespace") and (len(separator) != 1 or separator in "=:"):
            raise UsageError(
                f'{config.where}: separator: found "{separator}", expected one character, neither = nor :, '
                'or "whitespace"'
            )
        decimal = config.option("decimal", str, ".")
        if decimal not in (".", ",") or (decimal == "," and separator in ("", ",")):
            raise UsageError(
                f'{config.where}: decimal: found "{decimal}", expected "." or ","; with "," a separator must be said'
            )
        time_field, time = config.option("time_field", str, ""), DeviceTime.from_config(config)
        return cls(
            [fields[name].encode() for name in config.channels],
            None if not separator else b"" if separator in ("whitespace", " ") else separator.encode(),
            (time_field.encode(), time) if time_field else None,
            comma=decimal == ",",
        )

    def read_line(self, line: bytes, text: bytes, offset: int) -> Iterable[Row | Fault]:
        """See `LineDecoder`."""
        if text.startswith(b"#"):
            return ()
        found: dict[bytes, bytes] = {}
        bare_text, quoted = _without_quoted(text)
        for part in self._parts(bare_text):
            sign = _SIGN.search(part)
            name = part[: sign.start()].strip() if sign else b""
            value = part[sign.end() :].strip() if sign else b""
            if not name or name in found or value.startswith(_OPEN):
                reason = "garbage" if is_garbage(text) else "twice" if name in found else "pair"
                return (fault(reason, offset, -1, line),)
            found[name] = quoted.get(value, value)
        try:
            values = [number(found.get(name, b""), comma=self._comma) for name in self._names]
        except ValueError:
            return (fault("garbage", offset, -1, line) if is_garbage(text) else fault("number", offset, 1, line),)
        return sample(values, lambda: self._time_of(found), line, offset, offset + len(line) + 1)

    def _parts(self, text: bytes) -> list[bytes]:
        if self._separator:
            parts = text.split(self._separator)
        else:
            text = b" ".join(text.split())
            for sign in (b"=", b":"):
                text = text.replace(b" " + sign, sign).replace(sign + b" ", sign)
            parts = text.split() if self._separator is not None else _ANY.split(text)
        return parts if parts[-1].strip() else parts[:-1]  # a separator at the end ends the last pair

    def _time_of(self, found: Mapping[bytes, bytes]) -> int | None:
        if self._time is None:
            return None
        name, kind = self._time
        text = found.get(name, b"").decode("ascii")
        return kind.of_text(text.replace(",", ".") if self._comma and kind.scale is not None else text)


def _without_quoted(text: bytes) -> tuple[bytes, dict[bytes, bytes]]:
    """A line whose quoted values are numbered words, and these: what is in quotes separates nothing and is no pair."""
    quoted: dict[bytes, bytes] = {}

    def take(match: re.Match[bytes]) -> bytes:
        word = b"\0%d" % len(quoted)  # no text has a NUL
        quoted[word] = (match[2] if match[2] is not None else match[3]).strip()
        return match[1] + word

    if (b'"' not in text and b"'" not in text) or b"\0" in text:
        return text, quoted
    return _QUOTED.sub(take, text), quoted


def names_of(config: SourceConfig, key: str, what: str) -> dict[str, str]:
    """What a table says of channels, each its own name where it says nothing. Raises `UsageError`."""
    table = config.option(key, dict, {})
    for name, value in table.items():
        if name not in config.channels or not isinstance(value, str):
            known = ", ".join(config.channels)
            raise UsageError(f'{config.where}: {key}: {name} = {value!r}: expected one of {known} = "{what}"')
    return {name: str(table.get(name, name)) for name in config.channels}
