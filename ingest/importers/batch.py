"""Many files into the log with one command: recordings whole, each once, none over another.

The files of a recording (its streams) are brought in together: where one of them cannot be read, the whole recording
stays out, and is told; all others come in. A recording that the log has already, whole, is not written again.
"""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Any, Final

from ingest.errors import UsageError
from ingest.importers.described import prepare_file
from ingest.importers.joining import CONTENT_BYTES, Holdings, Known, read_holdings
from ingest.importers.laying import Places
from ingest.importers.options import ReadingsOptions
from ingest.importers.readings import Prepared, publish_readings
from ingest.importers.source import MAX_BYTES, read_source
from ingest.importers.undo import forgotten_recordings, undone_recordings
from ingest.log.protocol import Log
from ingest.records import MAX_TIME_NS, Chunk
from ingest.units import PLAUSIBLE_NS, format_time

AHEAD: Final = 4
"""So many files are read ahead of the one that is written."""
READERS: Final = 2
"""So many are read at once."""


@dataclass(frozen=True, slots=True)
class Job:
    """A file that is to be brought in, and what is said of it."""

    path: str
    options: ReadingsOptions
    max_bytes: int = MAX_BYTES


@dataclass(frozen=True, slots=True)
class Decoded:
    """What a file says; an error where it cannot be brought in."""

    path: str
    parts: tuple[Prepared, ...] = ()
    error: str = ""
    digest: bytes = b""


def executor() -> Executor:
    """Threads that read files: what reads most of them, polars, NumPy and zlib, keeps no other thread waiting."""
    return ThreadPoolExecutor(max_workers=READERS, thread_name_prefix="reader")


def decode(job: Job) -> Decoded:
    """Read a file: the work that is shared out among several cores."""
    try:
        source = read_source(job.path, job.max_bytes)
        return Decoded(job.path, prepare_file(source, job.options), digest=source.digest())
    except UsageError as error:
        return Decoded(job.path, error=str(error))


def grouped(jobs: Iterable[Job]) -> list[tuple[Job, ...]]:
    """The files of each recording, in the order of their first ones.

    Raises:
        UsageError: two files are one stream of a recording, and none of them has a clock.
    """
    groups: dict[tuple[str, ...], list[Job]] = {}
    for job in jobs:
        options = job.options
        key = (options.device, options.recording) if options.recording else (job.path,)
        groups.setdefault(key, []).append(job)
    for group in groups.values():
        streams: dict[str, Job] = {}
        for job in group:
            other = streams.setdefault(job.options.stream, job)
            if other is not job and job.options.start_ns is not None and job.options.stream:
                raise UsageError(
                    f'{job.path}: is the stream "{job.options.stream}" of recording "{job.options.recording}", as '
                    f"{other.path} is; name recordings or streams by more of the path, as in --path "
                    "'{device}/{recording}_{stream}.csv'"
                )
    return [tuple(group) for group in groups.values()]


@dataclass(slots=True)
class BatchSummary:
    """What a command brought in; `as_dict` is what `--json` prints."""

    files: int = 0
    imported: int = 0
    there_already: int = 0
    """Files of which the log has had all."""
    failed: list[dict[str, str]] = field(default_factory=list)
    """Files that were not brought in, and why."""
    devices: set[str] = field(default_factory=set)
    streams: set[str] = field(default_factory=set)
    recordings: list[dict[str, Any]] = field(default_factory=list)
    samples: int = 0
    missing_cells: int = 0
    left_out: int = 0
    """Rows whose time repeats, or lies behind the newest."""
    marks: int = 0
    labels: Counter[str] = field(default_factory=Counter)
    lost: Counter[str] = field(default_factory=Counter)
    """What of the files could not be read, by kind."""
    chunks: int = 0
    bytes: int = 0
    start_ns: int = MAX_TIME_NS
    end_ns: int = 0
    notes: list[str] = field(default_factory=list)

    def fail(self, path: str, reason: str) -> None:
        """A file stays out."""
        self.failed.append({"file": path, "reason": reason})

    def count(self, path: str, part: Prepared, *, there: bool) -> None:
        """A file's part is in the log."""
        told, options = part.summary, part.options
        self.devices.add(options.device)
        self.streams.add(options.stream)
        self.samples += told.samples
        self.missing_cells += told.missing_cells
        self.left_out += told.repeated_stamps + told.jittered_stamps
        self.chunks, self.bytes = self.chunks + told.chunks * (not there), self.bytes + told.bytes
        self.start_ns, self.end_ns = min(self.start_ns, told.start_ns), max(self.end_ns, part.end_ns)
        self.lost.update(told.lost)
        marks = part.marks()
        self.marks += len(marks)
        self.labels.update(mark.label for mark in marks)
        self.notes += [f"{path}: {note}" for note in told.notes]
        self.notes += [f"{path}: {step}" for step in told.steps_in_words()]
        for run in part.runs:
            self.recordings.append(
                {
                    "device": options.device,
                    "recording": run.recording,
                    "stream": options.stream,
                    "file": path,
                    "samples": len(run.values),
                    "start_ns": run.time_of(0),
                    "end_ns": run.time_of(len(run.values)),
                }
            )

    def as_dict(self) -> dict[str, Any]:
        """Plain data."""
        told: dict[str, Any] = {name: getattr(self, name) for name in self.__dataclass_fields__}
        told["devices"], told["streams"] = sorted(self.devices), sorted(self.streams)
        told["labels"] = dict(sorted(self.labels.items()))
        told["start_ns"] = self.start_ns if self.recordings else 0
        return told


