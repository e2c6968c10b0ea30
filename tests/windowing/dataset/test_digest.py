"""The digest: of what the windows are, not of how they came to be stored."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from ingest.errors import CorruptError
from tests.windowing.dataset.test_reader import flip, shards
from tests.windowing.sample_dataset import Window, build, sample
from windowing.dataset.digest import dataset_digest


def oracle(windows: list[Window]) -> str:
    def sha(data: bytes) -> str:
        return hashlib.sha256(data).hexdigest()

    lines = sorted(f"{w.id} {sha(w.signal.tobytes())} {sha(w.mask)}\n" for w in windows)
    return sha("".join(lines).encode())


def test_it_is_what_its_text_says(tmp_path: Path) -> None:
    windows = [Window(device, "r", k) for device in ("a", "b") for k in range(7)]
    assert dataset_digest(sample(tmp_path / "d")) == (oracle(windows), 14)


def test_seals_chains_and_marks_make_no_difference(tmp_path: Path) -> None:
    windows = [Window("a", "r", k, mask=bytes([k % 2])) for k in range(5)]
    one = build(tmp_path / "one", [windows], [])
    two = build(tmp_path / "two", [windows[3:], [], windows[:3]], [])
    assert dataset_digest(one) == dataset_digest(two) == (oracle(windows), 5)


@pytest.mark.parametrize("other", [Window("a", "r", 0, seed=1), Window("a", "q", 0), Window("a", "r", 0, mask=b"1")])
def test_another_signal_id_or_mask_is_another_digest(tmp_path: Path, other: Window) -> None:
    first = build(tmp_path / "one", [[Window("a", "r", 0)]], [])
    second = build(tmp_path / "two", [[other]], [])
    assert dataset_digest(first) != dataset_digest(second)


def test_nothing_has_a_digest(tmp_path: Path) -> None:
    assert dataset_digest(build(tmp_path / "d", [[]], [])) == (hashlib.sha256(b"").hexdigest(), 0)


def test_a_damaged_shard_has_none(tmp_path: Path) -> None:
    root = sample(tmp_path / "d")
    flip(shards(root)[0], -1)
    with pytest.raises(CorruptError):
        dataset_digest(root)
    shards(root)[0].unlink()
    with pytest.raises(CorruptError, match="is missing"):
        dataset_digest(root)
