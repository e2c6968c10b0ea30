"""Packed records, as microcontrollers send them: `fields` says what each byte is, `frame` where a record begins.

Records are decoded many at a time: a sensor of some thousand samples a second costs a core nearly nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any, ClassVar, Final, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from edge.decoders.binary.fields import Field, read_fields
from edge.decoders.cells import sample
from edge.decoders.checksums import Bytes2D
from edge.decoders.framing.keys import FRAME_KEYS, endian_of, framing_of
from edge.decoders.framing.shape import Endian, Framing, Piece
from edge.decoders.lines import fault
from edge.decoders.numbers import frames_of
from edge.protocol import Fault, Frame, Key, SourceConfig, Times
from ingest.errors import UsageError
from ingest.settings import suggest

_UNITS: Final[Mapping[str, int]] = {"s": 10**9, "ms": 10**6, "us": 10**3, "ns": 1}
_TIME_MAX_NS: Final = 1 << 62


class Layout(NamedTuple):
    """What a record says."""

    size: int
    """Bytes."""
    endian: Endian
    channels: list[Field]
    constants: list[Field]
    counter: Field | None = None
    time: Field | None = None
    time_ns: int = 1
    """Nanoseconds in the time's unit."""


class BinaryDecoder:
    """Decodes records of a `layout`, in frames of a port or in messages."""

    keys: ClassVar[Mapping[str, Key]] = {
        "fields": Key(
            "list of tables",
            "What a record's bytes are, in their order, a table each: `type` (u8 … u64, i8 … i64, f16, f32, f64), "
            "`name`, `bits`, `scale`, `offset`, `at` (its first byte), `is` (what it always says).",
            '[{ name = "x", type = "i16" }, { name = "t", type = "u16", bits = "4-15", scale = 0.1 }]',
            synonyms=("columns", "layout", "struct", "record", "format_string"),
        ),
        **FRAME_KEYS,
        "counter": Key(
            "text",
            "The name of a field that counts records: what it leaps over is announced as missing, to the sample.",
            '"n"',
            "none",
            ("sequence", "seq", "sequence_field", "counter_field"),
        ),
        "time_field": Key(
            "text", "The name of the field that is the device's own time.", '"t"', "none", ("time", "timestamp")
        ),
        "time_unit": Key(
            "one of s, ms, us, ns",
            "What the device's time counts since 1970.",
            '"ms"',
            "ms",
            ("time_format", "timeunit"),
        ),
    }

    def __init__(self, layout: Layout, framing: Framing | None) -> None:
        self._layout = layout
        self._framing = framing
        self._count: int | None = None
        """What the counter of the record before said."""
        self._offset = 0
        """Bytes of messages since the start or `reset`."""

    @classmethod
    def from_config(cls, config: SourceConfig) -> Self:
        """Raises `UsageError` where a channel has no field, or a key says what cannot be."""
        where = config.where
        if config.type == "replay":
            raise UsageError(f"{where}: decoder: binary reads no lines, and a replay has nothing else")
        fields, size = read_fields(config.option("fields", list), where)
        named = {field.name: field for field in fields if field.name}
        counter, time = config.option("counter", str, ""), config.option("time_field", str, "")
        for name in [*config.channels, *filter(None, (counter, time))]:
            if name not in named:
                raise UsageError(f'{where}: fields: none has the name "{name}"{suggest(name, named)}')
        if counter and named[counter].type[0] == "f":
            raise UsageError(f"{where}: counter: {counter} is no integer")
        unit = config.option("time_unit", str, "ms")
        if unit not in _UNITS:
            raise UsageError(f'{where}: time_unit: unknown unit "{unit}"{suggest(unit, _UNITS)}')
        layout = Layout(
            size,
            endian_of(config),
            [named[name] for name in config.channels],
            [field for field in fields if field.constant is not None],
            named.get(counter),
            named.get(time),
            _UNITS[unit],
        )
        return cls(layout, framing_of(config, size))

    def feed(self, data: bytes) -> Iterable[Frame | Fault]:
        """See `edge.protocol.Decoder`."""
        if self._framing is None:
            return self.message(data)
        return self._decode(self._framing.feed(data))

    def message(self, data: bytes) -> Iterable[Frame | Fault]:
        """See `edge.protocol.Decoder`: records, one behind the other, without what frames them on a port."""
        begin = self._offset
        self._offset += len(data) + (not data.endswith(b"\n"))
        piece = Piece(np.frombuffer(data, dtype=np.uint8).reshape(1, -1), begin, self._offset - begin)
        return self._records(piece)

    def reset(self) -> Iterable[Frame | Fault]:
        """See `edge.protocol.Decoder`."""
        left = list(self._decode(self._framing.reset())) if self._framing is not None else []
        self._offset, self._count = 0, None
        return left

    def _decode(self, pieces: Iterable[Piece | Fault]) -> Iterator[Frame | Fault]:
        for piece in pieces:
            if isinstance(piece, Fault):  # what it costs, the next record's counter says
                yield piece if self._layout.counter is None or piece.reason == "torn" else replace(piece, samples=0)
            else:
                yield from self._records(piece)

    def _records(self, piece: Piece) -> Iterator[Frame | Fault]:
        """What frames say; a frame may hold several records."""
        size, width = self._layout.size, piece.rows.shape[1]
        if width % size or not width:
            for number, row in enumerate(piece.rows):
                yield fault("size", piece.offset + number * piece.step, -1, row.tobytes())
            return
        each = width // size
        yield from self._rows(piece.rows.reshape(-1, size), piece, each)

    def _rows(self, rows: Bytes2D, piece: Piece, each: int) -> Iterator[Frame | Fault]:
        layout = self._layout
        values = np.empty((len(rows), len(layout.channels)))
        for column, field in zip(values.T, layout.channels, strict=True):
            column[:] = field.values(rows, layout.endian)
        times, is_odd = self._times(rows)
        is_finite = np.isfinite(values)
        if not is_finite.all():
            is_odd |= ~is_finite.all(axis=1)
        for field in layout.constants:
            is_odd |= field.raw(rows, layout.endian) != field.constant
        missed = self._missed(rows, is_odd)
        begin = 0
        for at in np.flatnonzero(is_odd | (missed != 0)).tolist():
            if begin < at:
                yield _frame(values, times, piece, each, begin, at)
            begin = at
            offset, raw = piece.offset + at // each * piece.step, rows[at].tobytes()
            if missed[at]:
                yield fault("missed" if missed[at] > 0 else "restarted", offset, int(missed[at]), raw)
            if is_odd[at]:
                yield from self._odd(rows[at : at + 1], values[at], times, at, offset, offset + piece.step)
                begin = at + 1
        if begin < len(rows):
            yield _frame(values, times, piece, each, begin, len(rows))

    def _times(self, rows: Bytes2D) -> tuple[Times | None, NDArray[np.bool_]]:
        """The device's times, and which cannot be."""
        layout = self._layout
        if layout.time is None:
            return None, np.zeros(len(rows), dtype=np.bool_)
        raw = layout.time.raw(rows, layout.endian)
        most = _TIME_MAX_NS // layout.time_ns
        with np.errstate(invalid="ignore"):
            bad = ~((raw >= -most) & (raw <= most)) if layout.time.type != "u64" else raw > most
        kept = np.where(bad, np.zeros_like(raw), raw)
        if layout.time.type[0] == "f":
            return np.rint(kept.astype(np.float64) * layout.time_ns).astype(np.int64), bad
        return kept.astype(np.int64) * layout.time_ns, bad

    def _missed(self, rows: Bytes2D, is_odd: NDArray[np.bool_]) -> NDArray[np.int64]:
        """How many records are missing before each, by the counter; -1 where it began anew."""
        layout, counter = self._layout, self._layout.counter
        missed = np.zeros(len(rows), dtype=np.int64)
        if counter is None:
            return missed
        own = np.ones(len(rows), dtype=np.bool_)
        for field in layout.constants:
            own &= field.raw(rows, layout.endian) == field.constant
        counts = counter.raw(rows, layout.endian).astype(np.uint64)[own]
        if not len(counts):
            return missed
        most = (1 << counter.width) - 1
        before = np.array([(int(counts[0]) - 1) & most if self._count is None else self._count], dtype=np.uint64)
        self._count = int(counts[-1])
        leaps = (np.diff(counts, prepend=before) - np.uint64(1)) & np.uint64(most)
        is_anew = leaps > most >> 1
        missed[own] = np.where(is_anew, -1, np.where(is_anew, 0, leaps).astype(np.int64))
        return missed

    def _odd(
        self, row: Bytes2D, values: NDArray[np.float64], times: Times | None, at: int, offset: int, end: int
    ) -> Iterator[Frame | Fault]:
        """A record that is not simply a sample."""
        layout, raw = self._layout, row.tobytes()
        if any(field.raw(row, layout.endian)[0] != field.constant for field in layout.constants):
            yield fault("other", offset, 0, raw)
            return

        def time() -> int | None:
            if times is None:
                return None
            if self._times(row)[1][0]:
                raise ValueError("no time")
            return int(times[at])

        yield from frames_of(sample(values.tolist(), time, raw, offset, end))


def _frame(values: Any, times: Times | None, piece: Piece, each: int, begin: int, end: int) -> Frame:
    behind = piece.offset + ((end - 1) // each + 1) * piece.step
    return Frame(values[begin:end], None if times is None else times[begin:end], behind)
