"""The notebook for ML engineers runs from its first cell to its last, and leads to a model that knows other people."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.support.data import data_dir
from tests.support.peers import peer_python
from tests.support.server import PROJECT

PEERS = ("nbclient==0.11.0", "nbconvert==7.17.2", "ipykernel==7.4.0", "matplotlib==3.11.2")
NOTEBOOK = PROJECT / "notebooks/from-files-to-a-model.ipynb"


@pytest.mark.soak
def test_it_runs(tmp_path: Path) -> None:
    ours, commands = Path(np.__file__).parents[1], Path(sys.executable).parent
    surroundings = {
        **os.environ,
        "PYTHONPATH": f"{PROJECT}:{ours}",
        "PATH": f"{commands}:{os.environ['PATH']}",
        "SENSORLOOM_DATA": str(data_dir()),
        "TMPDIR": str(tmp_path),
    }
    page = tmp_path / "notebook.html"
    script = Path(__file__).with_name("notebook_peer.py")
    run = subprocess.run(
        [peer_python(*PEERS), script, NOTEBOOK, page], check=True, stdout=subprocess.PIPE, env=surroundings, cwd=PROJECT
    )
    told = json.loads(run.stdout)
    assert told["pictures"] == 2
    found = re.search(r"never saw: ([0-9.]+)% right", told["text"])
    assert found
    print(f"the notebook's model: {found[1]} %", file=sys.stderr)
    assert float(found[1]) >= 94
    assert "1.0.0" in told["text"]
    assert page.stat().st_size > 100_000
