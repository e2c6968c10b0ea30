"""Random numbers that belong to a window: the same for it in every batch, worker and order.

A window's key is a hash of its id, the seed and the epoch; what is drawn for it is a function of the key alone. So an
epoch can be gone on with, read by any number of workers, or looked at one window at a time.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ingest.errors import UsageError

Floats: TypeAlias = NDArray[np.float32]
Keys: TypeAlias = NDArray[np.uint64]

_GOLDEN: Final = np.uint64(0x9E3779B97F4A7C15)
_MIX: Final = (np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB))
_FNV_BASIS: Final = np.uint64(0xCBF29CE484222325)
_FNV_PRIME: Final = np.uint64(0x100000001B3)
_TABLE_BITS: Final = 19
_TABLES: Final = 2
_TABLE_SEED: Final = 20241


def keys(ids: Sequence[str] | NDArray[np.str_], seed: int, epoch: int) -> Keys:
    """A key for each window: FNV-1a over the UTF-8 of its id, then SplitMix64 with the seed and the epoch."""
    columns = _bytes(np.asarray(ids, dtype=np.str_)).T.astype(np.uint64)
    found = np.full(len(ids), _FNV_BASIS)
    for column in columns:  # what fills up a shorter id is of no weight
        hashed = (found ^ column) * _FNV_PRIME
        found = hashed if column.all() else np.where(column == 0, found, hashed)
    return _mix(_mix(found ^ np.uint64(seed % 2**64)) + np.uint64(epoch * int(_GOLDEN) % 2**64))


def _bytes(text: NDArray[np.str_]) -> NDArray[np.integer]:
    """`(texts, size)`: their UTF-8, filled up with 0. What is ASCII is so as it stands, and need not be encoded."""
    codes = np.ascontiguousarray(text).view(np.uint32).reshape(len(text), -1 if len(text) else 0)
    if codes.max(initial=0) < 0x80:
        return codes
    encoded = np.ascontiguousarray(np.char.encode(text, "utf-8"))
    return encoded.view(np.uint8).reshape(len(text), encoded.itemsize)


def uniform(of: Keys, count: int, purpose: int) -> NDArray[np.float64]:
    """`(windows, count)` numbers in [0, 1), others for each `purpose` (SplitMix64, Steele, Lea and Flood 2014)."""
    with np.errstate(over="ignore"):
        start = np.uint64((purpose + 1) * 2**32 % 2**64)
        steps = (start + np.arange(count, dtype=np.uint64)) * _GOLDEN
        return (_mix(of[:, None] + steps[None, :]) >> np.uint64(11)).astype(np.float64) * 2.0**-53


def normal(of: Keys, count: int, purpose: int) -> NDArray[np.float64]:
    """`(windows, count)` numbers of a standard normal distribution (Box and Muller 1958)."""
    radius = np.sqrt(-2.0 * np.log1p(-uniform(of, count, 2 * purpose)))
    return np.asarray(radius * np.cos(2.0 * np.pi * uniform(of, count, 2 * purpose + 1)))


def noise(of: Keys, size: int, purpose: int) -> Floats:
    """`(windows, size)` float32 of a standard normal distribution, white within a window.

    Drawing each of them anew would be the most expensive thing that is done to a window. So each window adds up two
    stretches of two fixed tables, each begun where its key says: of normals that are independent of one another, as the
    tables are. Two windows have a number in common about once in half a million numbers, never both of its summands.

    Raises:
        UsageError: a window has more values than a table.
    """
    tables = _tables()
    room = tables.shape[1] - size
    if room < 1:
        raise UsageError(f"a window of {size:,} values is too large for noise; at most {tables.shape[1] - 1:,}")
    begins = (uniform(of, _TABLES, purpose) * room).astype(np.int64)
    made = np.empty((len(of), size), np.float32)
    one, other = tables
    for window, (begin, behind) in zip(made, begins.tolist(), strict=True):  # a copy of all stretches would cost more
        np.add(one[begin : begin + size], other[behind : behind + size], out=window)
    made *= np.float32(1 / np.sqrt(_TABLES))
    return made


@lru_cache(maxsize=1)
def _tables() -> Floats:
    rng = np.random.Generator(np.random.PCG64(_TABLE_SEED))
    made = rng.standard_normal((_TABLES, 1 << _TABLE_BITS), dtype=np.float32)
    made.flags.writeable = False
    return made


def _mix(value: Keys) -> Keys:
    with np.errstate(over="ignore"):
        value = value + _GOLDEN
        value = (value ^ (value >> np.uint64(30))) * _MIX[0]
        value = (value ^ (value >> np.uint64(27))) * _MIX[1]
        return value ^ (value >> np.uint64(31))
