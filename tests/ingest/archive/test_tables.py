"""Files of samples: what is read of one is what was written."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.archive import tables
from ingest.archive.tables import draft_of, read_samples, read_table, samples_in

SCHEMA = pa.schema({"offset": pa.int64(), "t_ns": pa.int64(), "device": pa.string(), "x": pa.int16(), "y": pa.int16()})


def samples_file(rows: int) -> bytes:
    at = np.arange(rows)
    columns = [at, 7 * at, pa.array(["pump-7"] * rows), (3 * at).astype(np.int16), (-at).astype(np.int16)]
    table = pa.Table.from_arrays([pa.array(column) for column in columns], schema=SCHEMA)
    return b"".join(draft_of("samples/acc", "s", SCHEMA, [table.slice(0, rows // 3), table.slice(rows // 3)], "").parts)


@given(rows=st.integers(3, 60), most=st.integers(1, 70), places=st.lists(st.integers(0, 59)))
def test_rows_at_places_are_those_of_the_whole_file(rows: int, most: int, places: Sequence[int]) -> None:
    wanted = np.array(sorted({place % rows for place in places}), np.int64)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tables, "GROUP_ROWS_MAX", most)
        data = samples_file(rows)
    times, raw = samples_in(read_table(data))
    found, columns = read_samples(data, wanted)
    assert found.tolist() == times[wanted].tolist()
    assert np.stack(columns, axis=1).tolist() == raw[wanted].tolist()


def test_of_a_large_file_only_what_holds_the_rows_is_decoded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tables, "GROUP_ROWS_MAX", 10)
    seen: list[list[int]] = []
    whole = pq.ParquetFile.read_row_groups

    def read(file: object, groups: list[int], *args: object, **more: object) -> pa.Table:
        seen.append(groups)
        return whole(file, groups, *args, **more)

    data = samples_file(90)
    monkeypatch.setattr(pq.ParquetFile, "read_row_groups", read)
    read_samples(data, np.array([41, 42, 60], np.int64))
    assert seen == [[4, 6]]


def test_floats_cost_fewer_bytes_than_they_have() -> None:
    noise = np.random.default_rng(5).normal(0, 1, 20_000).astype(np.float32)
    schema = pa.schema({"offset": pa.int64(), "t_ns": pa.int64(), "device": pa.string(), "x": pa.float32()})
    at = np.arange(len(noise))
    table = pa.Table.from_arrays(
        [pa.array(at), pa.array(at), pa.array(["pump-7"] * len(at)), pa.array(noise)], schema=schema
    )
    draft = draft_of("samples/acc", "s", schema, [table], "")
    assert draft.size < noise.nbytes, "a dictionary of numbers that come once is longer than they are"
    assert samples_in(read_table(b"".join(draft.parts)))[1][:, 0].tobytes() == noise.tobytes()
