"""`sensorloom sink`. What a command needs is imported when it runs."""

from __future__ import annotations

import argparse
import sys
from typing import Any, Final

from ingest.commands import add_command
from ingest.errors import MissingLibraryError

_INFLUX_EXAMPLE: Final = """\
examples:
  sensorloom sink influx --log segments:site/log --out site/influx \\
      --url http://127.0.0.1:8086 --database sensors
  sensorloom sink influx -c sink.toml --thin 10s

sink.toml:
  log = "kafka://127.0.0.1:9092"
  out = "influx"

  [influx]
  url = "https://db.example:8086"
  database = "sensors"          # InfluxDB 1; of InfluxDB 2 and
                                # VictoriaMetrics: bucket and org
  user = "sensorloom"
  password_file = "influx-password"

  [write]
  thin = "10s"                  # or "full"
  marks = true
  status = true

Secrets come from files or from SENSORLOOM_INFLUX_PASSWORD and
SENSORLOOM_INFLUX_TOKEN. Start it again after any end: it goes on behind
what was written. Several may run at once, each with its own --instance.
"""


def register(subparsers: Any) -> None:
    """Add the command's parser."""
    parser = subparsers.add_parser(
        "sink", help="carry a log on to other systems", epilog="example: sensorloom sink influx -c sink.toml"
    )
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    action = add_command(actions, "influx", "write readings, marks and status to InfluxDB", _INFLUX_EXAMPLE)
    add = action.add_argument
    add("-c", "--config", metavar="FILE", help="sink.toml; options go before what it says")
    add("--log", metavar="URL", help="segments:DIR or kafka://host:9092[,host:9092]")
    add("--out", metavar="DIR", help="where it notes how far it has written, on a local disk")
    add("--url", metavar="URL", help="the database's address")
    add("--database", metavar="NAME", help="of InfluxDB 1, which is written by /write")
    add("--bucket", metavar="NAME", help="of InfluxDB 2 or VictoriaMetrics, which are written by /api/v2/write")
    add("--org", metavar="NAME", help="of InfluxDB 2")
    add("--thin", metavar="SPAN", help="lowest, highest and mean value of each span, as in 10s; or full (default)")
    add("--until-idle", action="store_true", help="end when everything is written that is in the log now")
    add("--instance", metavar="NAME", help="this worker's lasting name; by default made of host and process")
    add("--seal-seconds", default="5", metavar="S", help="write at least so often (%(default)s)")
    add("--json", action="store_true", help="print one JSON object at the end")
    action.set_defaults(run=run_influx)


def run_influx(args: argparse.Namespace) -> int:
    """`sensorloom sink influx`; 1 where `--until-idle` was ended before it was done."""
    import asyncio

    from ingest.opening import check_begun
    from service.limits import limits_of as seconds_of
    from service.limits import worker_name
    from service.report import Progressing
    from sinks.influx.config import read_config

    try:
        from sinks.influx.running import SinkOptions, limits_of, run_sink
    except ModuleNotFoundError as error:
        raise MissingLibraryError('the command "sink influx"', error.name, "influx") from None

    names = ("log", "out", "url", "database", "bucket", "org", "thin")
    config = read_config(args.config, {name: getattr(args, name) for name in names})
    options = SinkOptions(
        config,
        instance=args.instance or worker_name(),
        secret=config.target.secret(),
        until_idle=args.until_idle,
        limits=limits_of(seconds_of("1MiB", args.seal_seconds).seal_seconds),
    )
    if options.until_idle or config.out.exists():
        check_begun(config.log)
    with Progressing(options.until_idle, "sink", "points") as progressing:
        result = asyncio.run(run_sink(options, progressing.observe))
    counts = dict(sorted(result.counts.items()))
    if args.json:
        import msgspec

        figures = {"finished": result.finished, "points": counts.get("points", 0), "counts": counts}
        refused = {"refused": result.refused, "refused_ever": result.refused_ever}
        print(msgspec.json.encode(figures | refused).decode())
    elif options.until_idle:
        lost = ", ".join(f"{count:,} of them refused ({reason})" for reason, count in sorted(result.refused.items()))
        print(f"this run: {counts.get('points', 0):,} points{f', {lost}' if lost else ''}")
    if options.until_idle and not result.finished:
        print("sensorloom: ended before everything was written; run it again to go on", file=sys.stderr)
        return 1
    return 0