@dataclass(slots=True)
class Batch:
    """A command under way: what the log has, where the next recording lies, and what was done."""

    log: Log | None
    """None: nothing is written."""
    holdings: Holdings
    exact: bool = False
    """What has no clock lies at its start."""
    summary: BatchSummary = field(default_factory=BatchSummary)
    places: dict[str, Places] = field(default_factory=dict)
    forgotten: frozenset[tuple[str, str]] = frozenset()
    """What does not come back, by device and recording."""
    uptimes: dict[str, dict[str, tuple[int, int]]] = field(default_factory=dict)
    """By device, `[start_ns, end_ns)` of the recordings that those must not lie over whose times are no dates."""
    seen: dict[bytes, str] = field(default_factory=dict)
    """By content, the file that had it first."""

    async def bring(self, files: Sequence[Decoded]) -> None:
        """Bring in the files of one recording; what is wrong with them is told, and the command goes on."""
        self.summary.files += len(files)
        bad = [decoded for decoded in files if decoded.error]
        for decoded in files:
            if bad:
                whole = f"its recording is not whole without {bad[0].path}"
                self.summary.fail(decoded.path, decoded.error or whole)
            elif (first := self.seen.setdefault(decoded.digest, decoded.path)) != decoded.path:
                self.summary.notes.append(f"{decoded.path}: its content is that of {first}, byte for byte")
        if bad:
            return
        done = {decoded.path: False for decoded in files}
        try:
            laid = [each for of_recording in _by_recording(files) for each in self._laid(of_recording)]
            for path, part in laid:
                done[path] |= await self._publish(path, part)
        except UsageError as error:
            for decoded in files:
                self.summary.fail(decoded.path, str(error))
            return
        self.summary.imported += sum(done.values())
        self.summary.there_already += len(done) - sum(done.values())

    def _laid(self, parts: list[tuple[str, Prepared]]) -> list[tuple[str, Prepared]]:
        """The parts of one recording at their times, the last one ends it."""
        first = parts[0][1]
        device, known = first.options.device, self.holdings.of(first.options.device).get(first.base)
        laid = [part for _, part in parts]
        if first.options.start_ns is not None and not self.exact:
            if device not in self.places:
                self.places[device] = Places(first.options.start_ns)
                for name, held in self.holdings.of(device).items():
                    if held.start_ns < held.end_ns:
                        self.places[device].take(name, held.start_ns, held.end_ns if held.ended else None)
            laid = lay(laid, known, self.places[device])
        elif known is None and not self.exact:
            self._check_uptimes(parts[0][0], laid)
        _check_apart(parts)
        is_open = first.options.open
        last = len(laid) - 1
        return [
            (path, replace(part, options=replace(part.options, open=is_open or number < last)))
            for number, ((path, _), part) in enumerate(zip(parts, laid, strict=True))
        ]

    def _check_uptimes(self, path: str, parts: Sequence[Prepared]) -> None:
        """Raise `UsageError` where the times of a recording count from something else than 1970, as others of its
        device do, which it would lie over: marks of one would be the labels of the other."""
        device, base = parts[0].options.device, parts[0].base
        start_ns, end_ns = min(it.summary.start_ns for it in parts), max(it.end_ns for it in parts)
        if end_ns > PLAUSIBLE_NS:
            return
        taken = self.uptimes.setdefault(device, {})
        for name, held in self.holdings.of(device).items():
            if held.start_ns < held.end_ns:
                taken.setdefault(name, (held.start_ns, held.end_ns))
        for name, (begin_ns, until_ns) in taken.items():
            if name != base and start_ns < until_ns and begin_ns < end_ns:
                raise UsageError(
                    f'{path}: from {format_time(start_ns)} on, recording "{base}" would lie over "{name}" of {device}: '
                    "their times count from something else than 1970; say --start TIME to lay them one behind the "
                    "other, or --origin VALUE=TIME where they are of one clock"
                )
        taken[base] = start_ns, end_ns

    async def _publish(self, path: str, part: Prepared) -> bool:
        """Whether anything of it was written."""
        known = self.holdings.of(part.options.device).get(part.base)
        there = known is not None and is_there(part, known)
        if self.log is None:
            joined = self.holdings.joined(part.options.device, part.base)
            joined.check(part.options.device, [run.recording for run in part.runs], part.boot)
        else:
            await publish_readings(self.log, part, None, self.holdings, there=there, forgotten=self.forgotten)
        self.summary.count(path, part, there=there)
        return not there


