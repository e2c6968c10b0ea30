"""Finished windows as files: the signal as `.npy`, everything about it as Parquet.

The signal's bytes are never copied: a shard is its header and the arrays that the windower cut.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import msgspec
import numpy as np
import polars as pl
from numpy.typing import NDArray
from xxhash import xxh3_128_digest

from ingest.engine.operator import Buffer, Draft, Output
from windowing.fold.cutting import Block, Dropped, Finished, Late
from windowing.fold.heard import Described, Started

SIGNAL, INDEX, DROPPED, LATE = "signal", "index", "dropped", "late"
RECORDINGS, STREAMS = "recordings", "streams"
RECORDINGS_SCHEMA: dict[str, pl.DataType | type[pl.DataType]] = {
    "device": pl.String,
    "recording": pl.String,
    "offset": pl.Int64,
    "start_ns": pl.Int64,
    "attributes": pl.String,
}
"""The columns of a recordings file: what recordings say of themselves, as a JSON object."""
STREAMS_SCHEMA: dict[str, pl.DataType | type[pl.DataType]] = {
    "device": pl.String,
    "recording": pl.String,
    "stream": pl.String,
    "offset": pl.Int64,
    "named": pl.Boolean,
    "rate_hz": pl.Float64,
    "channels": pl.List(pl.String),
    "units": pl.List(pl.String),
    "states": pl.String,
}
"""The columns of a streams file: see `windowing.fold.heard.Described`. `states` is there where any stream has some."""


def encode_output(finished: Finished, tag: str = "") -> Output:
    """The files, with `tag` in their names, and counts of what was finished; nothing finished, no files."""
    drafts: list[Draft] = []
    # While one core takes the signal's SHA-256, the other makes everything else; only the shard's name is waited for.
    with ThreadPoolExecutor(1) as beside:
        signalling = beside.submit(_signal_draft, finished.blocks, tag) if finished.blocks else None
        index = index_table(finished.blocks) if finished.blocks else None
        if finished.dropped:
            drafts.append(_draft(DROPPED, "d", dropped_table(finished.dropped), tag))
        if finished.late:
            drafts.append(_draft(LATE, "l", late_table(finished.late), tag))
        if finished.started:
            drafts.append(_draft(RECORDINGS, "r", recordings_table(finished.started), tag))
        if finished.described:
            drafts.append(_draft(STREAMS, "t", streams_table(finished.described), tag))
        if signalling is not None and index is not None:
            signal = signalling.result()
            drafts += [signal, _draft(INDEX, "i", name_shard(index, signal.name.rpartition("/")[2]), tag)]
    return Output(drafts, finished.publications, finished.counts)


def npy_header(shape: tuple[int, ...]) -> bytes:
    """The header of a C-order little-endian float32 `.npy` file (NEP 1, format 1.0)."""
    stream = io.BytesIO()
    np.lib.format.write_array_header_1_0(stream, {"descr": "<f4", "fortran_order": False, "shape": shape})
    return stream.getvalue()


def _signal_draft(blocks: Sequence[Block], tag: str) -> Draft:
    rows = sum(len(block.k) for block in blocks)
    header = npy_header((rows, *blocks[0].signal.shape[1:]))
    pieces = [piece.data.cast("B") for piece in _pieces([block.signal for block in blocks])]
    return Draft.of(SIGNAL, "s", ".npy", [header, *pieces], rows, tag)


def _pieces(signals: Sequence[NDArray[np.float32]]) -> list[NDArray[np.float32]]:
    """The signals in few arrays: those that were carved from one piece of memory, one behind the other, are one again.

    Hashing a large piece leaves the interpreter to the other core all the while.
    """
    pieces: list[NDArray[np.float32]] = []
    for signal in signals:
        flat = signal.astype("<f4", copy=False).reshape(-1)
        last = pieces[-1] if pieces else None
        if last is not None and last.base is not None and last.base is flat.base and _address(flat) == _end(last):
            start = (_address(last) - _address(last.base)) // last.itemsize
            pieces[-1] = last.base[start : start + last.size + flat.size]
        else:
            pieces.append(flat)
    return pieces


def _address(array: NDArray[np.float32]) -> int:
    address: int = array.__array_interface__["data"][0]
    return address


def _end(array: NDArray[np.float32]) -> int:
    return _address(array) + array.nbytes


def _draft(folder: str, stem: str, table: pl.DataFrame, tag: str) -> Draft:
    buffer = io.BytesIO()
    table.write_parquet(buffer, compression="lz4", statistics=False)
    return Draft.of(folder, stem, ".parquet", [buffer.getbuffer()], table.height, tag)


def row_hash(row: Buffer) -> bytes:
    """The XXH3-128 of a window's signal bytes: it finds the damaged windows of a shard whose SHA-256 is wrong."""
    return xxh3_128_digest(row)


def _row_hashes(signal: NDArray[np.float32]) -> list[bytes]:
    data = signal.data.cast("B")
    size = signal.nbytes // len(signal)
    return [xxh3_128_digest(data[at : at + size]) for at in range(0, signal.nbytes, size)]


