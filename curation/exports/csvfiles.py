"""CSV: `train/windows.csv`, a row a window, and `train/samples.csv`, a row a step, with the window's id."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import polars as pl

from curation.exports.content import BATCH, Batch, Content, Part


def write(content: Content, folder: Path) -> None:
    """Write all parts. A value is the shortest decimal that is read as the same float32; a missing one is NaN."""
    for part in content.parts:
        (folder / part.name).mkdir()
        part.table.write_csv(folder / part.name / "windows.csv")
        with (folder / part.name / "samples.csv").open("wb") as file:
            pl.DataFrame(schema=["window", "step", *content.channels]).write_csv(file)
            for batch in part.batches():
                steps = {
                    "window": pl.Series(
                        np.repeat(np.array(batch.windows, np.str_), content.steps).tolist(), dtype=pl.String
                    ),
                    "step": np.tile(np.arange(content.steps), len(batch.windows)),
                }
                values = batch.X.reshape(-1, len(content.channels))
                columns = {name: np.ascontiguousarray(values[:, place]) for place, name in enumerate(content.channels)}
                pl.DataFrame({**steps, **columns}).write_csv(file, include_header=False)


def read(content: Content, folder: Path) -> tuple[str, Iterator[tuple[str, Iterator[Batch]]]]:
    """Each part as pandas reads it; as pyarrow does where that is not installed."""
    by = "pandas" if find_spec("pandas") is not None else "pyarrow"
    return by, ((part.name, _batches(content, part, folder / part.name, by)) for part in content.parts)


def _batches(content: Content, part: Part, folder: Path, by: str) -> Iterator[Batch]:
    if not len(part):
        return
    names, y = _windows(folder / "windows.csv", by)
    place = 0
    for ids, values in _samples(content, folder / "samples.csv", by):
        count = len(values) // content.steps
        few = slice(place, place + count)
        if ids != [name for name in names[few] for _ in range(content.steps)]:
            raise ValueError("samples.csv: its rows are not those of windows.csv")
        yield Batch(values.reshape(count, content.steps, len(content.channels)), y[few], names[few])
        place += count


def _windows(path: Path, by: str) -> tuple[list[str], np.ndarray[tuple[int], np.dtype[np.int64]]]:
    if by == "pandas":
        import pandas

        found = pandas.read_csv(path, dtype={"window": str})
        return found["window"].tolist(), found["y"].to_numpy()
    from pyarrow import csv, string

    table = csv.read_csv(path, convert_options=csv.ConvertOptions(column_types={"window": string()}))
    return table["window"].to_pylist(), table["y"].to_numpy()


def _samples(
    content: Content, path: Path, by: str
) -> Iterator[tuple[list[str], np.ndarray[tuple[int, int], np.dtype[np.float32]]]]:
    rows = BATCH * content.steps
    if by == "pandas":
        import pandas

        kinds = {"window": str, **dict.fromkeys(content.channels, np.float32)}
        for few in pandas.read_csv(path, dtype=kinds, chunksize=rows, float_precision="round_trip"):
            yield few["window"].tolist(), few[list(content.channels)].to_numpy()
        return
    import pyarrow as pa
    from pyarrow import csv

    kinds = {"window": pa.string(), **dict.fromkeys(content.channels, pa.float32())}
    left = pa.table({})
    reader = csv.open_csv(path, convert_options=csv.ConvertOptions(column_types=kinds))
    for few in reader:
        table = pa.Table.from_batches([few])
        left = pa.concat_tables([left, table]) if left.num_columns else table
        whole = left.num_rows // content.steps * content.steps
        yield _columns(content, left.slice(0, whole))
        left = left.slice(whole)


def _columns(content: Content, table: object) -> tuple[list[str], np.ndarray[tuple[int, int], np.dtype[np.float32]]]:
    found = pl.from_arrow(table)
    assert isinstance(found, pl.DataFrame)
    values = found.select(content.channels).fill_null(np.nan).to_numpy()
    return found["window"].to_list(), np.ascontiguousarray(values, np.float32)
