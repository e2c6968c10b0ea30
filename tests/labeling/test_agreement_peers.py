"""Agreement and consensus are those of published implementations, to 1e-9."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from labeling.agreement import NO_LABEL, cohen_kappa, fleiss_kappa, krippendorff_alpha
from labeling.dawidskene import dawid_skene
from tests.support.peers import peer_python, run_peer

PEERS = ("crowd-kit==1.4.2", "krippendorff==0.9.0", "scikit-learn", "statsmodels")

pytestmark = pytest.mark.soak


def test_they_say_the_same(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    truth = rng.integers(0, 3, 400)
    skill = np.array([0.9, 0.8, 0.7, 0.6, 0.5, 0.9])[:, None]
    whole = np.where(rng.random((6, 400)) < skill, truth, rng.integers(0, 3, (6, 400)))
    table = np.where(rng.random(whole.shape) < 0.2, NO_LABEL, whole)
    np.save(tmp_path / "table.npy", table)
    np.save(tmp_path / "whole.npy", whole)
    script = Path(__file__).with_name("agreement_peer.py")
    theirs = run_peer(peer_python(*PEERS), script, tmp_path / "table.npy", tmp_path / "whole.npy")
    assert krippendorff_alpha(table) == pytest.approx(theirs["alpha"], abs=1e-9)
    assert cohen_kappa(whole[0], whole[1], np.arange(400.0)) == pytest.approx(theirs["cohen"], abs=1e-9)
    assert fleiss_kappa(whole) == pytest.approx(theirs["fleiss"], abs=1e-9)
    ours = dawid_skene(table, 3, rounds=theirs["rounds"], tolerance=0.0)
    assert np.allclose(ours.shares[theirs["stretches"]], theirs["shares"], rtol=0, atol=1e-9)
