"""Encoding: texts (labels, sites, subjects) as numbers for models, by categories that come from train alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal, TypeAlias, get_args

import numpy as np
from numpy.typing import NDArray

from ingest.errors import UsageError
from ingest.settings import suggest

Unknown: TypeAlias = Literal["raise", "ignore"]
_UNKNOWN: Final = get_args(Unknown)


@dataclass(frozen=True, slots=True)
class Encoder:
    """Texts as numbers by `categories`; `fit_encoder` makes one.

    A text that is none of them raises; with `unknown="ignore"` it is -1, and a row of zeros among one-hot ones. None,
    which is missing, is that in any case.
    """

    categories: tuple[str, ...]
    """In the order of their numbers."""
    unknown: Unknown = "raise"

    def __call__(self, texts: Sequence[str | None]) -> NDArray[np.int64]:
        """Their numbers, `(texts,) int64`: label encoding; ordinal where the categories have an order.
        Raises `UsageError`."""
        number = {category: place for place, category in enumerate(self.categories)}
        found = np.array([-1 if text is None else number.get(text, -2) for text in texts], np.int64)
        strange = np.flatnonzero(found == -2)
        if len(strange) and self.unknown == "raise":
            text = str(texts[int(strange[0])])
            raise UsageError(f'encoding: "{text}" is not among the categories{suggest(text, self.categories)}')
        found[strange] = -1
        return found

    def one_hot(self, texts: Sequence[str | None]) -> NDArray[np.float32]:
        """`(texts, categories) float32`: 1 where a text is the category. Raises `UsageError`."""
        numbers = self(texts)
        made = np.zeros((len(numbers), len(self.categories)), np.float32)
        there = np.flatnonzero(numbers >= 0)
        made[there, numbers[there]] = 1.0
        return made

    def inverse(self, numbers: NDArray[np.integer]) -> list[str | None]:
        """The texts again; None for -1. Raises `UsageError` for a number that is none."""
        if len(numbers) and not -1 <= int(numbers.min()) <= int(numbers.max()) < len(self.categories):
            raise UsageError(f"encoding: numbers from {numbers.min()} to {numbers.max()}, of {len(self.categories)}")
        return [None if number < 0 else self.categories[number] for number in numbers.tolist()]

    def parameters(self) -> dict[str, Any]:
        """As JSON can hold it: what a model needs beside it wherever it runs."""
        return {"categories": list(self.categories), "unknown": self.unknown}

    @classmethod
    def of(cls, parameters: dict[str, Any]) -> Encoder:
        """The encoder of `parameters`. Raises `UsageError` where they are none."""
        try:
            return _checked(parameters["categories"], parameters["unknown"])
        except (KeyError, TypeError) as error:
            raise UsageError(f"encoding: these are no parameters of an encoder: {error!r}") from error


def fit_encoder(
    texts: Sequence[str | None], *, order: Sequence[str] | None = None, unknown: Unknown = "raise"
) -> Encoder:
    """An encoder of the texts of windows for training; those of a test are no business of it.

    The numbers are in the order of the alphabet, or of `order`, which makes them ordinal: it must name every text.

    Raises `UsageError`.
    """
    found = sorted({text for text in texts if text is not None})
    if order is None:
        return _checked(found, unknown)
    for text in found:
        if text not in order:
            raise UsageError(f'encoding: order lacks "{text}"{suggest(text, order)}')
    return _checked(order, unknown)


def _checked(categories: Sequence[str], unknown: str) -> Encoder:
    if unknown not in _UNKNOWN:
        raise UsageError(f'encoding: unknown: found "{unknown}"; use {" or ".join(_UNKNOWN)}')
    if len(set(categories)) < len(categories):
        raise UsageError("encoding: a category is there twice")
    return Encoder(tuple(categories), "raise" if unknown == "raise" else "ignore")
