"""The commands `sensorloom demo` and `sensorloom simulate`."""

from __future__ import annotations

import argparse
import contextlib
import json
import signal
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Final

from ingest.errors import MissingLibraryError

if TYPE_CHECKING:
    from simulators.playing import Report

    Subparsers = argparse._SubParsersAction[argparse.ArgumentParser]

DEFAULT_OUT: Final = Path("out/demo")
DEFAULT_SECONDS: Final = 20.0
"""Of a demo; one that is live goes on until Ctrl-C."""
INTERRUPTED: Final = 130


def register(subparsers: Subparsers) -> None:
    """Add the commands to the front door's parser."""
    _register_simulate(subparsers)
    demo = subparsers.add_parser(
        "demo",
        help="the whole live line for a while: virtual sensors to labelled shards",
        description="Run the whole live line: virtual sensors on a serial port, an MQTT broker and the log, with "
        "noise, near-misses and true events; an edge agent; windowing with event rules at the same time. It ends with "
        "what came of it, and leaves the files that it was configured with.",
        epilog="examples:\n  sensorloom demo --out out/demo --seconds 20\n  sensorloom demo --live",
    )
    demo.add_argument(
        "--out",
        metavar="DIR",
        type=Path,
        help=f"a new folder, where everything goes (default: {DEFAULT_OUT}, or the next free {DEFAULT_OUT}-2, -3 …)",
    )
    demo.add_argument(
        "--seconds",
        metavar="N",
        type=float,
        help=f"how long sensors speak (default: {DEFAULT_SECONDS:g}; with --live until Ctrl-C, for 2 h)",
    )
    demo.add_argument(
        "--live", action="store_true", help="as fast as life, with the operators' timeline on it in the browser"
    )
    demo.add_argument("--seed", metavar="N", type=int, default=1, help="other seed, other truth (default: 1)")
    demo.add_argument("--log", metavar="URL", help="segments:DIR or kafka://host:9092 (default: segments:DIR/log)")
    demo.add_argument("--json", action="store_true", help="print the summary as JSON")
    demo.set_defaults(run=run)


def _register_simulate(subparsers: Subparsers) -> None:
    simulate = subparsers.add_parser(
        "simulate",
        help="virtual sensors with known truth and chosen faults, on pseudo-terminals, MQTT or the log",
        description="Play a scenario: virtual accelerometers, temperature probes and GPS receivers speak on "
        "pseudo-terminals, to an MQTT broker or straight into a log; the true events are written as a marks file. "
        "simulators/scenario.py says what a scenario file may hold.",
        epilog="example: sensorloom simulate scenario.toml --seconds 60",
    )
    simulate.add_argument("scenario", metavar="SCENARIO.toml", type=Path, help="what there is and what goes wrong")
    simulate.add_argument("--seconds", metavar="N", type=float, help="another length of event time than the file says")
    simulate.add_argument("--speed", metavar="X", type=float, help="another speed; 1 is as fast as life")
    simulate.add_argument("--json", action="store_true", help="print the summary as JSON")
    simulate.set_defaults(run=run_simulate)


def run_simulate(args: argparse.Namespace) -> int:
    """Play a scenario, to its end or to Ctrl-C."""
    import asyncio
    from dataclasses import replace

    from simulators.playing import play
    from simulators.scenario import check_seconds, check_speed, load_scenario

    scenario = load_scenario(args.scenario)
    if args.seconds is not None:
        scenario = replace(scenario, seconds=check_seconds(args.seconds, "--seconds"))
    if args.speed is not None:
        scenario = replace(scenario, speed=check_speed(args.speed, "--speed"))
    with _ended_by_signals():
        report = asyncio.run(play(scenario, lambda line: print(line, file=sys.stderr, flush=True)))
    if args.json:
        print(json.dumps(report.as_dict(), indent=2))
    else:
        _show_simulation(report)
    return 0


def _show_simulation(report: Report) -> None:
    for sensor in report.sensors:
        print(
            f"{sensor.device}/{sensor.stream} ({sensor.kind}, {sensor.via}): {sensor.samples:,} samples said, "
            f"{sensor.gap_samples:,} never sensed, {sensor.unheard:,} unheard; {sensor.events} true events, "
            f"{sensor.near_misses} near-misses"
        )
        damage = [f"{count:,} {name.replace('_', ' ')}" for name, count in asdict(sensor.damage).items() if count]
        if damage:
            print(f"  on the line: {', '.join(damage)}")
    if report.truth:
        print(f"truth: {report.truth}")


def run(args: argparse.Namespace) -> int:
    """Run the demo; 0 when everything agrees, 1 when two parts do not say the same, 130 when a signal ended it."""
    try:
        from simulators.closing import closing_report
        from simulators.demo import run_demo
    except ModuleNotFoundError as error:
        raise MissingLibraryError("the demo", error.name, "demo") from None
    from simulators.report import show
    from simulators.site import LIVE_SECONDS, LIVE_SPEED, SPEED, check_words
    from simulators.watching import Watch

    seconds = args.seconds if args.seconds is not None else (LIVE_SECONDS if args.live else DEFAULT_SECONDS)
    check_words(seconds, args.seed, LIVE_SPEED if args.live else SPEED)
    folder = (args.out or _free(DEFAULT_OUT)).absolute()
    began_s = time.monotonic()
    try:
        with Watch(seconds) as watch:
            log = args.log or f"segments:{folder / 'log'}"
            site, lived = run_demo(folder, log, seconds, args.seed, watch, live=args.live)
    except KeyboardInterrupt:
        print(f"sensorloom: ended at once; what was read lies in {folder}", file=sys.stderr)
        raise
    report = closing_report(site, lived, time.monotonic() - began_s)
    if args.json:
        print(json.dumps(report.as_dict(), indent=2))
    else:
        show(report)
    if report.disagreements:
        return 1
    return INTERRUPTED if report.ended_early else 0


@contextlib.contextmanager
def _ended_by_signals() -> Iterator[None]:
    """Within the block, SIGTERM ends the work as Ctrl-C does, and both do so also where a shell had SIGINT ignored."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, lambda number, frame: signal.raise_signal(signal.SIGINT))
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _free(wanted: Path) -> Path:
    """`wanted`, or the first of `wanted-2`, `wanted-3` … that does not exist: no earlier demo is touched."""
    folder, number = wanted, 1
    while folder.exists():
        number += 1
        folder = wanted.with_name(f"{wanted.name}-{number}")
    return folder
