"""`sensorloom import readings` and `import undo`. What they need is imported when they run."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

import msgspec

from ingest.attributes import parse_attributes
from ingest.chunker import Limits
from ingest.commandline import complaint
from ingest.commands import (
    add_command,
    add_log,
    parse_origin,
    report,
    report_import,
    time_of_option,
    with_log,
)  # fmt: skip
from ingest.errors import UsageError
from ingest.importers.paths import fill, parse_template
from ingest.importers.selecting import is_pattern, split_names
from ingest.importreport import print_look, tell
from ingest.log.protocol import Log
from ingest.opening import is_begun
from ingest.progress import Progress
from ingest.states import parse_option
from ingest.tomlfile import read_toml
from ingest.units import parse_duration, parse_number, parse_rate, parse_size

if TYPE_CHECKING:
    from ingest.importers.batch import BatchSummary, Job
    from ingest.importers.readings import ReadingsOptions, Summary

_TEMPLATES: Final = ("device", "stream", "recording", "columns", "channel_names", "time_column")
"""Options that may use what a path says, besides --set."""
_ROLES: Final = ("device", "recording", "stream", "label")
"""What a path says that is no attribute."""
_READINGS_EXAMPLE: Final = """\
examples:
  sensorloom import readings acc.txt.gz --device phone-1 --stream acc \\
      --columns x,y,z --unit g --rate 50Hz --start 2026-11-24T02:00Z \\
      --log segments:log
  sensorloom import readings machine.csv --device m-3 --stream temp \\
      --columns value --unit degF --time-column timestamp \\
      --timezone America/New_York --log segments:log
  sensorloom import readings roads/ --path '{label}/{recording}.csv' \\
      --device car --stream acc --columns acc_z --unit m/s2 \\
      --rate 50Hz --start 2026-01-01T00:00Z --log segments:log
  sensorloom import readings fleet.parquet --device-column device --stream vib \\
      --columns 'x,y' --unit g --time-column time --dry-run

Files, patterns in quotes and folders may be given, as many as wanted. --path says what the end of each path means, as
device, recording, stream, label (a mark over the recording), any other name an attribute of it, {_} nothing.
--device, --stream, --recording, --columns, --channel-names, --time-column and --set may use these: 'user{n:02}'.
Files of one recording come in together; what cannot be read is told, all others come in, and the command ends with 1.
Recordings without a clock of their own (--start) are laid one behind the other from there, over nothing that is there;
one that the log has already keeps its place. Without --start, times that count from their own beginning are 1970's, and
a second recording of a device that would lie there too is refused.

--columns takes names, ranges (a..b) and patterns ('*', 'tag *'): all columns but those of times, devices and labels; a
name with a comma stands in quotes. --unit gives one unit, one each, or names: --unit acc=g --unit gyro=rad/s.
Several columns may tell the time together: --time-column year,month,day,hour --time-format '%Y %m %d %H'. The runs of
equal values of a --label-column become marks: NAME, NAME=LABEL of 0 and 1, or NAME:0=,1=walk,2=run.

--preset FILE keeps such choices as TOML: columns = ["x", "y"], unit = "g". --dry-run shows the first rows as they are
understood, and what is doubtful, and writes nothing.

WAV, EDF, BDF, GPX, Edge Impulse's JSON, and with the extra "formats" XDF, MCAP and CBOR say streams, columns, units and
times themselves: --device is enough, and --start or --timezone where such a file has no clock or names no zone. All of
its signals are one recording, its annotations marks. --stream names the one signal, or begins the names of several;
--array chooses one, --columns channels; --time-column is log_time, publish_time or header.stamp of MCAP.

Any other file is delimited or whitespace-separated text, also gzipped; Parquet, whose lists are channels a[0], a[1];
NumPy .npy and .npz; a sheet of .xlsx, .ods or .xls (extra "excel"); MATLAB .mat or HDF5 (extra "matlab"). Where it
names no columns (text without a header, arrays), --columns names all of them in order, the time column among them.

Time rises strictly inside a recording. A row whose time repeats, or lies behind the newest by less than 2 s, is left
out, counted and told (--repeated). A step further back, or of more than a year forward, starts a new recording, R-2,
and is told; a jump forward is a gap. A file that lies newest first is turned round. An agent does the same with live
rows. Numbers are times only with their --time-unit; a clock that counts from something else needs --origin or --start.