def lay(parts: Sequence[Prepared], known: Known | None, places: Places) -> list[Prepared]:
    """The parts of a recording without a clock where they belong; offsets between them stay as files have them."""
    clocks = [part.summary.start_ns - part.shift_ns if part.shift_ns else None for part in parts]
    earliest = min((clock for clock in clocks if clock is not None), default=0)
    offsets = [0 if clock is None else clock - earliest for clock in clocks]
    if known is None or known.start_ns == MAX_TIME_NS:
        length = max(offset + part.end_ns - part.summary.start_ns for offset, part in zip(offsets, parts, strict=True))
        start_ns, places_of = places.place(parts[0].base, length), {}
    else:
        start_ns, places_of = known.start_ns, known.contents
    moved = []
    for offset, part in zip(offsets, parts, strict=True):
        before = places_of.get(part.boot[:CONTENT_BYTES], MAX_TIME_NS)
        to_ns = before if before != MAX_TIME_NS else start_ns + offset
        moved.append(part.moved(to_ns - part.summary.start_ns))
    places.take(parts[0].base, min(it.summary.start_ns for it in moved), max(it.end_ns for it in moved))
    return moved


def is_there(part: Prepared, known: Known) -> bool:
    """Whether the log has all of it."""
    if len(part.runs) > 1 or part.boot not in known.chunks or not (known.ended or part.options.open):
        return False
    chunks = sum(isinstance(record, Chunk) for record in part.records(Holdings().joined("", "")))
    return known.chunks[part.boot] >= chunks


def _is_begun(options: ReadingsOptions, holdings: Holdings) -> bool:
    """Whether the log has the beginning of a recording, and not its end."""
    known = holdings.of(options.device).get(options.recording or "")
    return known is not None and not known.ended


def _by_recording(files: Sequence[Decoded]) -> Iterator[list[tuple[str, Prepared]]]:
    """The parts of each device and recording, by their times."""
    found: dict[tuple[str, str], list[tuple[str, Prepared]]] = {}
    for decoded in files:
        for part in decoded.parts:
            found.setdefault((part.options.device, part.base), []).append((decoded.path, part))
    for parts in found.values():
        yield sorted(parts, key=lambda item: item[1].summary.start_ns)


def _check_apart(parts: Sequence[tuple[str, Prepared]]) -> None:
    """Raise `UsageError` where two files say the same stream of a recording at the same time."""
    streams: dict[str, list[tuple[str, Prepared]]] = {}
    for path, part in parts:
        streams.setdefault(part.options.stream, []).append((path, part))
    for stream, group in streams.items():
        for (before, one), (path, part) in pairwise(group):
            if part.summary.start_ns <= max(int(run.times[-1]) for run in one.runs):
                raise UsageError(
                    f'{path}: begins before {before} ends, and both are the stream "{stream}" of one recording; '
                    "name streams or recordings by more of the path"
                )


async def import_batch(
    log: Log | None,
    groups: Sequence[tuple[Job, ...]],
    executor: Executor,
    on_file: Callable[[int], None] = lambda count: None,
    *,
    dry_run: bool = False,
    exact: bool = False,
) -> BatchSummary:
    """Bring all files in; in a dry run (for which no log need be there) nothing is written, and it is told what would
    be. `exact`: what has no clock lies at its start, not at the first free place.

    Raises:
        LogConfigError: nothing can be written there.
        LogUnavailableError, StoreFullError: some may be in the log; importing again completes it.
    """
    devices = {job.options.device for group in groups for job in group}
    holdings = Holdings() if log is None else await read_holdings(log, None if "" in devices else devices)
    batch = Batch(None if dry_run else log, holdings, exact)
    batch.forgotten = frozenset() if log is None else await forgotten_recordings(log)
    begun = sorted(
        groups, key=lambda group: not _is_begun(group[0].options, holdings)
    )  # stable: first what was cut short
    await bring_all(batch, begun, executor, on_file)
    if log is not None:
        undone = await undone_recordings(log, batch.summary.devices)
        batch.summary.notes += [
            f"the import of recording {recording} of {device} was taken back: its windows stay out of every dataset; "
            f"sensorloom import undo --back --device {device} --recording {recording} brings them again"
            for device, recording in sorted(
                {(it["device"], it["recording"]) for it in batch.summary.recordings} & undone
            )
        ]
    return batch.summary


async def bring_all(
    batch: Batch, groups: Sequence[tuple[Job, ...]], executor: Executor, on_file: Callable[[int], None]
) -> None:
    """Read the files ahead of those that are written, in their order. Raises as `import_batch`."""
    loop = asyncio.get_running_loop()
    ahead: deque[asyncio.Future[Decoded]] = deque()
    jobs = iter([job for group in groups for job in group])

    def read_on() -> None:
        while len(ahead) < AHEAD and (job := next(jobs, None)) is not None:
            ahead.append(loop.run_in_executor(executor, decode, job))

    try:
        for group in groups:
            files = []
            for _ in group:
                read_on()
                files.append(await ahead.popleft())
            read_on()
            await batch.bring(files)
            on_file(len(files))
    finally:
        for future in ahead:
            future.cancel()
