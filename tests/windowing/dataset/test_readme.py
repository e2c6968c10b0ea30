"""What README tells ML engineers runs as it stands there."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import numpy as np
import pytest

import sensorloom
from ingest.records import Mark
from tests.windowing.sample_dataset import Window, build, mark

_README = Path(__file__).parents[3] / "README.md"


@pytest.mark.filterwarnings("ignore:The least populated class")
def test_every_snippet_for_ml_engineers_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    devices = [f"d{number:02}" for number in range(12)]
    marks: list[Mark] = []
    for device in devices:
        marks += [mark("run", 0, 12, device=device), mark("stop", 12, 20, device=device)]
    build(tmp_path / "out/demo/dataset", [[Window(device, "r", k) for k in range(6)] for device in devices], marks)
    text = _README.read_text(encoding="utf-8")
    part = text[text.index("## For ML engineers") : text.index("### From files to windows")]
    blocks = re.findall(r"^```(python)?\n(.*?)^```", part, re.DOTALL | re.MULTILINE)
    assert len(blocks) >= 4
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    for kind, snippet in blocks:
        if not kind:
            for line in snippet.replace("\\\n", " ").splitlines():
                program, *words = shlex.split(line)
                assert (program, sensorloom.main(words)) == ("sensorloom", 0), line
            continue
        exec(compile(snippet, "README.md", "exec"), names)
    X, y = names["X"], names["y"]
    assert isinstance(X, np.ndarray)
    assert isinstance(y, np.ndarray)
    assert X.shape == (60, 4, 2)
    assert np.bincount(y).tolist() == [36, 24]
    dataset, split = names["dataset"], names["split"]
    assert isinstance(dataset, sensorloom.Dataset)
    assert isinstance(split, sensorloom.Split)
    assert dataset.leaks(split) == ()
