"""The tables of agent.toml, read key by key; each error says where, what was found, and what to write."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar

from ingest.errors import UsageError
from ingest.settings import suggest
from ingest.units import parse_duration, parse_rate, parse_size

T = TypeVar("T")
D = TypeVar("D")
NAME_BYTES = 200
_UNITS: Mapping[Callable[[str], Any], str] = {parse_duration: "s", parse_rate: "Hz", parse_size: "B"}


def text(table: Mapping[str, Any], key: str, where: str, default: str | None = None) -> str:
    """A text; `default` where the key is missing, which it may not be where that is None."""
    value = table.get(key, default)
    if value is None:
        raise UsageError(f'{where}: "{key}" is missing')
    if not isinstance(value, str):
        raise UsageError(f"{where}: {key}: found {shown(value)}, expected text in quotes")
    if not value and default != "":
        raise UsageError(f"{where}: {key}: is empty, expected text")
    return value


def check_characters(value: object, where: str) -> None:
    """Raise `UsageError` for a NUL in a text, wherever in `value` it is: no file, host or program has such a name, and
    who opens one raises `ValueError`."""
    if isinstance(value, Mapping):
        for key, part in value.items():
            check_characters(part, f"{where}: {key}")
    elif isinstance(value, list):
        for part in value:
            check_characters(part, where)
    elif isinstance(value, str) and "\0" in value:
        raise UsageError(f"{where}: found {value!r}, whose \\x00 no name, address or path can have; take it out")


def name(table: Mapping[str, Any], key: str, where: str, default: str | None = None) -> str:
    """A text that is a name: something that can be printed, not too long, and taken as it is written."""
    found = text(table, key, where, default)
    if not found.isprintable() or found != found.strip() or len(found.encode()) > NAME_BYTES:
        raise UsageError(
            f"{where}: {key}: {found!r} is no name; it has up to {NAME_BYTES} bytes, no spaces around it and no "
            "control characters"
        )
    if found.startswith("$"):
        raise UsageError(
            f'{where}: {key}: "{found}" would be taken as it is written; a variable has braces, as in ${{HOSTNAME}}'
            + (f'; or leave {key} out: it is then the host\'s, "{default}"' if default else "")
        )
    return found


def address_part(table: Mapping[str, Any], key: str, where: str, default: str | None = None) -> str:
    """A name without a slash: it stands before or behind one, as in `device/stream`."""
    found = name(table, key, where, default)
    if "/" in found:
        raise UsageError(f'{where}: {key}: "{found}" has a slash, which separates a device from its stream')
    return found


def one_of(table: Mapping[str, Any], key: str, where: str, known: Iterable[str], default: str) -> str:
    """A text that is one of those known."""
    value, names = text(table, key, where, default), list(known)
    if value not in names:
        raise UsageError(f'{where}: {key}: unknown value "{value}"{suggest(value, names)}')
    return value


def quantity(table: Mapping[str, Any], key: str, where: str, parse: Callable[[str], T], default: D) -> T | D:
    """A number with its unit, in quotes, as `parse` takes it."""
    if key not in table:
        return default
    value = table[key]
    if isinstance(value, int | float) and not isinstance(value, bool):
        raise UsageError(
            f"{where}: {key}: found {value!r}, which has no unit; write it in quotes with its unit, as in "
            f'{key} = "{value!r}{_UNITS.get(parse, "")}"'
        )
    written = text(table, key, where)
    try:
        return parse(written)
    except UsageError as error:
        raise UsageError(f"{where}: {key}: {error}") from None


def by_channel(table: Mapping[str, Any], key: str, where: str, channels: Iterable[str]) -> dict[str, float]:
    """Numbers by channel: one for all of them, or a table."""
    value, names = table.get(key, {}), list(channels)
    if isinstance(value, int | float) and not isinstance(value, bool):
        value = dict.fromkeys(names, value)
    if not isinstance(value, dict):
        raise UsageError(
            f"{where}: {key}: found {shown(value)}, expected a number, or numbers by channel as in "
            f"{key} = {{ {names[0]} = 1.5 }}"
        )
    for channel, number in value.items():
        if channel not in names:
            raise UsageError(f'{where}: {key}: unknown channel "{channel}"{suggest(channel, names)}')
        if not isinstance(number, int | float) or isinstance(number, bool) or number != number or abs(number) > 1e300:
            raise UsageError(f"{where}: {key}: {channel} = {shown(number)} is no number")
    return {channel: float(number) for channel, number in value.items()}


def shown(value: object) -> str:
    """A value as it stands in the file, so far as that is short."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list | dict):
        return f"a {'list' if isinstance(value, list) else 'table'}"
    return repr(value)
