"""Windows read one by one, or in batches, from shards that are larger than memory, each checked when it is first read.

A window's bytes are read by their place, or copied from a map of its shard (`windowing.dataset.opened`), into the array
that is handed out, and its XXH3-128 is compared with the one in the index, whose file's SHA-256 was checked. So a batch
in random order waits for its own windows, not for the hashes of every shard that it touches.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray
from xxhash import xxh3_128_digest

from ingest.engine.manifest import FileRef
from ingest.errors import CorruptError
from windowing.dataset.belongings import REMEDY
from windowing.dataset.opened import OpenShards

_TOGETHER_BYTES: Final = 4 << 20
"""About so much is put in its order at once, in the processor's cache."""
_TOGETHER_MIN: Final = 256
_STRETCH: Final = 4
"""So many windows behind one another, on the average, are read by one call of the kernel."""
_ROW_BITS: Final = 40
HASH_BYTES: Final = 16


class Places(NamedTuple):
    """Where windows lie; arrays of one length."""

    shard: NDArray[np.int32]
    """Index into the shelf's shards."""
    row: NDArray[np.int64]
    hash: NDArray[np.uint8]
    """(windows, 16): the XXH3-128 of each one's bytes."""


class Shelf:
    """The windows at `places` of the `shards`, by the names that index files give them."""

    def __init__(
        self,
        shards: Mapping[str, tuple[Path, FileRef]],
        names: Sequence[str],
        places: Places,
        steps: int,
        channels: int,
    ) -> None:
        self._shards = [shards[name] for name in names]
        self.places: Final = places
        self._shape = (steps, channels)
        self._bytes = 4 * steps * channels
        self._together = max(_TOGETHER_BYTES // self._bytes, _TOGETHER_MIN)
        self._seen = np.zeros(len(places.row), np.bool_)
        self.open: Final = OpenShards(self._shards, steps, channels)

    def read(self, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        """The windows `rows`, in their order: `(len(rows), steps, channels) float32`.

        Raises:
            CorruptError: a shard is missing, or a window's bytes are not those that were written.
        """
        if not len(rows):
            return np.empty((0, *self._shape), np.float32)
        self.open.look()
        shard, row = self.places.shard[rows], self.places.row[rows]
        signals = self.open.gathered(shard, row)
        if signals is None:
            signals = np.empty((len(rows), *self._shape), np.float32)
            self._fill(shard, row, signals)
        fresh = np.flatnonzero(~self._seen[rows])
        if len(fresh):
            self._check(rows, fresh, signals.reshape(-1).data.cast("B"))
        return signals

    def _fill(self, shard: NDArray[np.int32], row: NDArray[np.int64], signals: NDArray[np.float32]) -> None:
        heads = np.flatnonzero(np.append(True, (shard[1:] != shard[:-1]) | (row[1:] != row[:-1] + 1)))
        if _STRETCH * len(heads) <= len(row):
            self._fill_stretches(heads, shard, row, signals)
            return
        for begin in range(0, len(row), self._together):
            few = slice(begin, begin + self._together)
            self._fill_alone(shard[few], row[few], signals[few])

    def _fill_stretches(
        self, heads: NDArray[np.intp], shard: NDArray[np.int32], row: NDArray[np.int64], signals: NDArray[np.float32]
    ) -> None:
        """Windows that lie behind one another: from each head to the next one by one call of the kernel."""
        size, room = self._bytes, signals.reshape(-1).data.cast("B")
        for head, end in zip(heads.tolist(), [*heads[1:].tolist(), len(row)], strict=True):
            opened = self.open.opened(int(shard[head]))
            opened.read(int(row[head]) * size, room[head * size : end * size])

    def _fill_alone(self, shard: NDArray[np.int32], row: NDArray[np.int64], signals: NDArray[np.float32]) -> None:
        """Windows of all places: those of a shard together, in its order, and then where they are wanted."""
        order = np.argsort(shard.astype(np.int64) << _ROW_BITS | row)
        shard, row = shard[order], row[order]
        begins = np.flatnonzero(np.append(True, shard[1:] != shard[:-1]))
        ends = np.append(begins[1:], len(row))
        room = np.empty((int((ends - begins).max()), *self._shape), np.float32)  # small: it stays in the cache
        for number, begin, end in zip(shard[begins].tolist(), begins.tolist(), ends.tolist(), strict=True):
            few = room[: end - begin]
            self.open.gather(number, row[begin:end], few)
            signals[order[begin:end]] = few

    def _check(self, rows: NDArray[np.int64], fresh: NDArray[np.intp], room: memoryview) -> None:
        """Compare the windows at the places `fresh` with their hashes."""
        size = self._bytes
        hashes = self.places.hash[rows[fresh]].tobytes()
        for number, at in enumerate(fresh.tolist()):
            digest = xxh3_128_digest(room[at * size : (at + 1) * size])
            if digest != hashes[number * HASH_BYTES : (number + 1) * HASH_BYTES]:
                row = int(rows[at])
                folder, ref = self._shards[int(self.places.shard[row])]
                raise CorruptError(
                    f"{folder / ref.name}: the bytes of window {self.places.row[row]} are not those that were written "
                    f"(XXH3 differs); {REMEDY}; `sensorloom dataset verify` names all that are damaged"
                )
        self._seen[rows[fresh]] = True
