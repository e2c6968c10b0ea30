"""Shards as memory maps: only what a windower writes is taken for windows."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from ingest.engine.manifest import FileRef
from ingest.engine.operator import Draft
from ingest.errors import CorruptError
from windowing.dataset.signals import open_shard, view_windows
from windowing.fold.shards import npy_header

WHERE = Path("s.npy")


def as_bytes(array: NDArray[np.generic]) -> NDArray[np.uint8]:
    file = io.BytesIO()
    np.save(file, array)
    return np.frombuffer(file.getvalue(), np.uint8)


def test_numpys_own_and_the_windowers_header_are_the_same_windows() -> None:
    wanted = np.arange(24, dtype=np.float32).reshape(3, 4, 2)
    ours = np.frombuffer(npy_header(wanted.shape) + wanted.tobytes(), np.uint8)
    for data in (as_bytes(wanted), ours):
        np.testing.assert_array_equal(view_windows(data, WHERE, 4, 2), wanted)


@pytest.mark.parametrize(
    "array",
    [
        np.zeros((3, 4, 3), np.float32),
        np.zeros((3, 8), np.float32),
        np.zeros((3, 4, 2), np.float64),
        np.zeros((3, 4, 2), ">f4"),
        np.asfortranarray(np.zeros((3, 4, 2), np.float32)),
    ],
)
def test_another_shape_type_or_order_is_refused(array: NDArray[np.generic]) -> None:
    with pytest.raises(CorruptError, match=r"s\.npy: found .* expected float32 windows of 4 steps and 2 channels"):
        view_windows(as_bytes(array), WHERE, 4, 2)


@pytest.mark.parametrize("data", [b"", b"\x93NUMPY", b"\x93NUMPY\x01\x00\x10\x00" + b"(" * 16, b"\x93NUMPY\x09\x00abc"])
def test_what_is_no_npy_is_refused(data: bytes) -> None:
    with pytest.raises(CorruptError, match=r"s\.npy: no \.npy header"):
        view_windows(np.frombuffer(data, np.uint8), WHERE, 4, 2)


def test_the_hash_is_checked_where_it_is_asked_for(tmp_path: Path) -> None:
    data = npy_header((1, 4, 2)) + bytes(32)
    draft = Draft.of("signal", "s", ".npy", [data], 1)
    ref = FileRef(draft.name, draft.sha256, draft.size, draft.rows)
    (tmp_path / "signal").mkdir()
    path = tmp_path / draft.name
    path.write_bytes(data)
    assert open_shard(tmp_path, ref, 4, 2, hashed=True).shape == (1, 4, 2)
    path.write_bytes(data[:-1] + b"\x01")
    assert open_shard(tmp_path, ref, 4, 2, hashed=False).shape == (1, 4, 2)
    with pytest.raises(CorruptError, match="SHA-256 differs"):
        open_shard(tmp_path, ref, 4, 2, hashed=True)
