r"""Lines of any form: `pattern` is a regular expression whose groups are the channels.

`pattern = 'T=(?P<temp>-?\d+\.\d+) C, H=(?P<hum>\d+) %'` finds `temp` and `hum` anywhere in a line. A group that took no
part is a missing value; a line in which the pattern is not found is a fault, unless it begins as one of `ignore` says.

The expressions are RE2's, which take time proportional to the line whatever it says: Python's own can take minutes for
one noisy line, and every sensor of the agent would wait.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any, ClassVar, Final, Self

import re2

from edge.decoders.cells import DECIMAL, LineDecoder, is_garbage, number, sample
from edge.decoders.lines import fault
from edge.decoders.numbers import TIME_UNIT, TIMEZONE, DeviceTime, Row
from edge.protocol import Fault, Key, SourceConfig
from ingest.errors import UsageError
from ingest.settings import suggest

_SYNTAX: Final = "https://github.com/google/re2/wiki/Syntax"


class RegexDecoder(LineDecoder):
    """Decodes lines in which `pattern` is found; its groups number `groups`, in their order, are a sample."""

    keys: ClassVar[Mapping[str, Key]] = {
        "pattern": Key(
            "regular expression",
            "What a line looks like, somewhere in it; a named group, as in `(?P<x>[-0-9.]+)`, is the channel of its "
            "name. In single quotes, TOML leaves backslashes alone. RE2's syntax: neither look-ahead nor "
            "back-references.",
            r"'T=(?P<temp>-?[\d.]+) H=(?P<hum>[\d.]+)'",
            synonyms=("regex", "regexp", "expression", "format_string", "re"),
        ),
        "groups": Key(
            "table of texts",
            "Which group is a channel's, where it has another name: a group's name has letters, digits and _ only.",
            '{ "acc.x" = "x" }',
            "each channel's own name",
            ("fields", "columns", "names"),
        ),
        "ignore": Key(
            "list of texts",
            "Lines that begin like this say nothing, and are no faults.",
            '["boot:", "I ("]',
            "none",
            ("skip", "comments", "comment"),
        ),
        "decimal": Key(DECIMAL.kind, DECIMAL.meaning, DECIMAL.example, ".", DECIMAL.synonyms),
        "time_field": Key(
            "text",
            "Which group is the device's own time.",
            '"t"',
            "none",
            ("time", "timestamp", "time_group", "time_column"),
        ),
        "time_unit": TIME_UNIT,
        "timezone": TIMEZONE,
    }

    def __init__(
        self,
        pattern: Any,
        groups: list[int],
        time: tuple[int, DeviceTime] | None,
        ignored: tuple[bytes, ...] = (),
        *,
        comma: bool = False,
    ) -> None:
        super().__init__()
        self._search = pattern.search
        self._groups = groups
        self._time = time
        self._ignored = ignored
        self._comma = comma

    @classmethod
    def from_config(cls, config: SourceConfig) -> Self:
        """Raises `UsageError` where the pattern is none, or has no group for a channel."""
        where, pattern = config.where, _compiled(config.option("pattern", str), config.where)
        numbers = {name.decode(): number for name, number in pattern.groupindex.items()}
        table: dict[str, Any] = config.option("groups", dict, {})
        for name in table:
            if name not in config.channels:
                raise UsageError(f'{where}: groups: unknown channel "{name}"{suggest(name, config.channels)}')
        time_field, time = config.option("time_field", str, ""), DeviceTime.from_config(config)
        names = [str(table.get(name, name)) for name in config.channels]
        for name in [*names, *([time_field] if time_field else [])]:
            if name not in numbers:
                known = suggest(name, numbers) if numbers else ""
                raise UsageError(f'{where}: pattern: has no group "{name}": write (?P<{name}>…){known}')
        ignored = config.option("ignore", list, [])
        if not all(isinstance(item, str) and item for item in ignored):
            raise UsageError(f"{where}: ignore: found {ignored}, expected texts")
        decimal = config.option("decimal", str, ".")
        if decimal not in (".", ","):
            raise UsageError(f'{where}: decimal: found "{decimal}", expected "." or ","')
        return cls(
            pattern,
            [numbers[name] for name in names],
            (numbers[time_field], time) if time_field else None,
            tuple(item.encode() for item in ignored),
            comma=decimal == ",",
        )

    def read_line(self, line: bytes, text: bytes, offset: int) -> Iterable[Row | Fault]:
        """See `LineDecoder`."""
        match = self._search(text)
        if match is None:
            if self._ignored and text.startswith(self._ignored):
                return ()
            return (fault("garbage" if is_garbage(text) else "pattern", offset, -1, line),)
        try:
            values = [number((match.group(at) or b"").strip(), comma=self._comma) for at in self._groups]
        except ValueError:
            return (fault("number", offset, 1, line),)
        return sample(values, lambda: self._time_of(match), line, offset, offset + len(line) + 1)

    def _time_of(self, match: Any) -> int | None:
        if self._time is None:
            return None
        at, kind = self._time
        return kind.of_text((match.group(at) or b"").decode("ascii"))


@lru_cache(maxsize=64)
def _compiled(text: str, where: str) -> Any:
    """The expression, of bytes. Raises `UsageError`."""
    options = re2.Options()
    options.log_errors = False
    options.encoding = options.Encoding.LATIN1 if text.isascii() else options.Encoding.UTF8
    try:
        return re2.compile(text.encode(), options)
    except re2.error as error:
        said = error.args[0].decode("utf-8", "replace") if isinstance(error.args[0], bytes) else error
        raise UsageError(f"{where}: pattern: {said}; see {_SYNTAX}") from None
