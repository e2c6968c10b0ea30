"""An export in a process of its own, which is killed at one of its calls."""

from __future__ import annotations

import os
import signal
import sys
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Any

from curation.documents.documents import write_documents
from curation.exports import arrays, csvfiles, edgeimpulse, parquet, tfrecord, webdataset  # noqa: F401 - known to forks
from curation.exports.exporting import Asked, export
from windowing.dataset.reader import open_dataset


def exported(root: Path, out: Path, form: str) -> None:
    """The same bytes each time."""
    dataset = open_dataset(root, version="1.0.0")
    parts = {name: dataset.part(name) for name in ("train", "test")}
    document = partial(write_documents, dataset, made_ns=0, tool="a test", export=True) if form == "hf" else None
    export(
        dataset, parts, Asked(form, out, unlabelled=True, hmac_key=b"k" if form == "edge-impulse" else None), document
    )


def die(root: Path, out: Path, form: str, at: int, calls: Path | None = None) -> None:
    """Export, and be gone at the call `at`, of Python or C; `calls` is told how many there were."""
    done = 0

    def count(frame: FrameType, event: str, arg: Any) -> None:
        nonlocal done
        if event in ("call", "c_call"):
            if done == at:
                os.kill(os.getpid(), signal.SIGKILL)
            done += 1

    sys.setprofile(count)
    exported(root, out, form)
    sys.setprofile(None)
    if calls is not None:
        calls.write_text(str(done))
