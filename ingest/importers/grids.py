"""When the samples of a recording lie that is in the log: what an index, or seconds from its start, mean there."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import accumulate
from typing import TypeAlias

import msgspec

from ingest.chunker import chunk_end_ns
from ingest.draining import drain
from ingest.errors import UsageError, WireError
from ingest.log.protocol import READINGS, Log
from ingest.records import Chunk
from ingest.settings import suggest
from ingest.times import last_time, sample_times
from ingest.wire import decode

Key: TypeAlias = tuple[str, str]
"""Device and recording."""


@dataclass(slots=True)
class Grid:
    """The samples of a stream of one recording, in the order of their times."""

    chunks: tuple[Chunk, ...]
    """Without their values."""
    behind: tuple[int, ...]
    """So many samples there are up to the end of each chunk."""

    @property
    def count(self) -> int:
        """How many samples there are."""
        return self.behind[-1]

    def time_of(self, index: int) -> int:
        """The instant of a sample; of the one behind the last, where it would lie."""
        if index == self.count:
            last = self.chunks[-1]
            if last.period_den > 0 or index < 2:
                return chunk_end_ns(last)
            return 2 * last_time(last) - self.time_of(index - 2)
        place = bisect_right(self.behind, index)
        first = self.behind[place] - self.chunks[place].count
        return int(sample_times(self.chunks[place])[index - first])


@dataclass(slots=True)
class Grids:
    """Of a log's recordings, by device and recording, those of each stream."""

    recordings: dict[Key, dict[str, Grid]] = field(default_factory=dict)

    def find(self, device: str, recording: str) -> Key:
        """The recording that is meant: its device may be left out where one alone has it, and it where one is all that
        its device has.

        Raises:
            UsageError: there is none, or there are several; `UnknownRecordingError` where the log has no such one.
        """
        if not device and not recording:
            raise UsageError("of which recording? Say --field recording=TEXT or --field device=TEXT")
        found = [key for key in self.recordings if (not device or key[0] == device) and recording in ("", key[1])]
        if len(found) == 1:
            return found[0]
        if not found:
            known = {key[1] for key in self.recordings if not device or key[0] == device}
            what = f'recording "{recording}"' if recording else "recording"
            near = suggest(recording, sorted(known)[:20]) if recording and known else ""
            raise UnknownRecordingError(f"the log has no {what}{f' of {device}' if device else ''}{near}")
        if recording:
            raise UsageError(f'{len(found)} devices have a recording "{recording}"; say --field device=TEXT')
        raise UsageError(f"{device} has {len(found)} recordings; say --field recording=TEXT")

    def start_ns(self, key: Key) -> int:
        """Where a recording's first sample lies."""
        return min(grid.time_of(0) for grid in self.recordings[key].values())

    def end_ns(self, key: Key) -> int:
        """Behind its last sample."""
        return max(grid.time_of(grid.count) for grid in self.recordings[key].values())

    def sample_ns(self, key: Key, stream: str | None, index: int, *, is_end: bool) -> int:
        """When a sample lies; `is_end`: it may be the one behind the last.

        Raises:
            UsageError: the recording has no such stream or sample, or its streams differ and none was said.
        """
        streams = self.recordings[key]
        if stream is not None and stream not in streams:
            raise UsageError(f'recording "{key[1]}" of {key[0]} has no stream "{stream}"{suggest(stream, streams)}')
        grids: Mapping[str, Grid] = streams if stream is None else {stream: streams[stream]}
        found = set()
        for name, grid in grids.items():
            if not 0 <= index < grid.count + is_end:
                raise UsageError(f'sample {index} (from 0): {name} of recording "{key[1]}" has {grid.count:,} samples')
            found.add(grid.time_of(index))
        if len(found) > 1:
            raise UsageError(
                f"sample {index} (from 0) lies elsewhere in {', '.join(sorted(grids))}; say whose, by --stream"
            )
        return found.pop()

    def since_ns(self, key: Key, since: Fraction) -> int:
        """The instant so many nanoseconds behind the recording's start. Raises `UsageError`: before it, or behind its
        end."""
        t_ns = self.start_ns(key) + since.numerator // since.denominator
        if not self.start_ns(key) <= t_ns <= self.end_ns(key):
            length = (self.end_ns(key) - self.start_ns(key)) / 1e9
            raise UsageError(
                f'{float(since) / 1e9:g} s from the start of recording "{key[1]}", which is {length:g} s long: is the '
                "unit right, and the value that means its start?"
            )
        return t_ns


class UnknownRecordingError(UsageError):
    """The log has no such recording."""


async def read_grids(log: Log) -> Grids:
    """When the samples of all recordings of a log lie; what is damaged is passed over. Raises `LogUnavailableError`."""
    found: dict[tuple[Key, str], dict[tuple[bytes, int], Chunk]] = {}
    if READINGS in await log.topics():
        async for batch in drain(log, READINGS, await log.bounds(READINGS), on_damage=lambda error: None):
            for value in batch.values:
                try:
                    record = decode(value)
                except WireError:
                    continue
                if isinstance(record, Chunk) and record.count:
                    stream = (record.device, record.recording), record.stream
                    head = msgspec.structs.replace(record, values=b"")
                    found.setdefault(stream, {}).setdefault((record.boot, record.seq), head)
    grids = Grids()
    for (key, name), chunks in found.items():
        grids.recordings.setdefault(key, {})[name] = grid_of(chunks.values())
    return grids


def grid_of(chunks: Collection[Chunk]) -> Grid:
    """The samples of a stream's chunks, each of which is given once."""
    ordered = tuple(sorted(chunks, key=lambda chunk: chunk.t0_ns))
    return Grid(ordered, tuple(accumulate(chunk.count for chunk in ordered)))
