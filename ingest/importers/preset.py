"""Choices of a command that are kept in a TOML file beside the data: a key is an option without its dashes. Pure."""

from __future__ import annotations

import argparse
import csv
import io
from collections.abc import Iterable, Mapping
from typing import Any, Final

from ingest.errors import UsageError
from ingest.settings import check_keys

_NEVER: Final = frozenset({"help", "json", "log", "partitions", "preset", "dry_run"})
"""What is said of one run, not of the data."""


def apply_preset(
    args: argparse.Namespace, actions: Iterable[argparse.Action], table: Mapping[str, Any], path: str
) -> None:
    """Set in `args` what `table` says and the command line does not. A repeated option is one or the other.

    A list is what commas stand between on the command line, or what is given several times; a table is `NAME=VALUE`.

    Raises:
        UsageError: an unknown key, or a value that no option has; `path` names the file.
    """
    known = {action.dest: action for action in actions if action.option_strings and action.dest not in _NEVER}
    named = {key.replace("-", "_"): value for key, value in table.items()}
    check_keys({_option(key): value for key, value in named.items()}, map(_option, known), path)
    for key, value in named.items():
        action, where = known[key], f"{path}: {_option(key)}"
        if getattr(args, key) == action.default:
            setattr(args, key, _value(action, value, where))


def _option(dest: str) -> str:
    return dest.replace("_", "-")


def _value(action: argparse.Action, value: object, where: str) -> object:
    if action.nargs == 0:
        if not isinstance(value, bool):
            raise UsageError(f"{where}: found {value!r}, expected true or false")
        return value
    if isinstance(action.default, list):
        if isinstance(value, Mapping):
            return [f"{name}={_word(each, where)}" for name, each in value.items()]
        return [_word(each, where) for each in (value if isinstance(value, list) else [value])]
    if isinstance(value, list):
        line = io.StringIO()
        csv.writer(line, lineterminator="").writerow([_word(each, where) for each in value])
        return line.getvalue()
    word = _word(value, where)
    try:
        return action.type(word) if callable(action.type) else word
    except ValueError:
        raise UsageError(f"{where}: found {value!r}, expected a whole number") from None


def _word(value: object, where: str) -> str:
    """A value as one writes it on a command line; TOML's own dates too."""
    if isinstance(value, bool) or not (isinstance(value, str | int | float) or hasattr(value, "isoformat")):
        raise UsageError(f"{where}: found {value!r}, expected a text or a number")
    return value.isoformat() if hasattr(value, "isoformat") else str(value)
