"""Samples as files, written part by part: CSV, NPZ, Parquet. Times are whole nanoseconds UTC, values physical Float64.

CSV and Parquet have the columns `stream`, `time_ns`, and `STREAM.CHANNEL` of every channel, a stream after the other; a
row has values of its own stream alone. Nothing is made up where there are no samples.
"""

from __future__ import annotations

import io
import tempfile
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import IO, Any, Final, Protocol

import msgspec
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pyarrow import csv, parquet

from ingest.times import Times

CELLS: Final = 1 << 18
"""About so many cells are text at once."""


@dataclass(frozen=True, slots=True)
class Taken:
    """What a file is of."""

    device: str
    start_ns: int
    end_ns: int
    channels: Mapping[str, Sequence[str]]
    """Of each stream."""
    units: Mapping[str, Sequence[str]]
    gaps: Sequence[tuple[str, int, int, int, str]] = ()
    """Stream, start and end in ns, samples (-1: not known) and reason of what will never come."""

    @property
    def columns(self) -> list[str]:
        """Those of CSV and Parquet."""
        return ["stream", "time_ns", *(f"{name}.{it}" for name, own in self.channels.items() for it in own)]


class Writer(Protocol):
    """Writes one file; what it gives is the file's bytes, one after the other. It waits for disk and processor."""

    def write(self, stream: str, times: Times, values: NDArray[np.float64]) -> Iterator[bytes]:
        """`times` `(samples,)` rising, `values` `(samples, channels)`; streams come one after the other."""
        ...

    def end(self) -> Iterator[bytes]:
        """What ends the file."""
        ...


def writer(form: str, taken: Taken) -> Writer:
    """The writer of a format: "csv", "npz" or "parquet"."""
    makers: dict[str, Callable[[Taken], Writer]] = {"csv": CsvWriter, "npz": NpzWriter, "parquet": ParquetWriter}
    return makers[form](taken)


def python_line(form: str, name: str) -> str:
    """The line that reads a file."""
    match form:
        case "csv":
            return f'import polars; table = polars.read_csv("{name}", infer_schema_length=None)'
        case "parquet":
            return f'import polars; table = polars.read_parquet("{name}")'
        case _:
            return f'import numpy; arrays = numpy.load("{name}")'


class _Sink(io.RawIOBase):
    """Collects what a library writes to a file."""

    def __init__(self) -> None:
        super().__init__()
        self._parts: list[bytes] = []
        self._at = 0

    def writable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def write(self, data: Any) -> int:
        part = bytes(data)
        self._parts.append(part)
        self._at += len(part)
        return len(part)

    def take(self) -> bytes:
        """What was written since."""
        data, self._parts = b"".join(self._parts), []
        return data


