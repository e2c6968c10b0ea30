"""What an answer costs: which parts of a file are read for it."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from ingest.archive import reading
from ingest.archive.reading import Question, Tables, answer, volumes_of
from ingest.archive.tables import TILES, read_table
from ingest.archive.tiles import BITS, tiles_of
from ingest.records import schema_id
from tests.ingest.archive.test_operator import ACC, T0, acc, archived

FINEST = 10
SIZE, CHUNKS, PERIOD_NS = 32_768, 5, 10**7
TIMES = T0 + np.arange(CHUNKS * SIZE) * PERIOD_NS
X = np.tile(np.arange(2 * SIZE, dtype="<i2")[::2], CHUNKS)


@pytest.fixture(scope="module")
def files() -> dict[str, bytes]:
    """An output of half an hour, whose finest tiles have a row group of their own."""
    chunks = [acc(seq, count=SIZE, t0_ns=T0 + seq * SIZE * PERIOD_NS) for seq in range(CHUNKS)]
    return archived(*chunks)[1]


def of_level(level: int) -> Question:
    """Half an hour at the points for which tiles of this level are the coarsest ones."""
    found = Question("pump", "acc", T0, int(TIMES[-1]) + 1, 1)
    found = found._replace(points=(found.end_ns - found.start_ns) >> BITS * level)
    assert found.level == level
    return found


def as_before(tiles: bytes) -> bytes:
    """A tiles file as it was written before it had a row group for each level."""
    keys = ["channel", "level", "bucket"]
    file = io.BytesIO()
    pq.write_table(read_table(tiles).sort_by([(key, "ascending") for key in keys]), file, write_statistics=False)
    return file.getvalue()


@pytest.mark.parametrize("old", [False, True])
def test_tiles_are_of_the_asked_level_however_the_file_is_laid_out(files: dict[str, bytes], old: bool) -> None:
    read = {name: as_before(data) if old and name.startswith(TILES) else data for name, data in files.items()}
    volumes = list(volumes_of(files, read.__getitem__, Tables()))
    for level in (FINEST, FINEST + 1, 13, FINEST):
        found = answer(volumes, {schema_id(ACC): ACC}, of_level(level))
        assert found is not None
        assert found.level == level
        for got, wanted in zip(found.tiles[0], tiles_of(TIMES, X.astype(float), level), strict=True):
            np.testing.assert_array_equal(got, wanted)
    finer = answer(volumes, {schema_id(ACC): ACC}, of_level(FINEST - 1))
    assert finer is not None
    assert finer.level is None or finer.level == FINEST - 1, "made of samples: there are no tiles so fine"


def test_who_looks_at_much_reads_no_finer_tiles_and_no_file_twice(
    files: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    groups: list[Sequence[int]] = []

    def seen(data: bytes, *columns: Any, **options: Any) -> Any:
        groups.extend([options["groups"]] if "groups" in options else [])
        return read_table(data, *columns, **options)

    monkeypatch.setattr(reading, "read_table", seen)
    names: list[str] = []

    def read(name: str) -> bytes:
        names.append(name.partition("/")[0])
        return files[name]

    volumes = list(volumes_of(files, read, Tables()))
    for level, wanted in ((FINEST + 1, [[1]]), (FINEST + 2, [[1]]), (FINEST, [[1], [0]]), (FINEST - 1, [[1], [0]])):
        assert answer(volumes, {schema_id(ACC): ACC}, of_level(level)) is not None
        assert groups == wanted, level
    assert sorted(names) == ["records", "samples", "tiles", "tiles"], "a file is read once, and for each new row group"