What became of every line is in the summary. Comments (#) and blank lines say nothing; a quote in the middle of a cell
is a character like others. Importing the same file with the same options again adds nothing downstream, also with
another --chunk. Without one, a chunk spans a second, or the 32 samples of a slower stream, an hour at most: a sample a
minute makes 45 chunks a day, and not 1,440.
"""
_UNDO_EXAMPLE: Final = (
    "example: sensorloom import undo --device pump-7 --recording import-0123456789ab --reason 'wrong unit' "
    "--log segments:log\n\n"
    "Its windows leave every dataset of the log from that dataset's next run on, also datasets to come; --back brings\n"
    "them again. The data stay in the log and in the shards; marks that were imported or that rules made of it stand."
)


def register_import_readings(kinds: Any) -> None:
    """Add what `sensorloom import` brings in, marks left out: what stands of them is not this package's to know."""
    _register_readings(add_command(kinds, "readings", "bring a recording into the log", _READINGS_EXAMPLE))
    _register_undo(add_command(kinds, "undo", "take back the import of a recording", _UNDO_EXAMPLE))


def _register_undo(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--device", required=True, metavar="D", help="whose recording it is")
    add("--recording", required=True, metavar="R", help="its id, as import printed it")
    add("--reason", required=True, metavar="TEXT", help="why; it is kept, with your name and the time")
    add("--back", action="store_true", help="the recording counts again")
    add_log(parser, "write to", creates=False)
    parser.set_defaults(run=run_import_undo)


def _register_readings(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("files", nargs="+", metavar="FILE", help="files, patterns and folders: CSV, Parquet, MCAP …, also gzipped")
    add("--path", metavar="TEMPLATE", help="what their paths say, as in '{label}/{recording}.csv'")
    add("--device", metavar="D", help="whose stream this is, as in pump-7")
    add("--device-column", metavar="C", help="the column that says so of each row")
    add("--recording-column", metavar="C", help="the column that says which recording each row is of: episode_index")
    add("--stream", help="one sensor of the device, as in acc")
    add("--columns", metavar="A,B", help="the columns to import, in the channels' order: names, a..b, '*'")
    add(
        "--unit", action="append", default=[], metavar="[NAME=]U[,U]", help="one for all channels, one each, or by name"
    )
    add("--units-row", action="store_true", help="the line behind the header has the units")
    add("--scale", default="1", metavar="F[,F]", help="physical value per raw one, as in 1/64; one, or one each")
    add("--channel-names", metavar="A,B", help="where they differ from the columns")
    add("--rate", help="samples lie exactly this far apart, as in 50Hz; with --start")
    add("--start", metavar="TIME", help="the first sample's time; a time column then counts from there")
    add("--origin", metavar="VALUE=TIME", help="what a value of the time column means: files of one clock stay aligned")
    add("--time-column", metavar="C[,C]", help="the column that has the times; several tell them together")
    add("--time-format", metavar="F", help="how they are written, as in '%%d.%%m.%%Y %%H:%%M:%%S'")
    add("--time-unit", metavar="UNIT", help="s, ms, us or ns, of a time column of numbers")
    add("--timezone", metavar="ZONE", help="of times that name none, as in Europe/Brussels")
    add("--repeated", metavar="HOW", help="rows of one time: spread them until the next, keep the first, or drop all")
    add("--encoding", metavar="NAME", help="of a text that is not UTF-8, as in latin-1; UTF-16 is seen by itself")
    add("--decimal", metavar="MARK", default="point", help="of numbers in text: point (default) or comma")
    add("--thousands", metavar="MARK", help="between them, as in 1.234,5: point, comma, blank or apostrophe")
    add("--skip-rows", type=int, default=0, metavar="N", help="so many lines of a text come before its header")
    add(
        "--label-column", action="append", default=[], metavar="C[=LABEL]", help="its runs of equal values become marks"
    )
    add("--author", default="", metavar="A", help="of the marks that labels become")
    add("--recording", metavar="R", help="its id (default: import- and a hash of the content)")
    add("--set", action="append", default=[], metavar="NAME=VALUE", help="what is so of the recording: subject=u07")
    add("--open", action="store_true", help="leave the recording open: the files of other streams join it")
    add(
        "--values",
        action="append",
        default=[],
        metavar="[C:]0=A,1=B",
        help="channel C says a state: what its values mean; C is needed where there are several channels",
    )
    add("--dtype", default="auto", help="sample type (default: the smallest that is exact)")
    add("--chunk", metavar="SPAN", help="a chunk closes after this span (1s; of 32 samples where they take longer, 1h)")
    add("--chunk-bytes", default="32kB", metavar="SIZE", help="or at this size (32kB)")
    add("--array", metavar="NAME", help="which array of an .npz, .mat or HDF5 file, or which sheet")
    add("--key", metavar="FILE", help="has the key that Edge Impulse's signatures are checked with")
    add("--one-clock", action="store_true", help="all signals of an XDF were recorded on one machine")
    add("--max-bytes", metavar="SIZE", default="1GB", help="the most that a packed file may unpack to (1GB)")
    add("--preset", metavar="FILE", help="choices of these that are kept as TOML")
    add("--dry-run", action="store_true", help="only show what would be done")
    add_log(parser, "write to", creates=True, required=False)
    parser.set_defaults(run=run_import_readings, actions=tuple(parser._actions))


# --- options ----------------------------------------------------------------------------------------------------------


def _scales(text: str) -> tuple[float, ...]:
    try:
        scales = tuple(float(parse_number(word)) for word in split_names("--scale", text))
    except UsageError:
        scales = (0.0,)
    if not all(scales):
        raise UsageError(f'--scale: found "{text}", expected numbers or fractions other than 0, as in 1/64')
    return scales


def _units(words: list[str]) -> tuple[tuple[str, ...], dict[str, str]]:
    """Units in the order of the channels, and those that are given by name."""
    named: dict[str, str] = {}
    plain: list[str] = []
    for word in words:
        name, equals, unit = word.rpartition("=")
        if not equals:
            plain += split_names("--unit", word)
        elif not name.strip() or not unit.strip() or name.strip() in named:
            raise UsageError(f'--unit: found "{word}"; use NAME=UNIT, each name once')
        else:
            named[name.strip()] = unit.strip()
    return tuple(plain), named


def _key(path: str | None) -> bytes:
    """The key in a file, without blanks around it. Raises `UsageError`."""
    if path is None:
        return b""
    from ingest.importers.source import read_source

    key = read_source(path).data.strip()
    if not key:
        raise UsageError(f"--key: {path} is empty")
    return key


def _filled(args: argparse.Namespace, fields: Mapping[str, str]) -> argparse.Namespace:
    """The options with what the path says in its places."""
    filled = argparse.Namespace(**vars(args))
    for name in _ROLES[:-1]:
        if getattr(filled, name) is None and name in fields and not (name == "device" and args.device_column):
            setattr(filled, name, fields[name])
    for name in _TEMPLATES if fields else ():
        if (text := getattr(filled, name)) is not None:
            setattr(filled, name, fill(text, fields, f"--{name.replace('_', '-')}"))
    said = [fill(word, fields, "--set") for word in args.set] if fields else args.set
    own = {word.partition("=")[0] for word in said}
    filled.set = [*said, *(f"{name}={fields[name]}" for name in fields if name not in {*_ROLES, *own})]
    return filled


def readings_options(args: argparse.Namespace, fields: Mapping[str, str], *, many: bool) -> ReadingsOptions:
    """The options of a file whose path says `fields`; `many`: others may be of its recording. Raises `UsageError`."""
    from ingest.importers.grouping import is_comma, thousands_of
    from ingest.importers.labels import parse_label_column
    from ingest.importers.options import ReadingsOptions

    args = _filled(args, fields)
    if args.device and args.device_column:
        raise UsageError("import: say --device, or --device-column, not both")
    span_ns = Limits().span_ns if args.chunk is None else parse_duration(args.chunk)
    size = parse_size(args.chunk_bytes)
    if span_ns <= 0 or size <= 0:
        raise UsageError(f"--chunk: found {args.chunk} and {args.chunk_bytes}, expected more than nothing")
    columns = () if args.columns is None else split_names("--columns", args.columns)
    names = None if args.channel_names is None else split_names("--channel-names", args.channel_names)
    units, named_units = _units(args.unit)
    labels = tuple(map(parse_label_column, args.label_column))
    apart = {args.time_column, args.device_column, args.recording_column, *(label.column for label in labels)}
    channels = names or tuple(name for name in columns if name not in apart)
    if args.values and any(map(is_pattern, channels)):
        raise UsageError("--values: name the channels, by --columns or --channel-names, not by a pattern")
    return ReadingsOptions(
        device=args.device or "",
        stream=args.stream or "",
        columns=columns,
        units=units,
        named_units=named_units,
        units_row=args.units_row,
        scales=_scales(args.scale),
        rate=None if args.rate is None else parse_rate(args.rate),
        start_ns=None if args.start is None else time_of_option("--start", args.start),
        time_column=args.time_column,
        time_format=args.time_format,
        time_unit=args.time_unit,
        timezone=args.timezone,
        origin=parse_origin(args.origin),
        repeated=args.repeated,
        decimal_comma=is_comma(args.decimal),
        thousands=thousands_of(args.thousands, args.decimal),
        skip_rows=args.skip_rows,
        encoding=args.encoding,
        device_column=args.device_column,
        recording_column=args.recording_column,
        label_columns=labels,
        label=fields.get("label", ""),
        author=args.author,
        recording=args.recording,
        open=args.open,
        attributes=parse_attributes(args.set, "--set"),
        channel_names=names,
        states=parse_option(args.values, channels, "--values"),
        dtype=args.dtype,
        limits=Limits(span_ns, size),
        by_pace=args.chunk is None,
        array=args.array,
        keeps_offsets=many,
        key=_key(args.key),
        one_clock=args.one_clock,
    )


# --- import readings --------------------------------------------------------------------------------------------------


def run_import_readings(args: argparse.Namespace) -> int:
    """`sensorloom import readings`."""
    from ingest.importers.batch import Job, grouped
    from ingest.importers.choosing import choose_files
    from ingest.importers.preset import apply_preset
    from ingest.importers.signals.reading import describes_itself

    if args.preset is not None:
        apply_preset(args, args.actions, read_toml(args.preset), args.preset)
    if args.log is None and not args.dry_run:
        raise UsageError("import: --log is missing; without one there is --dry-run")
    template = None if args.path is None else parse_template(args.path)
    choice = choose_files(args.files, template)
    named = len(choice.files) == 1 and [choice.files[0].path] == args.files and not template
    max_bytes = parse_size(args.max_bytes)
    jobs = [Job(it.path, readings_options(args, it.fields, many=not named), max_bytes) for it in choice.files]
    described = {job.path for job in jobs if describes_itself(job.path)}
    for job in jobs:
        if job.path in described:
            continue
        job.options.check_early()
        if not job.options.device and not job.options.device_column:
            raise UsageError("import: whose stream is it? Say --device D, or --device-column C")
    one_part = named and not described and not args.device_column and not args.recording_column
    exact = named and not args.device_column and not args.recording_column
    for note in choice.notes:
        print(complaint(note), file=sys.stderr)
    groups = grouped(jobs)
    if args.dry_run:
        return _show(args, groups, exact=exact)
    return _import_one(args, jobs[0]) if one_part else _import_many(args, groups, exact=exact)


def _import_one(args: argparse.Namespace, job: Job) -> int:
    from ingest.importers.described import prepare_file
    from ingest.importers.readings import publish_readings
    from ingest.importers.source import read_source
    from ingest.importers.undo import undone_recordings

    (prepared,) = prepare_file(read_source(job.path, job.max_bytes), job.options)
    for note in [*prepared.summary.notes, *prepared.summary.steps_in_words()]:
        print(complaint(f"{job.path}: {note}"), file=sys.stderr)
    device = job.options.device

    async def work(log: Log) -> tuple[Summary, set[tuple[str, str]]]:
        with Progress("import", prepared.summary.samples, "samples") as progress:
            summary = await publish_readings(log, prepared, progress)
        return summary, await undone_recordings(log, {device})

    summary, undone = with_log(args, work)
    for recording in summary.recordings:
        if (device, recording) in undone:
            note = (
                f"the import of recording {recording} was taken back: its windows stay out of every dataset; "
                f"sensorloom import undo --back --device {device} --recording {recording} brings them again"
            )
            summary.notes.append(note)
            print(complaint(f"{job.path}: {note}"), file=sys.stderr)
    report_import(summary.as_dict(), as_json=args.json)
    return 0


def _import_many(args: argparse.Namespace, groups: list[tuple[Job, ...]], *, exact: bool) -> int:
    from ingest.importers.batch import executor, import_batch

    async def work(log: Log) -> BatchSummary:
        with executor() as pool, Progress("import", sum(map(len, groups)), "files") as progress:
            return await import_batch(log, groups, pool, progress.advance, exact=exact)

    return tell(args, with_log(args, work), {})


def _show(args: argparse.Namespace, groups: list[tuple[Job, ...]], *, exact: bool) -> int:
    """What would be done: the first file's rows as they are understood, and what all of them would become."""
    from ingest.importers.batch import executor, import_batch
    from ingest.importers.described import look_at
    from ingest.importers.source import read_source

    first = groups[0][0]
    seen = look_at(read_source(first.path, first.max_bytes), first.options)

    async def work(log: Log | None) -> BatchSummary:
        with executor() as pool, Progress("read", sum(map(len, groups)), "files") as progress:
            return await import_batch(log, groups, pool, progress.advance, dry_run=True, exact=exact)

    import asyncio

    there = args.log is not None and is_begun(args.log)
    summary = with_log(args, work) if there else asyncio.run(work(None))
    if not args.json:
        for each in seen:
            print_look(each)
    return tell(args, summary, {"dry_run": True, "first": seen[0], "signals": seen})


def run_import_undo(args: argparse.Namespace) -> int:
    """`sensorloom import undo`."""
    import time

    from ingest.importers.undo import undo_recording
    from ingest.records import RecordingUndo
    from ingest.who import who

    undo = RecordingUndo(args.device, args.recording, who(), args.reason, time.time_ns(), args.back)
    with_log(args, lambda log: undo_recording(log, undo))
    report(msgspec.to_builtins(msgspec.structs.asdict(undo)), as_json=args.json)
    return 0
