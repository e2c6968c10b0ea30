"""Adapters: windows as training libraries take them, each with its real library in the long proofs."""

from __future__ import annotations

import json
import os
import pickle
import subprocess
from pathlib import Path

import numpy as np
import pytest

import sensorloom
from curation.adapters.source import WindowSource
from ingest.errors import MissingLibraryError
from tests.support.peers import peer_python, run_peer
from tests.support.server import PROJECT
from tests.windowing.sample_dataset import sample
from windowing.dataset.reader import open_dataset

OWN = ("msgspec==0.22.0", "numpy", "polars==2.1.0", "pyarrow==26.0.1", "xxhash==4.1.0")
"""What opening a dataset needs."""


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return sample(tmp_path_factory.mktemp("dataset") / "d")


def test_a_source_has_labelled_windows_by_number_and_pickles_small(root: Path) -> None:
    dataset = open_dataset(root)
    source = WindowSource(dataset)
    X, y, _ = dataset.arrays()
    data = pickle.dumps(source)
    assert len(data) < 10_000
    for each in (source, pickle.loads(data)):
        assert len(each) == len(X) == 5
        for place in range(-5, 5):
            np.testing.assert_array_equal(each[place]["X"], X[place])
            assert each[place]["y"] == y[place]
        with pytest.raises(IndexError):
            each[5]
    assert repr(source) == repr(pickle.loads(data))
    every = WindowSource(dataset, "keep")
    assert [every[np.int64(place)]["y"] for place in range(len(every))] == dataset.arrays("keep").y.tolist()


def test_a_library_that_is_not_there_is_named(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from curation.adapters.tensorflow import tf_dataset

    monkeypatch.setitem(__import__("sys").modules, "tensorflow", None)
    with pytest.raises(MissingLibraryError, match="tensorflow"):
        tf_dataset(open_dataset(root), 4)


def test_pytorch_that_is_not_there_is_named(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "torch", None)
    for make in (sensorloom.torch_windows, lambda dataset: sensorloom.torch_batches(dataset, 4)):
        with pytest.raises(MissingLibraryError, match='"torch"'):
            make(open_dataset(root))


@pytest.mark.soak
@pytest.mark.timeout(1800)  # the libraries are installed the first time
def test_tensorflow_has_the_batches_in_their_order(root: Path) -> None:
    python = peer_python("tensorflow-cpu==2.21.0", *OWN)
    found = run_peer(python, Path(__file__).with_name("adapters_peer.py"), PROJECT, root, "tensorflow")
    assert found == {"same": True, "batches": 2, "cardinality": 2, "again": 2, "static": [4, 4, 2]}


@pytest.mark.soak
@pytest.mark.timeout(1800)
def test_grain_reads_in_two_workers(root: Path) -> None:
    python = peer_python("grain==0.2.18", *OWN)
    found = run_peer(python, Path(__file__).with_name("adapters_peer.py"), PROJECT, root, "grain")
    assert found == {"same": True, "shuffled": True, "lazy": [5, 4, 2]}


@pytest.mark.soak
@pytest.mark.timeout(1800)
def test_pytorch_has_windows_and_batches_in_spawned_workers(root: Path) -> None:
    """By Debian's Python, which has Debian's PyTorch: the one of the package index is made for graphics cards."""
    python = Path("/usr/bin/python3")
    assert Path("/usr/lib/python3/dist-packages/torch").exists(), "install it (Debian: sudo deploy/setup.sh peers)"
    ours = f"{PROJECT}:{Path(np.__file__).parents[1]}"
    script = str(Path(__file__).with_name("torch_peer.py"))
    words = [str(python), "-W", "ignore:Failed to initialize NumPy", script, str(root)]
    run = subprocess.run(words, check=True, stdout=subprocess.PIPE, env={**os.environ, "PYTHONPATH": ours}, timeout=600)
    found = json.loads(run.stdout)
    assert found.pop("bytes") < 10_000
    assert found.pop("batches") == 7
    assert found == dict.fromkeys(
        ("plain", "workers", "shuffled", "together", "learns", *(f"{count} workers" for count in range(4))), True
    )
