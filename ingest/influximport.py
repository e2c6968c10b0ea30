"""`sensorloom import influx`. What the command needs is imported when it runs."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING, Any, Final

from ingest.attributes import parse_attributes
from ingest.chunker import Limits
from ingest.commandline import complaint
from ingest.commands import add_command, add_log, report_import, with_log
from ingest.errors import UsageError
from ingest.log.protocol import Log
from ingest.progress import Progress
from ingest.states import States, parse_states
from ingest.units import parse_duration, parse_size

if TYPE_CHECKING:
    from ingest.importers.influx import InfluxOptions

_EXAMPLE: Final = """\
examples:
  sensorloom import influx export.lp.gz --unit g --log segments:log
  sensorloom import influx cpu.csv --device-tag host --stream-tag cpu \\
      --unit usage_idle=% --unit 1 --log segments:log
  sensorloom import influx valves.csv --values 'state:0=shut,1=open' \\
      --unit bar --log segments:log

Reads annotated CSV (influx query --raw) and line protocol (influx_inspect export, influxd inspect export-lp), also
gzipped. A measurement is a stream, a field a channel, the tag "device" the device; all streams of a device become one
recording. Fields of one time are one sample; what a sample lacks is missing. Texts are left out, counted, but for those
of a field whose states are named: --values mode:0=idle,1=run makes codes of them, and rules may use the names. Nothing
is written when a line is bad. Importing again adds nothing.
"""


def register_import_influx(kinds: Any) -> None:
    """Add `sensorloom import influx`."""
    parser = add_command(kinds, "influx", "bring an export of InfluxDB into the log", _EXAMPLE)
    add = parser.add_argument
    add("file", metavar="FILE", help="annotated CSV or line protocol, also gzipped")
    add("--device", metavar="D", help="whose points these all are; without it a tag says so")
    add("--device-tag", default="device", metavar="TAG", help="the tag that names the device (%(default)s)")
    add("--stream-tag", action="append", default=[], metavar="TAG", help="its values go into the streams' names")
    add("--measurement", action="append", default=[], metavar="M", help="only this one; may be repeated")
    add("--unit", action="append", default=[], metavar="[FIELD=]U", help="of a field, or of all others")
    add(
        "--values",
        action="append",
        default=[],
        metavar="FIELD:0=A,1=B",
        help="the field says a state: what its codes are called; its texts are those names",
    )
    add("--time-unit", default="ns", metavar="UNIT", help="of times in line protocol: ns (default), us, ms or s")
    add("--set", action="append", default=[], metavar="NAME=VALUE", help="what is so of the recordings: subject=u07")
    add("--chunk", metavar="SPAN", help="a chunk closes after this span (1s; of 32 samples where they take longer, 1h)")
    add("--max-bytes", metavar="SIZE", default="1GB", help="the most that a packed file may unpack to (1GB)")
    add("--dry-run", action="store_true", help="only show what would be done")
    add_log(parser, "write to", creates=True)
    parser.set_defaults(run=run_import_influx)


def _options(args: argparse.Namespace) -> InfluxOptions:
    """Raises `UsageError`."""
    from ingest.importers.influx import InfluxOptions
    from ingest.importers.points import Naming

    units: dict[str, str] = {}
    for word in args.unit:
        name, equals, unit = word.rpartition("=")
        if name in units:
            raise UsageError(f"--unit: {name or 'one for all others'} is given twice, as {units[name]!r} and {unit!r}")
        if equals and not name:
            raise UsageError(f'--unit: found "{word}"; use FIELD=UNIT, or UNIT')
        units[name] = unit
    span_ns = Limits().span_ns if args.chunk is None else parse_duration(args.chunk)
    if span_ns <= 0:
        raise UsageError(f"--chunk: found {args.chunk}, expected more than nothing")
    return InfluxOptions(
        naming=Naming(
            device=args.device,
            device_tag=args.device_tag,
            stream_tags=tuple(args.stream_tag),
            measurements=tuple(args.measurement),
        ),
        unit=units.pop("", ""),
        units=units,
        time_unit=args.time_unit,
        states=_states(args.values),
        attributes=parse_attributes(args.set, "--set"),
        limits=Limits(span_ns, Limits().bytes),
        by_pace=args.chunk is None,
    )


def _states(words: list[str]) -> dict[str, States]:
    """The states by field. Raises `UsageError`."""
    found: dict[str, States] = {}
    for word in words:
        name, colon, text = word.partition(":")
        if not colon or not name.strip() or name.strip() in found:
            raise UsageError(f'--values: found "{word}"; use FIELD:CODE=NAME, each field once, as in mode:0=idle,1=run')
        found[name.strip()] = parse_states(text, f"--values: {name.strip()}")
    return found


def run_import_influx(args: argparse.Namespace) -> int:
    """`sensorloom import influx`."""
    from ingest.importers.influx import prepare_influx, publish_influx
    from ingest.importers.source import read_source

    export = prepare_influx(read_source(args.file, parse_size(args.max_bytes)), _options(args))
    for note in export.notes:
        print(complaint(f"{args.file}: {note}"), file=sys.stderr)

    async def work(log: Log) -> None:
        with Progress("import", export.samples, "samples") as progress:
            await publish_influx(log, export, progress)

    if not args.dry_run:
        with_log(args, work)
    report_import(export.as_dict() | ({"dry_run": True} if args.dry_run else {}), as_json=args.json)
    return 0
