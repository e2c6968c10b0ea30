"""The shards that a process has open: at most so many files, and so many bytes of them mapped.

Who reads a dataset in random order reads most windows alone, and a call of the kernel for each costs more than its
bytes. So a shard of which many were read alone is mapped, where memory has room for it, and a batch whose windows all
lie in such shards is gathered by one indexing. Under a map a sector that cannot be read would end the process: the
kernel reads all of a shard when it is mapped (MADV_POPULATE_READ, Linux 5.14), and where it tells of an error, or does
not know how, the shard is read by place as before. Its file's size is looked at as it is used: what is cut short is an
error. A shard from which somebody was forgotten is one, too, though this process has the file still.
"""

from __future__ import annotations

import mmap
import os
import resource
from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path
from threading import Lock
from typing import Final, NamedTuple

import numpy as np
from numpy.lib.stride_tricks import as_strided
from numpy.typing import NDArray

from ingest.engine.manifest import FileRef
from ingest.errors import CorruptError
from windowing.dataset.belongings import REMEDY
from windowing.dataset.signals import HEADER_BYTES_MAX, check_header
from windowing.dataset.versions import ERASED

ALONE_SHARE: Final = 1 / 16
"""A shard of which such a part was read window by window is mapped."""
_POPULATE_READ: Final = 22
"""MADV_POPULATE_READ of <linux/mman.h>, which Python has no name for."""
_MEMORY_SHARE: Final = 1 / 4
"""Of the machine's memory: what is mapped is the page cache's, which the kernel takes back when it is short."""
_OPEN_SHARE: Final = 1 / 8
"""Of the files that a process may have open, for shards that are read by place, and for those that are mapped."""
_OPEN_MIN: Final = 16
_OPEN_MAX: Final = 1024
_STEP: Final = 4
"""Windows begin at multiples of so many bytes, wherever they lie."""


class OpenShard:
    """A shard's file; closed when nobody holds it, so that no thread loses it to another one."""

    def __init__(self, path: Path, ref: FileRef, shape: tuple[int, int], begin: int | None) -> None:
        self._file = -1
        self.path: Final = path
        self.ref: Final = ref
        self.alone = 0
        """How many windows of it were read alone."""
        try:
            self._file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            raise CorruptError(
                f"{path}: is missing; if a service merged it meanwhile, or somebody was forgotten, open the dataset "
                f"again; else {REMEDY}"
            ) from None
        self._check(os.fstat(self._file).st_size)
        if begin is None:
            begin = check_header(os.pread(self._file, HEADER_BYTES_MAX, 0), ref.bytes, path, *shape)
        self.begin: Final = begin
        """Where its windows begin."""

    def __del__(self) -> None:
        if self._file >= 0:
            os.close(self._file)

    def _check(self, size: int) -> None:
        if size != self.ref.bytes:
            raise CorruptError(f"{self.path}: found {size} bytes, expected {self.ref.bytes}; {REMEDY}")

    def look(self) -> None:
        """Raise `CorruptError` where the file has another size by now."""
        self._check(os.fstat(self._file).st_size)

    def read(self, place: int, room: memoryview) -> None:
        """Fill `room` with bytes from `place` on, behind the header. Raises `CorruptError` where there are fewer."""
        place += self.begin
        while (got := os.preadv(self._file, (room,), place)) < len(room):
            if not got:
                raise CorruptError(f"{self.path}: ends at {place}, before its last window; {REMEDY}")
            place, room = place + got, room[got:]

    def gather(self, rows: NDArray[np.int64], signals: NDArray[np.float32]) -> None:
        """The windows `rows` into `signals`. Raises `CorruptError`."""
        self.alone += len(rows)
        room, size = signals.reshape(-1).data.cast("B"), signals[0].nbytes
        for at, row in enumerate(rows.tolist()):
            self.read(row * size, room[at * size : (at + 1) * size])

    def mapped(self) -> mmap.mmap | None:
        """A map of it, if all its bytes can be read now."""
        try:
            data = mmap.mmap(self._file, self.ref.bytes, access=mmap.ACCESS_READ)
            data.madvise(_POPULATE_READ)
        except (OSError, ValueError):
            return None  # a kernel that does not know how, or a sector that it cannot read: who reads that one is told
        return data


class _Map(NamedTuple):
    """A shard that is mapped for as long as these shards are: nobody who reads loses it to who opens another."""

    path: Path
    data: mmap.mmap
    windows: NDArray[np.uint8]
    """Their bytes."""

    @property
    def address(self) -> int:
        """Where they begin in this process's memory."""
        return int(self.windows.__array_interface__["data"][0])

    def look(self, size: int) -> None:
        """Raise `CorruptError` where the file has not `size` bytes any more."""
        if self.data.size() != size:
            raise CorruptError(f"{self.path}: found {self.data.size()} bytes, expected {size}; {REMEDY}")


