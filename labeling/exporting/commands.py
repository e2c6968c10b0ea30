"""`sensorloom export recording`. What the command needs is imported when it runs."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Any, Final

from ingest.commandline import complaint
from ingest.commands import add_command, add_log, report, time_of_option, with_log
from ingest.errors import CorruptLogError, UsageError, WireError
from ingest.settings import suggest
from ingest.showing import counted

if TYPE_CHECKING:
    from ingest.log.protocol import Log
    from ingest.records import StreamDescription
    from labeling.exporting.gathering import Gathering, Selection
    from labeling.marks import ResolvedMark

_EXAMPLE: Final = """\
examples:
  sensorloom export recording --device pump-7 --format mcap --out out \\
      --log segments:log
  sensorloom export recording --device pump-7 --recording r1 --stream acc \\
      --from 2026-01-05T08:00Z --to 2026-01-05T09:00Z \\
      --format parquet --out out --log archive:site/archive

OUT/DEVICE/RECORDING.mcap, or OUT/DEVICE/RECORDING/STREAM.csv (.parquet) and OUT/marks.csv. What counts is written, as
for windows: duplicates, unsynced and late samples are left out, counted. Values are physical, in the channels' units,
of 64 bits; times are whole nanoseconds since 1970 UTC. Of a stream that was described anew the newest channels are
meant. Named states are written as their codes. MCAP has JSON with schemas, as Foxglove reads it, a
foxglove.LocationFix beside a stream with a position, and the marks on /marks. The summary says the command that reads
all of it back.

What is wanted is held in memory, up to 2 GB of samples: of more, export parts.
"""


def register(subparsers: Any) -> None:
    """Add the command `export`."""
    export = subparsers.add_parser(
        "export",
        help="write recordings out of a log",
        epilog="example: sensorloom export recording --device pump-7 --format mcap --out out --log segments:site/log",
    )
    kinds = export.add_subparsers(dest="kind", metavar="KIND", required=True)
    parser = add_command(kinds, "recording", "write recordings as MCAP, CSV or Parquet", _EXAMPLE)
    add = parser.add_argument
    for name, what in (("device", "of this device"), ("recording", "this one"), ("stream", "this stream of it")):
        add(f"--{name}", action="append", default=[], metavar="NAME", help=f"only {what}; may be repeated")
    add("--from", dest="since", metavar="TIME", help="only samples from this time on")
    add("--to", dest="until", metavar="TIME", help="only samples before this time")
    add("--format", required=True, metavar="FORMAT", help="mcap, csv or parquet")
    add("--out", required=True, metavar="DIR", help="the folder for the files")
    add_log(parser, "read, also archive:DIR,", creates=False)
    parser.set_defaults(run=run_export)


def run_export(args: argparse.Namespace) -> int:
    """`sensorloom export recording`; 1 where something of the log could not be read."""
    from labeling.exporting.gathering import Gathering, Selection
    from labeling.exporting.writing import FORMATS

    if args.format not in FORMATS:
        raise UsageError(f'--format: unknown "{args.format}"{suggest(args.format, FORMATS)}')
    selection = Selection(
        frozenset(args.device),
        frozenset(args.recording),
        frozenset(args.stream),
        None if args.since is None else time_of_option("--from", args.since),
        None if args.until is None else time_of_option("--to", args.until),
    )
    damage: list[str] = []

    async def work(log: Log) -> tuple[Gathering, Mapping[bytes, StreamDescription], list[ResolvedMark]]:
        from ingest.schemas import SchemaRegistry
        from labeling.logbook import read_book

        gathering = Gathering(selection)
        await _gather(log, gathering, damage)
        schemas = SchemaRegistry(log)
        await schemas.refresh()
        marks = [mark for mark in (await read_book(log)).standing().values() if not mark.trim and mark.label]
        return gathering, schemas.known, marks

    gathering, known, marks = with_log(args, work)
    if not gathering.recordings:
        raise UsageError(_nothing(args, gathering))
    told = _write_all(Path(args.out), args.format, gathering, known, marks, selection)
    for line in damage:
        print(complaint(f"sensorloom: {line}"), file=sys.stderr)
    for reason, samples in sorted(gathering.left_out.items()):
        print(complaint(f"{counted(samples, 'sample')} left out: {reason}"), file=sys.stderr)
    report(told | {"left_out": dict(gathering.left_out)}, as_json=args.json)
    return 1 if damage else 0


async def _gather(log: Log, gathering: Gathering, damage: list[str]) -> None:
    """Read all of `readings`, up to where it ends now."""
    from ingest.draining import drain
    from ingest.log.protocol import READINGS
    from ingest.wire import decode

    def tell(error: CorruptLogError) -> None:
        damage.append(str(error))

    if READINGS not in await log.topics():
        return
    unreadable = 0
    async for batch in drain(log, READINGS, await log.bounds(READINGS), tell):
        for value, append_ns in zip(batch.values, batch.append_ns, strict=True):
            try:
                record = decode(value)
            except WireError:
                unreadable += 1
                continue
            gathering.take(batch.partition, append_ns, record)
    if unreadable:
        damage.append(f"{counted(unreadable, 'record')} of {READINGS} cannot be read, and were left out")


def _nothing(args: argparse.Namespace, gathering: Gathering) -> str:
    """Why nothing was found."""
    for device in args.device:
        if device not in gathering.known:
            return f'{args.log}: has no samples of "{device}"{suggest(device, sorted(gathering.known)[:50])}'
    left = (
        "; left out: " + ", ".join(f"{n} {why}" for why, n in gathering.left_out.items()) if gathering.left_out else ""
    )
    return f"{args.log}: has no samples that are wanted{left}; sensorloom log stats --device D shows what is there"


def _write_all(
    folder: Path,
    form: str,
    gathering: Gathering,
    known: Mapping[bytes, StreamDescription],
    marks: Sequence[ResolvedMark],
    selection: Selection,
) -> dict[str, Any]:
    """Write everything; what was written, as plain data."""
    from labeling.exporting.writing import write_marks, write_recording

    files: list[str] = []
    samples = 0
    kept: dict[tuple[str, str], ResolvedMark] = {}
    for recording in gathering.recordings.values():
        streams = gathering.samples(recording, known)
        if not streams:
            continue
        first = min(int(it.times[0]) for it in streams)
        last = max(int(it.times[-1]) for it in streams)
        own = [mark for mark in marks if mark.device == recording.device and mark.start_ns <= last
               and mark.end_ns >= first and (selection.end_ns is None or mark.start_ns < selection.end_ns)]  # fmt: skip
        kept |= {(mark.device, mark.id): mark for mark in own}
        files += map(str, write_recording(folder, form, recording, streams, own))
        samples += sum(len(it.times) for it in streams)
    if kept and form != "mcap":
        files.append(str(write_marks(folder, kept.values())))
    return {
        "recordings": len(gathering.recordings),
        "samples": samples,
        "marks": len(kept),
        "files": files,
        "read_again": _read_again(folder, form),
    }


def _read_again(folder: Path, form: str) -> str:
    """The command that brings the files into another log."""
    home = quote(str(folder))
    if form == "mcap":
        return f"sensorloom import readings {home} --path '{{device}}/{{recording}}.mcap' --log segments:LOG"
    units = " --units-row" if form == "csv" else ""
    path = f"'{{device}}/{{recording}}/{{stream}}.{form}'"
    return (
        f"sensorloom import readings {home} --path {path} --columns '*' --time-column time_ns --time-unit ns{units} "
        "--log segments:LOG"
    )
