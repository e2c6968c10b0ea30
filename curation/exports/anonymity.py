"""k-anonymity (Sweeney 2002) of an export: each combination of attributes is of at least k people."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final, NamedTuple

from ingest.errors import UsageError

if TYPE_CHECKING:
    import polars as pl

_SHOWN_MAX: Final = 3


class Rare(NamedTuple):
    """A combination of attributes that too few people have."""

    values: tuple[str, ...]
    people: int


def rare(windows: pl.DataFrame, person: str, attributes: Sequence[str], k: int) -> list[Rare]:
    """The combinations of fewer than `k` people, the rarest first; a missing value is a value."""
    people: dict[tuple[str, ...], set[str]] = defaultdict(set)
    for who, *values in windows.select(person, *attributes).unique().iter_rows():
        people[tuple("(none)" if value is None else str(value) for value in values)].add(str(who))
    found = [Rare(values, len(of)) for values, of in people.items() if len(of) < k]
    return sorted(found, key=lambda each: (each.people, each.values))


def require_anonymity(windows: pl.DataFrame, attributes: Sequence[str], k: int) -> str:
    """What was found, in words.

    Raises:
        UsageError: a combination of attributes is of fewer than `k` people.
    """
    if k < 2:
        raise UsageError(f"export: --k {k}: from 2 on it says something")
    person = "subject" if "subject" in windows.columns else "device"
    quasi = [name for name in attributes if name != person]
    found = rare(windows, person, quasi, k)
    if found:
        shown = "; ".join(
            f"{', '.join(f'{name} = {value}' for name, value in zip(quasi, each.values, strict=True)) or 'all'}: "
            f"{each.people}"
            for each in found[:_SHOWN_MAX]
        ) + ("; …" if len(found) > _SHOWN_MAX else "")
        raise UsageError(
            f"export: --k {k}: {len(found)} combinations of attributes are of fewer than {k} {person}s: {shown}; name "
            "fewer attributes (--attributes), or say them less exactly where they are imported (--set)"
        )
    return f"each combination of {', '.join(quasi) or 'no attribute'} is of at least {k} {person}s"
