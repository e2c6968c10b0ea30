"""`sensorloom import readings` and `sensorloom log topics|cat|stats`."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import sys
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Any, Final, TypeVar

import msgspec

from ingest.attributes import parse_attributes
from ingest.chunker import Limits
from ingest.commandline import Prose, complaint
from ingest.errors import CorruptLogError, UsageError
from ingest.exact import with_exact_times
from ingest.log.protocol import Log
from ingest.opening import check_begun, open_log
from ingest.progress import Progress
from ingest.showing import printable
from ingest.states import parse_option
from ingest.units import format_time, parse_duration, parse_number, parse_rate, parse_size, parse_time

if TYPE_CHECKING:
    from ingest.importers.readings import ReadingsOptions, Summary

T = TypeVar("T")
Subparsers = Any
"""What `ArgumentParser.add_subparsers` returns; argparse has no public name for it."""

_READINGS_EXAMPLE: Final = """\
examples:
  sensorloom import readings acc.txt.gz --device phone-1 --stream acc \\
      --columns x,y,z --unit g --rate 50Hz --start 2026-11-24T02:00Z \\
      --log segments:log
  sensorloom import readings machine.csv --device m-3 --stream temp \\
      --columns value --unit degF --time-column timestamp \\
      --timezone America/New_York --log segments:log

The file: delimited or whitespace-separated text, also gzipped; Parquet; NumPy .npy and .npz. Where it names no columns
(text without a header, NumPy), --columns names all of them in order, the time column among them.

Time rises strictly inside a recording. A row whose time repeats, or lies behind the newest by less than 2 s, is left
out, counted and told (--repeated). A step further back, or of more than a year forward, starts a new recording, R-2,
and is told; a jump forward is a gap. A file that lies newest first is turned round. An agent does the same with live
rows. Numbers are times only with their --time-unit; a clock that counts from something else needs --origin or --start.

