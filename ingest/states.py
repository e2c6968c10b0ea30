"""Named states: the values of a channel that measures nothing but says which of a few things is so, as a door does.

A state has a whole number, its code, and a name. Codes travel and are stored as any other values do; the stream's
description names them (`ingest.records.Channel.states`). Nothing lies between two states, so nothing may be
interpolated there.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Final, TypeAlias, cast, get_args

import numpy as np

from ingest.errors import UsageError
from ingest.names import normal
from ingest.records import SampleType
from ingest.settings import suggest

States: TypeAlias = tuple[tuple[int, str], ...]
"""Code and name, by rising code."""

MAX_CODE: Final = 1 << 24
"""A float32, which training windows have, holds every whole number up to here."""
MAX_STATES: Final = 1_000
_MAX_CHARACTERS: Final = 100
_CODE: Final = re.compile(r"\s*([+-]?[0-9]{1,9})\s*")
_OF_CHANNEL: Final = re.compile(r"(?P<channel>.*?):(?P<states>\s*[+-]?[0-9]+\s*=.*)", re.DOTALL)
_EXAMPLE: Final = 'as in { 0 = "raised", 1 = "down" }'


def check_states(named: Mapping[str, object], where: str) -> States:
    """The states of a table whose keys are codes, as TOML has them; `where` names it in errors.

    Raises:
        UsageError: none or too many, a key that is no code, a name that is none, or that two codes have.
    """
    if not 1 <= len(named) <= MAX_STATES:
        raise UsageError(f"{where}: found {len(named)} states, expected 1 to {MAX_STATES}, {_EXAMPLE}")
    found: dict[int, str] = {}
    for key, value in named.items():
        match = _CODE.fullmatch(key)
        if match is None or abs(int(match[1])) > MAX_CODE:
            raise UsageError(f'{where}: "{key}" is no code; use whole numbers up to {MAX_CODE}, {_EXAMPLE}')
        code = int(match[1])
        if not isinstance(value, str) or not value.isprintable() or value != value.strip() or not value:
            raise UsageError(f"{where}: {code}: found {value!r}, expected a name in quotes, {_EXAMPLE}")
        name = normal(value)
        if len(name) > _MAX_CHARACTERS:
            raise UsageError(f"{where}: {code}: a name has {len(name)} characters, expected up to {_MAX_CHARACTERS}")
        if code in found or name in found.values():
            raise UsageError(f'{where}: {code} = "{name}": each code and each name is given once')
        found[code] = name
    return tuple(sorted(found.items()))


def parse_states(text: str, where: str) -> States:
    """The states of `0=raised,1=down`. Raises `UsageError`, as `check_states`."""
    named: dict[str, str] = {}
    for part in text.split(","):
        code, equals, name = part.partition("=")
        if not equals or code.strip() in named:
            raise UsageError(f'{where}: found "{part}"; use CODE=NAME, each code once, as in 0=raised,1=down')
        named[code.strip()] = name.strip()
    return check_states(named, where)


def states_of_channels(found: object, channels: Sequence[str], where: str) -> dict[str, States]:
    """The states by channel of a TOML value: one table for all channels, or a table of tables.

    Raises:
        UsageError: it is no table, or not of these channels; as `check_states`.
    """
    if not isinstance(found, Mapping):
        raise UsageError(f"{where}: found {found!r}, expected a table of names by code, {_EXAMPLE}")
    if not any(isinstance(value, Mapping) for value in found.values()):
        return dict.fromkeys(channels, check_states(found, where))
    states = {}
    for channel, named in found.items():
        if channel not in channels:
            raise UsageError(f'{where}: unknown channel "{channel}"{suggest(channel, channels)}')
        if not isinstance(named, Mapping):
            raise UsageError(f"{where}: {channel}: found {named!r}, expected a table of names by code, {_EXAMPLE}")
        states[channel] = check_states(named, f"{where}: {channel}")
    return states


def parse_option(texts: Iterable[str], channels: Sequence[str], where: str) -> dict[str, States]:
    """The states by channel of options such as `valve:0=shut,1=open`; of the only channel, `0=shut,1=open` is enough.

    Raises:
        UsageError: a channel is not there, given twice or not said where there are several; as `parse_states`.
    """
    found: dict[str, States] = {}
    for text in texts:
        named = _OF_CHANNEL.fullmatch(text)
        if named is None and len(channels) != 1:
            raise UsageError(f'{where}: found "{text}"; say which channel\'s, as in CHANNEL:0=shut,1=open')
        channel = named["channel"].strip() if named else channels[0]
        if channel not in channels:
            raise UsageError(f'{where}: unknown channel "{channel}"{suggest(channel, channels)}')
        if channel in found:
            raise UsageError(f"{where}: {channel} is given twice; name all of its states at once")
        found[channel] = parse_states(named["states"] if named else text, f"{where}: {channel}")
    return found


def check_unscaled(states: Iterable[str], scales: Mapping[str, float], where: str) -> None:
    """Raise `UsageError` where a channel with states has a scale: codes are whole numbers, as the sensor says them."""
    for channel in states:
        if scales.get(channel, 1.0) != 1.0:
            raise UsageError(f"{where}: {channel} has named states, which are codes; leave its scale out")


def unnamed(
    values: np.ndarray[tuple[int, ...], np.dtype[np.generic]], states: States
) -> np.ndarray[tuple[int, ...], np.dtype[np.bool_]]:
    """Which values are no state's code, of the same shape; a missing value (NaN) is none that is wrong."""
    known = np.isin(values, [code for code, _ in states])
    wrong = ~known
    return wrong & ~np.isnan(values) if values.dtype.kind == "f" else wrong


def least_type(states: Iterable[States]) -> SampleType:
    """The smallest type that holds all their codes."""
    codes = [code for each in states for code, _ in each]
    fits = (
        name
        for name in get_args(SampleType)
        if np.dtype(name).kind in "iu" and np.iinfo(name).min <= min(codes) and max(codes) <= np.iinfo(name).max
    )
    return cast(SampleType, next(fits))
