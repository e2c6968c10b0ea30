"""Arrays of MATLAB's `.mat` and of HDF5, each by its path in the file; read by their own libraries, an extra.

The fields of a struct are `data/acc`, those of an array of structs `data(2)/acc`, what is in a cell `c{3}`: numbered as
MATLAB does. An HDF5 data set of a compound type is a table, its columns by name.
"""

from __future__ import annotations

import io
import zlib
from collections.abc import Iterator
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from ingest.errors import MissingLibraryError, UsageError
from ingest.importers.sheets import chosen
from ingest.importers.source import Source, too_large

HDF5: Final = b"\x89HDF\r\n\x1a\n"
MATLAB: Final = b"MATLAB "
_USER_BLOCK_BYTES: Final = 512
"""What MATLAB puts before HDF5 in a file of version 7.3."""
_HEADER_BYTES: Final = 128
_COMPRESSED: Final = 15
"""miCOMPRESSED: MAT-File Format, "Level 5 MAT-File Format"."""
_NUMBERS: Final = frozenset(
    ("double", "single", "int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64", "logical")
)


def is_foreign(source: Source) -> bool:
    """Whether it is a file of MATLAB's, or HDF5."""
    return source.data.startswith((HDF5, MATLAB))


def read_foreign(source: Source, name: str | None) -> NDArray[Any]:
    """A variable of a .mat file, or a data set of an HDF5 file by its path; `name` chooses one of several.

    Raises:
        UsageError: it is damaged or too large, has no such array, or one that holds no numbers.
        MissingLibraryError: the extra "matlab" is not installed.
    """
    is_hdf5 = source.data[_USER_BLOCK_BYTES:].startswith(HDF5) or source.data.startswith(HDF5)
    try:
        return _of_hdf5(source, name) if is_hdf5 else _of_matlab(source, name)
    except ImportError as error:
        raise MissingLibraryError(f"{source.path}: a file of MATLAB or HDF5", error.name, "matlab") from None
    except UsageError:
        raise
    except Exception as error:  # what a damaged file makes these libraries raise is theirs to choose
        shown = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise UsageError(f"{source.path}: a file of MATLAB or HDF5 that cannot be read: {shown}") from None


def _of_matlab(source: Source, name: str | None) -> NDArray[Any]:
    from scipy.io import loadmat, whosmat

    held = whosmat(io.BytesIO(source.data))
    sizes = {found: shape for found, shape, kind in held if kind in _NUMBERS}
    nested = [found for found, _, kind in held if kind in ("struct", "cell")]
    inner: dict[str, NDArray[Any]] = {}
    if nested and (name is None or name not in sizes):
        _check_size(source)
        loaded = loadmat(io.BytesIO(source.data), variable_names=nested)
        inner = dict(each for found in nested for each in _nested(found, loaded[found]))
    wanted = chosen(source.path, sorted([*sizes, *inner]), name)
    if wanted in inner:
        return _upright(inner[wanted])
    size = int(np.prod([int(length) for length in sizes[wanted]], dtype=object)) * 8
    if size > source.max_bytes:
        raise too_large(source.path, f"{size:,} bytes", source.max_bytes)
    array: NDArray[Any] = loadmat(io.BytesIO(source.data), variable_names=[wanted])[wanted]
    return _upright(array)


def _nested(path: str, value: Any) -> Iterator[tuple[str, NDArray[Any]]]:
    """The arrays of more than one number in a struct or a cell, by their paths."""
    if not isinstance(value, np.ndarray):
        return
    if value.dtype.names:
        for number, one in enumerate(value.flatten(order="F"), 1):
            for field in value.dtype.names:
                yield from _nested(f"{path}/{field}" if value.size == 1 else f"{path}({number})/{field}", one[field])
    elif value.dtype.kind == "O":
        for number, one in enumerate(value.flatten(order="F"), 1):
            yield from _nested(f"{path}{{{number}}}", one)
    elif value.dtype.kind in "biuf" and value.size > 1:
        yield path, value


def _check_size(source: Source) -> None:
    """Raise `UsageError` where the packed elements of a .mat file unpack to more than they may: of a struct, the file
    does not say how large it is."""
    data, at, size = source.data, _HEADER_BYTES, 0
    order = "little" if data[126:128] == b"IM" else "big"
    while at + 8 <= len(data) and size <= source.max_bytes:
        kind, length = (int.from_bytes(data[at + k : at + k + 4], order) for k in (0, 4))  # type: ignore[arg-type]
        if kind == _COMPRESSED:
            unpacking, piece = zlib.decompressobj(), data[at + 8 : at + 8 + length]
            while piece and size <= source.max_bytes:
                size += len(unpacking.decompress(piece, 1 << 20))
                piece = unpacking.unconsumed_tail
        at += 8 + length
    if size > source.max_bytes:
        raise too_large(source.path, f"more than {source.max_bytes:,} bytes", source.max_bytes)


def _of_hdf5(source: Source, name: str | None) -> NDArray[Any]:
    import h5py

    with h5py.File(io.BytesIO(source.data), "r") as file:
        found: dict[str, Any] = {}
        file.visititems(lambda path, item: found.update({path: item}) if _is_table(item) else None)
        path = None if name is None else name.strip("/")
        if path is not None and path not in found and path in file and _is_table(file[path]):
            found[path] = file[path]  # by a link, which nobody visits
        data = found[chosen(source.path, sorted(found), path)]
        if data.nbytes > source.max_bytes:
            raise too_large(source.path, f"{data.nbytes:,} bytes", source.max_bytes)
        array: NDArray[Any] = data[()]
    # MATLAB writes columns first, and HDF5 says rows: its arrays lie on their side.
    return _upright(array.T if source.data.startswith(MATLAB) else array)


def _is_table(item: Any) -> bool:
    """Whether it is an array of numbers, or of records."""
    dtype = getattr(item, "dtype", None)
    return dtype is not None and (dtype.kind in "iufb" or dtype.names is not None) and bool(item.shape)


def _upright(array: NDArray[Any]) -> NDArray[Any]:
    """A single row is a signal that lies: MATLAB has no arrays of one dimension."""
    array = array.astype(np.uint8) if array.dtype.kind == "b" else array
    return array.T if array.ndim == 2 and array.shape[0] == 1 else array
