"""Sheets of Excel and LibreOffice, and the arrays of MATLAB and HDF5: each read by its own library, an extra.

A sheet becomes text as a spreadsheet would save it, numbers to the last digit and dates as ISO 8601, and goes the way
of all text: what is skipped, names, units, labels and blank rows mean the same there, and a row has the number that the
spreadsheet shows. What a sheet or an array would unpack to is known before it is unpacked, as far as the file says.
"""

from __future__ import annotations

import csv
import io
import zipfile
from collections.abc import Sequence
from datetime import date, datetime, time, timedelta
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from ingest.errors import MissingLibraryError, UsageError
from ingest.importers.source import Source, too_large
from ingest.settings import suggest

HDF5: Final = b"\x89HDF\r\n\x1a\n"
MATLAB: Final = b"MATLAB "
_USER_BLOCK_BYTES: Final = 512
"""What MATLAB puts before HDF5 in a file of version 7.3."""
_SHEETS: Final = (b"PK", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1")


def is_sheet(source: Source) -> bool:
    """Whether it is .xlsx, .xlsb, .ods or .xls."""
    if source.data.startswith(_SHEETS[1]):
        return True
    if not source.data.startswith(_SHEETS[0]):
        return False
    try:
        with zipfile.ZipFile(io.BytesIO(source.data)) as archive:
            return not {"[Content_Types].xml", "META-INF/manifest.xml"}.isdisjoint(archive.namelist())
    except Exception:  # a damaged one makes zipfile raise what it likes; whoever reads it says what is wrong
        return False


def sheet_as_text(source: Source, name: str | None) -> Source:
    """A sheet as CSV; `name` chooses one where there are several.

    Raises:
        UsageError: it is damaged, locked or too large, or has no such sheet.
        MissingLibraryError: the extra "excel" is not installed.
    """
    try:
        from python_calamine import CalamineError, CalamineWorkbook
    except ImportError as error:
        raise MissingLibraryError(f"{source.path}: a spreadsheet", error.name, "excel") from None
    _check_size(source)
    try:
        book = CalamineWorkbook.from_filelike(io.BytesIO(source.data))
        names = list(book.sheet_names)
        rows = book.get_sheet_by_name(_chosen(source.path, names, name)).to_python(skip_empty_area=False)
    except UsageError:
        raise
    except (CalamineError, OSError, ValueError) as error:
        shown = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise UsageError(f"{source.path}: a spreadsheet that cannot be read: {shown}") from None
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    for row in rows:
        cells = [_cell(value) for value in row]
        if any(cells):
            writer.writerow(cells)
        else:
            text.write("\n")
    return Source(source.path, text.getvalue().encode(), source.max_bytes)


def _check_size(source: Source) -> None:
    """Raise `UsageError` where a ZIP file says that it unpacks to more than it may."""
    if source.data.startswith(b"PK"):
        with zipfile.ZipFile(io.BytesIO(source.data)) as archive:
            size = sum(entry.file_size for entry in archive.infolist())
        if size > source.max_bytes:
            raise too_large(source.path, f"{size:,} bytes", source.max_bytes)


def _cell(value: Any) -> str:
    """A cell as text: the same number when it is read again."""
    if isinstance(value, bool):
        return str(int(value))
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() and abs(value) < 2**53 else repr(value)
    if isinstance(value, datetime):
        return value.isoformat(" ")
    if isinstance(value, date | time):
        return value.isoformat()
    if isinstance(value, timedelta):
        return repr(value / timedelta(seconds=1))
    return " ".join(str(value).split())


def _chosen(path: str, names: Sequence[str], name: str | None) -> str:
    if not names:
        raise UsageError(f"{path}: holds nothing that can be imported")
    if name is None and len(names) == 1:
        return names[0]
    if name is None:
        raise UsageError(f"{path}: holds {', '.join(names)}; choose one with --array")
    if name not in names:
        raise UsageError(f'{path}: there is no "{name}"{suggest(name, names)}')
    return name


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

    kinds = {"double", "single", "int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64", "logical"}
    sizes = {found: shape for found, shape, kind in whosmat(io.BytesIO(source.data)) if kind in kinds}
    chosen = _chosen(source.path, sorted(sizes), name)
    size = int(np.prod([int(length) for length in sizes[chosen]], dtype=object)) * 8
    if size > source.max_bytes:
        raise too_large(source.path, f"{size:,} bytes", source.max_bytes)
    array: NDArray[Any] = loadmat(io.BytesIO(source.data), variable_names=[chosen])[chosen]
    return _upright(array)


def _of_hdf5(source: Source, name: str | None) -> NDArray[Any]:
    import h5py

    with h5py.File(io.BytesIO(source.data), "r") as file:
        found: dict[str, Any] = {}
        file.visititems(lambda path, item: found.update({path: item}) if _is_numbers(item) else None)
        data = found[_chosen(source.path, sorted(found), name if name is None else name.strip("/"))]
        if data.nbytes > source.max_bytes:
            raise too_large(source.path, f"{data.nbytes:,} bytes", source.max_bytes)
        array: NDArray[Any] = data[()]
    # MATLAB writes columns first, and HDF5 says rows: its arrays lie on their side.
    return _upright(array.T if source.data.startswith(MATLAB) else array)


def _is_numbers(item: Any) -> bool:
    return getattr(getattr(item, "dtype", None), "kind", "") in ("i", "u", "f", "b") and bool(item.shape)


def _upright(array: NDArray[Any]) -> NDArray[Any]:
    """A single row is a signal that lies: MATLAB has no arrays of one dimension."""
    array = array.astype(np.uint8) if array.dtype.kind == "b" else array
    return array.T if array.ndim == 2 and array.shape[0] == 1 else array
