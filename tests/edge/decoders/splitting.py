"""The one check that every decoder must pass: the chunks in which bytes come never matter."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Sequence

from edge.protocol import Decoder, Fault, Frame

Sample = tuple[tuple[float, ...], int | None]


def run(decoder: Decoder, pieces: Iterable[bytes], *, reset: bool = True) -> list[Sample | Fault]:
    """All samples and faults, in order."""
    items: list[Frame | Fault] = []
    for piece in pieces:
        items += decoder.feed(piece)
    if reset:
        items += decoder.reset()
    found: list[Sample | Fault] = []
    for item in items:
        if isinstance(item, Fault):
            found.append(item)
            continue
        times = [None] * len(item.values) if item.times_ns is None else item.times_ns.tolist()
        found += [(tuple(map(repr_safe, row)), at) for row, at in zip(item.values.tolist(), times, strict=True)]
    return found


def repr_safe(value: float) -> float:
    """NaN as something that equals itself."""
    return value if value == value else float("-inf")


def samples(found: Iterable[Sample | Fault]) -> list[Sample]:
    return [item for item in found if not isinstance(item, Fault)]


def faults(found: Iterable[Sample | Fault]) -> list[Fault]:
    return [item for item in found if isinstance(item, Fault)]


def reasons(found: Iterable[Sample | Fault]) -> list[str]:
    return [item.reason for item in found if isinstance(item, Fault)]


def cut(data: bytes, places: Sequence[int]) -> list[bytes]:
    edges = [0, *sorted(place % (len(data) + 1) for place in places), len(data)]
    return [data[start:stop] for start, stop in itertools.pairwise(edges)]


def check_splits(new: Callable[[], Decoder], data: bytes, places: Sequence[int]) -> None:
    assert run(new(), cut(data, places)) == run(new(), [data])
