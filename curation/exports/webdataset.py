"""WebDataset: `train-000000.tar`, of each window `.npy` (its signal), `.cls` (its class's number) and `.json`."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.lib import format as npy

from curation.exports.content import Batch, Content, Part

SHARD_BYTES: Final = 256 << 20
"""About so much signal lies in a tar: shards are shared out among workers."""


def write(content: Content, folder: Path) -> None:
    """Write all parts."""
    per_shard = max(1, SHARD_BYTES // (4 * content.steps * len(content.channels)))
    for part in content.parts:
        rows, number = part.table.iter_rows(named=True), 0
        tar: tarfile.TarFile | None = None
        for batch in part.batches():
            for X in batch.X:
                if tar is None or number % per_shard == 0:
                    if tar is not None:
                        tar.close()
                    tar = tarfile.open(  # noqa: SIM115 - closed when the next one begins
                        folder / f"{part.name}-{number // per_shard:06d}.tar", "w", format=tarfile.USTAR_FORMAT
                    )
                _add(tar, f"{number:09d}", X, next(rows))
                number += 1
        if tar is not None:
            tar.close()


def _add(tar: tarfile.TarFile, key: str, signal: Any, row: dict[str, Any]) -> None:
    array = io.BytesIO()
    npy.write_array(array, np.ascontiguousarray(signal))
    for ending, data in (
        ("npy", array.getvalue()),
        ("cls", str(row["y"]).encode()),
        ("json", json.dumps(row, ensure_ascii=False).encode()),
    ):
        member = tarfile.TarInfo(f"{key}.{ending}")
        member.size = len(data)
        tar.addfile(member, io.BytesIO(data))


def read(content: Content, folder: Path) -> tuple[str, Iterator[tuple[str, Iterator[Batch]]]]:
    """Each part as `webdataset` reads it; where that is not installed, as a tar."""
    if find_spec("webdataset") is not None:
        return "webdataset", ((part.name, _by_webdataset(_files(part, folder))) for part in content.parts)
    return "tarfile", ((part.name, _by_tarfile(_files(part, folder))) for part in content.parts)


def _files(part: Part, folder: Path) -> list[str]:
    return sorted(map(str, folder.glob(f"{part.name}-*.tar")))


def _by_webdataset(files: list[str]) -> Iterator[Batch]:
    import webdataset

    if not files:
        return
    for sample in webdataset.WebDataset(files, shardshuffle=False, empty_check=False).decode():
        yield Batch(sample["npy"][None], np.array([sample["cls"]]), [sample["json"]["window"]])


def _by_tarfile(files: list[str]) -> Iterator[Batch]:
    for file in files:
        with tarfile.open(file) as tar:
            found: dict[str, bytes] = {}
            for member in tar:
                data = tar.extractfile(member)
                assert data is not None, "every member is a file"
                found[member.name.partition(".")[2]] = data.read()
                if len(found) == 3:
                    X = np.load(io.BytesIO(found["npy"]), allow_pickle=False)
                    yield Batch(X[None], np.array([int(found["cls"])]), [json.loads(found["json"])["window"]])
                    found = {}
