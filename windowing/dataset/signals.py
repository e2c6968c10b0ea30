"""Signal shards as memory maps: `.npy` files, `(windows, steps, channels) float32`, little-endian, C order."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Final

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from ingest.engine.manifest import FileRef
from ingest.errors import CorruptError
from windowing.dataset.belongings import REMEDY
from windowing.dataset.catalog import check_hash, check_size

HEADER_BYTES_MAX: Final = 4096
_DTYPE: Final = np.dtype("<f4")


def map_bytes(path: Path, ref: FileRef) -> NDArray[np.uint8]:
    """The bytes of a shard as a memory map. Raises `CorruptError` where its size is wrong."""
    check_size(path, ref)
    return np.memmap(path, dtype=np.uint8, mode="r")


def view_windows(data: NDArray[np.uint8], where: Path, steps: int, channels: int) -> NDArray[np.float32]:
    """The windows in a shard's bytes, `(windows, steps, channels) float32`, without a copy.

    Raises:
        CorruptError: the header is no `.npy` header, or says another type or shape.
    """
    begin = check_header(data[:HEADER_BYTES_MAX].tobytes(), data.nbytes, where, steps, channels)
    return data[begin:].view(_DTYPE).reshape(-1, steps, channels)


def check_header(head: bytes, size: int, where: Path, steps: int, channels: int) -> int:
    """Where the windows begin in a shard of `size` bytes, whose first ones are `head`.

    Raises:
        CorruptError: the header is no `.npy` header, or says another type or shape.
    """
    stream = io.BytesIO(head)
    try:
        version = npy.read_magic(stream)
        read = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
        shape, fortran, dtype = read(stream)
    except Exception as error:  # numpy raises whatever its header parser meets
        raise CorruptError(f"{where}: no .npy header: {error}; {REMEDY}") from None
    windows = shape[0] if len(shape) == 3 else 0
    body = size - stream.tell()
    if dtype != _DTYPE or fortran or shape != (windows, steps, channels) or body != 4 * windows * steps * channels:
        raise CorruptError(
            f"{where}: found {dtype} of shape {shape} in {body} bytes, expected float32 windows of "
            f"{steps} steps and {channels} channels; {REMEDY}"
        )
    return stream.tell()


def open_shard(folder: Path, ref: FileRef, steps: int, channels: int, *, hashed: bool) -> NDArray[np.float32]:
    """The windows of a shard; `hashed`: after its bytes were seen to be those that were written.

    Raises:
        CorruptError: it is missing, or damaged.
    """
    path = folder / ref.name
    data = map_bytes(path, ref)
    if hashed:
        check_hash(path, data.data, ref)
    return view_windows(data, path, steps, channels)
