"""NumPy: a folder of `.npy` that can be mapped into memory, or one `.npz` a part."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from curation.exports.content import BATCH, Batch, Content, Part


def write_folder(content: Content, folder: Path) -> None:
    """`train/X.npy`, `y.npy`, `window.npy` and an array a column."""
    for part in content.parts:
        (folder / part.name).mkdir()
        with (folder / part.name / "X.npy").open("wb") as file:
            _write_signals(file, content, part)
        for name, column in _columns(part):
            np.save(folder / part.name / f"{name}.npy", column, allow_pickle=False)


def write_npz(content: Content, folder: Path) -> None:
    """`train.npz` with the same arrays, uncompressed; its signals are never in memory together."""
    for part in content.parts:
        with zipfile.ZipFile(folder / f"{part.name}.npz", "w") as archive:
            with archive.open(_member("X"), "w", force_zip64=True) as file:
                _write_signals(file, content, part)
            for name, column in _columns(part):
                with archive.open(_member(name), "w", force_zip64=True) as file:
                    npy.write_array(file, column, allow_pickle=False)


def _member(name: str) -> zipfile.ZipInfo:
    return zipfile.ZipInfo(f"{name}.npy")  # of 1980: the same windows give the same bytes


def _columns(part: Part) -> Iterator[tuple[str, NDArray[Any]]]:
    """Texts that are missing are "": an array of objects would be a pickle."""
    for name in part.table.columns:
        column = part.table[name]
        yield (
            name,
            column.to_numpy() if column.dtype.is_numeric() else np.array(column.fill_null("").to_list(), np.str_),
        )


def _write_signals(file: IO[bytes], content: Content, part: Part) -> None:
    shape = (len(part), content.steps, len(content.channels))
    npy.write_array_header_2_0(file, {"descr": "<f4", "fortran_order": False, "shape": shape})
    for batch in part.batches():
        file.write(batch.X.astype("<f4", copy=False).tobytes())


def read_folder(content: Content, folder: Path) -> tuple[str, Iterator[tuple[str, Iterator[Batch]]]]:
    """Each part by `numpy.load`, mapped."""
    return "numpy", ((part.name, _batches(_mapped(folder / part.name))) for part in content.parts)


def read_npz(content: Content, folder: Path) -> tuple[str, Iterator[tuple[str, Iterator[Batch]]]]:
    """Each part by `numpy.load`, whole: an .npz is not mapped."""
    return "numpy", ((part.name, _unzipped(folder / f"{part.name}.npz")) for part in content.parts)


def _mapped(folder: Path) -> Mapping[str, NDArray[Any]]:
    return {name: np.load(folder / f"{name}.npy", mmap_mode="r") for name in ("X", "y", "window")}


def _unzipped(path: Path) -> Iterator[Batch]:
    with np.load(path, allow_pickle=False) as arrays:
        yield from _batches({name: arrays[name] for name in ("X", "y", "window")})


def _batches(arrays: Mapping[str, NDArray[Any]]) -> Iterator[Batch]:
    for begin in range(0, len(arrays["y"]), BATCH):
        few = slice(begin, begin + BATCH)
        yield Batch(np.asarray(arrays["X"][few]), np.asarray(arrays["y"][few]), arrays["window"][few].tolist())
