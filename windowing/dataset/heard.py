"""What a dataset knows of recordings and streams: attributes to split by, units, and streams that nobody named."""

from __future__ import annotations

import io
from collections.abc import Collection, Mapping
from typing import NamedTuple

import msgspec
import polars as pl

from ingest.errors import CorruptError
from windowing.dataset.belongings import REMEDY
from windowing.dataset.catalog import Chains, Damaged, read_checked
from windowing.fold.shards import DROPPED, RECORDINGS, RECORDINGS_SCHEMA, STREAMS, STREAMS_SCHEMA

_KEYS = ("device", "recording")
_Schema = Mapping[str, "pl.DataType | type[pl.DataType]"]


class UnitsOfStream(NamedTuple):
    """The units in which a channel came, each with the number of recordings."""

    channel: str
    units: Mapping[str, int]


def read_recordings(chains: Chains, damaged: Damaged = "raise") -> pl.DataFrame:
    """One row a recording that said something of itself: device, recording, and a column an attribute.

    Of what is said twice, what was said later counts. Raises `CorruptError`.
    """
    table = _read(chains, RECORDINGS, RECORDINGS_SCHEMA, damaged).sort("offset")
    found: dict[tuple[str, str], dict[str, str]] = {}
    for device, recording, text in table.select(*_KEYS, "attributes").iter_rows():
        found.setdefault((device, recording), {}).update(msgspec.json.decode(text, type=dict[str, str]))
    names = sorted({name for attributes in found.values() for name in attributes})
    rows = [(*key, *(attributes.get(name) for name in names)) for key, attributes in sorted(found.items())]
    return pl.DataFrame(rows, schema=dict.fromkeys((*_KEYS, *names), pl.String), orient="row")


def with_attributes(windows: pl.DataFrame, recordings: pl.DataFrame) -> pl.DataFrame:
    """The windows with the attributes of their recordings as columns; the other columns are not copied."""
    names = recordings.columns[len(_KEYS) :]
    if not names:
        return windows
    found = windows.select(_KEYS).join(recordings, list(_KEYS), "left", maintain_order="left")
    return windows.with_columns(found[name] for name in names)


def read_dropped(chains: Chains, damaged: Damaged = "raise") -> pl.DataFrame:
    """One row a run of windows that were not given out: see `windowing.fold.shards.dropped_table`. Raises
    `CorruptError`."""
    texts = dict.fromkeys(("device", "recording", "anchor"), pl.String)
    numbers = dict.fromkeys(("k", "windows", "t0_ns", "t1_ns"), pl.Int64)
    return _read(chains, DROPPED, {**texts, **numbers, "reason": pl.String}, damaged).sort("device", "t0_ns", "k")


def read_streams(chains: Chains, damaged: Damaged = "raise") -> pl.DataFrame:
    """One row a stream of a recording and description: see `STREAMS_SCHEMA`. Raises `CorruptError`."""
    return _read(chains, STREAMS, STREAMS_SCHEMA, damaged).sort("device", "recording", "stream", "offset")


def without_undone(streams: pl.DataFrame, undone: Collection[tuple[str, str]]) -> pl.DataFrame:
    """The streams but for those of the recordings, by device and id, "" for all of it, that are not to be used."""
    gone = pl.DataFrame(list(undone), schema=dict.fromkeys(_KEYS, pl.String), orient="row")
    whole = [device for device, recording in undone if not recording]
    return streams.join(gone, list(_KEYS), "anti", maintain_order="left").filter(~pl.col("device").is_in(whole))


def units_of(streams: pl.DataFrame) -> list[UnitsOfStream]:
    """In which units each named channel came, and in how many recordings each."""
    rows = streams.filter("named").select(*_KEYS, "stream", "channels", "units").explode("channels", "units")
    counted = (
        rows.drop_nulls("channels")
        .select(*_KEYS, channel=pl.concat_str("stream", "channels", separator="."), unit="units")
        .unique()
        .group_by("channel", "unit")
        .len()
        .sort("channel", "unit")
    )
    found: dict[str, dict[str, int]] = {}
    for channel, unit, count in counted.iter_rows():
        found.setdefault(channel, {})[unit] = count
    return [UnitsOfStream(channel, units) for channel, units in found.items()]


def states_of(streams: pl.DataFrame, channels: Collection[str]) -> dict[str, dict[int, str]]:
    """What the codes of channels mean, by channel and code. A code that recordings name otherwise has all its names,
    with a slash between them."""
    found: dict[str, dict[int, set[str]]] = {}
    told = streams.filter(pl.col("states").fill_null("") != "").select("stream", "states").unique()
    for stream, text in told.iter_rows():
        for name, states in msgspec.json.decode(text, type=dict[str, dict[int, str]]).items():
            for code, meaning in states.items():
                found.setdefault(f"{stream}.{name}", {}).setdefault(code, set()).add(meaning)
    return {
        channel: {code: " / ".join(sorted(names)) for code, names in sorted(found[channel].items())}
        for channel in channels
        if channel in found
    }


def unnamed_streams(streams: pl.DataFrame) -> dict[str, int]:
    """The streams that no window names, and in how many recordings each came."""
    rows = streams.filter(~pl.col("named")).select(*_KEYS, "stream").unique()
    return dict(rows.group_by("stream").len().sort("stream").iter_rows())


def _read(chains: Chains, kind: str, schema: _Schema, damaged: Damaged) -> pl.DataFrame:
    """The rows of a kind of files; a damaged file lacks, where damage is skipped, which its opener has noted."""
    tables = [pl.DataFrame(schema=dict(schema))]
    for ref, rows in chains.counting(kind):
        try:
            data = read_checked(chains.folder, ref)
        except CorruptError:
            if damaged == "raise":
                raise
            continue
        try:
            table = pl.read_parquet(io.BytesIO(data)).head(rows)
            if kind == STREAMS and "states" not in table.columns:
                table = table.with_columns(states=pl.lit(None, pl.String))
            tables.append(table.select(list(schema)))
        except Exception as error:  # polars raises whatever its Parquet reader meets
            raise CorruptError(f"{chains.folder / ref.name}: not Parquet: {error}; {REMEDY}") from None
    return pl.concat(tables)
