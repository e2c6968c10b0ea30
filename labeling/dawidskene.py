"""What is likely true, and how good each annotator is, of labels that annotators gave (Dawid and Skene 1979). Pure."""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

_LEAST: Final = 1e-10
"""No error is impossible."""


class Consensus(NamedTuple):
    """What expectation maximisation has come to."""

    shares: NDArray[np.float64]
    """`(stretches, labels)`: how likely each label is the true one; NaN where nobody says anything."""
    prior: NDArray[np.float64]
    """`(labels,)`: how frequent each is."""
    confusion: NDArray[np.float64]
    """`(annotators, true, said)`: how likely an annotator says a label where another is true."""
    rounds: int

    @property
    def accuracy(self) -> NDArray[np.float64]:
        """`(annotators,)`: how likely each says what is true."""
        return np.asarray(np.einsum("att,t->a", self.confusion, self.prior))


def dawid_skene(
    table: NDArray[np.integer],
    labels: int,
    weights: NDArray[np.floating] | None = None,
    *,
    rounds: int = 100,
    tolerance: float = 1e-9,
) -> Consensus:
    """The consensus of `table`, `(annotators, stretches)` of labels' numbers or `NO_LABEL`; `weights` is how much each
    stretch counts. Begins with the share of votes, and ends when no share moves by more than `tolerance`."""
    counts: NDArray[np.float64] = np.ones(table.shape[1])
    if weights is not None:
        counts = np.asarray(weights, dtype=np.float64)
    said = np.stack([table == number for number in range(labels)], axis=2).astype(np.float64)
    votes = said.sum(axis=0)
    rated = votes.sum(axis=1) > 0
    said, counts, votes = said[:, rated], counts[rated], votes[rated]
    shares = votes / votes.sum(axis=1, keepdims=True)
    done, moved = 0, np.inf
    prior, confusion = _learned(said, shares, counts)
    while done < rounds and moved > tolerance:
        likely = np.log(np.maximum(prior, np.finfo(float).tiny)) + np.einsum("asl,atl->st", said, np.log(confusion))
        fresh = np.exp(likely - likely.max(axis=1, keepdims=True))
        fresh /= fresh.sum(axis=1, keepdims=True)
        moved, shares, done = float(np.abs(fresh - shares).max(initial=0.0)), fresh, done + 1
        prior, confusion = _learned(said, shares, counts)
    whole = np.full((table.shape[1], labels), np.nan)
    whole[rated] = shares
    return Consensus(whole, prior, confusion, done)


def _learned(
    said: NDArray[np.float64], shares: NDArray[np.float64], weights: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The prior and the confusions that make what was said likeliest."""
    weighed = shares * weights[:, None]
    confusion = np.maximum(np.einsum("asl,st->atl", said, weighed), _LEAST)
    return weighed.sum(axis=0) / weights.sum(), confusion / confusion.sum(axis=2, keepdims=True)