class OpenShards:
    """Some of `shards`, each an operator's folder and a file in it, opened when they are asked for."""

    def __init__(self, shards: Sequence[tuple[Path, FileRef]], steps: int, channels: int) -> None:
        self._shards = shards
        self._shape = (steps, channels)
        self._bytes = 4 * steps * channels
        self._erased = {folder: _erased_ns(folder) for folder in {folder for folder, _ in shards}}
        self._is_doubtful = False
        """Somebody was forgotten since this was made: files that are open may be no more."""
        self._begins: dict[int, int] = {}
        """Where the windows begin in a shard, whose header was looked at."""
        self._open: OrderedDict[int, OpenShard] = OrderedDict()
        self._maps: dict[int, _Map] = {}
        self._ends: tuple[_Map, _Map] | None = None
        """Of the maps those that lie lowest and highest in memory."""
        self._refused: set[int] = set()
        """What cannot be mapped."""
        self._addresses = np.zeros(len(shards), np.int64)
        """Where the windows of a shard begin in this process's memory; 0: it is not mapped."""
        self._rows = np.array([ref.rows for _, ref in shards], np.int64)
        self._memory: tuple[NDArray[np.void], int] | None = None
        """A window at each place from the lowest map on, whether there is one or not; and where that map begins."""
        self._mapping = Lock()
        self._turn = 0
        files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        self._open_max = min(max(int(_OPEN_SHARE * files), _OPEN_MIN), _OPEN_MAX)
        self._room = int(_MEMORY_SHARE * os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
        """So many bytes more may be mapped."""

    @property
    def held(self) -> tuple[int, int]:
        """How many shards are open to be read by place, and how many are mapped."""
        return len(self._open), len(self._maps)

    def look(self) -> None:
        """To be called before shards are read: was somebody forgotten?"""
        # An erasure writes what tells of it before it deletes anything.
        self._is_doubtful = any(_erased_ns(folder) != ns for folder, ns in self._erased.items())

    def gathered(self, shard: NDArray[np.int32], row: NDArray[np.int64]) -> NDArray[np.float32] | None:
        """The windows `row` of the shards `shard`, `(windows, steps, channels) float32`, where all these are mapped.

        A single window's file is looked at, and of a batch one file, each in its turn. Raises `CorruptError`.
        """
        addresses = self._addresses[shard]
        memory = self._memory  # behind the addresses, which are written behind it: it reaches to all of them
        if self._is_doubtful or memory is None or not addresses.all():
            return None
        if row.min() < 0 or not (row < self._rows[shard]).all():
            return None
        self._turn += 1
        number = int(shard[self._turn % len(shard)])
        self._maps[number].look(self._shards[number][1].bytes)
        windows, lowest = memory
        found: NDArray[np.void] = windows[(addresses + row * self._bytes - lowest) // _STEP]
        signals: NDArray[np.float32] = found.view(np.float32).reshape(-1, *self._shape)
        return signals

    def gather(self, number: int, rows: NDArray[np.int64], signals: NDArray[np.float32]) -> None:
        """The windows `rows` of one shard into `signals`, by place; it may be mapped then. Raises `CorruptError`."""
        shard = self.opened(number)
        shard.gather(rows, signals)
        worth = shard.alone > ALONE_SHARE * shard.ref.rows and not (number in self._refused or number in self._maps)
        if not worth or shard.ref.bytes > self._room or len(self._maps) >= self._open_max:
            return
        if self._mapping.acquire(blocking=False):  # else another thread maps one: this one has its turn the next time
            try:
                self._map(number, shard)
            finally:
                self._mapping.release()

    def _map(self, number: int, shard: OpenShard) -> None:
        if number in self._maps:
            return
        data = shard.mapped()
        if data is None or shard.ref.rows * self._bytes != shard.ref.bytes - shard.begin:
            self._refused.add(number)
            return
        new = _Map(shard.path, data, np.frombuffer(data, np.uint8, offset=shard.begin))
        lowest, highest = new, new
        if self._ends is not None:
            lowest = min(self._ends[0], new, key=_address)
            highest = max(self._ends[1], new, key=_address)
        # Memory between the maps is in here too, and never asked for: each index is that of a window of a map.
        count = (highest.address + highest.windows.nbytes - self._bytes - lowest.address) // _STEP + 1
        one = lowest.windows[: self._bytes].view(np.dtype((np.void, self._bytes)))
        try:
            memory = as_strided(one, (count,), (_STEP,), writeable=False)
        except ValueError:  # numpy counts no so many bytes: the maps lie too far from one another
            self._refused.add(number)
            return
        self._room -= shard.ref.bytes
        self._maps[number], self._ends = new, (lowest, highest)
        self._memory = memory, lowest.address
        self._addresses[number] = new.address

    def opened(self, number: int) -> OpenShard:
        """A shard by its number, to be read by place.

        Raises:
            CorruptError: it is missing, not what it was, or somebody was forgotten.
        """
        folder, ref = self._shards[number]
        if self._is_doubtful and not (folder / ref.name).exists():
            raise CorruptError(
                f"{folder / ref.name}: is gone, somebody was forgotten since this handle was opened: open the dataset "
                "again"
            )
        shard = self._open.get(number)
        if shard is not None:
            shard.look()
            return shard
        shard = OpenShard(folder / ref.name, ref, self._shape, self._begins.get(number))
        self._begins[number] = shard.begin
        self._open[number] = shard
        if len(self._open) > self._open_max:
            self._open.popitem(last=False)
        return shard


def _erased_ns(folder: Path) -> int:
    """When something was forgotten last in an operator's folder."""
    try:
        return (folder / ERASED).stat().st_mtime_ns
    except FileNotFoundError:
        return 0


def _address(one: _Map) -> int:
    return one.address
