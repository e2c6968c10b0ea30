"""Is anybody left who was to be forgotten? Every file of a folder is read, tables are decoded and looked through."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

import polars as pl

from ingest.archive.rows import FORGOTTEN
from ingest.forgetting import Forgotten
from windowing.dataset.erasing import ends_of

PARQUET: Final = b"PAR1"
_LONG: Final = 4
"""Shorter names are anywhere: of these only whole words are looked for."""


def find(folder: Path, whom: Forgotten, names: Sequence[str]) -> Iterator[tuple[Path, str]]:
    """The files in `folder` that have rows of them, or one of the `names` in any text or bytes, and what each has.

    Rows that say that somebody was forgotten, or taken back, are passed over: they keep them out.
    """
    needles = [name.encode() if len(name) >= _LONG else f'"{name}"'.encode() for name in names]
    for path in sorted(folder.rglob("*")):
        if not path.is_file():
            continue
        data = path.read_bytes()
        if data.startswith(PARQUET):
            if what := _in_table(pl.read_parquet(io.BytesIO(data)), whom, names):
                yield path, what
        elif any(needle in data for needle in needles):
            yield path, "names it"


def _has(texts: pl.Series, name: str) -> pl.Series:
    return texts.str.contains(name, literal=True) if len(name) >= _LONG else texts.eq_missing(name)


def _in_table(table: pl.DataFrame, whom: Forgotten, names: Sequence[str]) -> str:
    """What a table has of them, "" for nothing."""
    if {"kind", "value", "key"} <= set(table.columns):
        table = table.filter(pl.col("kind").cast(pl.String) != FORGOTTEN)
    if "kind" in table.columns:
        table = table.filter(pl.col("kind").cast(pl.String) != "recording_undo")
    if {"device", "recording"} <= set(table.columns):
        devices, recordings = (table[each].cast(pl.String).fill_null("").to_list() for each in ("device", "recording"))
        if count := int(whom.rows(devices, recordings, ends_of(table)).sum()):
            return f"has {count:,} rows of it"
    for name in table.columns:
        column = table[name]
        if column.dtype in (pl.String, pl.Categorical, pl.Enum):
            texts = column.cast(pl.String)
            if any(bool(_has(texts, each).any()) for each in names):
                return f"names it in {name}"
        elif column.dtype == pl.Binary and any(
            bool(column.bin.contains(each.encode()).any()) for each in names if len(each) >= _LONG
        ):
            return f"names it in {name}"
    return ""
