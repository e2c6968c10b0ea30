"""A recorded file as a source: its lines at the speed at which they were taken, or faster.

The file is text of any kind that a decoder reads, also gzipped. Where its lines have a rate, line `i` arrives `i`
periods after `start`; with a time column it arrives at its time; else lines come `lines_per_s` a second. The stamps
are those of the recording: what is replayed has its own times, however fast it is played.
"""

from __future__ import annotations

import asyncio
import gzip
import zlib
from collections.abc import AsyncIterator, Hashable, Iterable, Iterator, Mapping
from fractions import Fraction
from pathlib import Path
from time import monotonic_ns, time_ns
from typing import IO, ClassVar, Final, Self, cast

from edge.decoders import decoder_type
from edge.protocol import Arrival, Decoder, Fault, Frame, Interruption, Key, Settled, SourceConfig
from ingest.errors import PermanentError, UsageError
from ingest.files import check_file
from ingest.units import parse_time

_BATCH_BYTES: Final = 65_536
_TICK_S: Final = 0.02
"""How often lines arrive: many at once where they come faster."""
_MAX_LINES: Final = 4096
_DEFAULT_LINES_PER_S: Final = 10


class ReplaySource:
    """Plays one file once."""

    keys: ClassVar[Mapping[str, Key]] = {
        "file": Key(
            "text",
            "The recording: text, also gzipped; a relative path starts from the configuration's folder.",
            '"walk.csv.gz"',
            synonyms=("path", "filename", "file_name"),
        ),
        "speed": Key(
            'number, or "max"', "How much faster than it was recorded it is played.", "100", "1", ("factor", "playback")
        ),
        "start": Key(
            "time",
            "When its first line was taken, where the lines have no times of their own.",
            '"2026-11-24T02:00:00Z"',
            "now",
            ("begin", "start_time", "t0"),
        ),
        "lines_per_s": Key(
            "whole number", "How many lines are played a second, where neither a rate nor times say it.", "20", "10"
        ),
    }

    def __init__(self, path: Path, *, speed: float, start_ns: int | None, rate: Fraction, pace: Decoder | None) -> None:
        self._path = path
        self._speed = speed
        self._start_ns = start_ns
        self._rate = rate
        self._pace = pace
        """Reads the lines' own times, to play them at these; None where they come at `rate`."""
        self._file: IO[bytes] | None = None

    @classmethod
    def from_config(cls, config: SourceConfig) -> Self:
        """Raises `UsageError` where the file is not there, or a key has no meaning."""
        path = Path(config.base) / config.option("file", str)
        check_file(path, f"{config.where}: file")
        speed = config.options.get("speed", 1)
        if speed != "max" and (isinstance(speed, bool) or not isinstance(speed, int | float) or speed <= 0):
            raise UsageError(f'{config.where}: speed: found {speed!r}, expected a number above 0, or "max"')
        start = config.option("start", str, "now")
        lines_per_s = config.option("lines_per_s", int, _DEFAULT_LINES_PER_S)
        if lines_per_s < 1:
            raise UsageError(f"{config.where}: lines_per_s: found {lines_per_s}, expected at least 1")
        rate = config.rate or Fraction(lines_per_s)
        timed = config.clock == "device" and config.decoder != "nmea"
        return cls(
            path,
            speed=float("inf") if speed == "max" else float(speed),
            start_ns=None if start == "now" else _start_ns(start, config.where),
            rate=rate,
            pace=decoder_type(config.decoder, config.where).from_config(config) if timed else None,
        )

    @property
    def waiting_for(self) -> str:
        """See `edge.protocol.Source`: a file waits for nothing."""
        return ""

    @property
    def trouble(self) -> str:
        """See `edge.protocol.Source`."""
        return ""

    @property
    def missing(self) -> str:
        """See `edge.protocol.Source`: a file keeps what it has."""
        return ""

    @property
    def heard_ns(self) -> int | None:
        """See `edge.protocol.Source`: a file has no present."""
        return None

    async def open(self) -> None:
        """See `edge.protocol.Source`."""
        if self._start_ns is None:
            self._start_ns = time_ns()
        try:
            with self._path.open("rb") as file:
                packed = file.read(2) == b"\x1f\x8b"
            self._file = cast(IO[bytes], gzip.open(self._path)) if packed else self._path.open("rb")  # noqa: SIM115
        except OSError as error:
            raise PermanentError(f"{self._path}: {error.strerror or error}") from error

    async def arrivals(self) -> AsyncIterator[Arrival | Interruption]:
        """See `edge.protocol.Source`: ends with the file.

        Raises:
            PermanentError: it cannot be read to its end; reading it anew would bring its beginning twice.
        """
        began_ns, first_ns = monotonic_ns(), None
        for lines, at_ns in self._readable(self._batches()):
            first_ns = at_ns if first_ns is None else first_ns
            due_ns = began_ns + int((at_ns - first_ns) / self._speed)
            wait_s = (due_ns - monotonic_ns()) / 1e9
            await asyncio.sleep(max(0.0, wait_s))
            yield Arrival(lines, at_ns, at_ns)

    def ack(self, token: Hashable) -> None:
        """See `edge.protocol.Source`: a file waits for no word."""

    def settled(self) -> Settled:
        """See `edge.protocol.Source`: a file never repeats itself."""
        return Settled()

    def again(self) -> None:
        """See `edge.protocol.Source`: what was given up of a file was announced."""

    async def close(self) -> None:
        """See `edge.protocol.Source`."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def left(self) -> Iterable[Arrival | Interruption]:
        """See `edge.protocol.Source`: what is still in a file did not come."""
        return ()

    def _readable(self, batches: Iterator[tuple[bytes, int]]) -> Iterator[tuple[bytes, int]]:
        try:
            yield from batches
        except (OSError, EOFError, zlib.error) as error:
            raise PermanentError(f"{self._path}: cannot be read to its end: {error}; is it whole?") from None

    def _batches(self) -> Iterator[tuple[bytes, int]]:
        """Lines that arrive together, and when, ns UTC of the recording."""
        assert self._file is not None
        assert self._start_ns is not None
        if self._pace is not None:
            yield from self._timed_batches(self._pace)
            return
        number = 0
        together = min(max(1, int(self._rate * Fraction(_TICK_S) * Fraction(min(self._speed, 1e6)))), _MAX_LINES)
        batch: list[bytes] = []
        for line in self._lines(self._file):
            batch.append(line)
            if len(batch) >= together:
                yield b"".join(batch), self._start_ns + int(number * 10**9 / self._rate)
                number += len(batch)
                batch = []
        if batch:
            yield b"".join(batch), self._start_ns + int(number * 10**9 / self._rate)

    def _timed_batches(self, pace: Decoder) -> Iterator[tuple[bytes, int]]:
        assert self._file is not None
        first_ns = last_ns = None
        tick_ns = int(_TICK_S * 1e9 * min(self._speed, 1e6))
        batch: list[bytes] = []
        for line in self._lines(self._file):
            at_ns = _time_of(pace.feed(line))
            if at_ns is not None:
                if first_ns is not None and last_ns is not None and not 0 <= at_ns - first_ns < tick_ns:
                    yield b"".join(batch), last_ns
                    batch, first_ns = [], None
                first_ns, last_ns = (at_ns if first_ns is None else first_ns), at_ns
            batch.append(line)
            if len(batch) >= _MAX_LINES and last_ns is not None:
                yield b"".join(batch), last_ns
                batch, first_ns = [], None
        if batch:
            yield b"".join(batch), last_ns or self._start_ns or 0

    @staticmethod
    def _lines(file: IO[bytes]) -> Iterator[bytes]:
        """The file's lines; the last one is whole, with or without its line feed."""
        line = b""
        while following := file.readline(_BATCH_BYTES):
            if line:
                yield line
            line = following
        if line:
            yield line if line.endswith(b"\n") else line + b"\n"


def _start_ns(text: str, where: str) -> int:
    try:
        return parse_time(text)
    except UsageError as error:
        raise UsageError(f"{where}: start: {error}") from None


def _time_of(items: Iterable[Frame | Fault]) -> int | None:
    for item in items:
        if not isinstance(item, Fault) and item.times_ns is not None:
            return int(item.times_ns[0])
    return None
