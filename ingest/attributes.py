"""A recording's attributes: what is so of all of it, by name, as in `subject = "u07"` and `site = "B"`.

Datasets are split by them: windows of one subject never lie on both sides. Names are those that a column of a table can
have; those that windows have already are taken.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Final

from ingest.errors import UsageError

MAX_ATTRIBUTES: Final = 32
MAX_CHARACTERS: Final = 200
TAKEN: Final = frozenset(
    {"window", "device", "recording", "anchor", "k", "t0_ns", "t1_ns", "shard", "row", "coverage"}
    | {"label", "share", "mark", "author", "tool", "mark_time_ns", "time", "revision"}
)
"""Names that mean something else in a table of windows."""
_NAME: Final = re.compile(r"[a-z][a-z0-9_]{0,62}")


def check_attributes(attributes: Mapping[str, object], where: str) -> dict[str, str]:
    """The attributes, sorted by name; `where` names them in errors, as in `agent.toml: recording.set`.

    Raises:
        UsageError: too many, a name that cannot be one or is taken, or a value that is no short text of one line.
    """
    if len(attributes) > MAX_ATTRIBUTES:
        raise UsageError(f"{where}: found {len(attributes)} attributes, expected {MAX_ATTRIBUTES} at most")
    for name, value in attributes.items():
        if not _NAME.fullmatch(name):
            raise UsageError(f"{where}: {name!r} is no attribute's name; use a to z, 0 to 9 and _, as in subject")
        if name in TAKEN:
            raise UsageError(f"{where}: {name}: windows have a column of that name already; choose another name")
        if not isinstance(value, str) or not value.strip() or not value.isprintable() or len(value) > MAX_CHARACTERS:
            raise UsageError(
                f"{where}: {name}: found {value!r}; use a text of one line, 1 to {MAX_CHARACTERS} characters"
            )
    return {name: str(attributes[name]) for name in sorted(attributes)}


def parse_attributes(words: Iterable[str], where: str) -> dict[str, str]:
    """The attributes in words such as `subject=u07`. Raises `UsageError`, also where a name comes twice."""
    found: dict[str, str] = {}
    for word in words:
        name, equals, value = word.partition("=")
        if not equals:
            raise UsageError(f'{where}: found "{word}"; use NAME=VALUE, as in subject=u07')
        if name in found:
            raise UsageError(f"{where}: {name} is given twice, as {found[name]!r} and {value!r}")
        found[name] = value
    return check_attributes(found, where)