What became of every line is in the summary. Comments (#) and blank lines say nothing; a quote in the middle of a cell
is a character like others. Importing the same file with the same options again adds nothing downstream, also with
another --chunk.
"""
_UNDO_EXAMPLE: Final = (
    "example: sensorloom import undo --device pump-7 --recording import-0123456789ab --reason 'wrong unit' "
    "--log segments:log\n\n"
    "Its windows leave every dataset of the log from that dataset's next run on, also datasets to come; --back brings\n"
    "them again. The data stay in the log and in the shards; marks that were imported or that rules made of it stand."
)


def register(subparsers: Subparsers) -> None:
    """Add the command `log`."""
    looking = subparsers.add_parser("log", help="look into a log")
    views = looking.add_subparsers(dest="view", metavar="VIEW", required=True)
    _register_log(views)


def register_import_readings(kinds: Subparsers) -> None:
    """Add what `sensorloom import` brings in, marks left out: what stands of them is not this package's to know."""
    _register_readings(add_command(kinds, "readings", "bring a recording into the log", _READINGS_EXAMPLE))
    _register_undo(add_command(kinds, "undo", "take back the import of a recording", _UNDO_EXAMPLE))


def add_command(subparsers: Subparsers, name: str, purpose: str, epilog: str) -> argparse.ArgumentParser:
    """A command whose help ends with `epilog`: see `Prose`."""
    parser: argparse.ArgumentParser = subparsers.add_parser(
        name,
        help=purpose,
        description=purpose[0].upper() + purpose[1:] + ".",
        epilog=epilog,
        formatter_class=Prose,
        allow_abbrev=False,
    )
    return parser


def add_log(parser: argparse.ArgumentParser, purpose: str, *, creates: bool) -> None:
    """The options `--log` and `--json`; `creates`: topics that are missing are made."""
    parser.add_argument("--log", required=True, metavar="URL", help=f"{purpose}: segments:DIR or kafka://host:9092")
    if creates:
        parser.add_argument("--partitions", type=int, metavar="N", help="of topics that do not exist yet")
    parser.add_argument("--json", action="store_true", help="report as JSON")


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
    add("file", metavar="FILE", help="CSV, text, Parquet, NumPy …, also gzipped")
    add("--device", required=True, metavar="D", help="whose stream this is, as in pump-7")
    add("--stream", required=True, help="one sensor of the device, as in acc")
    add("--columns", required=True, metavar="A,B", help="the columns to import, in the channels' order")
    add("--unit", required=True, metavar="U[,U]", help="one for all channels, or one each")
    add("--scale", default="1", metavar="F[,F]", help="physical value per raw one, as in 1/64; one, or one each")
    add("--channel-names", metavar="A,B", help="where they differ from the columns")
    add("--rate", help="samples lie exactly this far apart, as in 50Hz; with --start")
    add("--start", metavar="TIME", help="the first sample's time; a time column then counts from there")
    add("--origin", metavar="VALUE=TIME", help="what a value of the time column means: files of one clock stay aligned")
    add("--time-column", metavar="C", help="the column that has the times")
    add("--time-unit", metavar="UNIT", help="s, ms, us or ns, of a time column of numbers")
    add("--timezone", metavar="ZONE", help="of times that name none, as in Europe/Brussels")
    add("--repeated", metavar="HOW", help="rows of one time: spread them until the next, keep the first, or drop all")
    add("--decimal", metavar="MARK", default="point", help="of numbers in text: point (default) or comma")
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
    add("--chunk", default="1s", metavar="SPAN", help="a chunk closes after this span (1s); more suits slow streams")
    add("--chunk-bytes", default="32kB", metavar="SIZE", help="or at this size (32kB)")
    add("--array", metavar="NAME", help="which array of an .npz file")
    add("--max-bytes", metavar="SIZE", default="1GB", help="the most that a packed file may unpack to (1GB)")
    add_log(parser, "write to", creates=True)
    parser.set_defaults(run=run_import_readings)


def _register_log(views: Subparsers) -> None:
    topics = add_command(
        views, "topics", "list the topics of a log", "example: sensorloom log topics --log segments:log"
    )
    add_log(topics, "look into", creates=False)
    topics.set_defaults(run=run_log_topics)
    cat = add_command(
        views,
        "cat",
        "print the records of a topic, one a line",
        "example: sensorloom log cat readings --device pump-7 --until-idle --log segments:log\n\n"
        "A chunk's line shows its first and last sample in their units; with --json it holds all of them.",
    )
    cat.add_argument(
        "topic", metavar="TOPIC", help="readings, marks, streams, status …: sensorloom log topics lists them"
    )
    cat.add_argument("--device", help="only this device's records")
    cat.add_argument(
        "--from",
        dest="since",
        metavar="TIME",
        help="only records that reach to this time or past it; a day before is looked at",
    )
    cat.add_argument("--until-idle", action="store_true", help="end at the end the log has now, do not follow it")
    cat.add_argument("--limit", type=int, metavar="N", help="end after so many records")
    add_log(cat, "look into", creates=False)
    cat.set_defaults(run=run_log_cat)
    stats = add_command(
        views,
        "stats",
        "show what a log's partitions hold",
        "example: sensorloom log stats --device pump-7 --log segments:log",
    )
    stats.add_argument("--device", help="also count this device's chunks, samples and bytes by stream")
    stats.add_argument("--group", help="also show how far this consumer group is behind")
    add_log(stats, "look into", creates=False)
    stats.set_defaults(run=run_log_stats)


def with_log(args: argparse.Namespace, work: Callable[[Log], Awaitable[T]]) -> T:
    """What `work` gives for the log of `--log`, which must be there unless the command creates it."""
    partitions = getattr(args, "partitions", None)
    if partitions is not None and partitions < 1:
        raise UsageError(f"--partitions: found {partitions}, expected 1 or more")

    if not hasattr(args, "partitions"):
        check_begun(args.log)

    async def run() -> T:
        log = open_log(args.log, partitions=partitions)
        try:
            return await work(log)
        finally:
            await log.close()

    return asyncio.run(run())


# --- import -----------------------------------------------------------------------------------------------------------


def _words(option: str, text: str) -> tuple[str, ...]:
    words = tuple(word.strip() for word in text.split(","))
    if not all(words):
        raise UsageError(f'{option}: found "{text}", expected names with commas between them')
    return words


def _scales(text: str) -> tuple[float, ...]:
    try:
        scales = tuple(float(parse_number(word)) for word in _words("--scale", text))
    except UsageError:
        scales = (0.0,)
    if not all(scales):
        raise UsageError(f'--scale: found "{text}", expected numbers or fractions other than 0, as in 1/64')
    return scales


def parse_origin(text: str | None) -> tuple[str, int] | None:
    """The value and the instant of `VALUE=TIME`. Raises `UsageError`."""
    if text is None:
        return None
    value, _, time = text.partition("=")
    if not value.strip() or not time:
        raise UsageError(f'--origin: found "{text}", expected VALUE=TIME, as in 12.5=2026-01-01T00:00:00Z')
    return value.strip(), time_of_option("--origin", time)


def time_of_option(option: str, text: str) -> int:
    """A time that an option gives. Raises `UsageError` that names the option."""
    try:
        return parse_time(text)
    except UsageError as error:
        raise UsageError(f"{option}: {error}") from None


def _decimal_comma(mark: str) -> bool:
    if mark not in ("point", "comma"):
        raise UsageError(f'--decimal: found "{mark}", expected point or comma')
    return mark == "comma"


def readings_options(args: argparse.Namespace) -> ReadingsOptions:
    """The options of `import readings`. Raises `UsageError`."""
    from ingest.importers.readings import ReadingsOptions

    span_ns, size = parse_duration(args.chunk), parse_size(args.chunk_bytes)
    if span_ns <= 0 or size <= 0:
        raise UsageError(f"--chunk: found {args.chunk} and {args.chunk_bytes}, expected more than nothing")
    columns = _words("--columns", args.columns)
    names = None if args.channel_names is None else _words("--channel-names", args.channel_names)
    channels = names or tuple(name for name in columns if name != args.time_column)
    return ReadingsOptions(
        device=args.device,
        stream=args.stream,
        columns=columns,
        units=_words("--unit", args.unit),
        scales=_scales(args.scale),
        rate=None if args.rate is None else parse_rate(args.rate),
        start_ns=None if args.start is None else time_of_option("--start", args.start),
        time_column=args.time_column,
        time_unit=args.time_unit,
        timezone=args.timezone,
        origin=parse_origin(args.origin),
        repeated=args.repeated,
        decimal_comma=_decimal_comma(args.decimal),
        recording=args.recording,
        open=args.open,
        attributes=parse_attributes(args.set, "--set"),
        channel_names=names,
        states=parse_option(args.values, channels, "--values"),
        dtype=args.dtype,
        limits=Limits(span_ns, size),
        array=args.array,
    )


def run_import_readings(args: argparse.Namespace) -> int:
    """`sensorloom import readings`."""
    from ingest.importers.readings import prepare, publish_readings
    from ingest.importers.source import read_source
    from ingest.importers.undo import undone_recordings

    prepared = prepare(read_source(args.file, parse_size(args.max_bytes)), readings_options(args))
    for note in prepared.summary.notes:
        print(f"{args.file}: {note}", file=sys.stderr)
    for step in prepared.summary.clock_steps:
        way = "back" if step["back_ns"] > 0 else "forward"
        print(
            f"{args.file}: {step['at']}: the clock steps {way} by {abs(step['back_ns']) / 1e9:g} s: "
            f'recording "{step["recording"]}" begins',
            file=sys.stderr,
        )

    async def work(log: Log) -> tuple[Summary, set[str]]:
        with Progress("import", prepared.summary.samples, "samples") as progress:
            summary = await publish_readings(log, prepared, progress)
        return summary, await undone_recordings(log, args.device)

    summary, undone = with_log(args, work)
    for recording in summary.recordings:
        if recording in undone:
            note = (
                f"the import of recording {recording} was taken back: its windows stay out of every dataset; "
                f"sensorloom import undo --back --device {args.device} --recording {recording} brings them again"
            )
            summary.notes.append(note)
            print(complaint(f"{args.file}: {note}"), file=sys.stderr)
    report_import(summary.as_dict(), as_json=args.json)
    return 0


def run_import_undo(args: argparse.Namespace) -> int:
    """`sensorloom import undo`."""
    import time

    from ingest.importers.undo import undo_recording
    from ingest.records import RecordingUndo
    from ingest.who import who

    undo = RecordingUndo(args.device, args.recording, who(), args.reason, time.time_ns(), args.back)
    with_log(args, lambda log: undo_recording(log, undo))
    _report(msgspec.to_builtins(msgspec.structs.asdict(undo)), as_json=args.json)
    return 0


def report_import(summary: dict[str, Any], *, as_json: bool) -> None:
    """A summary whose notes are on stderr already."""
    _report(summary if as_json else {name: it for name, it in summary.items() if name != "notes"}, as_json=as_json)


def _report(summary: dict[str, Any], *, as_json: bool) -> None:
    """A summary as one JSON object, or as lines of name and value."""
    if as_json:
        print(to_json(summary))
        return
    width = max(len(name) for name in summary)
    for name, value in summary.items():
        shown = name.removesuffix("_ns")
        if shown != name:
            value = format_time(value) if value else "-"
        elif isinstance(value, list):
            value = ", ".join(_flat(item) if isinstance(item, dict) else str(item) for item in value) or "-"
        elif isinstance(value, dict):
            value = _flat(value)
        elif isinstance(value, int) and not isinstance(value, bool):
            value = f"{value:,}"
        print(f"{shown.replace('_', ' '):<{width}}  {value}")


def _flat(values: dict[str, Any]) -> str:
    return ", ".join(f"{name} {value}" for name, value in values.items()) or "-"


# --- log --------------------------------------------------------------------------------------------------------------


def run_log_topics(args: argparse.Namespace) -> int:
    """`sensorloom log topics`."""

    async def work(log: Log) -> list[dict[str, Any]]:
        rows = []
        for topic, partitions in sorted((await log.topics()).items()):
            records = sum(end - begin for begin, end in (await log.bounds(topic)).values())
            rows.append({"topic": topic, "partitions": partitions, "records": records})
        return rows

    rows = with_log(args, work)
    if args.json:
        print(to_json({"log": args.log, "topics": rows}))
    else:
        print_table(rows)
    _tell_if_empty(args.log, rows)
    return 0


def _tell_if_empty(url: str, rows: Sequence[Any]) -> None:
    """Nothing is an answer that a mistyped address gives as well."""
    from ingest.inspection import NO_TOPIC

    if not rows:
        print(complaint(f"{url}: {NO_TOPIC}"), file=sys.stderr)


def run_log_cat(args: argparse.Namespace) -> int:
    """`sensorloom log cat`: ends at a signal, unless `--until-idle` or `--limit` ends it before."""
    from ingest.inspection import Describer, check_device, records

    since = None if args.since is None else time_of_option("--from", args.since)
    if args.limit is not None and args.limit < 1:
        raise UsageError(f"--limit: found {args.limit}, expected 1 or more")

    damage = _Damage()

    async def work(log: Log) -> None:
        describer, printed = Describer(log), 0
        async with contextlib.aclosing(
            records(log, args.topic, args.device, since, until_idle=args.until_idle, on_damage=damage.tell)
        ) as all_:
            async for located in all_:
                line = to_json(await describer.data(located)) if args.json else await describer.line(located)
                print(line if args.json else printable(line), flush=not args.until_idle)
                printed += 1
                if printed == args.limit:
                    return
        if args.device and not printed:
            await check_device(log, args.topic, args.device)

    with_log(args, work)
    return damage.code


class _Damage:
    """Tells on stderr what cannot be read; the command goes on without it, and ends with 1."""

    code = 0

    def tell(self, error: CorruptLogError) -> None:
        self.code = 1
        print(complaint(f"sensorloom: {error}"), file=sys.stderr)


def run_log_stats(args: argparse.Namespace) -> int:
    """`sensorloom log stats`."""
    from ingest.inspection import check_device, partition_figures, stream_figures
    from ingest.log.protocol import READINGS

    damage = _Damage()

    async def work(log: Log) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
        partitions = await partition_figures(log, args.group)
        streams = await stream_figures(log, args.device, damage.tell) if args.device else {}
        if args.device and not streams:
            await check_device(log, READINGS, args.device)
        return partitions, [{"stream": name, **figures.as_dict()} for name, figures in sorted(streams.items())]

    partitions, streams = with_log(args, work)
    _tell_if_empty(args.log, partitions)
    if args.group and partitions and all(row["lag"] is None for row in partitions):
        print(complaint(f'no group "{args.group}" has read anything here'), file=sys.stderr)
    if args.json:
        told = {"log": args.log, "partitions": partitions}
        print(to_json(told | ({"device": args.device, "streams": streams} if args.device else {})))
        return damage.code
    print_table(partitions)
    if args.device:
        print(f"\n{printable(args.device)}:" if streams else f"\n{printable(args.device)}: neither chunks nor gaps")
        print_table([row | {"recordings": len(row["recordings"])} for row in streams])
    return damage.code


def to_json(value: Any) -> str:
    """One line of JSON, each instant as text, too; NaN becomes null."""
    return msgspec.json.encode(with_exact_times(value)).decode()


def print_table(rows: Sequence[dict[str, Any]]) -> None:
    """Print rows of equal keys as aligned columns."""
    if not rows:
        return
    shown = [{name.removesuffix("_ns"): _cell(name, value) for name, value in row.items()} for row in rows]
    widths = {name: max(len(name), *(len(row[name]) for row in shown)) for name in shown[0]}
    for row in [{name: name for name in widths}, *shown]:
        print(printable("  ".join(row[name].ljust(width) for name, width in widths.items()).rstrip()))


def _cell(name: str, value: Any) -> str:
    if value is None:
        return "-"
    return format_time(value) if name.endswith("_ns") else f"{value:,}" if isinstance(value, int) else str(value)