def _masks(block: Block) -> list[bytes]:
    """Each window's mask, empty where all is valid: a window's mask must not depend on its neighbours in the block."""
    if block.mask is None:
        return [b""] * len(block.k)
    full = np.packbits(np.ones(block.signal[0].size, dtype=np.bool_)).tobytes()
    return [b"" if mask == full else mask for mask in (row.tobytes() for row in block.mask)]


def name_shard(index: pl.DataFrame, shard: str) -> pl.DataFrame:
    """The index with the column `shard`, the signal file's name, before `row`."""
    return index.insert_column(index.get_column_index("row"), pl.Series("shard", [shard] * len(index)))


def index_table(blocks: Sequence[Block]) -> pl.DataFrame:
    """One row a window, in the shard's order.

    Columns: window, device, recording, anchor (text); k, t0_ns, t1_ns (int64, `[t0_ns, t1_ns)` UTC); row (in the
    shard); coverage (float32); mask (`np.packbits` over steps × channels, empty: all valid); offset (all its data lie
    at or before this log offset); hash (`row_hash` of its signal).
    """
    # Columns are made in Python and numpy: every polars expression costs some milliseconds of planning.
    counts = [len(block.k) for block in blocks]
    origins = [block.origin for block, count in zip(blocks, counts, strict=True) for _ in range(count)]
    k = np.concatenate([block.k for block in blocks])
    texts = {
        "window": [f"{origin.prefix}-{number}" for origin, number in zip(origins, k.tolist(), strict=True)],
        "device": [origin.device for origin in origins],
        "recording": [origin.recording for origin in origins],
        "anchor": [origin.anchor for origin in origins],
    }
    return pl.DataFrame(
        {
            **{name: pl.Series(column, dtype=pl.String) for name, column in texts.items()},
            "k": k,
            "t0_ns": np.concatenate([block.t0_ns for block in blocks]),
            "t1_ns": np.concatenate([block.t1_ns for block in blocks]),
            "row": np.arange(len(k), dtype=np.int64),
            "coverage": np.concatenate([block.coverage for block in blocks]),
            "mask": pl.Series([mask for block in blocks for mask in _masks(block)], dtype=pl.Binary),
            "offset": np.repeat(np.array([block.offset for block in blocks], dtype=np.int64), counts),
            "hash": pl.Series([digest for block in blocks for digest in _row_hashes(block.signal)], dtype=pl.Binary),
        }
    )


def dropped_table(dropped: Sequence[Dropped]) -> pl.DataFrame:
    """One row a run of consecutive windows that exist but are not given out.

    Columns: device, recording, anchor (text); k (int64, the first of them), windows (int64, how many), t0_ns, t1_ns
    (int64, from the first's start to the last's end), reason (gap, edge, coverage, no_stream).
    """
    return pl.DataFrame(
        [(*entry.origin[:3], *entry[1:]) for entry in dropped],
        schema={
            **dict.fromkeys(("device", "recording", "anchor"), pl.String),
            **dict.fromkeys(("k", "windows", "t0_ns", "t1_ns"), pl.Int64),
            "reason": pl.String,
        },
        orient="row",
    )


def recordings_table(started: Sequence[Started]) -> pl.DataFrame:
    """One row a recording that said something of itself, as `RECORDINGS_SCHEMA` has it."""
    rows = [(*entry[:4], msgspec.json.encode(entry.attributes, order="sorted").decode()) for entry in started]
    return pl.DataFrame(rows, schema=RECORDINGS_SCHEMA, orient="row")


def streams_table(described: Sequence[Described]) -> pl.DataFrame:
    """One row a stream of a recording and description, as `STREAMS_SCHEMA` has it."""
    table = pl.DataFrame(described, schema=STREAMS_SCHEMA, orient="row")
    return table if any(entry.states for entry in described) else table.drop("states")


def late_table(late: Sequence[Late]) -> pl.DataFrame:
    """One row a sample that came but is not windowed.

    Columns: device, stream, recording (text); boot (bytes), seq, offset (int64, the log's); t_ns (int64);
    values (list of float64: all the stream's channels, physical); reason (late, backwards, ended, quarantine).
    """
    at = np.repeat(np.arange(len(late)), [len(entry.times) for entry in late])
    chunks = pl.DataFrame(
        [(*entry[:6], entry.reason) for entry in late],
        schema={
            **dict.fromkeys(("device", "stream", "recording"), pl.String),
            "boot": pl.Binary,
            **dict.fromkeys(("seq", "offset"), pl.Int64),
            "reason": pl.String,
        },
        orient="row",
    )
    values = [row for entry in late for row in entry.values.tolist()]
    samples = pl.DataFrame(
        {
            "t_ns": np.concatenate([entry.times for entry in late]),
            "values": pl.Series(values, dtype=pl.List(pl.Float64)),
        }
    )
    table = pl.concat([chunks[at], samples], how="horizontal")
    return table.select("device", "stream", "recording", "boot", "seq", "offset", "t_ns", "values", "reason")
