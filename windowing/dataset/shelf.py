"""Windows read one by one, or in batches, from shards that are larger than memory, each checked when it is first read.

A window's bytes are read by their place (`preadv`) into the array that is handed out, and its XXH3-128 is compared
with the one in the index, whose file's SHA-256 was checked. So a batch in random order waits for its own windows, not
for the hashes of every shard that it touches. Shards are not mapped: the pages of a map count as this process's memory,
and a shard that is cut short under it would end the process.
"""

from __future__ import annotations

import os
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray
from xxhash import xxh3_128_digest

from ingest.engine.manifest import FileRef
from ingest.errors import CorruptError
from windowing.dataset.belongings import REMEDY
from windowing.dataset.catalog import check_size
from windowing.dataset.signals import HEADER_BYTES_MAX, check_header

_OPEN_MAX: Final = 256
_TOGETHER: Final = 4096
HASH_BYTES: Final = 16


class Places(NamedTuple):
    """Where windows lie; arrays of one length."""

    shard: NDArray[np.int32]
    """Index into the shelf's shards."""
    row: NDArray[np.int64]
    hash: NDArray[np.uint8]
    """(windows, 16): the XXH3-128 of each one's bytes."""


class _Opened(NamedTuple):
    file: int
    begin: int
    """Where its first window begins."""


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
        self._seen = np.zeros(len(places.row), np.bool_)
        self._open: OrderedDict[int, _Opened] = OrderedDict()

    def __del__(self) -> None:
        for opened in getattr(self, "_open", {}).values():
            os.close(opened.file)

    def read(self, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        """The windows `rows`, in their order: `(len(rows), steps, channels) float32`.

        Raises:
            CorruptError: a shard is missing, or a window's bytes are not those that were written.
        """
        signals = np.empty((len(rows), *self._shape), np.float32)
        for begin in range(0, len(rows), _TOGETHER):
            few = rows[begin : begin + _TOGETHER]
            self._fill(few, signals[begin : begin + _TOGETHER])
        return signals

    def _fill(self, rows: NDArray[np.int64], signals: NDArray[np.float32]) -> None:
        size, room = self._bytes, signals.reshape(-1).data.cast("B")
        shard, row = self.places.shard[rows], self.places.row[rows]
        follows = (shard[1:] == shard[:-1]) & (row[1:] == row[:-1] + 1)
        heads = np.flatnonzero(np.append(True, ~follows)) if len(rows) else np.empty(0, np.int64)
        ends = np.append(heads[1:], len(rows))
        order = np.lexsort((row[heads], shard[heads])) if len(heads) > 1 else np.arange(len(heads))
        runs = (heads[order], ends[order], shard[heads][order], row[heads][order])
        for head, end, number, first in zip(*(column.tolist() for column in runs), strict=True):
            file, begin = self._open.get(number) or self._opened(number)
            place, some = begin + first * size, room[head * size : end * size]
            while (got := os.preadv(file, (some,), place)) < len(some):
                if not got:
                    folder, ref = self._shards[number]
                    raise CorruptError(f"{folder / ref.name}: ends before window {first}; {REMEDY}")
                place, some = place + got, some[got:]
        fresh = np.flatnonzero(~self._seen[rows])
        if len(fresh):
            self._check(rows, fresh, room)

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

    def _opened(self, number: int) -> _Opened:
        folder, ref = self._shards[number]
        path = folder / ref.name
        check_size(path, ref)
        file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            begin = check_header(os.pread(file, HEADER_BYTES_MAX, 0), ref.bytes, path, *self._shape)
        except CorruptError:
            os.close(file)
            raise
        self._open[number] = _Opened(file, begin)
        if len(self._open) > _OPEN_MAX:
            os.close(self._open.popitem(last=False)[1].file)
        return self._open[number]
