"""Features with a name of tsfresh's are the real tsfresh's, which gets a folder of its own: it brings much along."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from preparing.features import NAMES, features
from tests.support.peers import peer_python, run_peer

TSFRESH = "tsfresh==0.21.2"

pytestmark = pytest.mark.soak


def test_they_are_its(tmp_path: Path) -> None:
    rng = np.random.default_rng(7)
    rows = np.concatenate(
        [
            rng.normal(size=(40, 97)),
            np.cumsum(rng.normal(size=(40, 97)), axis=1),
            np.round(2 * rng.normal(size=(40, 97))),  # many values are equal, and lie on the edges of bins
            50 + rng.normal(size=(5, 97)),
            np.full((1, 97), 3.0),
        ]
    )
    np.save(tmp_path / "rows.npy", rows)
    script = Path(__file__).with_name("tsfresh_peer.py")
    theirs = run_peer(peer_python(TSFRESH), script, tmp_path / "rows.npy")
    ours = features(rows[:, :, None], ["c"], 1.0)
    assert len(theirs) > 60
    for name, values in theirs.items():
        mine = ours.values[:, NAMES.index(name)]
        assert np.allclose(mine, values, rtol=1e-9, atol=1e-9, equal_nan=True), name
