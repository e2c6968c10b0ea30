"""The ranking and the counts of likely label errors are the published implementation's."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from preparing.mislabelled import confident_joint, suspects
from tests.support.peers import peer_python, run_peer

CLEANLAB = "cleanlab==2.9.0"

pytestmark = [pytest.mark.soak, pytest.mark.timeout(1800)]  # the peer is installed the first time


def test_joint_and_ranking_are_its(tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    truth = rng.integers(0, 5, 2000)
    logits = rng.normal(size=(2000, 5)) + 2.5 * np.eye(5)[truth]
    p = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    y = np.where(rng.random(2000) < 0.05, rng.integers(0, 5, 2000), truth)
    np.savez(tmp_path / "given.npz", y=y, p=p)
    theirs = run_peer(peer_python(CLEANLAB), Path(__file__).with_name("cleanlab_peer.py"), tmp_path / "given.npz")
    assert confident_joint(y, p).tolist() == theirs["joint"]
    found = suspects(y, p)
    score = np.empty(len(y))
    score[found.places] = found.score
    assert np.allclose((score + 1) / 2, theirs["margin"], atol=1e-12)
    both = len(np.intersect1d(found.places[found.suspected], theirs["issues"]))
    assert both >= 0.95 * max(found.suspected.sum(), len(theirs["issues"])), "sums are rounded otherwise there"
