"""Files of finished windows: plain `.npy`, an index that finds and checks every row."""

from __future__ import annotations

import hashlib
import io
from fractions import Fraction

import numpy as np
import polars as pl
import xxhash

from ingest.engine.operator import Output
from ingest.records import schema_id
from tests.windowing.feeding import START_NS, Source, batches, describe
from windowing.fold.cutting import Finished
from windowing.fold.operator import WindowOperator
from windowing.fold.shards import encode_output, npy_header
from windowing.spec import StreamRule, WindowSpec

ACC = describe("acc", "xyz")
SPEC = WindowSpec(4, 2, Fraction(50), ("acc.z", "acc.x"), rule=StreamRule("none"), min_coverage=Fraction(3, 4))


def _output() -> tuple[Output, dict[str, bytes]]:
    operator = WindowOperator(SPEC)
    operator.learn(schema_id(ACC), ACC)
    running = operator.start(None)
    values = np.arange(60.0).reshape(20, 3)
    values[7, 2] = np.nan
    acc = Source(ACC)
    records = [
        *acc.split(START_NS, Fraction(20_000_000), values, [9, 11]),
        acc.regular(START_NS, 0, Fraction(5), [[1, 2, 3]]),
    ]
    (batch,) = batches([*records, acc.end()])
    running.feed(batch)
    output = running.take()
    return output, {draft.name.partition("/")[0]: b"".join(draft.parts) for draft in output.drafts}


def test_nothing_finished_no_files() -> None:
    output = encode_output(Finished())
    assert (list(output.drafts), list(output.publications), output.counts) == ([], [], {})


def test_the_header_is_numpys_own() -> None:
    for shape in ((1, 2, 3), (4096, 128, 6), (10**9, 1, 1)):
        array = np.lib.stride_tricks.as_strided(np.zeros(1, dtype="<f4"), shape, (0, 0, 0))
        expected = io.BytesIO()
        np.lib.format.write_array_header_1_0(
            expected, {**np.lib.format.header_data_from_array_1_0(array), "fortran_order": False}
        )
        assert npy_header(shape) == expected.getvalue()


def test_every_file_is_named_by_its_content() -> None:
    output, files = _output()
    for draft in output.drafts:
        folder, _, name = draft.name.partition("/")
        digest = hashlib.sha256(files[folder]).hexdigest()
        assert draft.sha256 == digest
        assert (
            name.partition(".")[0]
            == f"{ {'signal': 's', 'index': 'i', 'dropped': 'd', 'late': 'l', 'streams': 't'}[folder] }-{digest[:16]}"
        )
        assert draft.size == len(files[folder])
    assert set(files) == {"signal", "index", "dropped", "late", "streams"}


def test_the_index_finds_and_checks_every_row() -> None:
    output, files = _output()
    signal = np.load(io.BytesIO(files["signal"]))
    assert signal.dtype == np.dtype("<f4")
    index = pl.read_parquet(files["index"])
    assert index.columns == [
        *("window", "device", "recording", "anchor", "k", "t0_ns", "t1_ns"),
        *("shard", "row", "coverage", "mask", "offset", "hash"),
    ]
    (shard,) = [draft.name for draft in output.drafts if draft.name.startswith("signal/")]
    assert index["shard"].unique().to_list() == [shard.removeprefix("signal/")]
    assert index["row"].to_list() == list(range(len(signal)))
    for row in index.to_dicts():
        mine = signal[row["row"]]
        assert row["hash"] == xxhash.xxh3_128(mine.tobytes()).digest()
        assert row["window"].rpartition("-")[2] == str(row["k"])
        assert row["t0_ns"] == row["k"] * 2 * 20_000_000
        assert row["t1_ns"] - row["t0_ns"] == 4 * 20_000_000
        valid = ~np.isnan(mine)
        assert row["mask"] == (b"" if valid.all() else np.packbits(valid).tobytes())
        assert row["coverage"] == np.float32(valid.sum(axis=0).min() / 4)
    assert index["mask"].to_list().count(b"") == len(signal) - 2
    assert output.counts["windows"] == len(signal)
    assert index["window"].n_unique() == len(signal)
    assert len(index["window"][0].partition("-")[0]) == 16


def test_channels_lie_in_the_order_of_the_specification() -> None:
    _, files = _output()
    first = np.load(io.BytesIO(files["signal"]))[0]
    assert first.tolist() == [[2, 0], [5, 3], [8, 6], [11, 9]]


def test_side_files_keep_what_was_not_windowed() -> None:
    _, files = _output()
    assert pl.read_parquet(files["dropped"]).columns == [
        *("device", "recording", "anchor", "k", "windows", "t0_ns", "t1_ns", "reason"),
    ]
    late = pl.read_parquet(files["late"]).to_dicts()
    assert [(row["t_ns"], row["values"], row["seq"], row["offset"]) for row in late] == [(START_NS, [1, 2, 3], 2, 2)]


def test_the_bytes_are_the_same_every_time() -> None:
    assert _output()[1] == _output()[1]
