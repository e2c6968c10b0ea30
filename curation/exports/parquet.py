"""Parquet as Hugging Face `datasets` reads it without a script: `data/train-00000-of-00002.parquet`.

`signal` is a list of lists, and the schema's metadata says that it is an `Array2D`: so `load_dataset` gives arrays, and
`with_format("numpy")` costs no conversion. `y` is a `ClassLabel`.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from curation.exports.content import BATCH, Batch, Content, Part

if TYPE_CHECKING:
    import polars as pl

FILE_BYTES: Final = 256 << 20
"""About so much signal lies in a file: readers take files in parallel."""
_HF_TYPES: Final = {"String": "string", "Int64": "int64", "Float64": "float64"}


def write(content: Content, folder: Path) -> None:
    """Write all parts."""
    (folder / "data").mkdir()
    for part in content.parts:
        schema = _schema(content, part)
        rows = max(BATCH, FILE_BYTES // (4 * content.steps * len(content.channels)) // BATCH * BATCH)
        files = max(1, -(-len(part) // rows))
        batches = part.batches()
        for number in range(files):
            path = folder / "data" / f"{part.name}-{number:05d}-of-{files:05d}.parquet"
            with pq.ParquetWriter(path, schema, compression="zstd", use_dictionary=_texts(part)) as writer:
                done = number * rows
                while done < min(len(part), (number + 1) * rows):
                    batch = next(batches)
                    writer.write_table(_table(batch, part.table[done : done + len(batch.y)], schema))
                    done += len(batch.y)


def _texts(part: Part) -> list[str]:
    return [name for name, kind in part.table.schema.items() if str(kind) == "String" and name != "window"]


def _schema(content: Content, part: Part) -> pa.Schema:
    kinds = {"String": pa.string(), "Int64": pa.int64(), "Float64": pa.float64()}
    features: dict[str, Any] = {}
    fields = []
    for name, kind in _columns(part.table):
        fields.append(pa.field(name, kinds[kind]))
        features[name] = {"dtype": _HF_TYPES[kind], "_type": "Value"}
    features["y"] = {"names": list(content.classes), "_type": "ClassLabel"}
    shape = [content.steps, len(content.channels)]
    features["signal"] = {"shape": shape, "dtype": "float32", "_type": "Array2D"}
    fields.append(pa.field("signal", pa.list_(pa.list_(pa.float32()))))
    return pa.schema(fields, {"huggingface": json.dumps({"info": {"features": features}})})


def _columns(table: pl.DataFrame) -> Iterator[tuple[str, str]]:
    for name, kind in table.schema.items():
        found = str(kind)
        yield name, found if found in _HF_TYPES else "Float64" if kind.is_float() else "String"


def _table(batch: Batch, rows: pl.DataFrame, schema: pa.Schema) -> pa.Table:
    windows, steps, channels = batch.X.shape
    inner = pa.ListArray.from_arrays(
        np.arange(windows * steps + 1, dtype=np.int32) * channels, pa.array(batch.X.reshape(-1))
    )
    signal = pa.ListArray.from_arrays(np.arange(windows + 1, dtype=np.int32) * steps, inner)
    columns = [signal if field.name == "signal" else rows[field.name].to_arrow().cast(field.type) for field in schema]
    return pa.Table.from_arrays(columns, schema=schema)


def read(content: Content, folder: Path) -> tuple[str, Iterator[tuple[str, Iterator[Batch]]]]:
    """Each part as `datasets` reads it; as Polars does where that is not installed."""
    if find_spec("datasets") is not None:
        return "datasets", _by_datasets(content, folder)
    return "polars", _by_polars(content, folder)


def _files(part: Part, folder: Path) -> list[str]:
    return sorted(map(str, (folder / "data").glob(f"{part.name}-*.parquet")))


def _by_datasets(content: Content, folder: Path) -> Iterator[tuple[str, Iterator[Batch]]]:
    from datasets import disable_progress_bars, load_dataset

    disable_progress_bars()
    with tempfile.TemporaryDirectory() as cache:
        files = {part.name: _files(part, folder) for part in content.parts}
        loaded = load_dataset("parquet", data_files=files, cache_dir=cache)
        for part in content.parts:
            rows = loaded[part.name].with_format("numpy").iter(BATCH)
            yield part.name, (Batch(each["signal"], each["y"], [str(name) for name in each["window"]]) for each in rows)


def _by_polars(content: Content, folder: Path) -> Iterator[tuple[str, Iterator[Batch]]]:
    for part in content.parts:
        yield part.name, _rows(content, _files(part, folder))


def _rows(content: Content, files: list[str]) -> Iterator[Batch]:
    import polars as pl

    for file in files:
        for group in range(pq.ParquetFile(file).num_row_groups):
            few = pl.from_arrow(pq.ParquetFile(file).read_row_group(group))
            assert isinstance(few, pl.DataFrame)
            flat = few["signal"].explode().explode().to_numpy()
            X = flat.reshape(len(few), content.steps, len(content.channels))
            yield Batch(X, few["y"].to_numpy(), few["window"].to_list())
