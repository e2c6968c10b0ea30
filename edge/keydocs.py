"""agent.toml's keys as people read them: from the code that reads them, so that no page lags behind.

`python -m edge.keydocs edge/README.md` writes the tables anew between the page's two marks.
"""

from __future__ import annotations

import sys
import textwrap
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from edge.buttontables import BUTTON
from edge.decoders import DECODERS, decoder_type
from edge.keys import SOURCE, TABLES
from edge.protocol import Key
from edge.sources import SOURCES, source_type
from ingest.errors import UsageError
from ingest.measures import UNITS
from ingest.settings import suggest

MARKS: Final = ("<!-- keys -->", "<!-- /keys -->")
_WIDTH: Final = 78


def groups() -> dict[str, tuple[str, Mapping[str, Key]]]:
    """Title and keys, by the name that `sensorloom agent keys` takes."""
    found: dict[str, tuple[str, Mapping[str, Key]]] = {"top": ("At the top of agent.toml", TABLES[""])}
    found |= {name: (f"Table `[{name}]`", keys) for name, keys in TABLES.items() if name}
    found["buttons"] = ("Every `[buttons.NAME]`", BUTTON)
    found["source"] = ("Every `[[source]]`", SOURCE)
    for name in SOURCES:
        found[name] = (f'`type = "{name}"`', source_type(name, "agent keys").keys)
    for name in DECODERS:
        found[name] = (f'`decoder = "{name}"`', decoder_type(name, "agent keys").keys)
    return found


def _wanted(name: str) -> dict[str, tuple[str, Mapping[str, Key]]]:
    found = groups()
    if not name:
        return found
    if name not in found:
        raise UsageError(f'agent keys: "{name}" is no source, decoder or table{suggest(name, [*found, "units"])}')
    return {name: found[name]}


def as_text(name: str = "") -> str:
    """The keys of a group, or of all of them; or the known units. Raises `UsageError` for a name that is none."""
    if name == "units":
        names = ", ".join((*UNITS, "1"))
        return textwrap.fill(f"Units of channels: {names}; one of your own in braces, as in {{items}}", _WIDTH)
    return "\n\n".join(_text(title, keys) for title, keys in _wanted(name).values())


def _text(title: str, keys: Mapping[str, Key]) -> str:
    lines = [title.replace("`", "")]
    for name, key in keys.items():
        rest = "must be given" if key.default is None else f"by default {key.default}"
        lines.append(f"  {name} = {key.example}")
        lines += textwrap.wrap(
            f"{key.meaning.replace('`', '')} {key.kind[0].upper()}{key.kind[1:]}; {rest}.",
            _WIDTH,
            initial_indent="      ",
            subsequent_indent="      ",
        )
    return "\n".join(lines if keys else [*lines, "  no keys of its own"])


def as_data(name: str = "") -> dict[str, dict[str, dict[str, str | None]]]:
    """The same as data: by group and key its kind, meaning, example and default."""
    if name == "units":
        return {"units": {unit: {} for unit in (*UNITS, "1")}}
    return {
        group: {
            key: {"kind": one.kind, "meaning": one.meaning, "example": one.example, "default": one.default}
            for key, one in keys.items()
        }
        for group, (_, keys) in _wanted(name).items()
    }


def as_markdown() -> str:
    """The keys of all groups, as tables of Markdown."""
    parts: list[str] = []
    for title, keys in groups().values():
        if not keys:
            parts.append(f"{title}: no keys of its own.\n")
            continue
        rows = [
            f"| `{name}` | {_cell(key.kind)} | {_cell('must be given' if key.default is None else key.default)} | "
            f"{_cell(key.meaning)} | `{_cell(key.example)}` |"
            for name, key in keys.items()
        ]
        head = "| key | takes | default | what it means | example |\n|---|---|---|---|---|"
        parts.append("\n".join([f"{title}:\n", head, *rows, ""]))
    return "\n".join(parts)


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def renewed(page: str) -> str:
    """A page with its tables as they should be. Raises `ValueError` where it has no marks."""
    before, begin, rest = page.partition(MARKS[0])
    _, end, after = rest.partition(MARKS[1])
    if not end:
        raise ValueError(f"no {MARKS[0]} … {MARKS[1]}")
    return f"{before}{begin}\n\n{as_markdown()}\n{end}{after}"


if __name__ == "__main__":
    for name in sys.argv[1:]:
        Path(name).write_text(renewed(Path(name).read_text()))
