"""`sensorloom import`: recordings, and marks, which may replace what their author said before."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from ingest.commands import (
    add_command,
    add_log,
    parse_origin,
    report_import,
    time_of_option,
    with_log,
)
from ingest.errors import UsageError
from ingest.influximport import register_import_influx
from ingest.readingscommands import register_import_readings
from ingest.showing import counted, printable

if TYPE_CHECKING:
    from ingest.importers.markrows import Fields, Rows
    from ingest.importers.marks import MarksFile, MarkTimes
    from ingest.log.protocol import Log
    from labeling.changing import Scope

_RECORDING: Final = "recording"
"""What `--origin VALUE=` may say instead of a time."""
_EXAMPLE: Final = """\
examples:
  sensorloom import marks marks.csv --log segments:log
  sensorloom import marks marks.csv --replace --dry-run --log segments:log
  sensorloom import marks events.csv --field 'recording={trip}' \\
      --field 'label={event}' --field 'start={from}' --field 'end={to}' \\
      --time-unit s --origin 0=recording --log segments:log
  sensorloom import marks labels.txt --columns exp,user,label,start,end \\
      --field 'recording=exp{exp:02}' --label-names names.txt \\
      --index-base 1 --end inclusive --log segments:log

The header is device,start,end,label, and optionally author and confidence. Times are ISO 8601 with a zone (or in
--timezone), integer nanoseconds since 1970, or numbers with their unit (1767225600s, or --time-unit s for all of them;
with --origin 0=2026-01-01T00:00:00Z they count from there). A mark's end is exclusive: a sample that lies at it is no
longer the mark's; --end inclusive for files that mean it so. An empty end is an instant. Nothing is written when a row
is bad. Importing again adds nothing.

Columns of one's own: --field says what makes the device, recording, start, end, label, author and confidence, with
columns in braces ({n:02} is filled up with zeros); --columns names those of a file without a header. Times may count
from where a recording in the log begins: --index-base 0 or 1 counts its samples (of --stream, where its streams
differ), --origin 0=recording its --time-unit. A device may be left out where one alone has the recording.

With --replace, what the file says now is what stands: of each author and device in the file, marks that overlap the
range from its first start to its last end and are not in the file are retracted, those that differ from a row in one
respect are edited, rows that are new are added. --device, --marked-by, --from and --to widen that range, also for a
file that has no rows left. Nothing is ever deleted: each change is an event, and can be undone.

Annotations in EDF+ and BDF+, XDF, MCAP and GPX are rows, too: import marks scored.edf --field device=p07 --timezone
Europe/Brussels. Of a file without a clock they are seconds: --origin 0=recording --time-unit s.

