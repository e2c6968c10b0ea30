"""One hash over what a dataset holds: the same for any chunking, worker count, seal rhythm, crash or log.

It is the SHA-256 of the sorted lines `<window id> <SHA-256 of the signal's bytes> <SHA-256 of the mask>`, each ended
by a newline. The signal's hash is taken from its bytes, not from the index.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from windowing.dataset.contents import Contents
from windowing.dataset.index import COLUMNS
from windowing.dataset.reading import read_contents
from windowing.dataset.signals import open_shard


class Digest(NamedTuple):
    """The hash, and over how many windows."""

    digest: str
    windows: int


def digest_line(window: str, signal: NDArray[np.float32], mask: bytes) -> str:
    """The line of a window: `signal` is `(steps, channels) float32`."""
    return f"{window} {hashlib.sha256(signal.tobytes()).hexdigest()} {hashlib.sha256(mask).hexdigest()}"


def digest_of(lines: Iterable[str]) -> Digest:
    """The digest of windows by their lines, in any order."""
    ordered = sorted(lines)
    return Digest(hashlib.sha256("".join(f"{line}\n" for line in ordered).encode()).hexdigest(), len(ordered))


def dataset_digest(path: str | Path) -> Digest:
    """The digest of the dataset in a folder. Raises `UsageError`, `CorruptError`."""
    return digest_of(_lines(read_contents(path, columns=(*COLUMNS, "mask"))))


def _lines(contents: Contents) -> Iterator[str]:
    window = contents.config.window
    for (name,), rows in contents.index.select("window", "row", "mask", "shard").group_by("shard"):
        folder, ref = contents.shards[str(name)]
        shard = open_shard(folder, ref, window.length, len(window.channels), hashed=True)
        for identity, row, mask in rows.select("window", "row", "mask").iter_rows():
            yield digest_line(identity, shard[row], mask)
