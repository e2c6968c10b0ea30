"""The figures of a dataset, read a few chains after the other, are those of the dataset opened as one."""

from __future__ import annotations

import asyncio
import random
from pathlib import Path

import pytest

from ingest.engine.disk import DiskFiles
from ingest.engine.store import FileStore
from tests.windowing.sample_dataset import CONFIG, PERIOD_NS, Window, build, mark
from windowing.dataset import reading, status
from windowing.dataset.exclusions import Exclusion, exclude
from windowing.dataset.reader import open_dataset
from windowing.dataset.status import dataset_status, status_of


def _exclude(root: Path, what: Exclusion) -> None:
    asyncio.run(exclude(FileStore(DiskFiles(root), "t"), root, what, time_ns=1, author="ann"))


@pytest.mark.parametrize("seed", range(8))
def test_figures_read_by_portions_are_those_of_the_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    """Chains of a device each, with windows that come again, are overlapped by another recording, or taken out."""
    chance = random.Random(seed)
    chains = [
        [Window(device, chance.choice("rrs"), chance.randrange(9)) for _ in range(chance.randrange(12))]
        for device in "abcd"
    ]
    marks = [
        mark(chance.choice(("run", "stop")), begin, begin + chance.randrange(1, 9), device=chance.choice("abdx"))
        for begin in range(0, 60, 7)
    ]
    root = build(tmp_path / "d", chains, marks, CONFIG + chance.choice(("", 'classes = ["run"]\n')))
    if chance.random() < 0.7:
        _exclude(root, Exclusion("a", "loose", start_ns=8 * PERIOD_NS, end_ns=20 * PERIOD_NS))
        _exclude(root, Exclusion("b", "loose", recording="s"))
    monkeypatch.setattr(reading, "_PORTION_ROWS", chance.choice((1, 10)))
    monkeypatch.setattr(status, "open_figures", lambda path: pytest.fail("it read the whole"))
    found = dataset_status(root)
    assert found == status_of(open_dataset(root))
    assert found.windows <= sum(map(len, chains))


def test_windows_of_a_device_in_two_chains_count_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    windows = [Window("a", "r", k) for k in range(4)]
    root = build(tmp_path / "d", [windows, [Window("b", "r", 0)], windows[2:]], [])
    monkeypatch.setattr(reading, "_PORTION_ROWS", 1)
    found = dataset_status(root)
    assert found == status_of(open_dataset(root))
    assert (found.windows, found.again) == (5, 2)