Told are devices, times and labels that fit nothing in the log, so far as its newest records are looked at.
"""


def register_import(subparsers: Any) -> None:
    """Add the command `import`."""
    importing = subparsers.add_parser("import", help="bring recordings or marks into a log")
    kinds = importing.add_subparsers(dest="kind", metavar="KIND", required=True)
    register_import_readings(kinds)
    register_import_influx(kinds)
    _register_marks(add_command(kinds, "marks", "bring marks into the log", _EXAMPLE))


def _register_marks(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("file", metavar="FILE", help="CSV, or text with semicolons or tabs")
    add("--field", action="append", default=[], metavar="F=TEXT", help="what a mark's field is made of: label={event}")
    add("--columns", metavar="A,B", help="the names of the columns of a file without a header")
    add("--label-names", metavar="FILE", help="what codes of labels mean: 1=walk,2=run, or a file of such lines")
    add("--encoding", metavar="NAME", help="of a text that is not UTF-8, as in latin-1; UTF-16 is seen by itself")
    add("--index-base", type=int, metavar="N", help="times are numbers of samples: the first one's is 0, or 1")
    add("--stream", metavar="S", help="with --index-base: whose samples")
    add("--skip-unknown", action="store_true", help="leave out rows of recordings that the log does not have")
    add("--preset", metavar="FILE", help="choices of these that are kept as TOML")
    add("--time-unit", metavar="UNIT", help="s, ms, us or ns, of times that are numbers")
    add("--decimal", metavar="MARK", default="point", help="of numbers: point (default) or comma")
    add("--timezone", metavar="ZONE", help="of times that name none, as in Europe/Brussels")
    add("--origin", metavar="VALUE=TIME", help="what a number means; =recording: where it begins")
    add("--end", default="exclusive", metavar="HOW", help="whether a mark's end belongs to it: exclusive or inclusive")
    add("--replace", action="store_true", help="what the file says now is what stands, in its range")
    add("--device", action="append", metavar="D", help="with --replace: this device as a whole; may be repeated")
    add("--marked-by", action="append", metavar="AUTHOR", help="with --device: whose marks; may be repeated")
    add("--from", dest="since", metavar="TIME", help="with --replace: where its range begins")
    add("--to", dest="until", metavar="TIME", help="with --replace: where its range ends")
    add("--dry-run", action="store_true", help="only show what would be done")
    add("--unchecked", action="store_true", help="do not look whether devices and times fit the readings of the log")
    add_log(parser, "write to", creates=True)
    parser.set_defaults(run=run_import_marks, actions=tuple(parser._actions))


def run_import_marks(args: argparse.Namespace) -> int:
    """`sensorloom import marks`."""
    from ingest.importers.marks import load, summarise
    from ingest.importers.preset import apply_preset
    from ingest.tomlfile import read_toml

    if args.preset is not None:
        apply_preset(args, args.actions, read_toml(args.preset), args.preset)
    how, fields = _times_of(args), _fields_of(args)
    file, told, notes, changes = with_log(args, _importing(args, load(args.file, how, fields, args.encoding), how))
    summary = summarise(file, notes).as_dict()
    for note in summary["notes"]:
        print(printable(f"{args.file}: {note}"), file=sys.stderr)
    if args.dry_run and not args.json:
        for line in changes:
            print(printable(f"would {line}"))
    report_import(summary | told | ({"dry_run": True} if args.dry_run else {}), as_json=args.json)
    return 0


def _fields_of(args: argparse.Namespace) -> Fields:
    from ingest.importers.encodings import decoded, is_utf8
    from ingest.importers.markrows import parse_fields, parse_label_names
    from ingest.importers.selecting import split_names

    columns = () if args.columns is None else split_names("--columns", args.columns)
    names: dict[str, str] = {}
    if args.label_names is not None:
        path = Path(args.label_names)
        text = args.label_names
        if path.is_file():
            data = path.read_bytes()
            text = f"{decoded(text, data, None if is_utf8(data) else args.encoding)}\n\n"
        names = parse_label_names(text, "--label-names")
    return parse_fields(args.field, columns, names)


def _times_of(args: argparse.Namespace) -> MarkTimes:
    from ingest.importers.marks import MarkTimes

    if args.end not in ("exclusive", "inclusive"):
        raise UsageError(f'--end: found "{args.end}", expected exclusive or inclusive')
    value, _, meaning = (args.origin or "").partition("=")
    from_start = value.strip() if meaning.strip() == _RECORDING else None
    origin = parse_origin(args.origin) if from_start is None else None
    inclusive = args.end == "inclusive"
    if args.decimal not in ("point", "comma"):
        raise UsageError(f'--decimal: found "{args.decimal}", expected point or comma')
    counted_by = args.index_base, args.stream, from_start
    return MarkTimes(args.time_unit, args.timezone, origin, inclusive, *counted_by, args.decimal == "comma")


def _scopes(args: argparse.Namespace, file: MarksFile) -> list[Scope]:
    """What the file speaks for, with --replace; nothing without it."""
    from ingest.records import MAX_TIME_NS
    from labeling.changing import Scope, scopes_of

    widening = (args.device, args.marked_by, args.since, args.until)
    if not args.replace:
        if any(it is not None for it in widening):
            raise UsageError("--device, --marked-by, --from and --to say what --replace replaces; say --replace")
        return []
    since = -MAX_TIME_NS if args.since is None else time_of_option("--from", args.since)
    until = MAX_TIME_NS if args.until is None else time_of_option("--to", args.until)
    authors = args.marked_by or sorted({mark.author for mark in file.marks}) or [""]
    scopes = [Scope(device, author, since, until) for device in args.device or () for author in authors]
    for scope in scopes_of(file.marks):
        start_ns = scope.start_ns if args.since is None else min(since, scope.start_ns)
        end_ns = scope.end_ns if args.until is None else max(until, scope.end_ns)
        scopes.append(Scope(scope.device, scope.author, start_ns, end_ns))
    if not scopes:
        raise UsageError(f"{file.path}: has no rows: say what it replaces, by --device (and --marked-by, --from, --to)")
    return scopes


def _importing(
    args: argparse.Namespace, rows: Rows, how: MarkTimes
) -> Callable[[Log], Awaitable[tuple[MarksFile, dict[str, int], list[str], list[str]]]]:
    """What brings the file into a log: gives its marks, counts, notes, and what was done in words."""
    from ingest.importers.grids import read_grids
    from ingest.importers.marks import place, publish_marks
    from ingest.progress import Progress
    from ingest.reaches import read_reaches
    from labeling.changing import replace
    from labeling.logbook import read_book
    from labeling.telling import astray, beside, changes_in_words, near, not_as_said

    needs_log = how.is_relative or any(row.cells["recording"] and not row.cells["device"] for row in rows.rows)
    early = None if needs_log else place(rows, how)

    async def work(log: Log) -> tuple[MarksFile, dict[str, int], list[str], list[str]]:
        file = early or place(rows, how, await read_grids(log), skip_unknown=args.skip_unknown)
        scopes = _scopes(args, file)
        book = await read_book(log)
        notes = [] if args.unchecked else astray(file.marks, await read_reaches(log))
        notes += near(file.marks, book)
        plan = replace(book, file.marks, scopes, time.time_ns(), f"import --replace {args.file}") if scopes else None
        events = file.marks if plan is None else plan.events
        if not args.dry_run:
            with Progress("import", None, "marks") as progress:
                await publish_marks(log, events, progress)
        if plan is None:
            return file, {}, notes + not_as_said(file.marks, book), [f"add {counted(len(events), 'mark')}"]
        told = {name: plan.counts[name] for name in ("added", "edited", "retracted", "unchanged", "others")}
        return file, told, notes + beside(book, scopes), changes_in_words(plan)

    return work
