"""`sensorloom agent calibrate`: a sensor held against what is known, and the line for agent.toml that follows."""

from __future__ import annotations

import argparse
import asyncio
import datetime as dt
import itertools
import secrets
from collections.abc import Sequence
from typing import Any, Final

import msgspec

from edge.config import AgentConfig, load_config
from edge.fieldcommands import action, config_option, stopped_by_signals
from edge.protocol import SourceConfig
from ingest.commandline import say, say_aside
from ingest.errors import TransientError, UsageError
from ingest.settings import suggest
from ingest.showing import printable
from ingest.times import NS
from ingest.units import parse_duration

_FILE: Final = "agent.toml"
_DIGITS: Final = 6
_STILL: Final = 0.02
"""Of gravity, or of what lies between two references: so much may what is still vary (standard deviation) …"""
_STILL_POINTS: Final = 0.01
_HOLD: Final = ("2s", "30s")
"""For so long: an accelerometer, another sensor."""
_EPILOG: Final = (
    "examples: sensorloom agent calibrate imu, and put the sensor down with each face up once, in any order; "
    "sensorloom agent calibrate oven --points 0,100, and bring it to 0 first, then to 100. It reads the source itself: "
    "stop an agent that has its port. What it prints belongs into the source's table; samples are recorded so from "
    "the agent's next start on, and older ones stay as they are."
)


def register_calibrate(actions: Any) -> None:
    """Add `agent calibrate`."""
    text = "calibrate a sensor: an accelerometer in six positions, another one at two points or more"
    found = action(actions, "calibrate", _calibrate, text)
    found.epilog = _EPILOG
    found.add_argument("source", metavar="SOURCE", help="the source's name")
    config_option(found, default=_FILE)
    found.add_argument("--channels", metavar="NAMES", help="which channels, as in x,y,z (by default all of the source)")
    found.add_argument("--points", metavar="VALUES", help="what one channel is brought to, in its unit, as in 0,100")
    found.add_argument("--gravity", type=float, metavar="VALUE", help="in the unit (by default 1 g, 9.80665 m/s2)")
    found.add_argument("--hold", metavar="DURATION", help="how long it must be still (by default 2s; at points 30s)")
    found.add_argument("--still", type=float, metavar="VALUE", help="how much it may vary then, in the unit")
    found.add_argument("--for", dest="span", default="15min", metavar="DURATION", help="for how long at most (15min)")
    found.add_argument("--reference", default="", metavar="TEXT", help="what it was held against, for people")


def _calibrate(args: argparse.Namespace) -> int:
    from edge.agent.calibrating.session import Limits, Measuring, Points, Positions, measure

    config = load_config(args.config)
    source = _source(config, args.source)
    channels = (
        args.channels.split(",") if args.channels else [name for name in source.channels if name not in source.states]
    )
    unit = _unit(source, channels)
    measuring: Measuring
    if args.points is None:
        gravity = _gravity(args, channels, unit)
        measuring, hold, still = Positions(gravity, unit), args.hold or _HOLD[0], _STILL * gravity
        reference = args.reference or "gravity, six positions"
    else:
        references = _references(args.points, channels)
        measuring, hold = Points(references, unit), args.hold or _HOLD[1]
        still = _STILL_POINTS * min(abs(b - a) for a, b in itertools.pairwise(references))
        reference = args.reference or f"at {', '.join(f'{value:g}' for value in references)} {unit}"
    limits = Limits(_seconds("--hold", hold), _positive("--still", args.still, still), _seconds("--for", args.span))
    _check_free(config, source)

    async def run() -> Any:
        speak = say_aside if args.json else say
        stop = stopped_by_signals()
        return await measure(source, channels, measuring, limits, stop, speak, secrets.token_hex(4))

    solution = asyncio.run(run())
    line = _line(solution, channels, list(source.channels), reference)
    if args.json:
        said = {"source": source.name, "channels": channels, "unit": unit, "bias": solution.bias.tolist()}
        said |= {"matrix": solution.matrix.tolist(), "residuals": solution.residuals, "line": line}
        print(msgspec.json.encode(said).decode())
    else:
        print("\n".join(_page(solution, unit, source, line)))
    return 0


