"""What the package's README shows runs, and its tables are complete."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np

from preparing.features import NAMES
from preparing.transforms import TRANSFORMS

PAGE = (Path(__file__).parents[2] / "preparing/README.md").read_text()


def test_its_code_runs() -> None:
    (code,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    known: dict[str, Any] = {
        "X_train": np.random.default_rng(0).normal(size=(300, 64, 3)).astype(np.float32),
        "train_ids": [f"w-{number}" for number in range(300)],
        "channels": ["acc.x", "acc.y", "acc.z"],
    }
    exec(code, known)
    assert known["batch"].shape == (256, 64, 3)
    assert known["table"].values.shape == (300, 3 * len(NAMES))


def test_it_names_every_transform_and_counts_the_features() -> None:
    assert {*re.findall(r"^\| `(\w+)\(", PAGE, re.MULTILINE)} == {kind.__name__ for kind in TRANSFORMS}
    assert f"| {len(NAMES)} features a channel" in PAGE
