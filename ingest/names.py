"""One spelling for one name."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable


def normal(name: str) -> str:
    """The name in Unicode's composed form (NFC, UAX #15).

    One keyboard writes "é" as one character, another as an e and an accent: they look alike, and must be one class.
    """
    return name if name.isascii() else unicodedata.normalize("NFC", name)


def numbered(names: Iterable[str]) -> tuple[str, ...]:
    """Names that have numbers by their places, each place once: the first of those that are one name has its normal
    form, the others have what is left of their spellings, so that every other name keeps its number."""
    places = list(dict.fromkeys(names))
    spellings: dict[str, list[str]] = {}
    for name in places:
        spellings.setdefault(normal(name), []).append(name)
    left = {name: iter([name, *(other for other in others if other != name)]) for name, others in spellings.items()}
    return tuple(next(left[normal(name)], name) for name in places)
