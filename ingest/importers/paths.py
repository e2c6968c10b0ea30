"""What a path says of the file: `{label}/{recording}.csv.gz` as a template that is matched, and filled. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from ingest.errors import UsageError
from ingest.settings import suggest

_FIELD: Final = re.compile(r"\{([A-Za-z_]\w*)?(?::0?(\d{1,2}))?\}", re.ASCII)
_BRACES: Final = re.compile(r"\{([^{}]*)\}")
_WIDTH: Final = re.compile(r"(.*):0?(\d{1,2})", re.DOTALL)
IGNORED: Final = "_"
"""A field that stands for anything, and is not kept; `{}` is one, too."""


@dataclass(frozen=True, slots=True)
class PathTemplate:
    """The end of a path, as many folders as the template has; a field is what stands between its neighbours."""

    text: str
    names: tuple[str, ...]
    pattern: re.Pattern[str]
    greedy: re.Pattern[str]
    """The same, each field as long as it can be: where it finds something else, the path can be read in two ways."""

    def match(self, path: str) -> dict[str, str]:
        """The fields of a path.

        Raises:
            UsageError: the path is not so, or can be read in two ways.
        """
        end = "/".join(path.split("/")[-(self.text.count("/") + 1) :])
        found, other = self.pattern.fullmatch(end), self.greedy.fullmatch(end)
        if found is None or other is None:
            raise UsageError(f'{path}: its end is not as --path "{self.text}" says')
        if found.groupdict() != other.groupdict():
            ways = " or ".join(_shown(way.groupdict()) for way in (found, other))
            raise UsageError(f'{path}: --path "{self.text}" can be read as {ways}; write more of the path in it')
        return found.groupdict()


def parse_template(text: str) -> PathTemplate:
    """The template of `{label}/{recording}.csv.gz`.

    Raises:
        UsageError: it has no field, one twice, two side by side, or braces that are none.
    """
    names: list[str] = []
    pieces: list[tuple[str, str]] = []
    at = 0
    for field in _FIELD.finditer(text):
        literal, name = text[at : field.start()], field[1] or IGNORED
        if "{" in literal or "}" in literal or field[2]:
            break
        if at and not literal:
            raise UsageError(f'--path: in "{text}" nothing stands between two fields: where does one end?')
        if name in names:
            raise UsageError(f'--path: "{text}" has {{{name}}} twice; call one {{_}}, which stands for anything')
        if name != IGNORED:
            names.append(name)
        pieces.append((literal, name))
        at = field.end()
    else:
        if "{" not in text[at:] and "}" not in text[at:] and pieces:
            return PathTemplate(text, tuple(names), _pattern(pieces, text[at:], "+?"), _pattern(pieces, text[at:], "+"))
    raise UsageError(f'--path: found "{text}", expected fields in braces, as in {{label}}/{{recording}}.csv.gz')


def _pattern(pieces: list[tuple[str, str]], end: str, many: str) -> re.Pattern[str]:
    told = "".join(
        f"{re.escape(literal)}[^/]{many}" if name == IGNORED else f"{re.escape(literal)}(?P<{name}>[^/]{many})"
        for literal, name in pieces
    )
    return re.compile(told + re.escape(end))


def _shown(fields: Mapping[str, str]) -> str:
    return ", ".join(f"{name}={value}" for name, value in fields.items())


def fill(text: str, fields: Mapping[str, str], where: str) -> str:
    """`text` with each `{field}` in it as what it is, whatever characters its name has; `{n:02}` fills a whole number
    up with zeros. `where` names the text in errors.

    Raises:
        UsageError: there is no such field, or it is no number where it should be filled up, or a brace has no other.
    """

    def value(field: re.Match[str]) -> str:
        name, width = field[1], 0
        if name not in fields and (split := _WIDTH.fullmatch(name)) is not None:
            name, width = split[1], int(split[2])
        if name not in fields:
            raise UsageError(f'{where}: "{text}" asks for {{{name}}}{suggest(name, fields)}')
        found = fields[name]
        if width and not found.isdecimal():
            raise UsageError(f'{where}: {field[0]} of "{found}", which is no whole number')
        return found.zfill(width)

    if "{" in (rest := _BRACES.sub("", text)) or "}" in rest:
        raise UsageError(f'{where}: "{text}" has a brace without its other; a field is as in {{name}}')
    return _BRACES.sub(value, text)