def _source(config: AgentConfig, name: str) -> SourceConfig:
    for source in config.sources:
        if source.name == name:
            return source
    raise UsageError(f'{config.path}: no source "{name}"{suggest(name, [source.name for source in config.sources])}')


def _unit(source: SourceConfig, channels: Sequence[str]) -> str:
    for name in channels:
        if name not in source.channels:
            raise UsageError(f'{source.where}: no channel "{name}"{suggest(name, list(source.channels))}')
        if name in source.states:
            raise UsageError(f"{source.where}: {name} has named states, which are codes; nothing is calibrated")
    units = {source.channels[name] for name in channels}
    if len(units) != 1 or len(set(channels)) < len(channels):
        raise UsageError(f"{source.where}: choose channels of one unit, each once, with --channels x,y,z")
    return units.pop()


def _gravity(args: argparse.Namespace, channels: Sequence[str], unit: str) -> float:
    from edge.agent.calibrating.solving import STANDARD_GRAVITY

    if len(channels) != 3:
        raise UsageError(
            f"agent calibrate: six positions need three channels, found {', '.join(channels)}; name them with "
            "--channels x,y,z, or give --points 0,100 for another sensor"
        )
    standard = STANDARD_GRAVITY.get(unit)
    if standard is None and args.gravity is None:
        raise UsageError(f'agent calibrate: what gravity is in "{unit}" nobody knows here; say --gravity, or --points')
    return _positive("--gravity", args.gravity, standard or 1.0)


def _references(text: str, channels: Sequence[str]) -> list[float]:
    if len(channels) != 1:
        raise UsageError(f"--points are of one channel, found {', '.join(channels)}; name it with --channels")
    try:
        found = [float(word) for word in text.split(",")]
    except ValueError:
        found = []
    if len(found) < 2 or len(set(found)) < len(found) or not all(abs(value) < 1e9 for value in found):
        raise UsageError(f'--points: found "{text}", expected two numbers or more, each another one, as in 0,100')
    return found


def _positive(option: str, given: float | None, default: float) -> float:
    found = default if given is None else given
    if not 0 < found < 1e9:
        raise UsageError(f"{option}: found {found}, expected a number above 0")
    return found


def _seconds(option: str, text: str) -> float:
    span_ns = parse_duration(text)
    if not NS // 10 <= span_ns <= 24 * 3600 * NS:
        raise UsageError(f'{option}: found "{text}", expected 100ms to 24h')
    return span_ns / NS


def _check_free(config: AgentConfig, source: SourceConfig) -> None:
    """What an agent reads nobody else can, but for brokers, files and other servers."""
    from edge.agent.answering import NoAgentError, ask

    if source.type in ("mqtt", "replay", "gpsd"):
        return
    try:
        pid = ask(config.spool_dir).pid
    except NoAgentError:
        return
    raise TransientError(f"an agent runs with this configuration (process {pid}) and has {source.name}: stop it first")


def _line(solution: Any, channels: Sequence[str], all_channels: Sequence[str], reference: str) -> str:
    """The key for the source's table."""
    bias = ", ".join(map(_number, solution.bias.tolist()))
    matrix = ", ".join(f"[{', '.join(map(_number, row))}]" for row in solution.matrix.tolist())
    only = (
        f"channels = {msgspec.json.encode(list(channels)).decode()}, " if list(channels) != list(all_channels) else ""
    )
    text = msgspec.json.encode(reference).decode()
    today = dt.datetime.now(tz=dt.UTC).date().isoformat()
    return f"calibration = {{ {only}bias = [{bias}], matrix = [{matrix}], date = {today}, reference = {text} }}"


def _number(value: float) -> str:
    return f"{round(value, _DIGITS) + 0.0:.{_DIGITS}g}"


def _page(solution: Any, unit: str, source: SourceConfig, line: str) -> list[str]:
    what, worst = solution.worst
    lines = [f"off by at most {worst:.2g} {unit} ({what}); by what was measured:"]
    lines += [f"  {name:>8}  {error:.2g} {unit}" for name, error in solution.residuals.items()]
    told = "put this in the place of its calibration" if source.correction is not None else "put this"
    return [printable(text) for text in (*lines, f"{told} into the table of {source.name}:", "", line)]