class _Table:
    """Rows of all streams in the columns of one table."""

    def __init__(self, taken: Taken) -> None:
        self.taken = taken
        fields = [pa.field("stream", pa.string()), pa.field("time_ns", pa.int64())]
        self.schema = pa.schema([*fields, *(pa.field(name, pa.float64()) for name in taken.columns[2:])])

    def batches(self, stream: str, times: Times, values: NDArray[np.float64]) -> Iterator[pa.RecordBatch]:
        rows = max(1, CELLS // len(self.schema))
        for start in range(0, len(times), rows):
            part, cells = times[start : start + rows], values[start : start + rows]
            arrays = [pa.array([stream] * len(part)), pa.array(part)]
            for name, own in self.taken.channels.items():
                for number in range(len(own)):
                    here = name == stream
                    arrays.append(pa.array(cells[:, number]) if here else pa.nulls(len(part), pa.float64()))
            yield pa.record_batch(arrays, schema=self.schema)


class _TableWriter:
    """Writes a table's batches through a file of Arrow's."""

    def __init__(self, table: _Table, sink: _Sink, file: csv.CSVWriter | parquet.ParquetWriter) -> None:
        self._table, self._sink, self._file = table, sink, file

    def write(self, stream: str, times: Times, values: NDArray[np.float64]) -> Iterator[bytes]:
        """See `Writer`."""
        for batch in self._table.batches(stream, times, values):
            self._file.write_batch(batch)
            yield self._sink.take()

    def end(self) -> Iterator[bytes]:
        """See `Writer`."""
        self._file.close()
        yield self._sink.take()


class CsvWriter(_TableWriter):
    """Text in which numbers are as short as they can be and mean the same; a value that is missing is empty."""

    def __init__(self, taken: Taken) -> None:
        table, sink = _Table(taken), _Sink()
        super().__init__(table, sink, csv.CSVWriter(sink, table.schema))


class ParquetWriter(_TableWriter):
    """A row group for each part; the file's metadata `sensorloom` has device, range, units and gaps, as JSON."""

    def __init__(self, taken: Taken) -> None:
        units = {f"{name}.{it}": unit for name, own in taken.channels.items()
                 for it, unit in zip(own, taken.units[name], strict=True)}  # fmt: skip
        about = {"device": taken.device, "start_ns": taken.start_ns, "end_ns": taken.end_ns, "units": units}
        names = "stream", "start_ns", "end_ns", "samples", "reason"
        gaps = [dict(zip(names, gap, strict=True)) for gap in taken.gaps]
        told = msgspec.json.encode(about | {"gaps": gaps})
        table, sink = _Table(taken), _Sink()
        schema = table.schema.with_metadata({"sensorloom": told})
        super().__init__(
            table, sink, parquet.ParquetWriter(sink, schema, compression="zstd", use_dictionary=["stream"])
        )


class NpzWriter:
    """Arrays of each stream: `STREAM.time_ns` `(samples,)`, `STREAM.values` `(samples, channels)`, `STREAM.channels`,
    `STREAM.units`, and `STREAM.gaps` `(gaps, 3)`: start, end, samples.

    An array says first how long it is: a stream waits in temporary files until all of it is there.
    """

    def __init__(self, taken: Taken) -> None:
        self._taken = taken
        self._sink = _Sink()
        self._zip = zipfile.ZipFile(self._sink, "w", zipfile.ZIP_STORED)
        self._stream = ""
        self._count = 0
        self._files = ExitStack()
        self._spooled: list[IO[bytes]] = []

    def write(self, stream: str, times: Times, values: NDArray[np.float64]) -> Iterator[bytes]:
        """See `Writer`."""
        if stream != self._stream:
            yield from self._close_stream()
            self._stream, self._count = stream, 0
            self._spooled = [self._files.enter_context(tempfile.TemporaryFile()) for _ in range(2)]  # noqa: SIM115, the stack closes them
        for file, array in zip(self._spooled, (times.astype("<i8"), values.astype("<f8")), strict=True):
            file.write(array.tobytes())
        self._count += len(times)

    def end(self) -> Iterator[bytes]:
        """See `Writer`."""
        yield from self._close_stream()
        self._zip.close()
        yield self._sink.take()

    def _close_stream(self) -> Iterator[bytes]:
        if not self._spooled:
            return
        stream, taken = self._stream, self._taken
        channels = taken.channels[stream]
        shapes = (("time_ns", "<i8", (self._count,)), ("values", "<f8", (self._count, len(channels))))
        for file, (name, kind, shape) in zip(self._spooled, shapes, strict=True):
            file.seek(0)
            header = {"descr": kind, "fortran_order": False, "shape": shape}
            with self._zip.open(f"{stream}.{name}.npy", "w", force_zip64=True) as member:
                np.lib.format.write_array_header_2_0(member, header)
                while data := file.read(1 << 20):
                    member.write(data)
                    yield self._sink.take()
        self._files.close()
        self._spooled = []
        gaps = [gap[1:4] for gap in taken.gaps if gap[0] == stream]
        small = {"channels": np.array(channels), "units": np.array(taken.units[stream]),
                 "gaps": np.array(gaps, "<i8").reshape(len(gaps), 3)}  # fmt: skip
        for name, array in small.items():
            with self._zip.open(f"{stream}.{name}.npy", "w") as member:
                np.lib.format.write_array(member, array, allow_pickle=False)
        yield self._sink.take()
