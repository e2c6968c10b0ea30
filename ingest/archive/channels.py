"""Channels of a stream that was described anew on the way: each value in the unit of one description, or nowhere.

A value under another channel's name or unit would be a wrong one that nobody sees: what does not fit is left out, and
told. Pure.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ingest.measures import factors
from ingest.records import Channel


class Placed(NamedTuple):
    """Which of the wanted channels one is, and what turns its values into that one's unit."""

    number: int
    scale: float
    offset: float


class LeftOut(NamedTuple):
    """A channel that is none of the wanted ones, or has a unit that theirs cannot be made of; and from when to when."""

    name: str
    unit: str
    start_ns: int
    end_ns: int


def placed(channel: Channel, wanted: Sequence[Channel]) -> Placed | None:
    """Where a channel's raw values belong; None: nowhere."""
    for number, it in enumerate(wanted):
        if it.name == channel.name:
            found = factors(channel.unit, it.unit)
            if found is None:
                return None
            factor, shift = found
            return Placed(number, channel.scale * factor, channel.offset * factor + shift)
    return None


def values_under(wanted: Sequence[Channel], own: Sequence[Channel], raw: NDArray[Any]) -> NDArray[np.float64]:
    """Raw values `(samples, own channels)` in the units of the wanted channels, `(samples, wanted channels)`; NaN where
    there is nothing of one."""
    found = np.full((len(raw), len(wanted)), np.nan)
    for column, channel in enumerate(own):
        at = placed(channel, wanted)
        if at is not None:
            found[:, at.number] = raw[:, column].astype(np.float64) * at.scale + at.offset
    return found


def converted(wanted: Sequence[Channel], own: Sequence[Channel], values: NDArray[np.float64]) -> NDArray[np.float64]:
    """As `values_under`, of values that are in their own channels' units already."""
    return values if own == wanted else values_under(wanted, [Channel(it.name, it.unit) for it in own], values)


def left_out(wanted: Sequence[Channel], own: Sequence[Channel], start_ns: int, end_ns: int) -> tuple[LeftOut, ...]:
    """The channels among a description's own that belong nowhere, where it holds from `start_ns` to `end_ns`."""
    return tuple(LeftOut(it.name, it.unit, start_ns, end_ns) for it in own if placed(it, wanted) is None)
